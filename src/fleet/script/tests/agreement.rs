//! Random scripts of events, at times that dwell on the edges: both machines follow.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use redis::Connection;

use super::player::{End, Native, Policy, Step, What, fields, play_in_lua, play_in_rust};
use super::server::Server;
use super::{SECOND, micros};
use crate::cooldown::{Phase, Role};

/// When the scripts begin: as large as Redis's clock is.
const BEGINNING: u64 = 1_700_000_000 * SECOND;

/// How many scripts go to Redis at once.
const AT_ONCE: usize = 64;

/// When something happens, as it can be said before the script is played.
#[derive(Clone, Copy, Debug)]
enum When {
    /// So long after the step before.
    Later(u64),
    /// So long before it, as after a step of the clock.
    Earlier(u64),
    /// At an edge of what is known, or a microsecond beside it.
    Edge(Edge, i64),
}

#[derive(Clone, Copy, Debug)]
enum Edge {
    Gate,
    Ends,
    Began,
    Forgotten,
}

/// What a call that ends knew, as it can be said before the script is played.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Newest,
    Older,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Free,
    NewestProbe,
    OlderProbe,
    Place,
    Late,
}

/// What happens, as it can be said before the script is played.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Asked,
    Settled(Seen, By, End),
    Cooled(u64),
    Restored { remaining: i64, rung: u32, status: Option<u16>, hint: Option<u64>, by_hand: bool },
}

/// Waits of which each share below is a whole number of microseconds.
fn waits() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => select(vec![0, 4, 400_000, SECOND, 2 * SECOND, 60 * SECOND]),
        2 => (0..20_000_000_u64).prop_map(|wait| wait * 4),
        1 => select(vec![999_996, 1_000_004, 3600 * SECOND, 1 << 49]),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let numbers = (waits(), waits(), waits(), any::<bool>());
    let width = prop_oneof![4 => 0..6_u32, 1 => Just(64), 1 => Just(u32::MAX)];
    (numbers, waits(), width, waits()).prop_map(
        |((base, cap, max_retry_after, trust_hints), probe_lease, reopen_width, forget)| Policy {
            base,
            cap,
            max_retry_after,
            trust_hints,
            probe_lease,
            reopen_width,
            forget,
        },
    )
}

/// The policy of one that lives long enough to be seen in each state.
fn lively() -> impl Strategy<Value = Policy> {
    let base = select(vec![400_000, SECOND, 2 * SECOND]);
    (base, any::<bool>(), 1..8_u32, 1..40_u64).prop_map(|(base, trust_hints, width, memory)| {
        Policy {
            base,
            cap: 8 * SECOND,
            max_retry_after: 10 * SECOND,
            trust_hints,
            probe_lease: 3 * SECOND,
            reopen_width: width,
            forget: memory * 2 * SECOND,
        }
    })
}

fn times() -> impl Strategy<Value = When> {
    let edges = select(vec![Edge::Gate, Edge::Gate, Edge::Ends, Edge::Began, Edge::Forgotten]);
    prop_oneof![
        4 => Just(When::Later(0)),
        2 => waits().prop_map(When::Later),
        2 => (0..4 * SECOND).prop_map(When::Later),
        1 => (0..4 * SECOND).prop_map(When::Earlier),
        6 => (edges, -1..=1_i64).prop_map(|(edge, beside)| When::Edge(edge, beside)),
    ]
}

fn shares() -> impl Strategy<Value = f32> {
    select(vec![0.0, 0.0, 0.25, 0.5, 1.0])
}

fn statuses() -> impl Strategy<Value = u16> {
    select(vec![429, 403, 503, 529])
}

fn endings() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => (statuses(), option::of(waits()), shares())
            .prop_map(|(status, hint, stretch)| End::Refused { status, hint, stretch }),
        1 => (waits(), shares()).prop_map(|(reset, stretch)| End::Exhausted { reset, stretch }),
        5 => Just(End::Succeeded),
        2 => Just(End::Neutral),
        2 => Just(End::Dropped),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let seen = prop_oneof![4 => Just(Seen::Newest), 1 => Just(Seen::Older)];
    let by = prop_oneof![
        4 => Just(By::NewestProbe),
        3 => Just(By::Place),
        2 => Just(By::Free),
        1 => Just(By::OlderProbe),
        1 => Just(By::Late),
    ];
    let remaining = (waits(), any::<bool>()).prop_map(|(wait, is_over)| {
        let wait = i64::try_from(wait).unwrap();
        if is_over { -wait } else { wait }
    });
    let record = (remaining, 0..5_u32, option::of(statuses()), option::of(waits()), any::<bool>());
    prop_oneof![
        10 => Just(Plan::Asked),
        14 => (seen, by, endings()).prop_map(|(seen, by, ending)| Plan::Settled(seen, by, ending)),
        1 => waits().prop_map(Plan::Cooled),
        1 => record.prop_map(|(remaining, rung, status, hint, by_hand)| {
            Plan::Restored { remaining, rung, status, hint, by_hand }
        }),
    ]
}

