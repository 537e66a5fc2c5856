//! A bucket of tokens that fills up steadily; each request served takes one.

use std::time::Duration;

use super::Limit;

/// Serves while there are tokens. What is refused costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    each: Duration,
    full: Duration,
    /// What has flowed in, as the time that it took.
    credit: Duration,
    as_of: Duration,
}

impl TokenBucket {
    /// Creates a bucket that is full, and gains a token in each `each`.
    pub(crate) fn new(capacity: u32, each: Duration) -> Self {
        let full = each * capacity;
        Self { each, full, credit: full, as_of: Duration::ZERO }
    }

    /// Returns what is in the bucket at `at`.
    fn credit(&self, at: Duration) -> Duration {
        (self.credit + at.saturating_sub(self.as_of)).min(self.full)
    }
}

impl Limit for TokenBucket {
    fn admit(&mut self, at: Duration) -> bool {
        let credit = self.credit(at);
        let left = credit.checked_sub(self.each);
        self.credit = left.unwrap_or(credit);
        self.as_of = at;
        left.is_some()
    }

    fn lifts_at(&self, at: Duration) -> Duration {
        at + self.each.saturating_sub(self.credit(at))
    }

    fn remaining(&self, at: Duration) -> u32 {
        (self.credit(at).as_nanos() / self.each.as_nanos()) as u32
    }
}
