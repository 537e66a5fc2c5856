//! What the outcome of a call means: the judges that come with the schedule.
//!
//! A judge sees a result and answers with a [`Next`]; any function that does so can
//! take its place. None of these waits, and none remembers anything.

use std::any::Any;
use std::sync::Arc;

use super::cycle::CycleReport;
use super::next::Next;
use crate::classify::{self, Head, Verdict};
use crate::error::{Error, RateLimited, Reason};
use crate::layer::RetryAfterBackoffLayer;
use crate::message::Incoming;
use crate::permit::answered_by_us;

/// Judges by the error alone; the default.
///
/// A [`RateLimited`] anywhere in the error's chain of sources: if the call was
/// sent and refused, it failed, and its
/// [`retry_after`](RateLimited::retry_after) is the hint; if it was held back, it
/// was not sent. Any other error is a failure. The report of a
/// [`SyncCycle`](super::SyncCycle) says itself when the next cycle is due. All
/// else went well: a response with status 429 included, so either stack a
/// [`RefusalErrorLayer`](crate::RefusalErrorLayer) or judge by [`responses_of`].
///
/// ```
/// use tower_retry_after::schedule::{Next, judge};
/// use tower_retry_after::Error;
///
/// assert_eq!(judge::standard(&Ok("here you are")), Next::Ok);
///
/// let error = Error::Inner("connection refused".into());
/// assert_eq!(judge::standard::<()>(&Err(error)), Next::Failed { hint: None });
/// ```
pub fn standard<T: 'static>(result: &Result<T, Error>) -> Next {
    match result {
        Err(error) => match RateLimited::find(error) {
            Some(limited) => limit(limited),
            None => Next::Failed { hint: None },
        },
        Ok(answer) => match report(answer) {
            Some(report) => Next::DueAt(report.due()),
            None => Next::Ok,
        },
    }
}

/// Judges by the status of a response as well: for stacks in which a refusal
/// arrives as the response that it is.
///
/// What [`classify::standard`] calls a success went well; a refusal failed, with
/// its hint; and so did a 408, 421, 425 or 5xx. Errors are judged as by
/// [`standard`], and so is a response that stands for one (see
/// [`RejectionResponseLayer`](crate::RejectionResponseLayer)). A `Retry-After` date on
/// a response without a `Date` of its own is measured against the system's wall clock.
///
/// It knows nothing of a layer's classifier and quota signals; [`responses_of`] does.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::schedule::{Next, judge};
///
/// let refused = http::Response::builder().status(429).header("retry-after", "60").body(()).unwrap();
/// assert_eq!(
///     judge::responses(&Ok(refused)),
///     Next::Failed { hint: Some(Duration::from_secs(60)) },
/// );
/// ```
pub fn responses<T: Incoming + 'static>(result: &Result<T, Error>) -> Next {
    by_verdict(result, |response| {
        let head = Head::just_now(response.status(), response.headers(), response.extensions());
        classify::standard(&head)
    })
}

/// Makes a judge like [`responses`] that hears in a response what `backoff` hears:
/// by its classifier, and with its quota signals.
///
/// The classifier is called once more for each response.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::hint::Dialect;
/// use tower_retry_after::schedule::{Next, judge};
/// use tower_retry_after::RetryAfterBackoffLayer;
///
/// let backoff = RetryAfterBackoffLayer::builder().quota_signals(Dialect::Any).build();
/// let judge = judge::responses_of(&backoff);
///
/// // GitHub refuses with a 403.
/// let refused = http::Response::builder()
///     .status(403)
///     .header("x-ratelimit-remaining", "0")
///     .header("x-ratelimit-reset", "60")
///     .body(())
///     .unwrap();
/// assert_eq!(judge(&Ok(refused)), Next::Failed { hint: Some(Duration::from_secs(60)) });
/// ```
pub fn responses_of<T: Incoming + 'static>(
    backoff: &RetryAfterBackoffLayer,
) -> impl Fn(&Result<T, Error>) -> Next + Clone + Send + Sync + use<T> {
    let shared = Arc::clone(backoff.shared());
    move |result: &Result<T, Error>| by_verdict(result, |response| shared.classify(response))
}

fn by_verdict<T: Incoming + 'static>(
    result: &Result<T, Error>,
    verdict: impl FnOnce(&T) -> Verdict,
) -> Next {
    let Ok(response) = result else {
        return standard(result);
    };
    if let Some(limited) = answered_by_us(response) {
        return limit(limited);
    }
    match verdict(response) {
        Verdict::Success | Verdict::Exhausted { .. } => Next::Ok,
        Verdict::RateLimited { hint } => Next::Failed { hint },
        Verdict::Neutral => Next::Failed { hint: None },
    }
}

fn limit(limited: &RateLimited) -> Next {
    match limited.reason() {
        Reason::Refused => Next::Failed { hint: Some(limited.retry_after()) },
        Reason::Cooling | Reason::Probing | Reason::Reopening => {
            Next::NotSent { until: limited.until() }
        }
    }
}

/// Returns the answer, if it is the report of a cycle.
pub(crate) fn report<T: 'static>(answer: &T) -> Option<&CycleReport> {
    (answer as &dyn Any).downcast_ref()
}
