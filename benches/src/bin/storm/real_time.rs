//! The peers that read a clock of their own, in real time: `storm --real-time`.
//!
//! In a run all strategies stand side by side on one runtime, each with upstreams and
//! callers of its own; they mostly sleep, so a scenario takes its length once, and a
//! machine that is busy is so for all. Everything that is a minute's elsewhere is
//! [`MINUTE`]'s here: limits, paces, outages, ladders, how long a breaker is open. It
//! cannot be shorter, as `Retry-After` is in whole seconds; hints are rounded up to
//! them for everybody, which costs all who heed them half a second of each window.
//!
//! The figures depend on the machine, and bars are not for them. What `--quick`
//! asserts does not: it plays the first scenario for some seconds.

use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use futures_util::future::join_all;

use crate::callers::{self, Callers};
use crate::scenario::Scenario;
use crate::strategies;
use crate::strategy::{Limits, Reach, Strategy};
use crate::tally::Tally;
use crate::upstream::{FixedWindow, Outages, Telling, Upstream};
use crate::world::{Wire, World};

/// A minute: long enough for hints of whole seconds, and for fifteen of them to be a
/// minute.
const MINUTE: Duration = Duration::from_secs(4);

/// A second's share of it, and the usual pace.
const SECOND: Duration = Duration::from_millis(66);

/// From a request's leaving to its answer's arrival.
const ROUND_TRIP: Duration = Duration::from_millis(4);

/// How long `--quick` plays.
const QUICK: Duration = Duration::from_secs(3 * MINUTE.as_secs());

/// What became of one strategy.
struct Run {
    strategy: &'static str,
    reach: Reach,
    tally: Tally,
}

/// Plays the scenarios one after the other and prints a table of each.
///
/// # Panics
///
/// Panics in its quick form if the layer wasted as many requests as the fixed pace, or
/// got no useful answer.
pub(crate) fn run(is_quick: bool) {
    let strategies = strategies::of_real_time(MINUTE);
    let mut scenarios = scenarios();
    if is_quick {
        scenarios.truncate(1);
        scenarios.iter_mut().for_each(|scenario| scenario.length = QUICK);
    }
    for scenario in scenarios {
        let (minute, length) = (MINUTE.as_secs(), scenario.length.as_secs());
        println!("{}: {}", scenario.name, scenario.about);
        println!("(in real time, {length} s, of which a minute takes {minute})");
        let runs = play(&scenario, &strategies);
        println!("{}\n", table(&runs));
        if is_quick {
            hold(&runs);
        }
    }
}

/// Plays a scenario with all strategies at once.
fn play(scenario: &Scenario, strategies: &[Box<dyn Strategy>]) -> Vec<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O");
    let Scenario { callers, limits, length, .. } = *scenario;
    runtime.block_on(join_all(strategies.iter().map(|strategy| async move {
        let upstreams = (0..callers.upstreams()).map(|number| (scenario.upstream)(number as u64));
        let world = World::new(upstreams.collect(), ROUND_TRIP);
        let client = strategy.client(Wire::new(world.clone()), limits);
        let ended = callers::run(callers, client, &world, length, 1).await;
        let tally = Tally::new(&world.take_log(), &ended, length, callers.number());
        Run { strategy: strategy.name(), reach: strategy.reach(), tally }
    })))
}

/// Holds the layer to what no machine's speed can change.
fn hold(runs: &[Run]) {
    let of = |name| &runs.iter().find(|run| run.strategy == name).expect("it was played").tally;
    let (nothing, ours) = (of("fixed pace"), of("ours, rejecting"));
    assert!(ours.wasted < nothing.wasted, "the layer wasted as much as the fixed pace");
    assert!(ours.useful > 0.0, "the layer got nothing useful");
}

/// Returns the figures of a scenario.
fn table(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.set_header(["strategy", "learns for", "sent", "wasted", "held back", "useful a minute"]);
    for Run { strategy, reach, tally } in runs {
        let minutes_an_hour = 3600.0 / MINUTE.as_secs_f64();
        table.add_row([
            (*strategy).to_owned(),
            format!("{reach:?}").to_lowercase(),
            tally.sent.to_string(),
            tally.wasted.to_string(),
            tally.held_back.to_string(),
            format!("{:.1}", tally.useful / minutes_an_hour),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Returns the storms that are played in real time.
fn scenarios() -> Vec<Scenario> {
    let many = Callers::Loops { callers: 64, pace: SECOND };
    let one = Callers::Loops { callers: 1, pace: SECOND };
    let of = |name, about, callers, quota, upstream| Scenario {
        name,
        about,
        upstream,
        callers,
        limits: Limits { quota, window: MINUTE },
        bars: &[],
        length: 15 * MINUTE,
    };
    vec![
        of(
            "window",
            "64 callers, sixty requests a minute, told in whole seconds",
            many,
            60,
            |_| Upstream::new(FixedWindow::new(60, MINUTE), Telling::Seconds),
        ),
        of("window-untold", "the same limit, of which a 429 says nothing", many, 60, |_| {
            Upstream::new(FixedWindow::new(60, MINUTE), Telling::Nothing)
        }),
        of(
            "poller",
            "one caller, thirty requests a minute, told in whole seconds",
            one,
            30,
            |_| Upstream::new(FixedWindow::new(30, MINUTE), Telling::Seconds),
        ),
        of("outage", "64 callers; down for one minute of three: 503, untold", many, 0, |_| {
            Upstream::new(Outages::new(2 * MINUTE, MINUTE), Telling::Nothing)
        }),
    ]
}
