//! The event scripts of `tests/vectors/fleet.jsonl`, each one a promise, through both
//! machines.
//!
//! Times and waits are in seconds since the script's beginning; what is not expected
//! is not looked at.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::SECOND;
use super::player::{End, Outcome, Policy, Step, What, fields, play_in_lua, play_in_rust};
use super::server::Server;
use crate::cooldown::Role;

const VECTORS: &str = include_str!("../../../../tests/vectors/fleet.jsonl");

/// How many scripts there are; a file cut short is noticed.
const SCRIPTS: usize = 69;

/// When the scripts begin: as large as Redis's clock is.
const BEGINNING: u64 = 1_700_000_000 * SECOND;

struct Script {
    name: String,
    policy: Policy,
    steps: Vec<Step>,
    expected: Vec<Map<String, Value>>,
}

/// Seconds, with as many digits as a clock of microseconds has.
#[expect(clippy::cast_possible_truncation, reason = "rounded, and far from the ends")]
fn time(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 1e6).round() as i64
}

fn wait(value: &Value) -> u64 {
    time(value).try_into().unwrap()
}

fn small<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    Some(T::try_from(value.as_u64()?).ok().unwrap())
}

#[expect(clippy::cast_possible_truncation, reason = "the shares are short")]
fn share(value: &Value) -> f32 {
    value.as_f64().unwrap_or(0.0) as f32
}

fn hint(value: &Value) -> Option<u64> {
    (!value.is_null()).then(|| wait(value))
}

fn policy(script: &Value) -> Policy {
    let policy = &script["policy"];
    Policy {
        base: wait(&policy["base"]),
        cap: wait(&policy["cap"]),
        max_retry_after: wait(&policy["max_retry_after"]),
        trust_hints: policy["trust_hints"].as_bool().unwrap(),
        probe_lease: wait(&policy["probe_lease"]),
        reopen_width: small(&policy["reopen_width"]).unwrap(),
        forget: wait(&script["forget"]),
    }
}

fn step(step: &Value) -> Step {
    let stretch = share(&step["stretch"]);
    let ending = match step["event"].as_str().unwrap() {
        "refused" => {
            let status = small(&step["status"]).unwrap_or(429);
            Some(End::Refused { status, hint: hint(&step["hint"]), stretch })
        }
        "exhausted" => Some(End::Exhausted { reset: wait(&step["reset"]), stretch }),
        "succeeded" => Some(End::Succeeded),
        "neutral" => Some(End::Neutral),
        "dropped" => Some(End::Dropped),
        _ => None,
    };
    let role = match step["role"].as_str() {
        None | Some("free") => Role::Free,
        Some("probe") => Role::Probe(small(&step["probe"]).unwrap()),
        Some("place") => Role::Place,
        Some("late") => Role::Late,
        Some(other) => panic!("no role: {other}"),
    };
    let what = match (step["event"].as_str().unwrap(), ending) {
        (_, Some(ending)) => What::Settled { seen: small(&step["seen"]).unwrap(), role, ending },
        ("asked", None) => What::Asked,
        ("cooled", None) => What::Cooled(wait(&step["wait"])),
        ("restored", None) => What::Restored {
            remaining: time(&step["remaining"]),
            rung: small(&step["rung"]).unwrap(),
            status: small(&step["status"]),
            hint: hint(&step["hint"]),
            by_hand: step["by_hand"].as_bool().unwrap_or(false),
        },
        (other, None) => panic!("no event: {other}"),
    };
    Step { at: BEGINNING + wait(&step["at"]), what }
}

fn scripts() -> Vec<Script> {
    VECTORS
        .lines()
        .map(|line| {
            let script: Value = serde_json::from_str(line).unwrap();
            let steps = script["steps"].as_array().unwrap();
            Script {
                name: script["name"].as_str().unwrap().to_owned(),
                policy: policy(&script),
                steps: steps.iter().map(step).collect(),
                expected: steps
                    .iter()
                    .map(|step| step["expect"].as_object().unwrap().clone())
                    .collect(),
            }
        })
        .collect()
}

/// What is expected, as the machines say it.
fn said(field: &str, value: &Value) -> String {
    match (field, value) {
        (_, Value::Null | Value::Bool(false)) => "-".to_owned(),
        (_, Value::Bool(true)) => "1".to_owned(),
        (_, Value::String(word)) => word.clone(),
        ("gate" | "ends" | "began", _) => {
            (BEGINNING.checked_add_signed(time(value)).unwrap()).to_string()
        }
        ("hint", _) => wait(value).to_string(),
        (_, number) => number.to_string(),
    }
}

fn hold(script: &Script, machine: &str, outcomes: &[Outcome]) {
    assert_eq!(outcomes.len(), script.expected.len());
    for (index, (expected, outcome)) in script.expected.iter().zip(outcomes).enumerate() {
        let outcome = fields(outcome);
        for (field, value) in expected {
            let (said, name) = (said(field, value), &script.name);
            assert_eq!(
                outcome[field.as_str()],
                said,
                "{field} after step {index} in {machine}: {name}"
            );
        }
    }
}

#[test]
fn every_event_script_holds_in_rust() {
    let scripts = scripts();

    for script in &scripts {
        hold(script, "Rust", &play_in_rust(script.policy, &script.steps));
    }

    assert_eq!(scripts.len(), SCRIPTS);
}

#[test]
fn every_event_script_holds_in_lua() {
    let Some(server) = Server::start() else { return };
    let scripts = scripts();
    let given: Vec<_> =
        scripts.iter().map(|script| (script.policy, script.steps.clone())).collect();

    let played = play_in_lua(&mut server.connect(), &given);

    assert_eq!(played.len(), SCRIPTS);
    for (script, outcomes) in scripts.iter().zip(&played) {
        hold(script, "Lua", outcomes);
    }
}

#[test]
fn each_script_says_what_it_promises_and_what_follows_from_each_step() {
    let scripts = scripts();
    let names: BTreeSet<_> = scripts.iter().map(|script| &script.name).collect();

    assert_eq!(names.len(), scripts.len());
    for script in &scripts {
        for expected in &script.expected {
            assert!(expected.contains_key("effect"), "{}", script.name);
            assert!(expected.contains_key("phase"), "{}", script.name);
        }
    }
}
