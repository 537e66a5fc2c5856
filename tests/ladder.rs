//! The ladder against its vectors, and at its edges.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "for tests")]

use std::time::Duration;

use serde_json::Value;
use tower_retry_after::Ladder;

const VECTORS: &str = include_str!("vectors/ladder.jsonl");

fn seconds(row: &Value, field: &str) -> Duration {
    Duration::from_secs(row[field].as_u64().unwrap())
}

#[test]
fn every_vector_holds() {
    let mut rows = 0;
    for line in VECTORS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let ladder = Ladder::new(seconds(&row, "base_s"), seconds(&row, "cap_s"));
        let failures = u32::try_from(row["consecutive_failures"].as_u64().unwrap()).unwrap();
        let hint = seconds(&row, "retry_after_s");

        let expected = seconds(&row, "delay_s");

        assert_eq!(ladder.delay_with_hint(failures, hint), expected, "{line}");
        if hint.is_zero() {
            assert_eq!(ladder.delay(failures), expected, "{line}");
        }
        rows += 1;
    }

    assert_eq!(rows, VECTOR_ROWS);
}

/// How many rows there are; a file cut short is noticed.
const VECTOR_ROWS: usize = 114;

#[test]
fn the_default_ladder_doubles_from_a_minute_to_half_an_hour() {
    let waits: Vec<u64> = (0..=8).map(|n| Ladder::default().delay(n).as_secs()).collect();

    assert_eq!(waits, [0, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
}

#[test]
fn a_ladder_climbs_no_further_than_sixteen_doublings() {
    let ladder = Ladder::new(Duration::from_millis(1), Duration::MAX);

    assert_eq!(ladder.delay(16), Duration::from_millis(1 << 15));
    for failures in [17, 18, 33, 65, u32::MAX] {
        assert_eq!(ladder.delay(failures), Duration::from_millis(1 << 16));
    }
}

#[test]
fn a_cap_of_zero_turns_the_ladder_off() {
    let ladder = Ladder::new(Duration::MAX, Duration::ZERO);
    let hint = Duration::from_nanos(1);

    for failures in [0, 1, 17, u32::MAX] {
        assert_eq!(ladder.delay(failures), Duration::ZERO);
        assert_eq!(ladder.delay_with_hint(failures, hint), hint);
    }
}

#[test]
fn any_two_durations_make_a_ladder_that_never_comes_down() {
    let nano = Duration::from_nanos(1);
    for base in [Duration::ZERO, nano, Duration::from_secs(60), Duration::MAX] {
        for cap in [Duration::ZERO, nano, Duration::from_secs(1800), Duration::MAX] {
            let ladder = Ladder::new(base, cap);
            let waits: Vec<Duration> = (0..40).map(|n| ladder.delay(n)).collect();

            assert!(waits.is_sorted(), "{ladder:?}");
            assert!(waits.iter().all(|wait| *wait <= cap), "{ladder:?}");
            assert_eq!(waits[1], base.min(cap), "{ladder:?}");
            assert_eq!(ladder.delay_with_hint(3, Duration::MAX), Duration::MAX);
        }
    }
}
