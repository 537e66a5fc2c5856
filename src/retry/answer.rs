//! What an attempt came to, as far as a retry is concerned.

use std::any::Any;
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};

use super::decide::Again;
use crate::classify::Verdict;
use crate::cooldown::Reason;
use crate::error::{BoxError, Error, RateLimited};
use crate::message::Incoming;
use crate::permit::{Shared, answered_by_us};
use crate::upstream::Upstream;

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was not sent.
    HeldBack(RateLimited),
    /// It was sent and refused, by whom was asked where nobody else is named.
    Refused { by: Option<Upstream>, hint: Option<Duration>, again: Again },
    /// The upstream answered.
    Succeeded,
    /// Nothing was said about limits.
    Other,
}

impl Answer {
    pub(super) fn read<R: Incoming, E: 'static>(result: &Result<R, E>, shared: &Shared) -> Self {
        match result {
            Err(error) => rate_limited(error).map_or(Self::Other, Self::limited),
            Ok(response) => match answered_by_us(response) {
                Some(limited) => Self::limited(limited),
                None => match shared.classify(response) {
                    Verdict::Success | Verdict::Exhausted { .. } => Self::Succeeded,
                    Verdict::Neutral => Self::Other,
                    Verdict::RateLimited { hint } => Self::Refused {
                        by: shared.answered_by(response),
                        hint,
                        again: again(response.status(), response.headers()),
                    },
                },
            },
        }
    }

    fn limited(limited: &RateLimited) -> Self {
        match limited.reason() {
            Reason::Cooling | Reason::Probing | Reason::Reopening => {
                Self::HeldBack(limited.clone())
            }
            Reason::Refused => Self::Refused {
                by: Some(limited.upstream().clone()),
                hint: limited.hint(),
                again: match limited.status() {
                    Some(StatusCode::TOO_MANY_REQUESTS) => Again::Any,
                    Some(_) | None => Again::Idempotent,
                },
            },
        }
    }
}

/// Finds the rate limit in an error, of the types that errors around the layer
/// have.
fn rate_limited<E: 'static>(error: &E) -> Option<&RateLimited> {
    let any: &dyn Any = error;
    let known =
        any.downcast_ref::<BoxError>().map(|boxed| -> &(dyn StdError + 'static) { &**boxed });
    let known = known.or_else(|| seen_as::<Error>(any)).or_else(|| seen_as::<RateLimited>(any));
    let known = known.or_else(|| seen_as::<io::Error>(any));
    #[cfg(feature = "reqwest-middleware")]
    let known = known.or_else(|| seen_as::<reqwest_middleware::Error>(any));
    RateLimited::find(known?)
}

fn seen_as<T: StdError + 'static>(any: &dyn Any) -> Option<&(dyn StdError + 'static)> {
    any.downcast_ref::<T>().map(|error| -> &(dyn StdError + 'static) { error })
}

/// Returns which calls a refusal allows to be sent again.
fn again(status: StatusCode, headers: &HeaderMap) -> Again {
    let pushback = headers.get("grpc-retry-pushback-ms");
    if pushback.is_some_and(|value| !is_a_wait(value)) {
        return Again::Never;
    }
    let code = headers.get("grpc-status").map(|code| code.as_bytes().trim_ascii());
    match status {
        StatusCode::TOO_MANY_REQUESTS => Again::Any,
        // gRPC tells in the headers.
        _ if status.is_success() && code == Some(b"8") => Again::Any,
        _ => Again::Idempotent,
    }
}

/// Returns whether a pushback is one: a signed number of 32 bits, and not below
/// zero, which says "do not retry".
fn is_a_wait(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.parse::<i32>().is_ok_and(|millis| millis >= 0))
}

#[cfg(test)]
mod tests;
