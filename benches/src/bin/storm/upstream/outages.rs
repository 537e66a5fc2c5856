//! No limit at all, but times in which nothing is served: 503.

use std::time::Duration;

use http::StatusCode;

use super::Limit;

/// Serves everything for a time, then nothing for a time, in turn.
#[derive(Clone, Debug)]
pub(crate) struct Outages {
    up: Duration,
    down: Duration,
}

impl Outages {
    /// Creates an upstream that is up first.
    pub(crate) fn new(up: Duration, down: Duration) -> Self {
        Self { up, down }
    }

    /// Returns how long after `at` it is up again; zero while it is.
    fn wait(&self, at: Duration) -> Duration {
        let period = self.up + self.down;
        let into = Duration::from_nanos((at.as_nanos() % period.as_nanos()) as u64);
        if into < self.up { Duration::ZERO } else { period.saturating_sub(into) }
    }
}

impl Limit for Outages {
    fn admit(&mut self, at: Duration) -> bool {
        self.wait(at).is_zero()
    }

    fn lifts_at(&self, at: Duration) -> Duration {
        at + self.wait(at)
    }

    fn remaining(&self, at: Duration) -> u32 {
        if self.wait(at).is_zero() { u32::MAX } else { 0 }
    }

    fn refusal(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
