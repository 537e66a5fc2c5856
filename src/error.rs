//! The ways in which a call fails.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::ambient;
pub use crate::cooldown::Reason;
use crate::cooldown::{Cause, LEAST_WAIT};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// Any error, boxed: what Tower's own middleware passes on.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call through the layer failed.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::Error;
///
/// fn wait_before_retry(error: &Error) -> Option<Duration> {
///     Some(error.rate_limited()?.retry_after())
/// }
/// # let _ = wait_before_retry;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The upstream is being left alone, or has refused.
    RateLimited(RateLimited),
    /// The inner service failed. What it said is the [`source`](StdError::source).
    Inner(BoxError),
}

impl Error {
    /// Returns the rate limit that the call met, if that is why it failed.
    pub fn rate_limited(&self) -> Option<&RateLimited> {
        match self {
            Self::RateLimited(limited) => Some(limited),
            Self::Inner(_) => None,
        }
    }

    /// Takes in an inner service's error; one of ours is not wrapped again.
    pub(crate) fn inner(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(ours) => *ours,
            Err(other) => Self::Inner(other),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited(limited) => limited.fmt(f),
            Self::Inner(_) => f.write_str("the inner service failed"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::RateLimited(_) => None,
            Self::Inner(error) => Some(&**error),
        }
    }
}

impl From<RateLimited> for Error {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
    }
}

/// A call met a rate limit: it was held back, or sent and refused.
///
/// Only a call whose [`reason`](Self::reason) is [`Reason::Refused`] was sent.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tower::{ServiceExt, service_fn};
/// use tower_layer::Layer;
/// use tower_retry_after::{Reason, RetryAfterBackoffLayer};
///
/// async fn send(_: http::Request<()>) -> Result<http::Response<()>, std::io::Error> {
///     let response = http::Response::builder().status(503).header("retry-after", "7200");
///     Ok(response.body(()).unwrap())
/// }
///
/// let client = RetryAfterBackoffLayer::new().layer(service_fn(send));
/// let request = || http::Request::get("https://api.example/").body(()).unwrap();
/// assert_eq!(client.clone().oneshot(request()).await.unwrap().status(), 503);
///
/// let error = client.oneshot(request()).await.unwrap_err();
/// let limited = error.rate_limited().unwrap();
/// assert_eq!(limited.upstream().to_string(), "https://api.example");
/// assert_eq!(limited.reason(), Reason::Cooling);
/// assert_eq!(limited.consecutive_failures(), 1);
/// assert_eq!(limited.status().unwrap(), 503);
/// assert_eq!(limited.hint(), Some(Duration::from_secs(7200))); // as sent
/// assert_eq!(limited.retry_after(), Duration::from_secs(3600)); // within the ceiling
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RateLimited {
    pub(crate) upstream: Upstream,
    /// When the table was born: durations and instants are reckoned from moments
    /// when somebody asks, as most callers ask for one of them at most.
    pub(crate) born: Instant,
    /// When the caller met the limit.
    pub(crate) met: Moment,
    pub(crate) until: Moment,
    pub(crate) cause: Cause,
    pub(crate) reason: Reason,
    /// A thin pointer: it keeps the error within what a `Result` can carry well.
    pub(crate) said: Option<Arc<String>>,
}

impl RateLimited {
    /// Finds a rate limit anywhere in an error's chain of sources, what an
    /// [`io::Error`] wraps included.
    ///
    /// ```
    /// use tower_retry_after::RateLimited;
    ///
    /// fn is_rate_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    ///     RateLimited::find(error).is_some()
    /// }
    /// # let _ = is_rate_limit;
    /// ```
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut error: Option<&'a (dyn StdError + 'static)> = Some(error);
        while let Some(current) = error {
            if let Some(limited) = current.downcast_ref::<Self>() {
                return Some(limited);
            }
            if let Some(Error::RateLimited(limited)) = current.downcast_ref::<Error>() {
                return Some(limited);
            }
            // An I/O error passes over what it wraps when it is asked for its source.
            error = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => current.source(),
            };
        }
        None
    }

    /// Counts the wait from `now` on; it is a millisecond at least.
    pub(crate) fn meet(&mut self, now: Instant) {
        self.met = ambient::moment(self.born, now);
        self.until = self.until.max(self.met.after(LEAST_WAIT));
    }

    /// Returns who set the limit.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Returns how long to wait before the next try, as of the failure.
    ///
    /// At least a millisecond, so that a caller that sleeps for it does not
    /// spin. While a probe is out or the upstream is reopening, at most a second:
    /// nobody knows then how long it takes.
    pub fn retry_after(&self) -> Duration {
        // The last moment there is has none after it to wait for.
        self.until.since(self.met).max(LEAST_WAIT)
    }

    /// Returns when that wait is over.
    pub fn until(&self) -> Instant {
        ambient::instant(self.born, self.until)
    }

    /// Returns how many refusals in a row have been counted.
    ///
    /// A burst counts once. Zero where the upstream is reopening or was cooled
    /// without a refusal.
    pub fn consecutive_failures(&self) -> u32 {
        self.cause.rung
    }

    /// Returns the status of the refusal behind this, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.cause.status
    }

    /// Returns the wait that the upstream asked for, as sent and before any
    /// ceiling.
    pub fn hint(&self) -> Option<Duration> {
        self.cause.hint
    }

    /// Returns why the call failed.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the start of a refusal's body, escaped, where it was read.
    ///
    /// Only [`RefusalErrorLayer`](crate::RefusalErrorLayer) reads it.
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref().map(String::as_str)
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = &self.upstream;
        match (self.reason, self.cause.status) {
            // gRPC and MediaWiki refuse with a status that by itself says the contrary.
            (Reason::Refused, Some(status)) if status.is_success() => {
                write!(f, "{upstream} refused with HTTP {}", status.as_u16())
            }
            (Reason::Refused, Some(status)) => {
                write!(f, "HTTP {} from {upstream}", status.as_u16())
            }
            (Reason::Refused, None) => write!(f, "{upstream} refused"),
            (Reason::Cooling, Some(status)) if status.is_success() => {
                let status = status.as_u16();
                write!(f, "not sent, {upstream} is cooling down after a refusal with HTTP {status}")
            }
            (Reason::Cooling, Some(status)) => {
                write!(f, "not sent, {upstream} is cooling down after HTTP {}", status.as_u16())
            }
            (Reason::Cooling, None) => write!(f, "not sent, {upstream} is cooling down"),
            (Reason::Probing, _) => write!(f, "not sent, a probe of {upstream} is out"),
            (Reason::Reopening, _) => {
                write!(f, "not sent, {upstream} is reopening and has no room")
            }
        }?;
        write!(f, " (retry after {})", Rounded(self.retry_after()))?;
        match &self.said {
            Some(said) if !said.is_empty() => write!(f, ": {said}"),
            Some(_) | None => Ok(()),
        }
    }
}

impl StdError for RateLimited {}

/// A wait as people read it: whole seconds or, below one, whole milliseconds;
/// rounded up.
pub(crate) struct Rounded(pub(crate) Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_nanos().div_ceil(1_000_000) {
            millis @ 0..1000 => write!(f, "{millis}ms"),
            _ => write!(f, "{}s", self.0.as_nanos().div_ceil(1_000_000_000)),
        }
    }
}

#[cfg(test)]
mod tests;
