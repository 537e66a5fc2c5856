//! Instructions of a call over those of the bare service: runs the callgrind
//! bench and reads what it counted.

use std::collections::HashMap;

use tower_retry_after_benches::run;

use crate::Gates;

/// A case, the same without the layer, and how many instructions the layer may add;
/// by the bench's names.
const MOST: [(&str, &str, f64); 5] = [
    ("quiet", "bare", 220.0),
    ("others", "bare", 600.0),
    ("rejected", "bare", 500.0),
    ("waiting", "bare", 300.0),
    ("api", "bare_api", 340.0),
];

/// How many more it may add to a call on the healthy path with every feature on and
/// none in use: none, but for how the compiler lays the same code out.
const MOST_FOR_FEATURES: f64 = 4.0;

pub(crate) fn run(gates: &mut Gates) {
    println!("\ninstructions of a call      all  over bare  gate");
    if let Some((tool, install)) = run::missing_tool() {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        println!("NOT COUNTED: {tool} is missing, install {install}");
        gates.hold(!ci);
        return;
    }
    let plain = judge(gates, &[]);
    println!("with every feature on");
    let featured = judge(gates, &["--features", "every"]);
    for case in ["quiet", "api"] {
        let more = over(&featured, case) - over(&plain, case);
        let held = gates.hold(more <= MOST_FOR_FEATURES);
        println!("{case:<24}            {more:>+6.0}  <= {MOST_FOR_FEATURES} {held}");
    }
    judge_fleet(gates, &featured);
}

/// Judges calls whose table is in step with a fleet beside the same without one.
fn judge_fleet(gates: &mut Gates, alone: &HashMap<String, f64>) {
    println!("in step with a fleet");
    let fleet = run::instructions("fleet", &["--features", "every"], None);
    for case in ["quiet", "rejected"] {
        let all = of(&fleet, &format!("{case}_in_fleet"));
        let more = all - of(alone, case);
        let held = gates.hold(more <= MOST_FOR_FEATURES);
        println!("{case:<24} {all:>6.0}     {more:>+6.0}  <= {MOST_FOR_FEATURES} {held}");
    }
    // The way to "not here" differs with the table's seed, so it has the gate of its own.
    for (case, bare, most) in MOST.into_iter().filter(|(case, ..)| *case == "others") {
        let all = of(&fleet, &format!("{case}_in_fleet"));
        let over = all - of(alone, bare);
        let held = gates.hold(over <= most);
        println!("{case:<24} {all:>6.0}     {over:>6.0}  <= {most} {held}");
    }
}

/// Judges a build with those features; returns its counts.
fn judge(gates: &mut Gates, features: &[&str]) -> HashMap<String, f64> {
    let counts = run::instructions("instructions", features, None);
    println!("bare                     {:>6.0}", of(&counts, "bare"));
    for (case, _, most) in MOST {
        let over = over(&counts, case);
        let held = gates.hold(over <= most);
        println!("{case:<24} {:>6.0}     {over:>6.0}  <= {most} {held}", of(&counts, case));
    }
    counts
}

fn of(counts: &HashMap<String, f64>, case: &str) -> f64 {
    counts.get(case).copied().unwrap_or(f64::NAN)
}

/// Returns how many instructions the layer adds; what was not counted holds no gate.
fn over(counts: &HashMap<String, f64>, case: &str) -> f64 {
    let bare = MOST.into_iter().find(|(name, ..)| *name == case).map_or("", |(_, bare, _)| bare);
    of(counts, case) - of(counts, bare)
}
