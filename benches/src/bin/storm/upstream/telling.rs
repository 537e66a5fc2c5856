//! How an upstream tells of its limit.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use crate::world;

/// How a refusal says when to come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Telling {
    /// To the millisecond, beside `Retry-After` in whole seconds, rounded up.
    Exact,
    /// `Retry-After` in whole seconds, rounded up.
    Seconds,
    /// Not at all.
    Nothing,
    /// Half of the wait, to the millisecond and in whole seconds.
    TooShort,
    /// Twice the wait, to the millisecond and in whole seconds.
    TooLong,
    /// A date by a clock that is so many seconds fast, and the `Date` of each answer
    /// by the same clock.
    Date { fast: i64 },
}

impl Telling {
    /// Writes what every answer has, at `at`.
    pub(super) fn answer(self, headers: &mut HeaderMap, at: Duration) {
        if let Self::Date { fast } = self {
            headers.insert("date", date(server_clock(at, fast)));
        }
    }

    /// Writes what a refusal at `at` has, where the limit lifts `wait` later.
    pub(super) fn refusal(self, headers: &mut HeaderMap, at: Duration, wait: Duration) {
        match self {
            Self::Exact => exactly(headers, wait),
            Self::TooShort => exactly(headers, wait / 2),
            Self::TooLong => exactly(headers, wait * 2),
            Self::Seconds => {
                headers.insert("retry-after", seconds(wait).into());
            }
            Self::Date { fast } => {
                // A date has whole seconds: the first that is not too early.
                let lifts = server_clock(at + wait, fast) + Duration::from_nanos(999_999_999);
                headers.insert("retry-after", date(lifts));
            }
            Self::Nothing => {}
        }
    }
}

/// Writes how much of a quota is left, and where nothing is, how long it stays so:
/// in the draft's form and in the vendors' older one.
pub(super) fn quota(headers: &mut HeaderMap, remaining: u32, wait: Duration) {
    let field = match remaining {
        0 => format!("\"default\";r=0;t={}", seconds(wait)),
        _ => format!("\"default\";r={remaining}"),
    };
    headers.insert("ratelimit", field.parse().expect("visible letters"));
    headers.insert("x-ratelimit-remaining", remaining.into());
    if remaining == 0 {
        headers.insert("x-ratelimit-reset", seconds(wait).into());
    }
}

fn exactly(headers: &mut HeaderMap, wait: Duration) {
    let millis = wait.as_nanos().div_ceil(1_000_000) as u64;
    headers.insert("retry-after-ms", millis.into());
    headers.insert("retry-after", millis.div_ceil(1000).into());
}

/// Returns the wait in whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_nanos().div_ceil(1_000_000_000) as u64
}

fn server_clock(at: Duration, fast: i64) -> SystemTime {
    let right = world::wall_clock(at);
    let off = Duration::from_secs(fast.unsigned_abs());
    if fast < 0 { right - off } else { right + off }
}

fn date(time: SystemTime) -> HeaderValue {
    httpdate::fmt_http_date(time).parse().expect("visible letters")
}
