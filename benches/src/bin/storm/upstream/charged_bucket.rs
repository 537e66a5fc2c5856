//! A bucket that refused requests pay for too: the original outage.
//!
//! Each request pours its share in, served or not, and the bucket leaks steadily.
//! Who goes on at a pace that is faster than the leak keeps it full, and is never
//! served again.

use std::time::Duration;

use super::Limit;

/// Serves a request that fits into the bucket; one that does not fills it up.
#[derive(Clone, Debug)]
pub(crate) struct ChargedBucket {
    each: Duration,
    full: Duration,
    /// What is in it, as the time that it takes to leak out.
    level: Duration,
    as_of: Duration,
}

impl ChargedBucket {
    /// Creates a bucket that somebody has filled up before the run, and that leaks
    /// what one request poured in in each `each`.
    pub(crate) fn full(capacity: u32, each: Duration) -> Self {
        let full = each * capacity;
        Self { each, full, level: full, as_of: Duration::ZERO }
    }

    /// Returns what is in the bucket at `at`.
    fn level(&self, at: Duration) -> Duration {
        self.level.saturating_sub(at.saturating_sub(self.as_of))
    }
}

impl Limit for ChargedBucket {
    fn admit(&mut self, at: Duration) -> bool {
        let level = self.level(at) + self.each;
        self.level = level.min(self.full);
        self.as_of = at;
        level <= self.full
    }

    fn lifts_at(&self, at: Duration) -> Duration {
        at + (self.level(at) + self.each).saturating_sub(self.full)
    }

    fn remaining(&self, at: Duration) -> u32 {
        let room = self.full.saturating_sub(self.level(at));
        (room.as_nanos() / self.each.as_nanos()) as u32
    }
}
