//! What a run of any schedule can come to, beside an answer.

use std::error::Error as StdError;
use std::fmt;

use super::text;
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

/// Tells what went wrong in a run, for a state.
pub(crate) fn told<T>(result: &Result<T, Error>) -> String {
    match result {
        Ok(_) => "the answer was judged a failure".to_owned(),
        Err(error) => text::chain(error),
    }
}
