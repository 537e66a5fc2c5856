//! An upstream: a limit, and how it tells of it.
//!
//! Pure: each request comes with the time of its arrival, in order.

mod charged_bucket;
mod fixed_window;
mod outages;
mod shared;
mod sliding_window;
mod telling;
mod token_bucket;

use std::time::Duration;

use http::{Response, StatusCode};

pub(crate) use charged_bucket::ChargedBucket;
pub(crate) use fixed_window::FixedWindow;
pub(crate) use outages::Outages;
pub(crate) use shared::Shared;
pub(crate) use sliding_window::SlidingWindow;
pub(crate) use telling::Telling;
pub(crate) use token_bucket::TokenBucket;

/// What decides which requests are served.
///
/// Requests arrive in order of time; a limit may look back no further than the last.
pub(crate) trait Limit: std::fmt::Debug + Send {
    /// Takes a request that arrives at `at`; true if it is served.
    fn admit(&mut self, at: Duration) -> bool;

    /// Returns when the next request would be served if none came before: `at` or later.
    fn lifts_at(&self, at: Duration) -> Duration;

    /// Returns how many would be served at `at`, all at once.
    fn remaining(&self, at: Duration) -> u32;

    /// Returns the status with which it refuses.
    fn refusal(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }
}

/// One upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    limit: Box<dyn Limit>,
    telling: Telling,
    has_quota_fields: bool,
}

impl Upstream {
    /// Creates an upstream of that limit.
    pub(crate) fn new(limit: impl Limit + 'static, telling: Telling) -> Self {
        Self { limit: Box::new(limit), telling, has_quota_fields: false }
    }

    /// Creates an upstream whose every answer also says what is left of the quota.
    pub(crate) fn with_quota_fields(limit: impl Limit + 'static, telling: Telling) -> Self {
        Self { has_quota_fields: true, ..Self::new(limit, telling) }
    }

    /// Answers a request that arrives at `at`.
    pub(crate) fn answer(&mut self, at: Duration) -> Response<()> {
        let mut response = Response::new(());
        let is_served = self.limit.admit(at);
        let wait = self.limit.lifts_at(at).saturating_sub(at);
        let headers = response.headers_mut();
        self.telling.answer(headers, at);
        if self.has_quota_fields {
            telling::quota(headers, self.limit.remaining(at), wait);
        }
        if !is_served {
            self.telling.refusal(headers, at, wait);
            *response.status_mut() = self.limit.refusal();
        }
        response
    }

    /// Returns when the next request would be served.
    pub(crate) fn lifts_at(&self, at: Duration) -> Duration {
        self.limit.lifts_at(at)
    }
}

#[cfg(test)]
mod tests;
