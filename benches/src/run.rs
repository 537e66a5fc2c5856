//! Runs other programs of this package, and reads what they say.
//!
//! A count of allocations needs an allocator of its own, and a count of
//! instructions valgrind; neither goes into a program that reads the clock.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::CALLS;

/// Returns the command that runs something else of this package.
#[must_use]
pub fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args.first()).args(["--quiet", "--package", env!("CARGO_PKG_NAME")]);
    cargo.args(args.iter().skip(1));
    cargo
}

/// Returns the first tool for counting instructions that is not installed, and how
/// to install it.
#[must_use]
pub fn missing_tool() -> Option<(&'static str, &'static str)> {
    let tools = [
        ("valgrind", "the package `valgrind`"),
        ("gungraun-runner", "`cargo install --version =0.20.0 gungraun-runner`"),
    ];
    tools.into_iter().find(|(tool, _)| {
        let mut run = Command::new(tool);
        run.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    })
}

/// Runs a bench by callgrind, or the cases of it that a pattern names; returns the
/// instructions of one call by case.
#[must_use]
pub fn instructions(bench: &str, features: &[&str], pattern: Option<&str>) -> HashMap<String, f64> {
    let run = cargo(&["bench", "--bench", bench])
        .args(features)
        .args(["--", "--output-format=json"])
        .args(pattern)
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
