//! The storms, in the order of the tables.
//!
//! Each kind of upstream, of telling and of callers is in at least one of them; not
//! all with all. Limits and paces were chosen before anything was run.

use std::time::Duration;

use crate::bars::Bar;
use crate::callers::Callers;
use crate::scenario::Scenario;
use crate::strategy::Limits;
use crate::upstream::{
    ChargedBucket, FixedWindow, Outages, Shared, SlidingWindow, Telling, TokenBucket, Upstream,
};

const HOUR: Duration = secs(3600);
const MINUTE: Duration = secs(60);

/// Many, who want a minute's quota each second.
const CALLERS_64: Callers = Callers::Loops { callers: 64, pace: secs(1) };

/// Sixty a minute.
const SIXTY: Limits = Limits { quota: 60, window: MINUTE };

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A window of sixty a minute.
fn window() -> FixedWindow {
    FixedWindow::new(60, MINUTE)
}

/// One of each kind, for who has little time.
pub(crate) const QUICK: &[&str] = &[
    "window",
    "window-date",
    "sliding-arrivals",
    "bucket",
    "charged-poller",
    "outage-untold",
    "shared",
    "crawler",
];

/// Returns all scenarios.
pub(crate) fn all() -> Vec<Scenario> {
    [windows(), buckets(), charged(), outages(), others(), crawlers()].concat()
}

fn windows() -> Vec<Scenario> {
    let of = |name, about, upstream| Scenario {
        name,
        about,
        upstream,
        callers: CALLERS_64,
        limits: SIXTY,
        bars: &[],
        length: HOUR,
    };
    vec![
        Scenario {
            bars: &[Bar::NearOracle, Bar::AtOnce],
            ..of("window", "64 callers, sixty requests a minute, told to the millisecond", |_| {
                Upstream::new(window(), Telling::Exact)
            })
        },
        Scenario {
            bars: &[Bar::NearOracle, Bar::AtOnce],
            ..of("window-quota", "the same, and each answer says what is left", |_| {
                Upstream::with_quota_fields(window(), Telling::Exact)
            })
        },
        Scenario {
            bars: &[Bar::NearOracle],
            ..of("window-seconds", "the same limit, told in whole seconds", |_| {
                Upstream::new(window(), Telling::Seconds)
            })
        },
        of("window-untold", "the same limit, of which a 429 says nothing", |_| {
            Upstream::new(window(), Telling::Nothing)
        }),
        of("window-too-short", "the same limit; the hint is half of the wait", |_| {
            Upstream::new(window(), Telling::TooShort)
        }),
        of("window-too-long", "the same limit; the hint is twice the wait", |_| {
            Upstream::new(window(), Telling::TooLong)
        }),
        Scenario {
            bars: &[Bar::NearOracle],
            ..of("window-date", "the same limit, told as a date, by a clock 7 minutes fast", |_| {
                Upstream::new(window(), Telling::Date { fast: 420 })
            })
        },
        Scenario {
            bars: &[Bar::NearOracle],
            ..of("window-date-slow", "told as a date, by a clock 7 minutes slow", |_| {
                Upstream::new(window(), Telling::Date { fast: -420 })
            })
        },
        Scenario {
            callers: Callers::Loops { callers: 1, pace: secs(2) },
            limits: Limits { quota: 20, window: MINUTE },
            bars: &[Bar::NearOracle, Bar::AtOnce],
            ..of("window-poller", "one poller, every two seconds, where twenty a minute go", |_| {
                Upstream::new(FixedWindow::new(20, MINUTE), Telling::Exact)
            })
        },
        Scenario {
            bars: &[Bar::AtOnce],
            ..of("sliding", "64 callers, sixty in any minute, told to the millisecond", |_| {
                Upstream::new(SlidingWindow::new(60, MINUTE), Telling::Exact)
            })
        },
        Scenario {
            callers: Callers::Arrivals { per_second: 2.0 },
            ..of("sliding-arrivals", "two calls a second by chance, sixty in any minute", |_| {
                Upstream::new(SlidingWindow::new(60, MINUTE), Telling::Seconds)
            })
        },
    ]
}

