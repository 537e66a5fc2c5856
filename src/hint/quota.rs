//! Reads how long a quota that is used up stays so.

/// In which unit an upstream says when its quota is there again.
///
/// The wire does not tell: under one header's name some send a wait and others a
/// moment, in seconds or milliseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// By the look of it: a number within 366 days of now is a moment, a small one
    /// a wait in seconds; dates and durations by their form.
    #[default]
    Any,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// Seconds from now.
    DeltaSeconds,
    /// Milliseconds from now.
    DeltaMilliseconds,
}
