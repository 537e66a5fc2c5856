//! What a run of any schedule can come to, beside an answer.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use crate::error::Error;

/// The run took longer than its lease, and was given up: what stands behind the
/// error of such a run.
///
/// ```
/// use std::error::Error as _;
/// use tower_retry_after::Error;
/// use tower_retry_after::schedule::RunExpired;
///
/// fn was_given_up(error: &Error) -> bool {
///     error.source().is_some_and(|source| source.is::<RunExpired>())
/// }
/// # let _ = was_given_up;
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RunExpired;

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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// An error that may or may not repeat what is behind it.
    #[derive(Debug)]
    struct Outer {
        text: &'static str,
        inner: io::Error,
    }

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.text)
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.inner)
        }
    }

    #[test]
    fn an_error_is_told_with_all_that_is_behind_it_once() {
        let inner = || io::Error::other("connection refused");
        let silent = Outer { text: "cannot connect", inner: inner() };
        let chatty = Outer { text: "cannot connect: connection refused", inner: inner() };

        assert_eq!(chain(&silent), "cannot connect: connection refused");
        assert_eq!(chain(&chatty), "cannot connect: connection refused");
        assert_eq!(
            told::<()>(&Err(Error::Inner(silent.into()))),
            "cannot connect: connection refused"
        );
    }

    #[test]
    fn what_is_shown_is_escaped_and_cut() {
        assert_eq!(shown("  a\nb \"quoted\" \u{202e} "), "a\\nb \"quoted\" \\u{202e}");
        assert_eq!(shown(&"x".repeat(10_000)).len(), MOST_CHARS);
    }
}
