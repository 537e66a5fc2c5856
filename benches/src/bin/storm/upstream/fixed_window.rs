//! So many requests in each window; the windows follow each other.

use std::time::Duration;

use super::Limit;

/// Serves `quota` requests in each window of `length`. What is refused costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct FixedWindow {
    quota: u32,
    length: Duration,
    window: u128,
    used: u32,
}

impl FixedWindow {
    /// Creates a limit whose first window begins with the run.
    pub(crate) fn new(quota: u32, length: Duration) -> Self {
        Self { quota, length, window: 0, used: 0 }
    }

    /// Returns the number of the window at `at`.
    fn window(&self, at: Duration) -> u128 {
        at.as_nanos() / self.length.as_nanos()
    }
}

impl Limit for FixedWindow {
    fn admit(&mut self, at: Duration) -> bool {
        let window = self.window(at);
        if window != self.window {
            self.window = window;
            self.used = 0;
        }
        let served = self.used < self.quota;
        self.used += u32::from(served);
        served
    }

    fn lifts_at(&self, at: Duration) -> Duration {
        if self.remaining(at) > 0 {
            return at;
        }
        self.length * (self.window(at) as u32 + 1)
    }

    fn remaining(&self, at: Duration) -> u32 {
        if self.window(at) == self.window { self.quota - self.used } else { self.quota }
    }
}
