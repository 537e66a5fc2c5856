//! What the layer takes from real HTTP: a hyper server and hyper-util's client over
//! loopback, with the layer and without, in one run and in turn. Fails where a gate is
//! missed; `--quick` takes a fifth of the requests.
//!
//! A pair is one bare client and one with the layer, each with connections of its own,
//! that take turns of some thousand requests; what counts is the median of the ratios
//! of twenty pairs. A third client in the same turns is bare too: what it seems to gain
//! or lose beside the first is noise, and where that alone would miss a gate, nothing
//! was measured.

mod server;
mod sides;

use std::process::ExitCode;

use http::Uri;
use tokio::runtime::Builder;

use crate::sides::{Run, Side};

/// How many pairs a median is of.
const PAIRS: usize = 20;

/// How many callers there are at once.
const CALLERS: [usize; 2] = [1, 64];

/// How many requests a client sends in a turn, and how many turns it has in a pair.
///
/// Short turns, so that what else the machine does falls on all of them alike.
const TURN: usize = 1_000;
const TURNS: usize = 10;
const QUICK_TURNS: usize = 2;

/// How many times a number of callers is measured, where a gate is missed or the noise
/// is too loud.
const ROUNDS: usize = 3;

/// What share of the bare client's requests a second must be left.
const LEAST_RATE: f64 = 0.97;

/// How many times as long the hundredth request of the slowest may take.
///
/// A request that waits while 64 others are served waits for what each of these takes
/// longer too; so the tail may grow by what the rate may lose. Beyond p99 a pair has
/// too few requests to judge by.
const MOST_P99: f64 = 1.0 / LEAST_RATE;

/// What of a run is compared.
const MEASURES: [Measure; 4] = [
    Measure { name: "requests/s", of: |run| run.rate(), gate: |ratio| ratio >= LEAST_RATE },
    Measure { name: "p50", of: |run| run.percentile(0.5), gate: |_| true },
    Measure { name: "p99", of: |run| run.percentile(0.99), gate: |ratio| ratio <= MOST_P99 },
    Measure { name: "p99.9", of: |run| run.percentile(0.999), gate: |_| true },
];

struct Measure {
    name: &'static str,
    of: fn(&mut Run) -> f64,
    gate: fn(f64) -> bool,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judgment {
    Held,
    Missed,
    /// The bare client beside itself would have missed a gate.
    Noise,
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let turns = if is_quick { QUICK_TURNS } else { TURNS };
    let uri = server::start();
    println!("\nreal HTTP over loopback, {PAIRS} pairs of {} requests", turns * TURN);
    let mut all_held = true;
    for callers in CALLERS {
        for round in 1..=ROUNDS {
            let judgment = judge(callers, turns, &uri);
            if judgment == Judgment::Held {
                break;
            }
            let last = round == ROUNDS;
            match judgment {
                Judgment::Missed if last => all_held = false,
                Judgment::Noise if last => {
                    println!("NOT MEASURED: the noise is as loud, try on a quieter machine");
                }
                _ => println!("round {round} of {ROUNDS}: {judgment:?}, once more"),
            }
        }
    }
    if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures a round of that many callers, prints it, and judges.
fn judge(callers: usize, turns: usize, uri: &Uri) -> Judgment {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let mut pairs: Vec<[Run; 3]> =
        (0..PAIRS).map(|_| runtime.block_on(pair(callers, turns, uri))).collect();

    println!(
        "\n{callers:>2} at once      bare      with the layer: ratio, middle half   bare again"
    );
    let mut judgment = Judgment::Held;
    for Measure { name, of, gate } in &MEASURES {
        let values: Vec<[f64; 3]> = pairs.iter_mut().map(|pair| pair.each_mut().map(of)).collect();
        let bare = quartiles(values.iter().map(|value| value[0])).1;
        let ours = quartiles(values.iter().map(|value| value[1] / value[0]));
        let noise = quartiles(values.iter().map(|value| value[2] / value[0]));
        let bare = match *name {
            "requests/s" => format!("{bare:.0}"),
            _ => format!("{:.0} us", bare * 1e6),
        };
        let (is_held, is_quiet) = (gate(ours.1), gate(noise.1) && gate(1.0 / noise.1));
        judgment = match judgment {
            Judgment::Held if !is_quiet => Judgment::Noise,
            Judgment::Held | Judgment::Missed if !is_held => Judgment::Missed,
            judgment => judgment,
        };
        let says = match *name {
            "requests/s" => format!(">= {LEAST_RATE} {}", if is_held { "ok" } else { "MISSED" }),
            "p99" => format!("<= {MOST_P99:.3} {}", if is_held { "ok" } else { "MISSED" }),
            _ => String::new(),
        };
        println!(
            "{name:<10} {bare:>9}      {:.3} ({:.3} to {:.3})      {:.3} ({:.3} to {:.3})  {says}",
            ours.1, ours.0, ours.2, noise.1, noise.0, noise.2
        );
    }
    judgment
}

/// Runs a bare client, one with the layer, and a bare one again, in turns.
async fn pair(callers: usize, turns: usize, uri: &Uri) -> [Run; 3] {
    let sides = [Side::bare(uri), Side::layered(uri), Side::bare(uri)];
    let mut runs = [const { Run::new() }; 3];
    // Connections are made, and code is warm.
    for side in &sides {
        side.run(callers, TURN / 4).await;
    }
    for turn in 0..turns {
        // Each comes first, in the middle and last.
        for place in 0..sides.len() {
            let place = (place + turn) % sides.len();
            let place = if turn % 2 == 0 { place } else { sides.len() - 1 - place };
            runs[place].add(sides[place].run(callers, TURN).await);
        }
    }
    runs
}

/// Returns the quarter, the middle and the three quarters of some values.
fn quartiles(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get(values.len() * share / 4).copied().unwrap_or(f64::NAN);
    (at(1), at(2), at(3))
}
