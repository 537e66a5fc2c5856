//! Real threads, all of them at the same few upstreams: calls that are answered in
//! every way, given up and aborted, while hands cool and clear, others look and
//! wait, time jumps, and a table is too small for its upstreams.
//!
//! What must hold is looked at with every call, and more of it whenever all
//! threads pause. `STRESS_CALLS` says how many calls there are:
//!
//! ```text
//! STRESS_CALLS=10000000 cargo test --release --test stress
//! ```
//!
//! `STRESS_SEED` repeats what the threads choose to do; what their timing makes
//! of it is the machine's.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "for tests")]

#[path = "stress/call.rs"]
mod call;
#[path = "stress/chance.rs"]
mod chance;
#[path = "stress/clock.rs"]
mod clock;
#[path = "stress/judge.rs"]
mod judge;
#[path = "stress/pause.rs"]
mod pause;
#[path = "stress/peer.rs"]
mod peer;
#[path = "stress/table.rs"]
mod table;
#[path = "stress/worker.rs"]
mod worker;

use std::alloc::System;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::panic;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use cap::Cap;

use crate::worker::Yard;

/// Counts the bytes that are in use.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// More than cores, so that threads are also interrupted where they stand.
const THREADS: usize = 4;

/// Calls where nobody asks for more: one pause of each kind, and a few seconds at most in
/// a debug build.
const CALLS: u64 = 75_000;

/// What may stay behind for good: thread-locals of dependencies, and the harness.
const LEFT_BEHIND: usize = 256 * 1024;

/// Writes past the harness, which keeps what is printed by tests that pass, and
/// loses it where the process ends.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn nothing_that_threads_do_to_each_other_wedges_or_leaks_anything() {
    let calls = asked_for("STRESS_CALLS").unwrap_or(CALLS);
    let seed = asked_for("STRESS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let replay =
        format!("STRESS_SEED={seed} STRESS_CALLS={calls} cargo test{release} --test stress");
    say(&format!("stress: {replay}"));
    // The others wait for whoever panics: the process has to end.
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        say(&format!("{panic}\nstress: to replay it: {replay}"));
        process::exit(101);
    }));
    let bytes_before = ALLOCATOR.allocated();

    let yard = Yard::new(calls, seed, THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let yard = &yard;
            thread::Builder::new()
                .name(format!("worker {number}"))
                .spawn_scoped(scope, move || worker::run(yard, number))
                .unwrap();
        }
        scope.spawn(|| watch_over(&yard));
    });
    say(&format!("stress: {}", yard.report()));
    yard.assert_well_mixed();
    yard.assert_bounded();
    drop(yard);

    let left = ALLOCATOR.allocated().saturating_sub(bytes_before);
    assert!(left < LEFT_BEHIND, "{left} bytes are left behind");
    panic::set_hook(default_hook);
}

/// Ends the process where no thread gets anywhere any more.
fn watch_over(yard: &Yard) {
    const PATIENCE: u32 = 1200;
    let mut idle = 0;
    let mut before = 0;
    while !yard.is_over.load(SeqCst) {
        thread::sleep(Duration::from_millis(100));
        let steps = yard.steps.load(SeqCst);
        idle = if steps == before { idle + 1 } else { 0 };
        before = steps;
        assert!(idle < PATIENCE, "for minutes no thread has got anywhere");
    }
}
