//! What the schedule's examples promise to whoever starts them. Both are run as a
//! user would run them, in real time, beside each other.
#![cfg(feature = "schedule")]
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/program.rs"]
mod program;

use std::process::Command;

use program::program;

/// Runs an example to its end, and returns what it wrote.
fn run(example: &str) -> String {
    let output = Command::new(program(example)).output().expect("the example can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{example}: {error}");
    String::from_utf8(output.stdout).expect("the example writes UTF-8")
}

#[test]
fn mesh_sync_meets_each_of_its_peers_and_shows_the_book() {
    let written = run("mesh_sync");
    let cycles: Vec<&str> = written.lines().filter(|line| line.contains("s  cycle ")).collect();
    let met = |what: &str| cycles.iter().any(|line| line.contains(what));

    for what in [
        "limited: main",
        "limited: refused for",
        "down: Connection refused",
        "slow: request timed out",
        "forked: its head is other",
        "fine: main",
    ] {
        assert!(met(what), "{what} is missing in\n{written}");
    }
    let table: Vec<&str> = written.lines().skip_while(|line| !line.starts_with("peer ")).collect();
    let peers: Vec<&str> = table.iter().skip(1).filter_map(|row| row.split(' ').next()).collect();
    assert_eq!(peers, ["limited", "down", "slow", "forked", "fine"], "{written}");
}

#[test]
fn feeds_are_refused_where_there_is_a_limit_and_nowhere_else() {
    let written = run("feeds");
    // From the right: rejections, failed, the longest overdue and its unit.
    let row = |of: &str| -> Vec<f64> {
        let row = written.lines().find(|line| line.starts_with(of));
        let row = row.unwrap_or_else(|| panic!("no row {of} in\n{written}"));
        let numbers = row[24..].split_whitespace().filter(|word| *word != "s");
        numbers.map(|word| word.parse().expect("a number")).collect()
    };
    let [free, says, silent] =
        [row("no limit"), row("16 in 2 s, says when"), row("16 in 2 s, does not")];

    for (row, names) in [(&free, 35.0), (&says, 10.0), (&silent, 5.0)] {
        let [known, polls, _, rejections, failed, _] = row[..] else { panic!("{written}") };
        // Forty feeds each, polled once at least, and put off without a call.
        assert!((known - names).abs() < 0.5 && polls >= 40.0 * names, "{written}");
        assert!(rejections + failed < 0.5, "{written}");
    }
    assert!(free[2] < 0.5, "nobody limits these\n{written}");
    // A limit is met in most of the six windows, by two calls that are out at most.
    // (On a machine that is very busy the polls are late, and fewer are refused.)
    assert!((1.0..=120.0).contains(&says[2]), "{written}");
    assert!((1.0..=60.0).contains(&silent[2]), "{written}");
}