fn buckets() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "bucket",
            about: "64 callers, a bucket of sixty that gains one a second, told to the millisecond",
            upstream: |_| Upstream::new(TokenBucket::new(60, secs(1)), Telling::Exact),
            callers: CALLERS_64,
            limits: SIXTY,
            bars: &[Bar::AtOnce],
            length: HOUR,
        },
        Scenario {
            name: "bucket-arrivals",
            about: "four calls a second by chance, a bucket of twenty that gains two a second",
            upstream: |_| {
                let bucket = TokenBucket::new(20, Duration::from_millis(500));
                Upstream::with_quota_fields(bucket, Telling::Seconds)
            },
            callers: Callers::Arrivals { per_second: 4.0 },
            limits: Limits { quota: 20, window: secs(10) },
            bars: &[],
            length: HOUR,
        },
    ]
}

fn charged() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "charged",
            about: "64 callers, a bucket of sixty that who is refused fills up again",
            upstream: |_| Upstream::new(ChargedBucket::full(60, secs(1)), Telling::Seconds),
            callers: CALLERS_64,
            limits: SIXTY,
            bars: &[Bar::Recovers],
            length: HOUR,
        },
        Scenario {
            name: "charged-poller",
            about: "the original outage: one poller, each minute, of a bucket that leaks one in 90 s",
            upstream: |_| Upstream::new(ChargedBucket::full(5, secs(90)), Telling::Seconds),
            callers: Callers::Loops { callers: 1, pace: MINUTE },
            limits: Limits { quota: 1, window: secs(90) },
            bars: &[Bar::Recovers],
            length: HOUR,
        },
        Scenario {
            name: "charged-poller-untold",
            about: "the same, where the 429 says nothing",
            upstream: |_| Upstream::new(ChargedBucket::full(5, secs(90)), Telling::Nothing),
            callers: Callers::Loops { callers: 1, pace: MINUTE },
            limits: Limits { quota: 1, window: secs(90) },
            bars: &[Bar::Recovers],
            length: HOUR,
        },
    ]
}

fn outages() -> Vec<Scenario> {
    // Every ten minutes, for three.
    let of = |name, about, upstream, bars| Scenario {
        name,
        about,
        upstream,
        callers: CALLERS_64,
        limits: Limits { quota: 64, window: secs(1) },
        bars,
        length: HOUR,
    };
    vec![
        of(
            "outage",
            "64 callers, down for three minutes of ten, a 503 that says for how long",
            |_| Upstream::new(Outages::new(secs(420), secs(180)), Telling::Exact),
            &[Bar::AtOnce],
        ),
        of(
            "outage-untold",
            "the same, and the 503 says nothing",
            |_| Upstream::new(Outages::new(secs(420), secs(180)), Telling::Nothing),
            &[],
        ),
    ]
}

fn others() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "shared",
            about: "64 callers, a hundred and twenty a minute, of which others take half",
            upstream: |seed| {
                let window = FixedWindow::new(120, MINUTE);
                Upstream::new(Shared::new(window, 1.0, seed), Telling::Exact)
            },
            callers: CALLERS_64,
            limits: SIXTY,
            bars: &[Bar::AtOnce],
            length: HOUR,
        },
        Scenario {
            name: "shared-arrivals",
            about: "two calls a second by chance, a bucket that others draw on",
            upstream: |seed| {
                let bucket = TokenBucket::new(60, Duration::from_millis(500));
                Upstream::with_quota_fields(Shared::new(bucket, 1.0, seed), Telling::Seconds)
            },
            callers: Callers::Arrivals { per_second: 2.0 },
            limits: SIXTY,
            bars: &[],
            length: HOUR,
        },
    ]
}

/// Sixteen workers want some eighty pages a second.
const CRAWLER: Callers =
    Callers::Crawler { workers: 16, hosts: 1_000, pace: Duration::from_millis(150) };

fn crawlers() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "crawler",
            about: "16 workers, 1,000 hosts, some asked for far more than their sixty a minute",
            upstream: |_| Upstream::new(window(), Telling::Seconds),
            callers: CRAWLER,
            limits: SIXTY,
            bars: &[],
            length: HOUR,
        },
        Scenario {
            name: "crawler-untold",
            about: "the same, where a 429 says nothing",
            upstream: |_| Upstream::new(window(), Telling::Nothing),
            callers: CRAWLER,
            limits: SIXTY,
            bars: &[],
            length: HOUR,
        },
    ]
}
