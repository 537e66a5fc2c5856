//! Quotas that are used up: every provider's own headers, through the layer in virtual
//! time.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]

mod support;

#[path = "quota/budget.rs"]
mod budget;
#[path = "quota/fields.rs"]
mod fields;
#[path = "quota/properties.rs"]
mod properties;
#[path = "quota/providers.rs"]
mod providers;
#[path = "quota/verdicts.rs"]
mod verdicts;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use support::*;
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after::hint::{Dialect, from_quota};

/// Mon, 15 Jun 2026 12:00:00 GMT, as every upstream here says in its `Date`.
const NOON: u64 = 1_781_524_800;
const DATE: (&str, &str) = ("date", "Mon, 15 Jun 2026 12:00:00 GMT");

type Lines<'a> = &'a [(&'static str, &'a str)];

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// Reads header lines whose `Date` is noon; the local clock was never set.
fn read(dialect: Dialect, lines: Lines<'_>) -> Option<Duration> {
    from_quota(&headers(&[lines, &[DATE]].concat()), SystemTime::UNIX_EPOCH, dialect)
}

/// The cooldown that a response starts, and its rung.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Cooled {
    wait: Duration,
    rung: u32,
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a cooldown is compared with")]
fn refused_and_cooled(wait: Duration) -> Option<Cooled> {
    Some(Cooled { wait, rung: 1 })
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a cooldown is compared with")]
fn drained_and_cooled(wait: Duration) -> Option<Cooled> {
    Some(Cooled { wait, rung: 0 })
}

/// Sends one call to an upstream that answers so at noon, by its own clock. Of the layer
/// it is said whether it heeds quotas; it believes hints exactly, so waits are seen as read.
async fn cooled_by(signals: Option<Dialect>, status: u16, lines: Lines<'_>) -> Option<Cooled> {
    let date = support::status(status).header(DATE.0, DATE.1);
    let answer = lines.iter().fold(date, |answer, (name, value)| answer.header(name, value));
    let peer = Peer::says([answer]);
    let builder = RetryAfterBackoffLayer::builder().trust_hints(true);
    let layer = match signals {
        Some(dialect) => builder.quota_signals(dialect).build(),
        None => builder.build(),
    };
    let client = client(&layer, &peer);
    assert_eq!(ask(&client, A).await, Outcome::Sent(status));

    let info = layer.cooldowns().get(&upstream(A))?;
    let cooled = Cooled { wait: info.retry_after(), rung: info.consecutive_failures() };
    pass(cooled.wait.checked_sub(millis(1)).unwrap_or_default()).await;
    assert_eq!(ask(&client, A).await, COOLING);
    pass(millis(1)).await;
    assert_eq!(ask(&client, A).await, Outcome::Sent(200));
    Some(cooled)
}
