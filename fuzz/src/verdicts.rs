//! The classifier, by the table of its documentation.

use std::time::Duration;

use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::hint::{self, Dialect};

use crate::head::Head;

/// [`classify::standard`] over any head.
pub fn classify(data: &[u8]) {
    let head = Head::read(data);
    let judge = |dialect| {
        let seen = classify::Head::new(head.status, &head.headers, head.received_at);
        classify::standard(&seen.quota_signals(dialect))
    };
    let (without, with) = (judge(None), judge(Some(head.dialect.unwrap_or_default())));

    for (verdict, quota) in [(without, None), (with, Some(head.dialect.unwrap_or_default()))] {
        if let Some(expected) = expected(&head, quota) {
            assert_eq!(verdict, expected, "with the quotas of {quota:?}");
        }
    }
    if let Verdict::RateLimited { .. } = without {
        assert!(matches!(with, Verdict::RateLimited { .. }), "quotas make no refusal void");
    }
    assert!(!matches!(without, Verdict::Exhausted { .. }), "nobody asked for quotas");
    for verdict in [without, with] {
        if let Verdict::Exhausted { reset } = verdict {
            assert!(!reset.is_zero(), "a quota that is there again is not exhausted");
            assert!(head.status.as_u16() < 500 && head.status != 429, "no success");
        }
    }
}

/// What the tables of [`classify::standard`] say, where they say it without the readers'
/// own knowledge.
fn expected(head: &Head, quota: Option<Dialect>) -> Option<Verdict> {
    let headers = &head.headers;
    let is_cached = headers.get_all("age").iter().any(|age| {
        let age = age.as_bytes().trim_ascii();
        age.iter().any(|digit| *digit != b'0')
    });
    let own_quota = quota.filter(|_| !is_cached);
    let first = |name: &str| headers.get(name).map(|value| value.as_bytes().trim_ascii());
    let is_grpc = first("content-type")
        .is_some_and(|content| content.to_ascii_lowercase().starts_with(b"application/grpc"));
    let verdict = match head.status.as_u16() {
        200..=299 if is_grpc => by_grpc(head, first("grpc-status"), quota),
        429 => Verdict::RateLimited { hint: wait(head, Some(quota.unwrap_or_default())) },
        403 | 503 | 529 => match above_zero(wait(head, own_quota)) {
            hint @ Some(_) => Verdict::RateLimited { hint },
            None if head.status == 403 => Verdict::Success,
            None => Verdict::Neutral,
        },
        408 | 421 | 425 => Verdict::Neutral,
        413 if headers.contains_key("retry-after") => Verdict::Neutral,
        100..=499 => Verdict::Success,
        _ => Verdict::Neutral,
    };
    if verdict != Verdict::Success || quota.is_none() {
        return Some(verdict);
    }
    let refused = [Some(b"maxlag".as_slice()), Some(b"ratelimited")];
    if head.status.is_success() && refused.contains(&first("mediawiki-api-error")) {
        return Some(Verdict::RateLimited { hint: wait(head, quota) });
    }
    let Some(dialect) = own_quota else {
        return Some(Verdict::Success);
    };
    Some(match above_zero(wait(head, Some(dialect))) {
        Some(reset) if is_used_up(head, dialect)? => Verdict::Exhausted { reset },
        _ => Verdict::Success,
    })
}

fn by_grpc(head: &Head, status: Option<&[u8]>, quota: Option<Dialect>) -> Verdict {
    let own = hint::from_grpc(&head.headers);
    match status {
        Some(b"8") => {
            let http = wait(head, Some(quota.unwrap_or_default()));
            Verdict::RateLimited { hint: above_zero(own).or(http).or(own) }
        }
        Some(b"14") => match above_zero(above_zero(own).or(wait(head, quota))) {
            hint @ Some(_) => Verdict::RateLimited { hint },
            None => Verdict::Neutral,
        },
        Some(b"1" | b"2" | b"4" | b"12" | b"13" | b"15") => Verdict::Neutral,
        _ => Verdict::Success,
    }
}

/// The exact wait, or the quota's where there is none above zero.
fn wait(head: &Head, quota: Option<Dialect>) -> Option<Duration> {
    let exact = hint::from_headers(&head.headers, head.received_at);
    let quota = quota.filter(|_| above_zero(exact).is_none());
    let reset = quota.and_then(|quota| hint::from_quota(&head.headers, head.received_at, quota));
    reset.or(exact)
}

/// Whether of some quota nothing remains; nothing where only the reader could tell.
fn is_used_up(head: &Head, dialect: Dialect) -> Option<bool> {
    if hint::from_quota(&head.headers, head.received_at, dialect).is_some() {
        return Some(true);
    }
    let mut names = head.headers.keys().map(http::HeaderName::as_str);
    let is_told = names.any(|name| name == "ratelimit" || name.contains("remaining"));
    (!is_told).then_some(false)
}

fn above_zero(wait: Option<Duration>) -> Option<Duration> {
    wait.filter(|wait| !wait.is_zero())
}
