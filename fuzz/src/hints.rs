//! The readers of hints, by what must hold for every head.
//!
//! Where the answer is plain (digits, dates of HTTP's own form, a `RetryInfo` that was
//! encoded here) it is computed a second way; elsewhere the properties say how answers
//! to related heads go together.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue};
use tower_retry_after::hint::{self, Dialect};

use crate::head::{DIALECTS, Head};
use crate::script::Script;

const IN_MILLISECONDS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"];

/// A leap year, within which a number is read as a moment.
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// [`hint::from_headers`] over any head.
pub fn hint_headers(data: &[u8]) {
    let head = Head::read(data);
    let read = |headers: &HeaderMap| hint::from_headers(headers, head.received_at);
    let wait = read(&head.headers);

    assert_eq!(wait, read(&head.padded()), "white space around a value is no part of it");
    assert_eq!(wait, read(&head.reversed()), "the longest line wins, wherever it stands");
    let is_heard = |name: &str| {
        IN_MILLISECONDS.contains(&name) || ["retry-after", "date", "age"].contains(&name)
    };
    assert_eq!(wait, read(&head.only(is_heard)), "no other header is heard");
    if head.date().is_some() {
        let elsewhen = [SystemTime::UNIX_EPOCH, head.received_at + Duration::from_millis(1)];
        for received_at in elsewhen {
            let told = hint::from_headers(&head.headers, received_at);
            assert_eq!(wait, told, "beside a `Date` the local clock counts for nothing");
        }
    }
    more_is_longer(&head, wait);
    first_of_the_milliseconds(&head, wait);
    plainly(&head, wait);
}

/// A line more makes the wait no shorter.
fn more_is_longer(head: &Head, wait: Option<Duration>) {
    let more = hint::from_headers(&head.with("retry-after", "7s"), head.received_at);
    let exact = head.only(|name| IN_MILLISECONDS.contains(&name));
    match hint::from_headers(&exact, head.received_at) {
        Some(exact) if !exact.is_zero() => assert_eq!((wait, more), (Some(exact), Some(exact))),
        _ => assert_eq!(more, wait.max(Some(Duration::from_secs(7))), "the longest line wins"),
    }
}

/// The first header in milliseconds that has one line of digits, none of which is a comma.
fn first_of_the_milliseconds(head: &Head, wait: Option<Duration>) {
    let first = IN_MILLISECONDS.into_iter().find(|name| head.headers.contains_key(*name));
    let Some(millis) = first.and_then(|first| digits(head.sole(first)?)) else {
        return;
    };
    if millis > 0 {
        let seconds = u64::try_from(millis / 1000).ok();
        let nanos = u32::try_from(millis % 1000).expect("below a thousand") * 1_000_000;
        let expected = seconds.map_or(Duration::MAX, |seconds| Duration::new(seconds, nanos));
        assert_eq!(wait, Some(expected), "{millis} milliseconds");
    }
}

/// One line of `Retry-After` alone, in one of the forms of RFC 9110.
fn plainly(head: &Head, wait: Option<Duration>) {
    if IN_MILLISECONDS.iter().any(|name| head.headers.contains_key(*name)) {
        return;
    }
    let (Some(line), Some(now)) = (head.sole("retry-after"), head.now()) else {
        return;
    };
    if let Some(seconds) = digits(line) {
        if !has_the_look_of_a_moment(seconds, now) {
            let expected = u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs);
            assert_eq!(wait, Some(expected), "{seconds} seconds");
        }
    } else if let Some(date) = std::str::from_utf8(line).ok().and_then(imf_date) {
        assert_eq!(wait, Some(date.duration_since(now).unwrap_or_default()), "until a date");
    }
}

/// A number that is, or is nearly, a moment of these years in seconds or milliseconds.
fn has_the_look_of_a_moment(number: u128, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let window = YEAR + Duration::from_secs(1);
    [number.saturating_mul(1000), number].into_iter().any(|millis| {
        let millis = millis.min(u128::from(u64::MAX));
        let moment = Duration::from_millis(u64::try_from(millis).expect("a minimum"));
        moment.abs_diff(now) <= window
    })
}

