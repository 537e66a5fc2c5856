//! Instructions of a call over those of the bare service: runs the callgrind
//! bench and reads what it counted.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use tower_retry_after_benches::CALLS;

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
    for (tool, install) in [
        ("valgrind", "the package `valgrind`"),
        ("gungraun-runner", "`cargo install --version =0.20.0 gungraun-runner`"),
    ] {
        if !is_installed(tool) {
            let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            println!("NOT COUNTED: {tool} is missing, install {install}");
            gates.hold(!ci);
            return;
        }
    }
    let plain = judge(gates, &[]);
    println!("with every feature on");
    let featured = judge(gates, &["--features", "every"]);
    for case in ["quiet", "api"] {
        let more = over(&featured, case) - over(&plain, case);
        let held = gates.hold(more <= MOST_FOR_FEATURES);
        println!("{case:<24}            {more:>+6.0}  <= {MOST_FOR_FEATURES} {held}");
    }
}

/// Judges a build with those features; returns its counts.
fn judge(gates: &mut Gates, features: &[&str]) -> HashMap<String, f64> {
    let counts = count(features);
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

fn is_installed(tool: &str) -> bool {
    let run =
        Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok()
}

/// Runs the bench; returns the instructions of one call by case.
fn count(features: &[&str]) -> HashMap<String, f64> {
    let run = crate::cargo(&["bench", "--bench", "instructions"])
        .args(features)
        .args(["--", "--output-format=json"])
        .stderr(Stdio::inherit())
        .output();
    let stdout = run.map(|run| run.stdout).unwrap_or_default();
    let lines = String::from_utf8_lossy(&stdout);
    lines.lines().filter_map(|line| read(&serde_json::from_str(line).ok()?)).collect()
}

/// Reads one case of the bench's report, which comes as one line of JSON.
fn read(report: &Value) -> Option<(String, f64)> {
    let case = report["id"].as_str()?;
    let all = report.pointer("/profiles/0/data/total/metrics/Ir/values/new")?.as_f64()?;
    Some((case.to_owned(), all / CALLS as f64))
}
