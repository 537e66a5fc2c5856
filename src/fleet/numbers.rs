//! Whether all news have come: they are numbered without gaps.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::ambient;

/// How many numbers may be missing before nothing is waited for.
const MISSING: usize = 256;

/// How long a missing number is waited for, as it may only be late.
const GRACE: Duration = Duration::from_millis(100);

/// The numbers that have come.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    newest: u64,
    /// Those below that have not come.
    missing: BTreeSet<u64>,
    since: Option<Instant>,
}

impl Numbers {
    /// Notes that all up to that number is known.
    pub(super) fn all_up_to(&mut self, number: u64) {
        self.newest = number;
        self.missing.clear();
        self.since = None;
    }

    /// Notes a number that has come, late ones and repeated ones included.
    pub(super) fn came(&mut self, number: u64, now: Instant) {
        if number <= self.newest {
            self.missing.remove(&number);
        } else {
            let first = self.newest.saturating_add(1);
            // More than too many are as good as too many.
            self.missing.extend((first..number).take(MISSING.saturating_add(1)));
            self.newest = number;
        }
        self.since = match self.missing.len() {
            0 => None,
            _ => self.since.or(Some(now)),
        };
    }

    /// Returns when to give up on those that are missing, if any are.
    pub(super) fn due(&self) -> Option<Instant> {
        let grace = if self.missing.len() > MISSING { Duration::ZERO } else { GRACE };
        self.since.map(|since| ambient::later(since, grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_due_while_all_come_in_any_order_and_twice() {
        let (mut numbers, now) = (Numbers::default(), ambient::now());
        numbers.all_up_to(10);

        for number in [11, 13, 13, 12, 11, 9, 16, 15, 14] {
            numbers.came(number, now);
        }

        assert_eq!(numbers.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_waited_for_a_little() {
        let (mut numbers, now) = (Numbers::default(), ambient::now());
        numbers.came(1, now);
        numbers.came(3, now);
        numbers.came(5, ambient::later(now, GRACE / 2));
        numbers.came(4, ambient::later(now, GRACE / 2));

        assert_eq!(numbers.due(), Some(ambient::later(now, GRACE)));
        numbers.all_up_to(5);
        assert_eq!(numbers.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn where_too_many_are_missing_none_is_waited_for() {
        let (mut numbers, now) = (Numbers::default(), ambient::now());

        numbers.came(u64::MAX, now);

        assert_eq!(numbers.due(), Some(now));
        assert!(numbers.missing.len() <= MISSING + 1);
    }
}
