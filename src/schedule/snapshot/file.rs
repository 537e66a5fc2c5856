//! A file that is replaced whole, or not at all.
//!
//! The new text is written to a file beside the old one, brought to the disk, and
//! renamed over it. Whoever is killed in between leaves the old file, and a
//! temporary one that a later save removes.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::disk::{Disk, System};
use crate::ambient;

/// What the names of temporary files end with.
const TEMPORARY: &str = ".saving";

/// How old a temporary file is that nobody works on any more.
///
/// To write one takes seconds, where the disk is slow; nobody takes an hour.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// How many temporary files of the last hour may lie about.
///
/// More than there are processes that save to one file at a time; few enough for a
/// process that crashes every minute.
const LYING_ABOUT: usize = 16;

/// How old those are that are removed where there are more, and how far ahead of the
/// clock a file is that only a wrong one can have made.
///
/// More than a save takes, unless the disk stands still.
const AT_WORK: Duration = Duration::from_secs(60);

/// How often a save is tried to which something happens that others did: its temporary
/// file is taken for an abandoned one, or a file appears where there was none.
const TRIES: usize = 3;

/// How many links lead to a file at most, as Linux has it.
const LINKS: usize = 40;

/// How many files may be kept beside one that is saved: nobody looks after a
/// thousand.
const KEPT: usize = 1000;

/// The longest name that others are made of by adding to it, in bytes.
///
/// Nearly every file system takes 255, and we add 25 at most.
const LONGEST_NAME: usize = 200;

/// Held by whoever saves in this process, so that its saves are not in each other's way.
static SAVING: Mutex<()> = Mutex::new(());

/// Replaces the file at `path`. What is there and not `ours` is kept under
/// another name.
pub(super) fn replace(path: &Path, text: &[u8], ours: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    replace_on(&System, &followed(path)?, text, ours)
}

fn replace_on<D: Disk>(
    disk: &D,
    path: &Path,
    text: &[u8],
    ours: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let _saving = SAVING.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 1..TRIES {
        match replace_once(disk, path, text, &ours) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {}
            done => return done,
        }
    }
    replace_once(disk, path, text, &ours)
}

fn replace_once<D: Disk>(
    disk: &D,
    path: &Path,
    text: &[u8],
    ours: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let old = disk.old(path)?;
    let (mut file, mut temporary) = Temporary::create(disk, path, old.as_ref())?;
    remove_abandoned(disk, path, &temporary.path);
    disk.write(&mut file, text)?;
    if let Some(old) = &old {
        disk.take_after(&file, old)?;
    }
    disk.sync(&file)?;
    drop(file);
    // Not before: all that took a while, and others may have been here.
    match disk.read(path) {
        Ok(there) if ours(&there) => temporary.rename_to(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => temporary.link_to(path)?,
        // What cannot be read may be anything.
        Ok(_) | Err(_) => {
            keep(disk, path)?;
            disk.sync_folder(folder(path))?;
            temporary.rename_to(path)?;
        }
    }
    disk.sync_folder(folder(path))
}

/// A file beside another, which is removed unless it takes the other's place.
struct Temporary<'a, D: Disk> {
    disk: &'a D,
    path: PathBuf,
    is_there: bool,
}

