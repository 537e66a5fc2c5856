//! Random scripts of events against a plain model, in virtual time.
//!
//! The layer stands around an inner service whose answers the script gives, in
//! any order and as late as it likes. After each step the layer must have
//! admitted or rejected as the model says, and must know what the model knows;
//! and so must whoever only hears what an observer is told.
#![allow(clippy::arithmetic_side_effects, clippy::unchecked_time_subtraction, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]

#[path = "properties/model.rs"]
mod model;
#[path = "properties/replay.rs"]
mod replay;
#[path = "properties/world.rs"]
mod world;

use std::time::Duration;

use model::Settings;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use world::World;

/// How many upstreams a script deals with.
const UPSTREAMS: usize = 3;

/// A step of a script. An `Index` picks one of the calls that are out.
#[derive(Clone, Debug)]
enum Step {
    Call(usize),
    Answer(Index, Answer),
    Drop(Index),
    Cool(usize, Duration),
    Clear(usize),
    Wait(Duration),
    /// Waits until an upstream may change by itself; or a nanosecond less.
    WaitFor(usize, Exactness),
}

#[derive(Clone, Copy, Debug)]
enum Exactness {
    Early,
    Exact,
}

/// How a call ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Refused(Option<Duration>),
    Succeeded,
    Neutral,
    Exhausted(Duration),
    /// The connection broke.
    Failed,
}

fn millis(most: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), Just(1), Just(1000), 0..=most].prop_map(Duration::from_millis)
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => proptest::option::of(millis(12_000)).prop_map(Answer::Refused),
        5 => Just(Answer::Succeeded),
        1 => Just(Answer::Neutral),
        1 => Just(Answer::Failed),
        1 => millis(5000).prop_map(Answer::Exhausted),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let upstream = 0..UPSTREAMS;
    let exactness = prop_oneof![Just(Exactness::Early), Just(Exactness::Exact)];
    prop_oneof![
        12 => upstream.clone().prop_map(Step::Call),
        8 => (any::<Index>(), answers()).prop_map(|(call, answer)| Step::Answer(call, answer)),
        1 => any::<Index>().prop_map(Step::Drop),
        1 => (upstream.clone(), millis(8000)).prop_map(|(to, wait)| Step::Cool(to, wait)),
        1 => upstream.clone().prop_map(Step::Clear),
        2 => millis(3000).prop_map(Step::Wait),
        5 => (upstream, exactness).prop_map(|(to, exactness)| Step::WaitFor(to, exactness)),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let pick =
        |choices: &'static [u64]| proptest::sample::select(choices).prop_map(Duration::from_millis);
    let ladder = (pick(&[0, 1, 300, 1000, 2000]), pick(&[0, 1000, 8000]));
    let hints = (pick(&[0, 2000, 10_000]), any::<bool>());
    let others = (pick(&[1, 500, 3000]), 0..6_u32, pick(&[0, 1000, 4000, 60_000]));
    (ladder, hints, others).prop_map(|((base, cap), (max_retry_after, trust_hints), others)| {
        let (probe_lease, reopen_width, forget_after) = others;
        Settings {
            base,
            cap,
            max_retry_after,
            trust_hints,
            probe_lease,
            reopen_width,
            forget_after,
        }
    })
}

/// Plays a part by hand, from the start on.
fn scene(settings: Settings, part: impl AsyncFnOnce(&mut World)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut world = World::new(settings, UPSTREAMS);
        part(&mut world).await;
        world.compare();
        world.nobody_is_wedged().await;
    });
}

fn play(settings: Settings, script: Vec<Step>) {
    scene(settings, async |world| {
        for step in script {
            match step {
                Step::Call(to) => world.call(to),
                Step::Answer(call, answer) => {
                    if let Some(call) = world.pick(call) {
                        world.answer(call, answer);
                    }
                }
                Step::Drop(call) => {
                    if let Some(call) = world.pick(call) {
                        world.drop_call(call);
                    }
                }
                Step::Cool(to, wait) => world.cool(to, wait),
                Step::Clear(to) => world.clear(to),
                Step::Wait(wait) => world.wait(wait).await,
                Step::WaitFor(to, exactness) => {
                    let early = match exactness {
                        Exactness::Early => Duration::from_nanos(1),
                        Exactness::Exact => Duration::ZERO,
                    };
                    world.wait(world.next_change(to).saturating_sub(early)).await;
                }
            }
            world.compare();
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/properties.txt",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_layer_does_what_a_plain_model_does(
        settings in settings(),
        script in proptest::collection::vec(steps(), 1..160),
    ) {
        play(settings, script);
    }
}

/// Settings under which everything happens within seconds.
const QUICK: Settings = Settings {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(8),
    max_retry_after: Duration::from_secs(10),
    trust_hints: false,
    probe_lease: Duration::from_secs(3),
    reopen_width: 4,
    forget_after: Duration::from_secs(60),
};

const REFUSED: Answer = Answer::Refused(None);

#[test]
fn nobody_is_said_to_be_held_back_beyond_the_memory() {
    let forgetful = Settings { forget_after: Duration::from_secs(1), ..QUICK };
    scene(forgetful, async |world| {
        world.call(0);
        world.answer(0, REFUSED);
        world.wait(Duration::from_secs(1)).await;

        // The probe's lease is longer than the memory.
        world.call(0);
    });
}

#[test]
fn a_reopening_upstream_is_clear_to_all_once_the_memory_is_over() {
    scene(QUICK, async |world| {
        world.call(0);
        world.answer(0, REFUSED);
        world.wait(Duration::from_secs(1)).await;
        world.call(0);
        world.answer(0, Answer::Succeeded);
        world.call(0);
        world.call(0);

        // Counted from the refusal, a second less from its end.
        world.wait(Duration::from_secs(59)).await;
    });
}

#[test]
fn an_exhausted_quota_gives_its_place_back_where_hints_are_ignored() {
    scene(Settings { max_retry_after: Duration::ZERO, ..QUICK }, async |world| {
        world.call(0);
        world.answer(0, REFUSED);
        world.wait(Duration::from_secs(1)).await;
        world.call(0);
        world.answer(0, Answer::Succeeded);
        world.call(0);
        world.call(0);
        world.answer(0, Answer::Exhausted(Duration::from_secs(5)));

        world.call(0);
        world.call(0);
    });
}
