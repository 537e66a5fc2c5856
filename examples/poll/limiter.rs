//! How the example's upstream limits: so many requests in a window, and a
//! penalty for who comes too early.
//!
//! Pure: time is an argument. So the summary can ask a second limiter, at the
//! same times, what a poller without the layer would have met.

use std::time::Duration;

/// What a limiter allows.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    /// How many requests are answered in one window.
    pub(crate) requests: u32,
    pub(crate) window: Duration,
    /// How long the window lasts beyond each request too many, at least.
    pub(crate) penalty: Duration,
}

/// A fixed window that opens with its first request.
pub(crate) struct Limiter {
    limit: Limit,
    window_ends: Duration,
    used: u32,
}

/// A request came too early.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooEarly {
    /// How long it is until requests are answered again, if none comes before.
    pub(crate) wait: Duration,
}

impl Limiter {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { limit, window_ends: Duration::ZERO, used: 0 }
    }

    /// Takes in a request at `now`, a time since whenever.
    ///
    /// One that comes too early prolongs the wait. That is how a poller that does
    /// not listen keeps itself shut out for good.
    pub(crate) fn request(&mut self, now: Duration) -> Result<(), TooEarly> {
        if now >= self.window_ends {
            self.window_ends = now.saturating_add(self.limit.window);
            self.used = 0;
        }
        if self.used < self.limit.requests {
            self.used = self.used.saturating_add(1);
            return Ok(());
        }
        self.window_ends = self.window_ends.max(now.saturating_add(self.limit.penalty));
        Err(TooEarly { wait: self.window_ends.saturating_sub(now) })
    }
}