type Script = (Policy, Vec<(When, Plan)>);

fn scripts() -> impl Strategy<Value = Script> {
    let policy = prop_oneof![2 => lively(), 1 => policies()];
    (policy, vec((times(), plans()), 1..40))
}

/// Says what a script means, by playing it to the machine in Rust.
fn concrete((policy, plans): &Script) -> (Policy, Vec<Step>) {
    let mut native = Native::new(*policy);
    let mut now = BEGINNING;
    let mut steps = Vec::new();
    for &(when, plan) in plans {
        now = time(when, now, &native);
        let step = Step { at: now, what: event(plan, &native) };
        native.step(step);
        steps.push(step);
    }
    (*policy, steps)
}

fn time(when: When, now: u64, native: &Native) -> u64 {
    let state = &native.state;
    match when {
        When::Later(wait) => now + wait,
        When::Earlier(wait) => now.saturating_sub(wait).max(BEGINNING),
        When::Edge(edge, beside) => {
            let moment = match (edge, state.phase) {
                (Edge::Gate, Phase::Cooling { until: gate } | Phase::Probing { lease: gate }) => {
                    gate
                }
                (Edge::Began, _) => state.inner().0.after(native.forget()),
                (Edge::Forgotten, _) => state.forgotten_at(native.forget()),
                (Edge::Gate | Edge::Ends, _) => state.ends,
            };
            let edge = moment.nanos() / 1000;
            edge.saturating_add_signed(beside).max(now)
        }
    }
}

fn event(plan: Plan, native: &Native) -> What {
    match plan {
        Plan::Asked => What::Asked,
        Plan::Settled(seen, by, ending) => {
            let newest = native.state.inner().2;
            let role = match by {
                By::Free => Role::Free,
                By::NewestProbe => Role::Probe(newest),
                By::OlderProbe => Role::Probe(newest.wrapping_sub(1)),
                By::Place => Role::Place,
                By::Late => Role::Late,
            };
            let seen = match seen {
                Seen::Newest => native.state.generation,
                Seen::Older => native.state.generation.saturating_sub(1),
            };
            What::Settled { seen, role, ending }
        }
        Plan::Cooled(wait) => What::Cooled(wait),
        Plan::Restored { remaining, rung, status, hint, by_hand } => {
            What::Restored { remaining, rung, status, hint, by_hand }
        }
    }
}

fn agree(redis: &mut Connection, scripts: &[(Policy, Vec<Step>)]) -> Result<(), TestCaseError> {
    let played = play_in_lua(redis, scripts);
    for ((policy, steps), in_lua) in scripts.iter().zip(played) {
        let in_rust = play_in_rust(*policy, steps);
        for (index, (rust, lua)) in in_rust.iter().zip(&in_lua).enumerate() {
            prop_assert_eq!(rust, lua, "step {} of {:?} {:#?}", index, policy, &steps[..=index]);
        }
        prop_assert_eq!(in_rust.len(), in_lua.len());
    }
    Ok(())
}

#[test]
fn both_machines_do_the_same_with_every_script() {
    let Some(server) = Server::start() else { return };
    let redis = Mutex::new(server.connect());

    // Two thousand scripts; more by PROPTEST_CASES.
    let cases = ProptestConfig::default().cases / 8;
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) },
        |(scripts in vec(scripts(), AT_ONCE))| {
            let scripts: Vec<_> = scripts.iter().map(concrete).collect();
            agree(&mut redis.lock().unwrap_or_else(PoisonError::into_inner), &scripts)?;
        }
    );
}

#[test]
fn the_scripts_of_this_suite_reach_every_cell_of_the_table() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeMap::<_, u32>::new();

    for _ in 0..1000 {
        let script = scripts().new_tree(&mut runner).unwrap().current();
        let (policy, steps) = concrete(&script);
        let mut native = Native::new(policy);
        for step in steps {
            let before = state_word(native.state.phase);
            let is_stale = matches!(step.what, What::Settled { seen, .. }
                if seen < native.state.generation);
            native.step(step);
            let word = step.what.to_string().split(' ').next().unwrap().to_owned();
            *reached.entry((word, is_stale, before)).or_default() += 1;
        }
    }

    for word in
        ["asked", "refused", "exhausted", "succeeded", "neutral", "dropped", "cooled", "restored"]
    {
        for phase in ["clear", "cooling", "probing", "reopening"] {
            for is_stale in [false, true] {
                if is_stale
                    && (phase == "clear"
                        || word == "asked"
                        || word == "cooled"
                        || word == "restored")
                {
                    continue;
                }
                let times = reached.get(&(word.to_owned(), is_stale, phase)).copied();
                assert!(
                    times.unwrap_or(0) >= 10,
                    "{word} ({is_stale}) met {phase} {times:?} times"
                );
            }
        }
    }
}

