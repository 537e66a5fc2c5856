//! The seeds are fine, and a failure says how it is found again.

use std::fs;
use std::process::Command;

use tower_retry_after_fuzz::{TARGETS, Target, try_input};

#[test]
fn every_target_has_seeds_and_passes_over_them() {
    for target in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(target.seeds()).unwrap() {
            let path = entry.unwrap().path();
            let outcome = try_input(&target, &fs::read(&path).unwrap());
            assert!(outcome.is_ok(), "{}: {}", path.display(), outcome.unwrap_err().said);
            count += 1;
        }
        assert!(count > 0, "{} has no seeds", target.name);
    }
}

#[test]
fn every_target_takes_inputs_that_are_nothing_or_noise() {
    for target in TARGETS {
        for length in [0, 1, 2, 16, 300] {
            for byte in [0, 1, 7, b':', b'@', b'\n', 0x80, 0xff] {
                let outcome = try_input(&target, &vec![byte; length]);
                assert!(outcome.is_ok(), "{}: {length} times {byte}: {outcome:?}", target.name);
            }
        }
    }
}

#[test]
fn what_an_assertion_says_is_kept() {
    let target = Target { name: "x", check: |data| assert!(data.is_empty(), "{data:?}") };

    assert!(try_input(&target, b"").is_ok());
    assert!(try_input(&target, b"a").unwrap_err().said.contains("[97]"));
}

#[test]
fn a_run_with_a_seed_is_the_same_run_each_time() {
    let run = |seed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-retry-after-fuzz"));
        command.args(["classify", "--runs", "50", "--seed", seed]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };

    assert!(run("7").contains("50 inputs made, by --seed 7 --runs 50"));
    assert_eq!(run("7"), run("7"));
}

#[test]
fn orders_that_make_no_sense_are_told() {
    for words in [&["--secnods", "3"][..], &["no-such-file-or-target"], &["classify", "no-file"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-retry-after-fuzz"));
        let output = command.args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
}
