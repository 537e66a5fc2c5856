//! Instructions of a call over those of the bare service: runs the callgrind
//! bench and reads what it counted.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use tower_retry_after_benches::CALLS;

use crate::Gates;

/// How many instructions the layer may add, by the bench's name for the case.
const MOST: [(&str, f64); 3] = [("quiet", 220.0), ("others", 600.0), ("rejected", 500.0)];

/// What a rejection may cost with every feature on: it asks `tracing` whether
/// anybody listens.
const MOST_REJECTED_WITH_FEATURES: f64 = 510.0;

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
    let plain = judge(gates, &[], MOST);
    println!("with every feature on");
    let most = MOST.map(|(case, most)| match case {
        "rejected" => (case, MOST_REJECTED_WITH_FEATURES),
        _ => (case, most),
    });
    let featured = judge(gates, &["--features", "every"], most);
    if let (Some(plain), Some(featured)) = (plain, featured) {
        let more = featured - plain;
        let held = gates.hold(more <= MOST_FOR_FEATURES);
        println!("features on, not in use             {more:>+6.0}  <= {MOST_FOR_FEATURES} {held}");
    }
}

/// Judges a build with those features; returns what the healthy path costs in it.
fn judge<const N: usize>(
    gates: &mut Gates,
    features: &[&str],
    most: [(&str, f64); N],
) -> Option<f64> {
    let counts = count(features);
    let Some(bare) = counts.get("bare") else {
        println!("the bench failed: {}", gates.hold(false));
        return None;
    };
    println!("bare                     {bare:>6.0}");
    for (case, most) in most {
        let count = counts.get(case).copied().unwrap_or(f64::NAN);
        let over = count - bare;
        let held = gates.hold(over <= most);
        println!("{case:<24} {count:>6.0}     {over:>6.0}  <= {most} {held}");
    }
    Some(counts.get("quiet")? - bare)
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
