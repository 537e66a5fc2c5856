//! An upstream: a limit, and how it tells of it.
//!
//! Pure: each request comes with the time of its arrival, in order.

mod fixed_window;

use std::time::Duration;

use http::{Response, StatusCode};

pub(crate) use fixed_window::FixedWindow;

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

/// How a refusal says when to come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Telling {
    /// To the millisecond, beside `Retry-After` in whole seconds, rounded up.
    Exact,
    /// Not at all.
    Nothing,
}

/// One upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    limit: Box<dyn Limit>,
    telling: Telling,
}

impl Upstream {
    /// Creates an upstream of that limit.
    pub(crate) fn new(limit: impl Limit + 'static, telling: Telling) -> Self {
        Self { limit: Box::new(limit), telling }
    }

    /// Answers a request that arrives at `at`.
    pub(crate) fn answer(&mut self, at: Duration) -> Response<()> {
        let mut response = Response::new(());
        if self.limit.admit(at) {
            return response;
        }
        *response.status_mut() = self.limit.refusal();
        let wait = self.limit.lifts_at(at).saturating_sub(at);
        match self.telling {
            Telling::Exact => {
                let millis = wait.as_nanos().div_ceil(1_000_000) as u64;
                let headers = response.headers_mut();
                headers.insert("retry-after-ms", millis.into());
                headers.insert("retry-after", millis.div_ceil(1000).into());
            }
            Telling::Nothing => {}
        }
        response
    }

    /// Returns when the next request would be served.
    pub(crate) fn lifts_at(&self, at: Duration) -> Duration {
        self.limit.lifts_at(at)
    }
}
