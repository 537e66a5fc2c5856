//! The peers that read a clock of their own, in real time: `storm --real-time`.
//!
//! All strategies in all scenarios are played at once, on one runtime, each with
//! upstreams and callers of its own: they mostly sleep, so it takes the length of one
//! scenario, and a machine that is busy is so for all.
//!
//! A minute takes a third of its time, and so does all that is reckoned in minutes or
//! by the pace elsewhere: limits, paces, outages, ladders, how long a breaker is open.
//! Less would not be fair to anybody: `Retry-After` is in whole seconds, to which
//! hints are rounded up, and the layer's callers who are held back while a probe is
//! out come again after a second, however long a minute is.
//!
//! The figures depend on the machine, and bars are not for them: where a peer does
//! better, that is told beneath the table. What `--quick` asserts does not depend on it:
//! it plays one scenario of its own for fifteen seconds.

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

/// How long a minute takes.
const MINUTE: Duration = Duration::from_secs(20);

/// How long a minute takes in the quick form, which has three.
const QUICK_MINUTE: Duration = Duration::from_secs(5);

/// From a request's leaving to its answer's arrival.
const ROUND_TRIP: Duration = Duration::from_millis(16);

/// The layer's name.
const OURS: &str = "ours, rejecting";

/// What became of one strategy.
struct Run {
    strategy: &'static str,
    reach: Reach,
    tally: Tally,
}

/// Plays the scenarios and prints a table of each.
///
/// # Panics
///
/// Panics in its quick form if the layer wasted as many requests as the fixed pace, or
/// got no useful answer.
pub(crate) fn run(is_quick: bool) {
    if is_quick {
        let scenarios = [quick()];
        let played = play(&scenarios, QUICK_MINUTE);
        show(&scenarios, &played, QUICK_MINUTE);
        for runs in played {
            hold(&runs);
        }
    } else {
        let scenarios = scenarios();
        let played = play(&scenarios, MINUTE);
        show(&scenarios, &played, MINUTE);
    }
}

/// Plays all scenarios with all strategies at once.
fn play(scenarios: &[Scenario], minute: Duration) -> Vec<Vec<Run>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O");
    let strategies = strategies::of_real_time(minute);
    let all = scenarios.iter().map(|scenario| {
        join_all(strategies.iter().map(move |strategy| one(scenario, strategy.as_ref())))
    });
    runtime.block_on(join_all(all))
}

/// Plays a scenario with one strategy.
async fn one(scenario: &Scenario, strategy: &dyn Strategy) -> Run {
    let Scenario { callers, limits, length, .. } = *scenario;
    let upstreams = (0..callers.upstreams()).map(|number| (scenario.upstream)(number as u64));
    let world = World::new(upstreams.collect(), ROUND_TRIP);
    let client = strategy.client(Wire::new(world.clone()), limits);
    let ended = callers::run(callers, client, &world, length, 1).await;
    let tally = Tally::new(&world.take_log(), &ended, length, callers.number());
    Run { strategy: strategy.name(), reach: strategy.reach(), tally }
}

/// Holds the layer to what no machine's speed can change.
fn hold(runs: &[Run]) {
    let of = |name| &runs.iter().find(|run| run.strategy == name).expect("it was played").tally;
    let (nothing, ours) = (of("fixed pace"), of(OURS));
    assert!(ours.wasted < nothing.wasted, "the layer wasted as much as the fixed pace");
    assert!(ours.useful > 0.0, "the layer got nothing useful");
}

/// Prints the figures of all scenarios.
fn show(scenarios: &[Scenario], played: &[Vec<Run>], minute: Duration) {
    for (scenario, runs) in scenarios.iter().zip(played) {
        let Scenario { name, about, length, .. } = *scenario;
        println!("{name}: {about}");
        println!("{length:.1?} of real time, of which a minute takes {minute:?}");
        println!("{}", table(runs, length));
        for peer in better(runs) {
            println!("{peer}");
        }
        println!();
    }
}

/// Says of each peer that wasted less or got more than ours did what it did.
fn better(runs: &[Run]) -> Vec<String> {
    let Some(ours) = runs.iter().find(|run| run.strategy == OURS).map(|run| &run.tally) else {
        return Vec::new();
    };
    let is_better = |run: &&Run| run.tally.wasted < ours.wasted || run.tally.useful > ours.useful;
    let share = |run: &Run| run.tally.useful / ours.useful;
    let says = |run: &Run| {
        let (strategy, wasted) = (run.strategy, run.tally.wasted);
        format!(
            "{strategy}: {wasted} wasted to our {}, {:.3} of our answers",
            ours.wasted,
            share(run)
        )
    };
    runs.iter().filter(is_better).map(says).collect()
}

/// Returns the figures of a scenario.
fn table(runs: &[Run], length: Duration) -> Table {
    let hours = length.as_secs_f64() / 3600.0;
    let mut table = Table::new();
    table.set_header(["strategy", "learns for", "sent", "wasted", "held back", "useful"]);
    for Run { strategy, reach, tally } in runs {
        table.add_row([
            (*strategy).to_owned(),
            format!("{reach:?}").to_lowercase(),
            tally.sent.to_string(),
            tally.wasted.to_string(),
            tally.held_back.to_string(),
            format!("{:.0}", tally.useful * hours),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Returns the storms that are played in real time.
fn scenarios() -> Vec<Scenario> {
    let pace = MINUTE / 60;
    let many = Callers::Loops { callers: 64, pace };
    let one = Callers::Loops { callers: 1, pace };
    let of = |name, about, callers, quota, upstream| Scenario {
        name,
        about,
        upstream,
        callers,
        limits: Limits { quota, window: MINUTE },
        bars: &[],
        // The tenth window does not begin.
        length: pace * (9 * 60 - 1),
    };
    vec![
        of(
            "window",
            "64 callers, sixty requests a minute, told in whole seconds",
            many,
            60,
            |_| Upstream::new(FixedWindow::new(60, MINUTE), Telling::Seconds),
        ),
        of("window-narrow", "64 callers, twenty requests a minute, told so too", many, 20, |_| {
            Upstream::new(FixedWindow::new(20, MINUTE), Telling::Seconds)
        }),
        of("window-untold", "the first limit, of which a 429 says nothing", many, 60, |_| {
            Upstream::new(FixedWindow::new(60, MINUTE), Telling::Nothing)
        }),
        of(
            "poller",
            "one caller, thirty requests a minute, told in whole seconds",
            one,
            30,
            |_| Upstream::new(FixedWindow::new(30, MINUTE), Telling::Seconds),
        ),
        of(
            "outage",
            "64 callers, down for a minute of three: 503, which says when",
            many,
            0,
            |_| Upstream::new(Outages::new(2 * MINUTE, MINUTE), Telling::Seconds),
        ),
        of("outage-untold", "the same, where the 503 says nothing", many, 0, |_| {
            Upstream::new(Outages::new(2 * MINUTE, MINUTE), Telling::Nothing)
        }),
    ]
}

/// Returns the storm of the quick form.
fn quick() -> Scenario {
    let pace = QUICK_MINUTE / 60;
    Scenario {
        name: "quick",
        about: "64 callers, sixty requests a minute, told in whole seconds",
        upstream: |_| Upstream::new(FixedWindow::new(60, QUICK_MINUTE), Telling::Seconds),
        callers: Callers::Loops { callers: 64, pace },
        limits: Limits { quota: 60, window: QUICK_MINUTE },
        bars: &[],
        length: pace * (3 * 60 - 1),
    }
}
