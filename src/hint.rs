//! Reads how long a response asks us to stay away: the hint.
//!
//! Pure: no clock, no lock, no allocation but for a leap second in `Date` and for gRPC's details.
//! Every function is total: any bytes and any times have an answer, in time linear in the headers'
//! length.
//!
//! It reads no bodies, has no ceiling of its own and never shows a header's value. What it can't
//! read is no hint. It is never a hint of zero.
//!
//! Three functions read three kinds of hints, and none looks at what is the business of the others:
//! [`from_headers`] reads exact waits, [`from_quota`] how long a quota stays used up, [`from_grpc`]
//! what gRPC has of its own. Which of them matters, and on which responses, is for
//! [`classify`](crate::classify) to say.
//!
//! # Where an exact wait stands
//!
//! The first of these headers that has a readable hint above zero wins; where there is none, a
//! hint of zero is one:
//!
//! | header | unit | who sends it |
//! |---|---|---|
//! | `retry-after-ms` | milliseconds, fractions too | `OpenAI`, Azure |
//! | `x-ms-retry-after-ms` | milliseconds | Azure |
//! | `x-amz-retry-after` | milliseconds | AWS |
//! | `retry-after` | any form below | [RFC 9110 §10.2.3] |
//!
//! A header may come in several lines, and proxies join lines with commas. The longest hint among
//! them counts, and unreadable ones are passed over.
//!
//! # Forms of `Retry-After`
//!
//! | form | example | rule |
//! |---|---|---|
//! | seconds | `120`, `00120` | [RFC 9110 §10.2.3]; too large for the type is the longest wait there is, after [RFC 9111 §1.2.2] |
//! | HTTP-date | `Mon, 15 Jun 2026 12:05:00 GMT` | [RFC 9110 §5.6.7], all three forms; a two-digit year by its 50-year rule, unless the weekday tells |
//! | decimal | `2.0`, `.5`, `+120` | seen in the wild; exact to the nanosecond, beyond that rounded up |
//! | string, parameters | `"120"`, `120;q=1` | [RFC 9651]; parameters are passed over |
//! | Date item | `@1781525100` | [RFC 9651 §3.3.7] |
//! | epoch | `1781525100`, `1781525100000` | seen in the wild: seconds or milliseconds since 1970, within 366 days of now |
//! | duration | `6m0s`, `500ms`, `30 seconds` | Go's and protobuf's text form, and words |
//! | duration | `PT1M30S`, `P1D` | ISO 8601, without years and months: they have no fixed length |
//! | date and time | `2026-06-15T12:05:00.5+02:00` | [RFC 3339] and ISO 8601's basic form; UTC when it names no zone |
//! | date and time | `15 Jun 2026 14:05 +0200` | [RFC 5322 §3.3] and its obsolete zones in §4.3 |
//! | date and time | `Mon Jun 15 2026 12:05:00 GMT+0000 (UTC)` | JavaScript's `Date.toString()`, `date(1)`, cookie dates |
//!
//! # Where a quota tells
//!
//! Only where nothing remains, all the way down to the last digit. The longest counts of those
//! quotas that are used up, and a reset that has passed is a wait of zero.
//!
//! | what remains | when it is there again | who sends it |
//! |---|---|---|
//! | `x-ratelimit-remaining` | `x-ratelimit-reset-after`, in seconds | Discord |
//! | the same | `x-ratelimit-reset`, unless the former can be read | GitHub, Reddit, Envoy, Rocket.Chat, Mastodon, Atlassian |
//! | `x-rate-limit-remaining` | `x-rate-limit-reset` | Okta, X, Prisjakt |
//! | `ratelimit-remaining` | `ratelimit-reset` | GitLab, Zendesk, the drafts [up to 06] |
//! | `x-ratelimit-remaining-`… | `x-ratelimit-reset-`…, with the same end | `OpenAI`: `requests` and `tokens` |
//! | `anthropic-ratelimit-`…`-remaining` | the same with `reset` for `remaining` | Anthropic |
//! | `ratelimit: limit=9, remaining=0, reset=5` | in seconds | the draft [07] |
//! | `ratelimit: "default";r=0;t=5, "burst";r=1` | in seconds, for each quota of the list | the drafts [from 08] |
//!
//! Resets come in every form below. A number without a unit means what the upstream's
//! [`Dialect`] says. What is malformed is passed over; so is what gateways contradict each other
//! in, and fields that begin with `beta-`.
//!
//! # Where gRPC tells
//!
//! In the headers of a response that ends with them: `grpc-retry-pushback-ms` first, then a
//! `google.rpc.RetryInfo` in `grpc-status-details-bin`. A pushback below zero says that the call is
//! not to be made again, and not for how long the upstream wants to be left alone; it is passed
//! over like any other that cannot be read.
//!
//! # What a date is measured against
//!
//! Against the response's own `Date`, so that a wrong local clock changes nothing. A response with
//! `Age` comes from a cache and its `Date` is no now: then, or when there is no valid `Date`, the
//! time of receipt is. Waits that count from the receipt need neither.
//!
//! [RFC 3339]: https://www.rfc-editor.org/rfc/rfc3339#section-5.6
//! [RFC 5322 §3.3]: https://www.rfc-editor.org/rfc/rfc5322#section-3.3
//! [RFC 9110 §5.6.7]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
//! [RFC 9110 §10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
//! [RFC 9111 §1.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2
//! [RFC 9651]: https://www.rfc-editor.org/rfc/rfc9651
//! [RFC 9651 §3.3.7]: https://www.rfc-editor.org/rfc/rfc9651#section-3.3.7
//! [up to 06]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06
//! [07]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-07
//! [from 08]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11

