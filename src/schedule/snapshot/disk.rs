//! What a save asks of the disk, one step at a time.
//!
//! A seam: which steps there are, and in which order, is decided elsewhere, and
//! tested over a disk that may fail after each of them.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A place for files.
pub(super) trait Disk {
    type File;
    /// What is known of a file that is to be replaced: whose it is, and who may read it.
    type Old;

    /// Looks at a file; nothing where there is none. It must be a regular one.
    fn old(&self, path: &Path) -> io::Result<Option<Self::Old>>;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Lists the files in a folder whose names are wanted, with when they were changed.
    fn files(
        &self,
        folder: &Path,
        wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Vec<(SystemTime, PathBuf)>>;

    /// Makes a file that is not there yet, for the owner's eyes at most where it is to
    /// be like an old one.
    fn create(&self, path: &Path, like: Option<&Self::Old>) -> io::Result<Self::File>;

    fn write(&self, file: &mut Self::File, text: &[u8]) -> io::Result<()>;

    /// Makes a new file belong to whom the old one does, and lets the same people read
    /// and write it.
    fn take_after(&self, file: &Self::File, old: &Self::Old) -> io::Result<()>;

    /// Brings a file to the disk.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name besides, which must be free.
    fn link(&self, path: &Path, name: &Path) -> io::Result<()>;

    /// Gives a file another name instead, and takes it from whoever has it.
    fn rename(&self, path: &Path, name: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Brings the names in a folder to the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The system's own.
pub(super) struct System;

impl Disk for System {
    type File = File;
    type Old = Metadata;

    fn old(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match fs::symlink_metadata(path) {
            Ok(old) if old.is_file() => Ok(Some(old)),
            Ok(_) => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn files(
        &self,
        folder: &Path,
        wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let files = fs::read_dir(folder)?
            .filter_map(Result::ok)
            .filter(|entry| wanted(&entry.file_name()))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
        Ok(files.collect())
    }

    fn create(&self, path: &Path, like: Option<&Metadata>) -> io::Result<File> {
        options(like).open(path)
    }

    fn write(&self, file: &mut File, text: &[u8]) -> io::Result<()> {
        file.write_all(text)
    }

    fn take_after(&self, file: &File, old: &Metadata) -> io::Result<()> {
        take_after(file, old)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn link(&self, path: &Path, name: &Path) -> io::Result<()> {
        fs::hard_link(path, name)
    }

    fn rename(&self, path: &Path, name: &Path) -> io::Result<()> {
        fs::rename(path, name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)
    }
}

#[cfg(unix)]
fn options(like: Option<&Metadata>) -> OpenOptions {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if let Some(old) = like {
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

#[cfg(unix)]
fn take_after(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};

    let give = |owner, group| fchown(file, owner, group).is_ok();
    let mode = given(old.mode(), (old.uid(), old.gid()), give);
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Gives a file to an owner and a group, as far as that is allowed; returns the mode
/// that it may have then.
#[cfg(unix)]
fn given(
    mode: u32,
    (owner, group): (u32, u32),
    give: impl Fn(Option<u32>, Option<u32>) -> bool,
) -> u32 {
    // Only root may give files away; others own the old one nearly always, or are of
    // its group.
    if give(Some(owner), Some(group)) || give(None, Some(group)) {
        return mode;
    }
    // What the old one's group may do is not for ours.
    mode & !0o2070
}

/// Elsewhere permissions are the folder's.
#[cfg(not(unix))]
fn take_after(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_new_file_is_for_its_owner_alone_until_it_takes_after_the_old_one() {
        let name = format!("tower-retry-after-{}-old", std::process::id());
        let old_path = std::env::temp_dir().join(name);
        let old = File::create(&old_path).unwrap();
        old.set_permissions(fs::Permissions::from_mode(0o664)).unwrap();
        let old = System.old(&old_path).unwrap().unwrap();
        let new_path = old_path.with_extension("new");

        let new = System.create(&new_path, Some(&old)).unwrap();
        let mode = |file: &File| file.metadata().unwrap().mode() & 0o7777;
        let at_first = mode(&new);
        System.take_after(&new, &old).unwrap();
        let in_the_end = mode(&new);
        fs::remove_file(old_path).unwrap();
        fs::remove_file(new_path).unwrap();
        assert_eq!((at_first, in_the_end), (0o600, 0o664));
    }

    #[test]
    fn what_the_old_files_group_may_do_is_for_no_other_group() {
        let old = (7, 8);
        let root = |owner, group| (owner, group) == (Some(7), Some(8));
        let member = |owner: Option<u32>, group| owner.is_none() && group == Some(8);

        assert_eq!(given(0o100_640, old, root), 0o100_640);
        assert_eq!(given(0o100_640, old, member), 0o100_640);
        assert_eq!(given(0o102_664, old, |_, _| false), 0o100_604);
    }
}
