//! What `examples/fleet` promises to whoever starts it. It is run as a user would run
//! it, in real time.
#![cfg(feature = "redis")]
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "support/program.rs"]
mod program;

use std::process::{Command, Output};

use program::program;

fn run(options: &[&str]) -> Output {
    Command::new(program("fleet")).args(options).output().expect("the example can be run")
}

/// Returns what it wrote, where all went well.
fn written(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
    String::from_utf8(output.stdout).expect("the example writes UTF-8")
}

/// The numbers of a row of the sums: seconds, sent, answered, refused, windows used up.
fn sums(written: &str, name: &str) -> Vec<f64> {
    let row = written.lines().find_map(|line| line.strip_prefix(name));
    let row = row.unwrap_or_else(|| panic!("no row {name} in\n{written}"));
    let numbers = row.split_whitespace().filter(|word| *word != "s");
    numbers.take(5).map(|word| word.parse().expect("a number")).collect()
}

/// The lines that tell of a second.
fn seconds(written: &str) -> usize {
    // A moment between them has fractions: `  5.00 s`.
    let is_second = |line: &&str| line.get(..5).is_some_and(|start| start.ends_with(" s"));
    written.lines().filter(is_second).count()
}

/// Says so where there is no Redis to run, which is a failure under `CI=true`.
fn is_there() -> bool {
    let is_there = Command::new("redis-server").arg("--version").output().is_ok();
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(is_there || !is_ci, "redis-server is missing");
    if !is_there {
        eprintln!("NOT TESTED: redis-server is missing (Debian: apt-get install redis-server)");
    }
    is_there
}

#[test]
fn fleet_plays_its_script_to_the_end_and_shows_both_teams() {
    if !is_there() {
        return;
    }

    let written = written(run(&[]));

    let mut rest = written.as_str();
    for mark in [
        "redis killed",
        "redis back",
        "all in step",
        "worker 4 killed",
        "worker 4 back",
        "all in step",
        "after 18.",
    ] {
        let at = rest.find(mark).unwrap_or_else(|| panic!("{mark} is missing in\n{written}"));
        rest = rest.split_at(at).1;
    }
    assert_eq!(seconds(&written), 18, "{written}");
    for name in ["the fleet  ", "the fleet, Redis away", "without a fleet  "] {
        let [time, sent, answered, refused, _] = sums(&written, name)[..] else {
            panic!("{written}")
        };
        assert!(time > 3.0 && answered > 0.0, "{written}");
        assert!((sent - answered - refused).abs() < 0.5, "{written}");
    }
}

#[test]
fn alone_the_processes_need_no_redis() {
    let written = written(run(&["--alone", "--workers", "2"]));

    assert!(!written.contains("redis") && !written.contains("the fleet  "), "{written}");
    assert!(written.contains("worker 2 killed"), "{written}");
    assert_eq!(seconds(&written), 18, "{written}");
    let [.., refused, used_up] = sums(&written, "without a fleet")[..] else { panic!("{written}") };
    assert!(used_up >= 1.0 && refused >= used_up, "{written}");
}

#[test]
fn without_a_redis_it_says_what_to_install() {
    let mut fleet = Command::new(program("fleet"));
    let output = fleet.env("PATH", "").output().expect("the example can be run");

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("install redis-server") && error.contains("--alone"), "{error}");
    assert!(output.stdout.is_empty());
}