mod date;
mod duration;
mod grpc;
mod item;
mod list;
mod number;
mod protobuf;
mod quota;
mod rate_limit;
mod scan;
mod wall;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, AsHeaderName, DATE, RETRY_AFTER};

pub use self::quota::Dialect;
use self::wall::WallTime;

/// Headers that count in milliseconds.
///
/// They go before `Retry-After`, which has the same wait rounded to seconds.
const IN_MILLISECONDS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"];

/// Reads the wait that a response asks for, counted from its receipt.
///
/// `received_at` is the wall clock's time when the response's head arrived. It matters only to
/// dates, and only where the response has no usable `Date` of its own.
///
/// The hint is exact to the nanosecond, never rounded down and not capped: a hint too large for
/// [`Duration`] is [`Duration::MAX`]. A moment that has passed is a hint of zero. `None` means that
/// there is no readable hint. Never panics, whatever the headers hold.
///
/// See the [module](self) for the headers and forms it reads.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use http::{HeaderMap, HeaderValue};
/// use tower_retry_after::hint;
///
/// let received_at = SystemTime::UNIX_EPOCH; // a clock that was never set
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", HeaderValue::from_static("120"));
/// assert_eq!(hint::from_headers(&headers, received_at), Some(Duration::from_secs(120)));
///
/// // A date is measured against the response's own clock.
/// headers.insert("date", HeaderValue::from_static("Mon, 15 Jun 2026 12:00:00 GMT"));
/// headers.insert("retry-after", HeaderValue::from_static("Mon, 15 Jun 2026 12:05:00 GMT"));
/// assert_eq!(hint::from_headers(&headers, received_at), Some(Duration::from_secs(300)));
///
/// headers.insert("retry-after", HeaderValue::from_static("later"));
/// assert_eq!(hint::from_headers(&headers, received_at), None);
/// ```
pub fn from_headers(headers: &HeaderMap, received_at: SystemTime) -> Option<Duration> {
    let exact =
        IN_MILLISECONDS.into_iter().filter_map(|name| longest(headers, name, item::milliseconds));
    // A zero counts as none where a header behind it knows better.
    let waits = |wait: &Duration| !wait.is_zero();
    exact.clone().find(waits).or_else(|| {
        let now = now(headers, received_at);
        longest(headers, RETRY_AFTER, |item| item::wait(item, now)).or_else(|| exact.max())
    })
}

