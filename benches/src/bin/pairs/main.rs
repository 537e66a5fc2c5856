//! What the layer takes from real HTTP: a hyper server and hyper-util's client over
//! loopback, with the layer and without, in one run and in turn. Fails where a gate is
//! missed; `--quick` sends a fifth of the requests.
//!
//! A pair is one bare client and one with the layer, each with connections of its own,
//! that take turns of some hundred requests; what counts is the median of the ratios of
//! twenty pairs. A third client in the same turns is bare too: what it seems to gain or
//! lose beside the first is noise, and where that alone would miss a gate, nothing was
//! measured.

mod server;
mod sides;

use std::fmt;
use std::process::ExitCode;

use http::Uri;
use tokio::runtime::Builder;

use crate::sides::{Run, Side};

/// How many pairs a median is of.
const PAIRS: usize = 20;

/// How many callers there are at once.
const CALLERS: [usize; 2] = [1, 64];

/// How many requests each client of a pair sends.
const REQUESTS: usize = 10_000;
const QUICK: usize = 2_000;

/// How often twenty more pairs are measured where a gate is missed or the noise is too
/// loud. The median is of all so far, so that no luck is drawn for anew.
const ROUNDS: usize = 3;

/// What share of the bare client's requests a second must be left.
const LEAST_RATE: f64 = 0.97;

/// How many times as long the slowest of a hundred requests may take.
///
/// Wider than the rate's: p99 is told by a hundred requests of ten thousand, most of
/// them slow because something else ran, and its ratio scatters several times as much.
/// What this would show is a lock that somebody holds, or a timer or a task for each
/// call. Beyond p99 a pair has too few requests to judge by.
const MOST_P99: f64 = 1.1;

/// What of a run is compared.
const MEASURES: [Measure; 4] = [
    Measure { name: "requests/s", of: |run| run.rate(), gate: Some(Gate::Least(LEAST_RATE)) },
    Measure { name: "p50", of: |run| run.percentile(0.5), gate: None },
    Measure { name: "p99", of: |run| run.percentile(0.99), gate: Some(Gate::Most(MOST_P99)) },
    Measure { name: "p99.9", of: |run| run.percentile(0.999), gate: None },
];

struct Measure {
    name: &'static str,
    of: fn(&mut Run) -> f64,
    gate: Option<Gate>,
}

/// What a ratio to the bare client must be.
#[derive(Clone, Copy)]
enum Gate {
    Least(f64),
    Most(f64),
}

impl Gate {
    fn admits(self, ratio: f64) -> bool {
        match self {
            Self::Least(least) => ratio >= least,
            Self::Most(most) => ratio <= most,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Least(least) => write!(f, ">= {least}"),
            Self::Most(most) => write!(f, "<= {most}"),
        }
    }
}

/// How it stands with the gates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judgment {
    Held,
    Missed,
    /// The bare client beside itself misses a gate.
    TooNoisy,
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let requests = if is_quick { QUICK } else { REQUESTS };
    let uri = server::start();
    println!("\nreal HTTP over loopback, pairs of {requests} requests");
    let mut all_held = true;
    for callers in CALLERS {
        let mut pairs = Vec::new();
        for round in 1..=ROUNDS {
            pairs.extend(measure(callers, requests, &uri));
            match judge(callers, &mut pairs) {
                Judgment::Held => break,
                _ if round < ROUNDS => println!("{PAIRS} pairs more"),
                Judgment::Missed => all_held = false,
                Judgment::TooNoisy => println!("NOT MEASURED: try on a quieter machine"),
            }
        }
    }
    if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs twenty pairs of that many callers.
fn measure(callers: usize, requests: usize, uri: &Uri) -> Vec<[Run; 3]> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    (0..PAIRS).map(|_| runtime.block_on(pair(callers, requests, uri))).collect()
}

/// Prints what is known of that many callers, and judges.
fn judge(callers: usize, pairs: &mut [[Run; 3]]) -> Judgment {
    let count = pairs.len();
    println!(
        "\n{callers:>2} at once, {count} pairs   bare   with the layer, middle half      \
         bare again, middle half"
    );
    let (mut held, mut quiet) = (true, true);
    for Measure { name, of, gate } in &MEASURES {
        let values: Vec<[f64; 3]> = pairs.iter_mut().map(|pair| pair.each_mut().map(of)).collect();
        let bare = quartiles(values.iter().map(|value| value[0])).1;
        let ours = quartiles(values.iter().map(|value| value[1] / value[0]));
        let again = quartiles(values.iter().map(|value| value[2] / value[0]));
        let is_held = gate.is_none_or(|gate| gate.admits(ours.1));
        held &= is_held;
        // Either of the two could have been the first.
        quiet &= gate.is_none_or(|gate| gate.admits(again.1) && gate.admits(1.0 / again.1));
        let bare = match *name {
            "requests/s" => format!("{bare:.0}"),
            _ => format!("{:.0} us", bare * 1e6),
        };
        print!("{name:<12} {bare:>14}   ");
        print!("{:.3} ({:.3} to {:.3})        ", ours.1, ours.0, ours.2);
        print!("{:.3} ({:.3} to {:.3})", again.1, again.0, again.2);
        if let Some(gate) = gate {
            print!("  {gate} {}", if is_held { "ok" } else { "MISSED" });
        }
        println!();
    }
    match (held, quiet) {
        (true, _) => Judgment::Held,
        (false, true) => Judgment::Missed,
        (false, false) => Judgment::TooNoisy,
    }
}

/// Runs a bare client, one with the layer, and a bare one again, in turns.
///
/// Short turns, so that what else the machine does falls on all of them alike, and long
/// enough for each caller to wait for the others some times.
async fn pair(callers: usize, requests: usize, uri: &Uri) -> [Run; 3] {
    let sides = [Side::bare(uri), Side::layered(uri), Side::bare(uri)];
    let mut runs = [const { Run::new() }; 3];
    let turn = (callers * 16).max(200);
    // Connections are made, and code is warm.
    for side in &sides {
        side.run(callers, turn).await;
    }
    for number in 0..requests / turn {
        // Each comes first, in the middle and last.
        for place in 0..sides.len() {
            let place = (place + number) % sides.len();
            let place = if number % 2 == 0 { place } else { sides.len() - 1 - place };
            runs[place].add(sides[place].run(callers, turn).await);
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
