//! Why a snapshot could not be read or written.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::credentials::veiled;
use super::place;
use crate::schedule::text::shown;

/// The longest reason that is shown; a damaged file may hold anything.
const SHOWN: usize = 300;

/// The longest path that is shown: as long as Linux takes.
const LONGEST_PATH: usize = 4096;

/// Why a snapshot could not be read or written.
///
/// Whatever it is, the file is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written.
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in it.
    Empty {
        /// The file; none where the text came from elsewhere.
        path: Option<PathBuf>,
    },
    /// It is not JSON, or says something that makes no sense.
    Damaged {
        /// The file; none where the text came from elsewhere.
        path: Option<PathBuf>,
        /// The field that is wrong, as in `book.peers[3].role`, escaped and cut; empty
        /// for the whole.
        field: String,
        /// The line, counted from 1.
        line: usize,
        /// Up to which byte of that line it was read.
        column: usize,
        /// What is wrong there, escaped and cut.
        reason: String,
    },
    /// It is in a format that this version of the crate does not know.
    Version {
        /// The file; none where the text came from elsewhere.
        path: Option<PathBuf>,
        /// The format's number.
        found: u64,
    },
}

impl SnapshotError {
    /// Returns the file, unless the text came from elsewhere.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. } | Self::Write { path, .. } => Some(path),
            Self::Empty { path } | Self::Damaged { path, .. } | Self::Version { path, .. } => {
                path.as_deref()
            }
        }
    }

    /// Says where and why a text makes no sense.
    pub(super) fn damaged(json: &[u8], error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let place = format!(" at line {line} column {column}");
        let reason = shown(&veiled(said.strip_suffix(&place).unwrap_or(&said)), SHOWN);
        let field = place::field(json, line, column);
        Self::Damaged { path: None, field, line, column, reason }
    }

    /// Says which file it is about.
    pub(super) fn at(mut self, file: &Path) -> Self {
        match &mut self {
            Self::Read { .. } | Self::Write { .. } => {}
            Self::Empty { path } | Self::Damaged { path, .. } | Self::Version { path, .. } => {
                *path = Some(file.to_owned());
            }
        }
        self
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = Named(self.path());
        match self {
            Self::Read { .. } => {
                write!(f, "cannot read {file}, see that it is a file and readable")
            }
            Self::Write { .. } => write!(
                f,
                "cannot write {file}, see that its folder is there, writable and not full"
            ),
            Self::Empty { .. } => write!(f, "{file} is empty, remove it to start anew"),
            Self::Damaged { field, line, column, reason, .. } => {
                write!(f, "{file} is damaged, mend it or move it away to start anew: ")?;
                if !field.is_empty() {
                    write!(f, "{field}, ")?;
                }
                write!(f, "line {line}, column {column}: {reason}")
            }
            Self::Version { found, .. } => write!(
                f,
                "{file} is in format {found}, and this version of tower-retry-after reads format \
                 {} alone, use the version that wrote it or move the file away to start anew",
                super::VERSION
            ),
        }
    }
}

impl StdError for SnapshotError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => Some(source),
            Self::Empty { .. } | Self::Damaged { .. } | Self::Version { .. } => None,
        }
    }
}

/// What to call the file.
struct Named<'a>(Option<&'a Path>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "the snapshot {}", shown(&path.display(), LONGEST_PATH)),
            None => f.write_str("the snapshot"),
        }
    }
}