impl<'a, D: Disk> Temporary<'a, D> {
    fn create(
        disk: &'a D,
        beside: &Path,
        old: Option<&D::Old>,
    ) -> io::Result<(D::File, Temporary<'a, D>)> {
        let stem = stem(beside)?;
        loop {
            let mut name = OsString::from(".");
            name.push(&stem);
            name.push(format!(".{:016x}{TEMPORARY}", ambient::random()));
            let path = folder(beside).join(name);
            match disk.create(&path, old) {
                Ok(file) => return Ok((file, Self { disk, path, is_there: true })),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the place of what is at `path`.
    fn rename_to(&mut self, path: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, path)?;
        self.is_there = false;
        Ok(())
    }

    /// Takes a place that must be free.
    fn link_to(&mut self, path: &Path) -> io::Result<()> {
        match self.disk.link(&self.path, path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) =>
            {
                Err(error)
            }
            // Not every file system has links.
            Err(_) => self.rename_to(path),
            Ok(()) => Ok(()),
        }
    }
}

impl<D: Disk> Drop for Temporary<'_, D> {
    fn drop(&mut self) {
        if self.is_there {
            // There is nobody to tell; a later save tries again.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// Removes the temporary files that nobody works on any more, as far as that can be
/// known, and the eldest of those that are too many.
///
/// Their age is by the file system's clock, as `own` tells it, which was made just now.
fn remove_abandoned<D: Disk>(disk: &D, path: &Path, own: &Path) {
    let Ok(stem) = stem(path) else {
        return;
    };
    let Ok(mut files) = disk.files(folder(path), |name| is_temporary(name, &stem)) else {
        return;
    };
    let Some(now) = files.iter().find(|(_, path)| path == own).map(|(made, _)| *made) else {
        return;
    };
    files.sort_by(|a, b| b.cmp(a));
    let mut others: usize = 0;
    for (changed, path) in files.iter().filter(|(_, path)| path != own) {
        let age = age(*changed, now);
        others = others.saturating_add(usize::from(age.is_some()));
        let most = if others > LYING_ABOUT { AT_WORK } else { ABANDONED_AFTER };
        if age.is_none_or(|age| age > most) {
            let _ = disk.remove(path);
        }
    }
}

/// Returns how old a file is; nothing where it is from the future.
fn age(changed: SystemTime, now: SystemTime) -> Option<Duration> {
    match now.duration_since(changed) {
        Ok(age) => Some(age),
        // Whoever is at work beside us may be a little later.
        Err(ahead) => (ahead.duration() <= AT_WORK).then_some(Duration::ZERO),
    }
}

/// Returns whether that is the name of a temporary file for a file of this name.
fn is_temporary(name: &OsStr, of: &OsStr) -> bool {
    let middle = name
        .as_encoded_bytes()
        .strip_prefix(b".")
        .and_then(|rest| rest.strip_prefix(of.as_encoded_bytes()))
        .and_then(|rest| rest.strip_prefix(b"."))
        .and_then(|rest| rest.strip_suffix(TEMPORARY.as_bytes()));
    middle.is_some_and(|middle| middle.len() == 16 && middle.iter().all(u8::is_ascii_hexdigit))
}

/// Gives a file that is about to be replaced another name besides; at no time there
/// is no file at all.
fn keep<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    for number in 1..=KEPT {
        let mut name = stem(path)?.into_owned();
        name.push(format!(".kept-{number}"));
        let kept = path.with_file_name(name);
        let done = match disk.link(path, &kept) {
            // Not every file system has links.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => copy(disk, path, &kept),
            done => done,
        };
        match done {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            done => return done,
        }
    }
    Err(io::Error::other("too many files were kept beside it, sort them out"))
}

/// Copies a file to where there is none.
fn copy<D: Disk>(disk: &D, path: &Path, copied: &Path) -> io::Result<()> {
    let text = disk.read(path)?;
    let old = disk.old(path)?;
    let mut file = disk.create(copied, old.as_ref())?;
    let done = disk
        .write(&mut file, &text)
        .and_then(|()| old.map_or(Ok(()), |old| disk.take_after(&file, &old)))
        .and_then(|()| disk.sync(&file));
    if done.is_err() {
        let _ = disk.remove(copied);
    }
    done
}

/// Follows symbolic links: what they lead to is replaced, not they.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                path = folder(&path).join(fs::read_link(&path)?);
            }
            Ok(_) | Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Returns what the names of files beside this one are made of: its own name, or the
/// beginning of a long one.
fn stem(path: &Path) -> io::Result<Cow<'_, OsStr>> {
    let none = || io::Error::new(ErrorKind::InvalidInput, "it names no file");
    let name = path.file_name().ok_or_else(none)?;
    if name.len() <= LONGEST_NAME {
        return Ok(Cow::Borrowed(name));
    }
    let mut stem = String::new();
    for symbol in name.to_string_lossy().chars() {
        if stem.len().saturating_add(symbol.len_utf8()) > LONGEST_NAME {
            break;
        }
        stem.push(symbol);
    }
    Ok(Cow::Owned(stem.into()))
}

#[cfg(test)]
mod tests;