/// A date that both HTTP and every reader of it takes for the same moment.
fn imf_date(text: &str) -> Option<SystemTime> {
    // Two-digit years depend on when it is, and a form of asctime has no zone.
    text.ends_with(" GMT").then_some(())?;
    text.split(' ').nth(3).filter(|year| year.len() == 4)?;
    httpdate::parse_http_date(text).ok()
}

/// Digits and nothing else; too many are the most there are.
fn digits(text: &[u8]) -> Option<u128> {
    let are_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    are_digits.then(|| {
        text.iter().fold(0_u128, |number, digit| {
            number.saturating_mul(10).saturating_add(u128::from(digit - b'0'))
        })
    })
}

/// [`hint::from_quota`] over any head, in every dialect.
pub fn hint_quota(data: &[u8]) {
    let head = Head::read(data);
    let is_quota = |name: &str| name == "ratelimit" || name.contains("remaining");
    let tells_quota = head.headers.keys().any(|name| is_quota(name.as_str()));
    let mut quotas = head.headers.iter().filter(|(name, _)| is_quota(name.as_str()));
    let something_remains = quotas.all(|(name, value)| {
        name != "ratelimit" && digits(value.as_bytes()).is_some_and(|number| number > 0)
    });

    for dialect in DIALECTS {
        let read = |headers: &HeaderMap| hint::from_quota(headers, head.received_at, dialect);
        let wait = read(&head.headers);

        assert_eq!(wait, read(&head.padded()), "white space around a value is no part of it");
        let is_heard = |name: &str| !name.starts_with("beta-") && name != "retry-after";
        assert_eq!(wait, read(&head.only(is_heard)), "neither a beta's fields nor exact waits");
        assert!(wait.is_none() || tells_quota, "{wait:?} of no quota at all");
        if something_remains {
            assert_eq!(wait, None, "something remains");
        }
        another_used_up(&head, wait, dialect);
        by_draft(&head, wait);
        by_pair(&head, wait, dialect);
    }
}

/// A quota more that is used up for nine seconds.
fn another_used_up(head: &Head, wait: Option<Duration>, dialect: Dialect) {
    const REMAINING: &str = "anthropic-ratelimit-fuzz-remaining";
    const RESET: &str = "anthropic-ratelimit-fuzz-reset";
    let is_there = |name: &str| name.starts_with("anthropic-ratelimit-fuzz-");
    if head.headers.keys().any(|name| is_there(name.as_str())) {
        return;
    }
    let used_up = Head { headers: head.with(REMAINING, "0"), ..head.clone() };
    let same = hint::from_quota(&used_up.headers, head.received_at, dialect);
    assert_eq!(wait, same, "one that does not say until when says nothing");
    let more = hint::from_quota(&used_up.with(RESET, "9s"), head.received_at, dialect);
    assert_eq!(more, wait.max(Some(Duration::from_secs(9))), "the longest of them counts");
}

/// The dictionary of the seventh draft, and nothing beside it.
fn by_draft(head: &Head, wait: Option<Duration>) {
    let others = head.headers.keys().any(|name| name.as_str().contains("remaining"));
    let Some(text) = head.sole("ratelimit").filter(|_| !others) else {
        return;
    };
    let Some((remaining, seconds)) = std::str::from_utf8(text).ok().and_then(|text| {
        let (limit, others) = text.strip_prefix("limit=")?.split_once(", remaining=")?;
        let (remaining, reset) = others.split_once(", reset=")?;
        let number = |text: &str| digits(text.as_bytes());
        number(limit).and(number(remaining).zip(number(reset)))
    }) else {
        return;
    };
    let reset = u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs);
    assert_eq!(wait, (remaining == 0).then_some(reset), "{remaining} remain");
}

