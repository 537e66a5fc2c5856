//! So many requests in any stretch of time, however it lies: a log of what was served.

use std::collections::VecDeque;
use std::time::Duration;

use super::Limit;

/// Serves `quota` requests in any `length`. What is refused costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct SlidingWindow {
    quota: u32,
    length: Duration,
    /// When each request that still counts was served; some may count no more.
    served: VecDeque<Duration>,
}

impl SlidingWindow {
    /// Creates a limit that has served nothing yet.
    pub(crate) fn new(quota: u32, length: Duration) -> Self {
        Self { quota, length, served: VecDeque::new() }
    }
}

impl Limit for SlidingWindow {
    fn admit(&mut self, at: Duration) -> bool {
        while self.served.front().is_some_and(|&served| served + self.length <= at) {
            self.served.pop_front();
        }
        let is_served = self.served.len() < self.quota as usize;
        if is_served {
            self.served.push_back(at);
        }
        is_served
    }

    fn lifts_at(&self, at: Duration) -> Duration {
        // There are never more than the quota: the oldest makes room for the next.
        match self.served.front() {
            Some(&oldest) if self.served.len() == self.quota as usize => {
                at.max(oldest + self.length)
            }
            _ => at,
        }
    }

    fn remaining(&self, at: Duration) -> u32 {
        let counted = self.served.iter().filter(|&&served| served + self.length > at);
        self.quota - counted.count() as u32
    }
}
