//! The breaker around Redis: how long to leave it alone after something failed.
//!
//! While it is left alone nobody waits for it; the tables go on by themselves.

use std::time::Duration;

/// The longest pause where Redis is not reached.
///
/// Short, so that a table is back in step within a second of Redis's return.
const UNREACHED: Duration = Duration::from_millis(400);

/// The longest pause where Redis is reached, and answers what is no use.
///
/// To connect and to read all is work for it; and what ails it (no rights, no memory,
/// a replica that must not write) does not pass by itself in a moment.
const UNUSABLE: Duration = Duration::from_secs(30);

const FIRST: Duration = Duration::from_millis(50);

/// What went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// There is no connection, or none any more, or nothing comes over it.
    Unreached,
    /// It answers, but not as a Redis that is of use.
    Unusable,
    /// What was told has been lost on the way, and is read anew.
    Lost,
}

/// Counts the troubles in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    row: u32,
    /// They are of the kind that may not pass for long.
    is_unusable: bool,
}

impl Pace {
    /// Returns how long to pause after a trouble; `sample` is chance within 0..1, so
    /// that a fleet does not come back as one.
    pub(super) fn after(&mut self, trouble: Trouble, sample: f64) -> Duration {
        let (is_unusable, longest) = match trouble {
            Trouble::Unreached | Trouble::Lost => (false, UNREACHED),
            Trouble::Unusable => (true, UNUSABLE),
        };
        if is_unusable != self.is_unusable {
            // How long it was out of reach says nothing of how it will answer.
            *self = Self { row: 0, is_unusable };
        }
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.row));
        self.row = self.row.saturating_add(1);
        let pause = doubled.min(longest);
        // From the half to the whole of it.
        pause.mul_f64(sample.clamp(0.0, 1.0).mul_add(0.5, 0.5))
    }

    /// Notes that it has worked for a while.
    pub(super) fn is_well(&mut self) {
        self.row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_is_back_is_reached_within_half_a_second() {
        let mut pace = Pace::default();
        let longest = (0..100).map(|_| pace.after(Trouble::Unreached, 1.0)).max();

        assert_eq!(longest, Some(Duration::from_millis(400)));
    }

    #[test]
    fn one_that_is_no_use_is_asked_ever_more_seldom() {
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..12).map(|_| pace.after(Trouble::Unusable, 1.0)).collect();

        assert_eq!(pauses.first(), Some(&Duration::from_millis(50)));
        assert_eq!(pauses.last(), Some(&Duration::from_secs(30)));
        assert!(pauses.is_sorted());
    }

    #[test]
    fn one_that_was_long_away_is_not_left_alone_for_its_first_bad_answer() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.after(Trouble::Unreached, 1.0);
        }

        assert_eq!(pace.after(Trouble::Unusable, 1.0), Duration::from_millis(50));
    }

    #[test]
    fn a_fleet_does_not_come_back_as_one() {
        let first = |sample| Pace::default().after(Trouble::Unreached, sample);

        assert_eq!(first(0.0) * 2, first(1.0));
        assert!(first(0.25) < first(0.75));
    }

    #[test]
    fn what_has_worked_since_is_tried_soon_again() {
        let mut pace = Pace::default();
        for _ in 0..10 {
            pace.after(Trouble::Unusable, 0.5);
        }

        pace.is_well();

        assert_eq!(pace.after(Trouble::Unusable, 1.0), Duration::from_millis(50));
    }
}
