//! What a response says about limits.
//!
//! Pure: it sees the head of a response, and answers with a [`Verdict`]. It does
//! not look at bodies, and decides nothing about waiting.

mod grpc;

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{AGE, RETRY_AFTER};
use http::{Extensions, HeaderMap, StatusCode};

pub(crate) use self::grpc::is_type as is_grpc;
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
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use std::time::{Duration, SystemTime};
/// use tower_retry_after::classify::{self, Classify, Head, Verdict};
///
/// /// Its outages come with a 503 and no word of when they end.
/// struct Outages {
///     usually_last: Duration,
/// }
///
/// impl Classify for Outages {
///     fn classify(&self, head: &Head<'_>) -> Verdict {
///         match classify::standard(head) {
///             Verdict::Neutral if head.status() == StatusCode::SERVICE_UNAVAILABLE => {
///                 Verdict::RateLimited { hint: Some(self.usually_last) }
///             }
///             verdict => verdict,
///         }
///     }
/// }
///
/// let outages = Outages { usually_last: Duration::from_secs(300) };
/// let headers = HeaderMap::new();
/// let head = |status| Head::new(status, &headers, SystemTime::UNIX_EPOCH);
/// assert_eq!(
///     outages.classify(&head(StatusCode::SERVICE_UNAVAILABLE)),
///     Verdict::RateLimited { hint: Some(Duration::from_secs(300)) },
/// );
/// assert_eq!(outages.classify(&head(StatusCode::BAD_GATEWAY)), Verdict::Neutral);
/// ```
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
///
/// # gRPC
///
/// A 2xx whose `content-type` begins with `application/grpc` is judged by the `grpc-status` in its
/// headers, where an immediate error has it. Statuses that come after messages are not seen.
///
/// | `grpc-status` | verdict |
/// |---|---|
/// | 8 `RESOURCE_EXHAUSTED`; 14 `UNAVAILABLE` with an exact wait above zero | refusal |
/// | 1, 2, 4, 12, 13, 15, and 14 without a wait | neutral, as the 5xx that they stand for |
/// | none, and every other | success |
///
/// The hint is that of [`hint::from_grpc`]; where there is none above zero, the headers of HTTP's
/// own count as they do on a 429 and a 503, for gateways that refuse a gRPC call send those.
///
/// # Quotas
///
/// On a 429 without an exact wait above zero, a quota that is used up supplies the hint
/// ([`hint::from_quota`]). All else that quotas say is heeded where the head tells to
/// ([`Head::quota_signals`]):
///
/// | response | verdict |
/// |---|---|
/// | 403, 503 or 529 with a quota that is used up for a time above zero | refusal, as GitHub's 403 is |
/// | 2xx with `MediaWiki-API-Error: maxlag` or `ratelimited` | refusal |
/// | what else is a success, with such a quota | exhausted |
///
/// Out of a cache, by its `Age`, a response says what remained to somebody else: there, a quota
/// makes neither a refusal nor an exhausted one.
///
/// Where `Retry-After`, or another exact wait, stands beside a quota that is used up, it is the
/// wait, on a success as well.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use std::time::{Duration, SystemTime};
/// use tower_retry_after::classify::{self, Head, Verdict};
/// use tower_retry_after::hint::Dialect;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("ratelimit", r#""default";r=0;t=30"#.parse().unwrap());
/// let head = Head::new(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH);
/// assert_eq!(classify::standard(&head), Verdict::Success);
///
/// let reset = Duration::from_secs(30);
/// let head = head.quota_signals(Some(Dialect::Any));
/// assert_eq!(classify::standard(&head), Verdict::Exhausted { reset });
/// ```
#[inline]
pub fn standard(head: &Head<'_>) -> Verdict {
    if head.quota.is_none() && is_plain_success(head.status, head.headers) {
        return Verdict::Success;
    }
    rare(head)
}

/// Returns whether a response is a success that has no more to say, as long as nobody
/// asks for quotas: any 2xx but one of gRPC.
#[inline]
pub(crate) fn is_plain_success(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_success() && (headers.is_empty() || !grpc::is_spoken(headers))
}

/// Everything but a plain 2xx; kept apart so that the healthy path stays short.
fn rare(head: &Head<'_>) -> Verdict {
    let verdict = match head.status.as_u16() {
        200..=299 if grpc::is_spoken(head.headers) => grpc::verdict(head),
        429 => Verdict::RateLimited { hint: head.wait(Some(head.quota.unwrap_or_default())) },
        code @ (403 | 503 | OVERLOADED) => {
            match head.wait(head.own_quota()).filter(is_above_zero) {
                hint @ Some(_) => Verdict::RateLimited { hint },
                None if code == 403 => Verdict::Success,
                None => Verdict::Neutral,
            }
        }
        408 | 421 | 425 => Verdict::Neutral,
        413 if head.headers.contains_key(RETRY_AFTER) => Verdict::Neutral,
        100..=499 => Verdict::Success,
        _ => Verdict::Neutral,
    };
    match verdict {
        Verdict::Success if head.quota.is_some() => success(head),
        verdict => verdict,
    }
}

/// What a success has to say where quotas are heeded.
fn success(head: &Head<'_>) -> Verdict {
    if head.status.is_success() && is_mediawiki_refusal(head.headers) {
        return Verdict::RateLimited { hint: head.wait(head.quota) };
    }
    if !hint::is_used_up(head.headers) || is_from_cache(head.headers) {
        return Verdict::Success;
    }
    match head.wait(head.quota).filter(is_above_zero) {
        Some(reset) => Verdict::Exhausted { reset },
        None => Verdict::Success,
    }
}

impl Head<'_> {
    /// Returns in which dialect quotas are heeded, unless they are somebody else's.
    fn own_quota(&self) -> Option<Dialect> {
        self.quota.filter(|_| !is_from_cache(self.headers))
    }

    /// Returns the exact wait, or where there is none above zero, that of the quota in this
    /// dialect.
    fn wait(&self, quota: Option<Dialect>) -> Option<Duration> {
        let received_at = self.received_at();
        let exact = hint::from_headers(self.headers, received_at);
        match quota {
            Some(dialect) if !exact.as_ref().is_some_and(is_above_zero) => {
                hint::from_quota(self.headers, received_at, dialect).or(exact)
            }
            _ => exact,
        }
    }
}

fn is_above_zero(wait: &Duration) -> bool {
    !wait.is_zero()
}

/// Returns whether the API of a `MediaWiki` refused, which it does with a 200.
fn is_mediawiki_refusal(headers: &HeaderMap) -> bool {
    let error = headers.get("mediawiki-api-error").map(|error| error.as_bytes().trim_ascii());
    matches!(error, Some(b"maxlag" | b"ratelimited"))
}

/// Returns whether a response comes from a cache. Some caches say of what they pass on that it is
/// no second old.
fn is_from_cache(headers: &HeaderMap) -> bool {
    let mut ages = headers.get_all(AGE).into_iter();
    ages.any(|age| age.as_bytes().trim_ascii().iter().any(|digit| *digit != b'0'))
}

#[cfg(test)]
mod tests;