fn state_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Clear => "clear",
        Phase::Cooling { .. } => "cooling",
        Phase::Probing { .. } => "probing",
        Phase::Reopening { .. } => "reopening",
    }
}

/// One refusal and one overheard, whatever the share: rounded, and never downwards.
#[test]
fn a_stretched_wait_is_the_same_to_the_microsecond_and_never_shorter() {
    let Some(server) = Server::start() else { return };
    let redis = Mutex::new(server.connect());
    let hints = option::of(0..20_000 * SECOND);
    let policy = Policy {
        base: 60 * SECOND + 1,
        cap: 1800 * SECOND + 7,
        max_retry_after: 10_000 * SECOND + 3,
        trust_hints: false,
        probe_lease: SECOND,
        reopen_width: 4,
        forget: 7200 * SECOND,
    };

    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) },
        |(refusals in vec((hints, 0.0..=1.0_f32, 0..20_000 * SECOND), AT_ONCE))| {
            let scripts: Vec<_> = refusals
                .into_iter()
                .map(|(hint, stretch, reset)| {
                    let refused = End::Refused { status: 429, hint, stretch };
                    let exhausted = End::Exhausted { reset, stretch };
                    let settled = |ending| What::Settled { seen: 0, role: Role::Free, ending };
                    let steps = [(0, settled(refused)), (5, settled(exhausted))];
                    let steps = steps.map(|(at, what)| Step { at: BEGINNING + at, what });
                    (policy, steps.to_vec())
                })
                .collect();

            let redis = &mut redis.lock().unwrap_or_else(PoisonError::into_inner);
            for ((policy, steps), in_lua) in scripts.iter().zip(play_in_lua(redis, &scripts)) {
                let mut native = Native::new(*policy);
                for (step, lua) in steps.iter().zip(&in_lua) {
                    native.step(*step);
                    let lua = fields(lua);
                    let Phase::Cooling { until } = native.state.phase else { panic!("{lua:?}") };
                    let gate = micros(lua["gate"].parse().unwrap()).as_nanos();
                    let early = u128::from(until.nanos()).saturating_sub(gate);
                    let late = gate.saturating_sub(u128::from(until.nanos()));
                    prop_assert!(early <= 1 && late <= 1000, "{:?} in Lua, in Rust {:?}", lua, until);
                }
            }
        }
    );
}

/// Far beyond what a moment holds, all that follows is still a whole number.
#[test]
fn no_number_is_infinite_whatever_the_tokens() {
    let Some(server) = Server::start() else { return };
    let mut redis = server.connect();
    let most = 1 << 53;
    let policies = [0, most].map(|least| Policy {
        base: most,
        cap: most,
        max_retry_after: most,
        trust_hints: least == 0,
        probe_lease: most,
        reopen_width: u32::MAX,
        forget: least,
    });
    let settled = |ending| What::Settled { seen: most, role: Role::Probe(u32::MAX), ending };
    let restored = |remaining, hint| What::Restored {
        remaining,
        rung: u32::MAX,
        status: Some(999),
        hint: Some(hint),
        by_hand: false,
    };
    let script = [
        settled(End::Refused { status: 429, hint: Some(most), stretch: 1.0 }),
        settled(End::Refused { status: 429, hint: None, stretch: 1.0 }),
        settled(End::Exhausted { reset: most, stretch: 1.0 }),
        What::Cooled(most),
        restored(1 << 53, most),
        settled(End::Refused { status: 429, hint: None, stretch: 1.0 }),
        What::Asked,
        settled(End::Neutral),
        restored(-(1 << 53), 0),
        settled(End::Succeeded),
    ];

    for at in [0, 1, most - 1, most] {
        for policy in policies {
            let steps: Vec<_> = script.iter().map(|&what| Step { at, what }).collect();
            for outcome in &play_in_lua(&mut redis, &[(policy, steps)])[0] {
                let outcome = fields(outcome);
                for field in ["gate", "ends", "began", "rung", "probe", "width", "in_flight"] {
                    let number: f64 = outcome[field].parse().unwrap();
                    assert!((0.0..=9_007_199_254_740_992.0).contains(&number), "{outcome:?}");
                    assert!(number.fract() == 0.0, "{outcome:?}");
                }
            }
        }
    }
}
