//! Points in time as the table counts them.
//!
//! One machine word, so that a rejection can read it without a lock. What turns
//! moments into instants and back stands in `ambient.rs`.

use std::time::Duration;

/// A point in time: nanoseconds since its table was made.
///
/// The last one, 584 years on, stands for "never" and everything later.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The birth of the table.
    pub(crate) const START: Self = Self(0);

    /// Returns the moment that many nanoseconds after the start.
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since the start.
    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// Returns the moment `wait` later, the last moment there is at the latest.
    #[inline]
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// Returns the moment `wait` earlier, the first moment there is at the earliest.
    pub(crate) fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(wait)))
    }

    /// Returns how long it is from `earlier` to this moment, zero if it is past.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Counts the nanoseconds of `wait`; what does not fit is the ceiling.
#[inline]
pub(crate) fn nanos(wait: Duration) -> u64 {
    wait.as_secs()
        .checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(u64::from(wait.subsec_nanos())))
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_future_is_never_and_does_not_wrap() {
        let late = Moment::START.after(Duration::MAX);

        assert_eq!(late, Moment(u64::MAX));
        assert_eq!(late.after(Duration::from_nanos(1)), late);
    }

    #[test]
    fn a_past_moment_is_no_time_away() {
        let now = Moment::START.after(Duration::from_secs(5));

        assert_eq!(Moment::START.since(now), Duration::ZERO);
        assert_eq!(now.since(Moment::START), Duration::from_secs(5));
        assert_eq!(now.before(Duration::from_secs(5)), Moment::START);
        assert_eq!(now.before(Duration::MAX), Moment::START);
    }
}