/// A remaining of zero and a reset of digits, and nothing beside them.
fn by_pair(head: &Head, wait: Option<Duration>, dialect: Dialect) {
    let is_alone = head.headers.keys_len() == 2 && !head.headers.contains_key("date");
    let used_up = head.sole("x-ratelimit-remaining") == Some(b"0");
    let Some(reset) = head.sole("x-ratelimit-reset").filter(|_| is_alone && used_up) else {
        return;
    };
    let Some(number) = digits(reset).and_then(|number| u64::try_from(number).ok()) else {
        return;
    };
    let until = |since: Duration| {
        let now = head.received_at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        since.saturating_sub(now)
    };
    let expected = match dialect {
        Dialect::EpochSeconds => until(Duration::from_secs(number)),
        Dialect::EpochMilliseconds => until(Duration::from_millis(number)),
        Dialect::DeltaSeconds => Duration::from_secs(number),
        Dialect::DeltaMilliseconds => Duration::from_millis(number),
        // By the look of it: seen from afar only.
        _ if has_the_look_of_a_moment(number.into(), head.received_at) => return,
        _ if number > YEAR.as_secs() => return assert_eq!(wait, None, "{number} is neither"),
        _ => Duration::from_secs(number),
    };
    assert_eq!(wait, Some(expected), "{number} in {dialect:?}");
}

/// [`hint::from_grpc`] over any head, and over details that are made of the same bytes.
pub fn hint_grpc(data: &[u8]) {
    let head = Head::read(data);
    let wait = hint::from_grpc(&head.headers);

    assert_eq!(wait, hint::from_grpc(&head.padded()), "white space is no part of a value");
    assert_eq!(wait, hint::from_grpc(&head.reversed()), "the longest line wins");
    let is_heard =
        |name: &str| ["grpc-retry-pushback-ms", "grpc-status-details-bin"].contains(&name);
    assert_eq!(wait, hint::from_grpc(&head.only(is_heard)), "no other header is heard");
    if let Some(millis) = head.sole("grpc-retry-pushback-ms").and_then(digits)
        && let Ok(millis @ 1..) = i32::try_from(millis)
    {
        let millis = u64::from(millis.unsigned_abs());
        assert_eq!(wait, Some(Duration::from_millis(millis)), "a pushback goes first");
    }
    encoded_here(Script::new(data));
}

/// A `google.rpc.Status` with details of which one is a `RetryInfo`.
fn encoded_here(mut script: Script<'_>) {
    let (seconds, nanos) = (script.number(), script.word() % 2_000_000_000);
    let mut status = varint_field(1, 8);
    for _ in 0..script.below(3) {
        status.extend(bytes_field(2 + u64::from(script.flag()), &bytes_field(1, b"a/other.Type")));
    }
    let delay = [varint_field(1, seconds), varint_field(2, nanos)].concat();
    let detail = [
        bytes_field(1, b"type.googleapis.com/google.rpc.RetryInfo"),
        bytes_field(2, &bytes_field(1, &delay)),
    ];
    status.extend(bytes_field(3, &detail.concat()));

    let is_readable = i64::try_from(seconds).is_ok() && nanos < 1_000_000_000;
    let nanos = u32::try_from(nanos).expect("below two billion");
    let expected = is_readable.then(|| Duration::new(seconds, nanos));
    for text in [STANDARD.encode(&status), STANDARD_NO_PAD.encode(&status)] {
        let mut headers = HeaderMap::new();
        headers.append("grpc-status-details-bin", HeaderValue::from_str(&text).expect("base64"));
        assert_eq!(hint::from_grpc(&headers), expected, "{seconds} s and {nanos} ns");
    }
}

fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn bytes_field(number: u64, value: &[u8]) -> Vec<u8> {
    let length = u64::try_from(value.len()).expect("a short text");
    [varint(number << 3 | 2), varint(length), value.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}
