//! How targets are spread, so that they do not all fall due at once.
//!
//! Pure: two sequences of low discrepancy. Wherever one stops, what it has dealt
//! out lies about evenly, which random samples do not.

use std::time::Duration;

use crate::moment::{Moment, nanos};

/// The share by which each target of an upstream lies behind the one before: the
/// golden ratio's fraction, of 2^64.
const NEXT_TARGET: u64 = 0x9E37_79B9_7F4A_7C15;

/// The share by which each upstream's first target lies behind that of the one
/// before: the inverse of the plastic number, of 2^64.
///
/// Another number, so that neither an upstream's own targets nor all of them
/// together bunch, in whatever order they were added.
const NEXT_UPSTREAM: u64 = 0xC13F_A9A9_02A6_328F;

/// Returns how far into the window the `target`th target of the `upstream`th
/// upstream falls; the first of the first at once.
pub(super) fn offset(upstream: u64, target: u64, window: Duration) -> Duration {
    let share = upstream.wrapping_mul(NEXT_UPSTREAM).wrapping_add(target.wrapping_mul(NEXT_TARGET));
    let nanos = (u128::from(share).wrapping_mul(u128::from(nanos(window)))) >> 64;
    // Less than the window, which fits.
    Moment::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).since(Moment::START)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(1000);

    /// Counts how many fall into each tenth of the window.
    fn tenths(offsets: impl IntoIterator<Item = Duration>) -> [usize; 10] {
        let tenth = |offset: Duration| {
            assert!(offset < WINDOW);
            offset.as_secs().saturating_mul(10).div_euclid(WINDOW.as_secs())
        };
        let all: Vec<u64> = offsets.into_iter().map(tenth).collect();
        std::array::from_fn(|one| all.iter().filter(|tenth| **tenth == one as u64).count())
    }

    #[test]
    fn the_first_of_all_is_due_at_once() {
        assert_eq!(offset(0, 0, WINDOW), Duration::ZERO);
    }

    #[test]
    fn the_targets_of_one_upstream_are_spread_evenly() {
        for upstream in [0, 1, 89, 1_000_000] {
            let tenths = tenths((0..100).map(|target| offset(upstream, target, WINDOW)));
            assert!(tenths.iter().all(|count| (8..=12).contains(count)), "{tenths:?}");
        }
    }

    #[test]
    fn the_targets_of_all_upstreams_together_are_spread_evenly() {
        for upstreams in [1, 2, 10, 89, 1000] {
            let all = 10_000 / upstreams;
            let tenths =
                tenths((0..upstreams).flat_map(|upstream| {
                    (0..all).map(move |target| offset(upstream, target, WINDOW))
                }));
            let (least, most) = (tenths.iter().min(), tenths.iter().max());
            assert!(least >= Some(&900) && most <= Some(&1100), "{upstreams}: {tenths:?}");
        }
    }

    #[test]
    fn any_window_is_kept() {
        assert_eq!(offset(3, 5, Duration::ZERO), Duration::ZERO);
        assert!(offset(u64::MAX, u64::MAX, Duration::MAX) < Duration::MAX);
        assert_eq!(offset(3, 5, Duration::from_nanos(1)), Duration::ZERO);
    }
}
