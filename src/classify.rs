//! What a response says about limits.
//!
//! Pure: it sees the head of a response, and answers with a [`Verdict`]. It does
//! not look at bodies, and decides nothing about waiting.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{Extensions, HeaderMap, StatusCode};

use crate::hint::{self, Dialect};

/// What a response says about limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The upstream answered; it may have said 401 or 404, but it answers.
    Success,
    /// The upstream refused: "not now".
    RateLimited {
        /// The wait that it asks for, if it says so; zero counts as none.
        hint: Option<Duration>,
    },
    /// Nothing was said about limits.
    Neutral,
    /// The upstream answered, and will not answer again before `reset` is over.
    ///
    /// It cools for that long, without a rung on the ladder.
    Exhausted {
        /// The time until the quota is there again.
        reset: Duration,
    },
}

/// The head of a response, as a classifier sees it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    extensions: Option<&'a Extensions>,
    received_at: Option<SystemTime>,
    quota: Option<Dialect>,
}

impl<'a> Head<'a> {
    /// Creates a head that was received at that time, for tests of classifiers.
    pub const fn new(status: StatusCode, headers: &'a HeaderMap, received_at: SystemTime) -> Self {
        Self { status, headers, extensions: None, received_at: Some(received_at), quota: None }
    }

    /// A head that has just been received; the clock is read when somebody asks.
    pub(crate) const fn just_now(
        status: StatusCode,
        headers: &'a HeaderMap,
        extensions: Option<&'a Extensions>,
    ) -> Self {
        Self { status, headers, extensions, received_at: None, quota: None }
    }

    /// Sets whether [`standard`] heeds quota signals in this head, and in which
    /// dialect; a layer sets what its
    /// [`quota_signals`](crate::RetryAfterBackoffLayerBuilder::quota_signals) say.
    #[must_use]
    pub const fn quota_signals(self, dialect: Option<Dialect>) -> Self {
        Self { quota: dialect, ..self }
    }

    /// Returns the status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the extensions, where the response has them.
    pub const fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// Returns when the response was received, on the wall clock.
    pub fn received_at(&self) -> SystemTime {
        self.received_at.unwrap_or_else(crate::ambient::wall_clock)
    }
}

impl fmt::Debug for Head<'_> {
    /// Shows the status alone: headers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Decides what a response says about limits.
///
/// Implement it to teach the layer an upstream's own manners, and fall back to
/// [`standard`] for the rest. Each layer that uses it calls it once for each
/// response, outside of all locks; so let its answer depend on the head alone.
pub trait Classify: Send + Sync + 'static {
    /// Returns the verdict on a response.
    fn classify(&self, head: &Head<'_>) -> Verdict;
}

/// Makes a classifier of a function.
///
/// ```
/// use tower_retry_after::classify::{self, Verdict};
/// use tower_retry_after::RetryAfterBackoffLayer;
///
/// // This upstream says 420 where others say 429.
/// let layer = RetryAfterBackoffLayer::builder()
///     .classify(classify::from_fn(|head| match head.status().as_u16() {
///         420 => Verdict::RateLimited { hint: None },
///         _ => classify::standard(head),
///     }))
///     .build();
/// # let _ = layer;
/// ```
pub fn from_fn<F>(function: F) -> FromFn<F>
where
    F: Fn(&Head<'_>) -> Verdict + Send + Sync + 'static,
{
    FromFn { function }
}

/// A classifier made of a function, by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    function: F,
}

impl<F> Classify for FromFn<F>
where
    F: Fn(&Head<'_>) -> Verdict + Send + Sync + 'static,
{
    fn classify(&self, head: &Head<'_>) -> Verdict {
        (self.function)(head)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// Notion and Anthropic answer 529 when they are overloaded.
const OVERLOADED: u16 = 529;

/// The verdict that the layer reaches by default.
///
/// | status | verdict |
/// |---|---|
/// | 429 (RFC 6585 §4) | refusal |
/// | 403, 503, 529 with an exact wait above zero | refusal |
/// | 408, 421, 425; 413 with `Retry-After` | neutral: about that request alone |
/// | every other 5xx, 503 and 529 without a wait included | neutral |
/// | every other 1xx–4xx, 403 without a wait included | success: the upstream answers |
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use std::time::{Duration, SystemTime};
/// use tower_retry_after::classify::{self, Head, Verdict};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", "120".parse().unwrap());
/// let head = Head::new(StatusCode::SERVICE_UNAVAILABLE, &headers, SystemTime::UNIX_EPOCH);
///
/// let hint = Some(Duration::from_secs(120));
/// assert_eq!(classify::standard(&head), Verdict::RateLimited { hint });
/// ```
#[inline]
pub fn standard(head: &Head<'_>) -> Verdict {
    if head.status.is_success() {
        return Verdict::Success;
    }
    rare(head)
}

/// Everything but a 2xx; kept apart so that the healthy path stays short.
fn rare(head: &Head<'_>) -> Verdict {
    let wait = || hint::from_headers(head.headers, head.received_at());
    match head.status.as_u16() {
        429 => Verdict::RateLimited { hint: wait() },
        code @ (403 | 503 | OVERLOADED) => match wait().filter(|wait| !wait.is_zero()) {
            hint @ Some(_) => Verdict::RateLimited { hint },
            None if code == 403 => Verdict::Success,
            None => Verdict::Neutral,
        },
        408 | 421 | 425 => Verdict::Neutral,
        413 if head.headers.contains_key(RETRY_AFTER) => Verdict::Neutral,
        100..=499 => Verdict::Success,
        _ => Verdict::Neutral,
    }
}

#[cfg(test)]
mod tests;
