//! What the crate takes from its surroundings: clocks and chance.
//!
//! The only file that reads either; everything else is told. A clippy rule
//! (`disallowed-methods`) holds that for the clocks.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::moment::Moment;

/// Reads the monotonic clock: tokio's, so that tests can pause it.
#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the file that may")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the file that may")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Returns the moment that an instant is, for a table that was born then.
#[inline]
pub(crate) fn moment(born: Instant, instant: Instant) -> Moment {
    Moment::START.after(instant.saturating_duration_since(born))
}

/// Returns the instant that a moment is, for a table that was born then.
pub(crate) fn instant(born: Instant, moment: Moment) -> Instant {
    let instant = born.checked_add(moment.since(Moment::START));
    // Where the platform's clock does not reach that far, as far as it is sure
    // to: further than any process lives.
    instant.or_else(|| born.checked_add(FAR)).unwrap_or(born)
}

/// Returns the instant `wait` later; where the platform's clock does not reach
/// that far, as far as it is sure to.
pub(crate) fn later(instant: Instant, wait: Duration) -> Instant {
    instant.checked_add(wait.min(FAR)).unwrap_or(instant)
}

/// Returns the instant `wait` earlier; where the platform's clock does not reach
/// back that far, the half of it, or the half of that.
pub(crate) fn earlier(instant: Instant, wait: Duration) -> Instant {
    std::iter::successors(Some(wait.min(FAR)), |wait| wait.checked_div(2))
        .find_map(|wait| instant.checked_sub(wait))
        .unwrap_or(instant)
}

/// A century, in days of 24 hours: further than any process lives.
pub(crate) const FAR: Duration = Duration::from_secs(36_525 * 24 * 3600);

/// Draws a number from 0 up to, but not including, 1.
pub(crate) fn sample() -> f64 {
    // 32 bits are plenty for spreading waits, and convert without loss.
    let [a, b, c, d, ..] = random().to_ne_bytes();
    f64::from(u32::from_ne_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

/// Returns this process's salt: 256 bits, drawn when somebody first asks.
pub(crate) fn salt() -> [u8; 32] {
    static SALT: OnceLock<[u8; 32]> = OnceLock::new();
    *SALT.get_or_init(|| {
        let mut salt = [0; 32];
        for word in salt.chunks_exact_mut(8) {
            word.copy_from_slice(&random().to_ne_bytes());
        }
        salt
    })
}

/// Draws from the seed that the standard library gives every hash map: the
/// system's entropy once for each thread, a new `SipHash` key at each draw.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fill_the_range_and_stay_below_one() {
        let samples: Vec<f64> = (0..10_000).map(|_| sample()).collect();
        let mean = samples.iter().sum::<f64>() / 10_000.0;

        assert!(samples.iter().all(|sample| (0.0..1.0).contains(sample)));
        assert!((0.45..0.55).contains(&mean), "mean {mean}");
        assert!(samples.iter().any(|&sample| sample < 0.01));
        assert!(samples.iter().any(|&sample| sample > 0.99));
    }

    #[test]
    fn a_process_keeps_its_salt() {
        assert_eq!(salt(), salt());
        assert_ne!(salt(), [0; 32]);
        assert_ne!(random(), random());
    }
}
