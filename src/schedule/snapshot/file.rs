//! A file that is replaced whole, or not at all.
//!
//! The new text is written to a file beside the old one, brought to the disk, and
//! renamed over it. Whoever is killed in between leaves the old file, and a
//! temporary one that a later save removes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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

/// How often a save is tried whose temporary file was taken for an abandoned one.
const TRIES: usize = 3;

/// How many links lead to a file at most, as Linux has it.
const LINKS: usize = 40;

/// How many files may be kept beside one that is saved: nobody looks after a
/// thousand.
const KEPT: usize = 1000;

/// Replaces the file at `path`. What is there and not `ours` is kept under
/// another name.
pub(super) fn replace(path: &Path, text: &[u8], ours: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let path = followed(path)?;
    for _ in 1..TRIES {
        match replace_once(&path, text, &ours) {
            Err(error) if error.kind() == ErrorKind::NotFound && folder(&path).is_dir() => {}
            done => return done,
        }
    }
    replace_once(&path, text, &ours)
}

fn replace_once(path: &Path, text: &[u8], ours: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let old = match fs::symlink_metadata(path) {
        Ok(old) if old.is_file() => Some(old),
        Ok(_) => return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let others = left_behind(path);
    let (mut file, temporary) = Temporary::create(path, old.as_ref())?;
    remove_abandoned(others, file.metadata()?.modified()?);
    file.write_all(text)?;
    if let Some(old) = &old {
        take_after(&file, old)?;
    }
    file.sync_all()?;
    drop(file);
    if old.is_some() {
        // What cannot be read may be anything.
        let is_ours = fs::read(path).is_ok_and(|old| ours(&old));
        if !is_ours {
            keep(path)?;
        }
    }
    temporary.rename_to(path)?;
    sync_folder(folder(path))
}

/// A file beside another, which is removed unless it takes the other's place.
struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    fn create(beside: &Path, old: Option<&Metadata>) -> io::Result<(File, Self)> {
        loop {
            let mut name = OsString::from(".");
            name.push(file_name(beside)?);
            name.push(format!(".{:016x}{TEMPORARY}", ambient::random()));
            let path = folder(beside).join(name);
            match options(old).open(&path) {
                Ok(file) => return Ok((file, Self { path: Some(path) })),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        if let Some(temporary) = &self.path {
            fs::rename(temporary, path)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // There is nobody to tell; the next save tries again.
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the temporary files that others work on or have left, as far as that can
/// be known; those that are too many are removed at once, so that there are never
/// more, however often a process is killed.
fn left_behind(path: &Path) -> Vec<(SystemTime, PathBuf)> {
    let (Ok(name), Ok(entries)) = (file_name(path), fs::read_dir(folder(path))) else {
        return Vec::new();
    };
    let mut others: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_temporary(&entry.file_name(), name))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    others.sort_by(|a, b| b.cmp(a));
    let too_many = others.split_off(others.len().min(LYING_ABOUT));
    for (_, path) in too_many {
        let _ = fs::remove_file(path);
    }
    others
}

/// Removes those of the temporary files that nobody works on any more.
///
/// `now` is by the file system's clock, as their age is.
fn remove_abandoned(others: Vec<(SystemTime, PathBuf)>, now: SystemTime) {
    for (modified, path) in others {
        if now.duration_since(modified).is_ok_and(|age| age > ABANDONED_AFTER) {
            let _ = fs::remove_file(path);
        }
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

/// Gives a file that is about to be replaced another name besides.
fn keep(path: &Path) -> io::Result<()> {
    for number in 1..=KEPT {
        let mut name = file_name(path)?.to_owned();
        name.push(format!(".kept-{number}"));
        let kept = path.with_file_name(name);
        // A link first, so that at no time there is no file at all.
        match fs::hard_link(path, &kept) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(_) if fs::symlink_metadata(&kept).is_ok() => {}
            // Not every file system has links.
            Err(_) => return fs::rename(path, &kept),
            Ok(()) => return Ok(()),
        }
    }
    Err(io::Error::new(
        ErrorKind::AlreadyExists,
        "too many files were kept beside it, sort them out",
    ))
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

fn file_name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it names no file"))
}

#[cfg(unix)]
fn options(old: Option<&Metadata>) -> OpenOptions {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if let Some(old) = old {
        // Nobody may read the new one who may not read the old one.
        options.mode(old.mode() & 0o600);
    }
    options
}

#[cfg(not(unix))]
fn options(_: Option<&Metadata>) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options
}

/// Makes a new file belong to whom the old one does, and lets the same people read
/// and write it.
#[cfg(unix)]
fn take_after(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    // Only root may give files away; others own the old one nearly always.
    let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    file.set_permissions(old.permissions())
}

/// Elsewhere permissions are the folder's.
#[cfg(not(unix))]
fn take_after(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Brings the new name to the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems do that by themselves, and refuse to be asked.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Elsewhere a folder cannot be synced.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
