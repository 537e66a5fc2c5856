//! A point on the wall clock, wide enough for any date and any clock.
//!
//! It knows no calendar; see [`date`](super::date).

use std::time::{Duration, SystemTime};

use super::number;

/// Nanoseconds since 1970, negative before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct WallTime(i128);

impl WallTime {
    pub(crate) fn from_epoch(nanos: i128) -> Self {
        Self(nanos)
    }

    /// Returns how long it is from `self` to `other`; zero if that has passed.
    pub(crate) fn until(self, other: Self) -> Duration {
        number::duration(other.0.saturating_sub(self.0))
    }

    /// Returns how far the two are apart, whichever comes first.
    pub(crate) fn distance(self, other: Self) -> Duration {
        self.until(other).max(other.until(self))
    }

    /// Returns the moment so many nanoseconds later.
    pub(crate) fn plus(self, nanos: i128) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        // Nothing saturates: a `Duration` has less than 2^94 nanoseconds.
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(0_i128.saturating_add_unsigned(after.as_nanos())),
            Err(error) => Self(0_i128.saturating_sub_unsigned(error.duration().as_nanos())),
        }
    }
}
