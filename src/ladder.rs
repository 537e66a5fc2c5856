//! How long to stay away from an upstream after consecutive failures.
//!
//! Pure arithmetic: no clock, no lock, no randomness of its own.

use std::time::Duration;

/// The doublings after which a ladder climbs no further, whatever its cap.
///
/// 2^16 turns the smallest useful base, a millisecond, into more than a minute
/// and the default base into seven weeks; a longer shift only invites overflow.
const MAX_DOUBLINGS: u32 = 16;

/// The doubling waits for consecutive failures.
///
/// Failure `n` waits `min(base · 2^min(n−1, 16), cap)`. A cap of zero turns the
/// ladder off: then only what the upstream says counts.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::Ladder;
///
/// let ladder = Ladder::default();
/// let waits: Vec<u64> = (0..8).map(|n| ladder.delay(n).as_secs()).collect();
/// assert_eq!(waits, [0, 60, 120, 240, 480, 960, 1800, 1800]);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ladder {
    base: Duration,
    cap: Duration,
}

impl Ladder {
    /// The first wait of the default ladder.
    ///
    /// A minute outlasts the windows that most limits are counted in, so that
    /// one rung is usually enough.
    pub const DEFAULT_BASE: Duration = Duration::from_secs(60);

    /// The longest wait of the default ladder.
    ///
    /// Half an hour: an upstream that has refused six times in a row is asked
    /// twice an hour, and its recovery is still noticed within one.
    pub const DEFAULT_CAP: Duration = Duration::from_secs(1800);

    /// Creates a ladder that starts at `base` and ends at `cap`.
    ///
    /// Any two durations make a ladder: a base above the cap waits the cap, a
    /// cap of zero never waits.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// Returns the first wait, before the cap.
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// Returns the longest wait.
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// Returns how long to stay away after that many failures in a row.
    ///
    /// No failure, no wait.
    pub fn delay(&self, consecutive_failures: u32) -> Duration {
        match consecutive_failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                self.base.saturating_mul(1 << doublings.min(MAX_DOUBLINGS)).min(self.cap)
            }
        }
    }

    /// Returns the longer of the ladder's wait and the upstream's `hint`.
    ///
    /// The cap bounds the ladder alone; a hint is taken as it is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_retry_after::Ladder;
    ///
    /// let hour = Duration::from_secs(3600);
    /// assert_eq!(Ladder::default().delay_with_hint(6, hour), hour);
    /// ```
    pub fn delay_with_hint(&self, consecutive_failures: u32, hint: Duration) -> Duration {
        self.delay(consecutive_failures).max(hint)
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BASE, Self::DEFAULT_CAP)
    }
}