/// Reads how long the quotas stay used up of which nothing remains, counted from the response's
/// receipt.
///
/// `received_at` is as in [`from_headers`]; `dialect` says what a reset means that is a number and
/// no more. `None` means that something remains, or that nobody knows until when nothing does. A
/// reset that has passed is a wait of zero. Not capped; never panics, whatever the headers hold.
///
/// See the [module](self) for the headers and forms it reads. A quota may be that of one route, or
/// one kind of request; whose it is, headers do not tell.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use http::{HeaderMap, HeaderValue};
/// use tower_retry_after::hint::{self, Dialect};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("date", HeaderValue::from_static("Mon, 15 Jun 2026 12:00:00 GMT"));
/// headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
/// headers.insert("x-ratelimit-reset", HeaderValue::from_static("1781524860"));
/// let received_at = SystemTime::UNIX_EPOCH; // a clock that was never set
/// let wait = hint::from_quota(&headers, received_at, Dialect::Any);
/// assert_eq!(wait, Some(Duration::from_secs(60)));
///
/// // Of 600000 nobody sees that they are milliseconds.
/// headers.insert("x-ratelimit-reset", HeaderValue::from_static("600000"));
/// let wait = hint::from_quota(&headers, received_at, Dialect::DeltaMilliseconds);
/// assert_eq!(wait, Some(Duration::from_secs(600)));
///
/// // Something remains.
/// headers.insert("x-ratelimit-remaining", HeaderValue::from_static("1"));
/// assert_eq!(hint::from_quota(&headers, received_at, Dialect::DeltaMilliseconds), None);
/// ```
pub fn from_quota(
    headers: &HeaderMap,
    received_at: SystemTime,
    dialect: Dialect,
) -> Option<Duration> {
    let mut used_up = quota::used_up(headers).peekable();
    used_up.peek()?;
    let now = now(headers, received_at);
    used_up.filter_map(|quota| quota.reset(headers, now, dialect)).max()
}

/// Returns whether of some quota nothing remains.
pub(crate) fn is_used_up(headers: &HeaderMap) -> bool {
    quota::used_up(headers).next().is_some()
}

/// Reads the wait that a gRPC response asks for in its headers, counted from its receipt.
///
/// Where the first of `grpc-retry-pushback-ms` and `RetryInfo` is above zero, it wins. `None` means
/// that neither can be read, or that it is below zero. Not capped; never panics, whatever the
/// headers hold. It does not look whether the response is one of gRPC, nor at its status.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use http::{HeaderMap, HeaderValue};
/// use tower_retry_after::hint;
///
/// let details = "CAgSBXF1b3RhGjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCB4";
/// let mut headers = HeaderMap::new();
/// headers.insert("grpc-status", HeaderValue::from_static("8"));
/// headers.insert("grpc-status-details-bin", HeaderValue::from_static(details));
/// assert_eq!(hint::from_grpc(&headers), Some(Duration::from_secs(30)));
///
/// headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("1500"));
/// assert_eq!(hint::from_grpc(&headers), Some(Duration::from_millis(1500)));
/// ```
pub fn from_grpc(headers: &HeaderMap) -> Option<Duration> {
    grpc::wait(headers)
}

/// Returns the longest wait in all lines of a header.
fn longest(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    read: impl Fn(&[u8]) -> Option<Duration>,
) -> Option<Duration> {
    let lines = headers.get_all(name).into_iter();
    lines.filter_map(|line| list::longest(line.as_bytes(), &read)).max()
}

/// Returns what the response's dates are measured against.
fn now(headers: &HeaderMap, received_at: SystemTime) -> WallTime {
    let received_at = WallTime::from(received_at);
    let mut dates = headers.get_all(DATE).into_iter();
    match (dates.next(), dates.next()) {
        // Of two `Date` lines nobody knows which one is the origin's.
        (Some(date), None) if !headers.contains_key(AGE) => {
            date::http_date(date.as_bytes()).unwrap_or(received_at)
        }
        _ => received_at,
    }
}
