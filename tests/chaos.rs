//! An hour of virtual time with everything at once, seeded and repeatable.
//!
//! Dozens of callers of several kinds (rejected, waiting, retrying, polling) and three
//! dozen upstreams that limit, mislead, stall, redirect, break and heal; calls that are
//! dropped, user code that panics, people who cool and clear by hand, and a table that is
//! too small. A judge (`chaos/judge.rs`) sees the wire and what callers get.
//!
//! `CHAOS_SEEDS=1000..2000 cargo test --release --all-features --test chaos -- hours`
//! runs other seeds than the usual ones.
#![cfg(feature = "schedule")]
#![allow(clippy::arithmetic_side_effects, clippy::unchecked_time_subtraction, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]

#[path = "chaos/callers.rs"]
mod callers;
#[path = "chaos/chance.rs"]
mod chance;
#[path = "chaos/judge.rs"]
mod judge;
#[path = "chaos/run.rs"]
mod run;
#[path = "chaos/upstreams.rs"]
mod upstreams;
#[path = "chaos/wire.rs"]
mod wire;

use std::time::Duration;

use run::{Plan, Report, play, replay_line, seeds_of};
use tokio::time::Instant;

/// How many upstreams there are.
const UPSTREAMS: usize = 36;

/// Each upstream answers in a millisecond of its own out of so many.
const ALIGNED: u64 = 40;

/// When all upstreams are well again, in milliseconds since the start.
const HEALED: u64 = 50 * 60 * 1000;

/// When the last callers begin their last call.
const END: u64 = 60 * 60 * 1000;

/// The most upstreams that the table has room for.
const ROOM: usize = 8;

/// How long the table remembers.
const FORGET_AFTER: Duration = Duration::from_secs(150);

/// The rules of a layer, as the judge knows them.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "settings of a layer are such")]
struct Rules {
    base: Duration,
    cap: Duration,
    max_retry_after: Duration,
    trust_hints: bool,
    probe_lease: Duration,
    reopen_width: usize,
    heeds_quotas: bool,
    /// The classifier is the user's own, and panics now and then.
    panics: bool,
    /// Calls wait.
    waits: bool,
}

impl Rules {
    /// The longer of ladder and hint.
    const CAREFUL: Self = Self {
        base: Duration::from_secs(2),
        cap: Duration::from_secs(60),
        max_retry_after: Duration::from_secs(120),
        trust_hints: false,
        probe_lease: Duration::from_secs(10),
        reopen_width: 8,
        heeds_quotas: false,
        panics: true,
        waits: false,
    };

    /// Hints are trusted, and quotas are heeded.
    const TRUSTING: Self = Self {
        max_retry_after: Duration::from_secs(90),
        trust_hints: true,
        probe_lease: Duration::from_secs(5),
        heeds_quotas: true,
        panics: false,
        ..Self::CAREFUL
    };

    fn ladder(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        (self.base * 2_u32.pow(doublings.min(16))).min(self.cap)
    }

    fn usable(&self, hint: Option<Duration>) -> Option<Duration> {
        hint.map(|hint| hint.min(self.max_retry_after)).filter(|hint| !hint.is_zero())
    }

    /// The wait of a refusal that counts.
    fn wait(&self, failures: u32, hint: Option<Duration>) -> Duration {
        match self.usable(hint) {
            None => self.ladder(failures),
            Some(hint) if self.trust_hints => hint.max(self.ladder(failures - 1)),
            Some(hint) => hint.max(self.ladder(failures)),
        }
    }
}

fn uri(of: usize) -> http::Uri {
    format!("https://{of}.example/").parse().unwrap()
}

fn upstream(of: usize) -> tower_retry_after::Upstream {
    tower_retry_after::Upstream::from_uri(&uri(of))
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused; it is the plan's own")]
fn now() -> Instant {
    Instant::now()
}

/// Plays a seed; a violation fails the test and says how it is seen again.
fn hour(seed: u64) -> Report {
    play(Plan::new(seed)).unwrap_or_else(|violation| panic!("{violation}"))
}

/// What has to happen in an hour, or it proves nothing.
fn is_chaos(report: &Report) {
    let tally = report.tally;
    let all = [
        tally.sent / 5000,
        tally.refused / 200,
        tally.held / 500,
        tally.dropped / 100,
        tally.probes / 100,
        tally.superseded,
        tally.reopened / 10,
        tally.redirected / 50,
        tally.exhausted / 10,
        tally.panicked / 5,
        tally.waited / 1000,
        tally.evicted / 5,
        tally.displaced,
        u64::from(tally.highest_rung / 4),
        report.polls / 100,
        report.busiest / 500,
    ];
    assert!(!all.contains(&0), "too quiet: {report:?}");
}

#[test]
fn an_hour_of_everything_at_once() {
    is_chaos(&hour(1));
}

#[test]
fn another_hour() {
    is_chaos(&hour(2));
}

#[test]
fn and_another() {
    is_chaos(&hour(3));
}

#[test]
fn the_same_seed_is_the_same_hour() {
    let (one, other) = (hour(4), hour(4));

    assert_eq!(one.transcript, other.transcript, "{one:?} and {other:?}");
    assert_ne!(one.transcript, hour(5).transcript);
}

#[test]
fn a_violation_says_how_it_is_seen_again() {
    let plan = Plan { quarrels_at: Some(Duration::from_secs(600)), ..Plan::new(6) };

    let said = play(plan).unwrap_err();

    assert!(said.contains("at 600") && said.contains("as planned"), "{said}");
    assert!(said.ends_with(&replay_line(6)), "{said}");
    let seeds = replay_line(6).split_whitespace().next().unwrap().to_owned();
    assert_eq!(seeds_of(seeds.strip_prefix("CHAOS_SEEDS=").unwrap()), Some(6..7));
    assert_eq!(seeds_of("10..20"), Some(10..20));
    assert_eq!(seeds_of("ten"), None);
}

/// The seeds that the environment names; none where it names none.
#[test]
fn hours_of_other_seeds() {
    let Ok(named) = std::env::var("CHAOS_SEEDS") else {
        return;
    };
    let seeds = seeds_of(&named).expect("seeds as in CHAOS_SEEDS=7 or CHAOS_SEEDS=1000..2000");
    for seed in seeds {
        let report = hour(seed);
        println!("seed {seed}: {report:?}");
    }
}
