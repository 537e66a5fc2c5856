//! What a run of any schedule can come to, beside an answer.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use crate::error::Error;

/// The run took longer than its lease, and was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RunExpired;

impl RunExpired {
    pub(crate) fn error() -> Error {
        Error::Inner(Self.into())
    }
}

impl fmt::Display for RunExpired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run took longer than its lease and was given up")
    }
}

impl StdError for RunExpired {}

/// How much of an error is kept: three lines of a log.
const MOST_CHARS: usize = 256;

/// Tells what went wrong, for a state: an error with all that is behind it.
pub(crate) fn told<T>(result: &Result<T, Error>) -> String {
    match result {
        Ok(_) => "the answer was judged a failure".to_owned(),
        Err(Error::Inner(error)) => chain(&**error),
        Err(error) => chain(error),
    }
}

/// Writes an error and its sources, escaped and cut.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut whole = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        // Some errors repeat what is behind them.
        if !whole.ends_with(&text) {
            let _ = write!(whole, ": {text}");
        }
        source = error.source();
    }
    shown(&whole)
}

/// Escapes what is not printable, and cuts what is too long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for symbol in text.trim().chars().take(MOST_CHARS) {
        match symbol {
            // Escaped in code, harmless in a log.
            '"' | '\'' | '\\' => shown.push(symbol),
            _ => shown.extend(symbol.escape_debug()),
        }
    }
    shown
}
