//! The state of a sync loop does what the vectors say, and is never stuck.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests"
)]
#![cfg(feature = "schedule")]

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tower_retry_after::Ladder;
use tower_retry_after::schedule::{Outcome, SyncPolicy, SyncState};

const A_DAY: Duration = Duration::from_secs(24 * 3600);
const NO_HINT: Duration = Duration::ZERO;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().expect("whole seconds"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The time of a vector, in which zero is never.
fn time(value: &Value) -> Option<SystemTime> {
    Some(value.as_u64().expect("a time")).filter(|&time| time > 0).map(at)
}

fn outcome(value: &Value) -> Outcome {
    match text(value) {
        "idle" => Outcome::Idle,
        "running" => Outcome::Running,
        "ok" => Outcome::Ok,
        "error" => Outcome::Error,
        "fork" => Outcome::Fork,
        "solo" => Outcome::Solo,
        other => panic!("no outcome: {other}"),
    }
}

fn take(state: &mut SyncState, policy: &SyncPolicy, step: &Value) {
    let now = at(step["now"].as_u64().expect("a time"));
    let peer = || text(&step["peer_url"]);
    let head = || text(&step["current_head"]);
    let failure = || (text(&step["error"]), seconds(&step["retry_after_s"]));
    match text(&step["op"]) {
        "begin" => state.begin(peer(), head(), now),
        "ok" => state.finish_ok(policy, peer(), head(), now),
        "fail" | "rate_limited" => {
            let (error, hint) = failure();
            state.finish_err(policy, peer(), head(), error, hint, now);
        }
        "fork" => {
            let (error, hint) = failure();
            state.finish_fork(policy, peer(), head(), error, hint, now);
        }
        "solo" => state.finish_solo(policy, head(), now),
        "due" => {}
        other => panic!("no operation: {other}"),
    }
}

#[test]
fn every_history_goes_as_the_vectors_say() {
    let mut steps = 0;
    for line in include_str!("vectors/sync.jsonl").lines() {
        let history: Value = serde_json::from_str(line).expect("a line of JSON");
        let policy = &history["policy"];
        let ladder = Ladder::new(
            seconds(&policy["failure_backoff_s"]),
            seconds(&policy["failure_backoff_cap_s"]),
        );
        let interval = seconds(&policy["interval_s"]);
        let policy = SyncPolicy { interval, ladder, run_lease: A_DAY };
        let mut state = SyncState::default();

        for step in history["steps"].as_array().expect("steps") {
            take(&mut state, &policy, step);

            let expected = &step["state"];
            assert_eq!(
                state.last_sync_started_at,
                time(&expected["last_sync_started_at"]),
                "{step}"
            );
            assert_eq!(
                state.last_sync_finished_at,
                time(&expected["last_sync_finished_at"]),
                "{step}"
            );
            assert_eq!(state.last_sync_ok_at, time(&expected["last_sync_ok_at"]), "{step}");
            assert_eq!(state.next_sync_due_at, time(&expected["next_sync_due_at"]), "{step}");
            assert_eq!(state.last_peer_url, text(&expected["last_peer_url"]), "{step}");
            assert_eq!(state.last_error, text(&expected["last_error"]), "{step}");
            assert_eq!(state.last_outcome, outcome(&expected["last_outcome"]), "{step}");
            assert_eq!(state.current_head, text(&expected["current_head"]), "{step}");
            assert_eq!(Some(state.fork_detected), expected["fork_detected"].as_bool(), "{step}");
            assert_eq!(
                Some(u64::from(state.consecutive_failures)),
                expected["consecutive_failures"].as_u64(),
                "{step}"
            );
            let due = |now| Some(state.is_due(&policy, now));
            assert_eq!(due(at(step["now"].as_u64().unwrap())), step["due"].as_bool(), "{step}");
            if let Some(next) = state.next_sync_due_at {
                let early = next - Duration::from_secs(1);
                assert_eq!(due(early), step["due_1s_early"].as_bool(), "{step}");
                assert_eq!(due(next), step["due_on_time"].as_bool(), "{step}");
            }
            steps += 1;
        }
    }
    assert!(steps > 500, "only {steps} steps");
}

#[test]
fn a_loop_that_has_never_run_is_due() {
    assert!(SyncState::default().is_due(&SyncPolicy::default(), SystemTime::UNIX_EPOCH));
}

#[test]
fn the_defaults_are_five_minutes_and_half_an_hour() {
    let policy = SyncPolicy::default();

    assert_eq!(policy.interval, Duration::from_secs(300));
    assert_eq!(policy.ladder, Ladder::default());
    assert_eq!(policy.run_lease, Duration::from_secs(1800));
}

#[test]
fn a_run_that_never_ended_blocks_no_longer_than_its_lease() {
    let policy = SyncPolicy::default();
    let mut state = SyncState::default();
    state.begin("https://peer.example", "", at(1_000));

    assert!(!state.is_due(&policy, at(1_000 + 1_799)));
    assert!(state.is_due(&policy, at(1_000 + 1_800)));
}

#[test]
fn an_interval_below_a_second_works() {
    let policy = SyncPolicy { interval: Duration::from_millis(250), ..SyncPolicy::default() };
    let mut state = SyncState::default();
    state.begin("", "", at(1_000));
    state.finish_ok(&policy, "", "", at(1_000));

    assert!(!state.is_due(&policy, at(1_000) + Duration::from_millis(249)));
    assert!(state.is_due(&policy, at(1_000) + Duration::from_millis(250)));
}

#[test]
fn what_could_not_be_sent_is_put_off_and_leaves_no_other_trace() {
    let policy = SyncPolicy::default();
    let mut state = SyncState::default();
    state.finish_fork(&policy, "https://a.example", "h1", "forked", NO_HINT, at(1_000));
    let before = state.clone();

    state.begin("", "", at(2_000));
    state.put_off(at(2_500), at(2_000));

    assert_eq!(state.next_sync_due_at, Some(at(2_500)));
    assert_eq!(state.last_outcome, before.last_outcome);
    assert_eq!(state.last_error, before.last_error);
    assert_eq!(state.fork_detected, before.fork_detected);
    assert_eq!(state.consecutive_failures, before.consecutive_failures);
}

#[test]
fn a_second_beginning_does_not_forget_what_was_before_the_first() {
    let policy = SyncPolicy::default();
    let mut state = SyncState::default();
    state.finish_err(&policy, "", "", "down", NO_HINT, at(1_000));

    // The first run outlived its lease, and a second one took over.
    state.begin("", "", at(2_000));
    state.begin("", "", at(9_000));
    state.put_off(at(9_500), at(9_000));

    assert_eq!((state.last_outcome, state.last_error.as_str()), (Outcome::Error, "down"));
}

#[test]
fn no_wait_is_too_long_for_the_clock() {
    let ladder = Ladder::new(Duration::MAX, Duration::MAX);
    let policy = SyncPolicy { interval: Duration::MAX, ladder, run_lease: Duration::MAX };
    let mut state = SyncState::default();
    state.finish_ok(&policy, "", "", at(1_000));
    assert!(state.next_sync_due_at > Some(at(1_000)));
    state.finish_err(&policy, "", "", "down", Duration::MAX, at(1_000));
    assert!(state.next_sync_due_at > Some(at(1_000)));
    state.begin("", "", at(1_000));
    assert!(!state.is_due(&policy, at(1_000)));
}
