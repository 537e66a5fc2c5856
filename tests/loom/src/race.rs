//! Runs a model under every interleaving and gathers how it can end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use loom::model::Builder;
use loom::thread;

/// How often threads may be interrupted where they need not wait, in one run.
///
/// A race shows with one or two; a third makes sure. Which old value a load may
/// see is explored in full, whatever this is.
const PREEMPTIONS: usize = 3;

/// How many steps a run may have; more are taken for a loop without an end.
const STEPS: usize = 10_000;

/// Returns every way in which the model can end.
///
/// A test that pins the whole set down cannot hold for want of a race.
pub fn endings<E: Ord + Send + 'static>(
    model: impl Fn() -> E + Send + Sync + 'static,
) -> BTreeSet<E> {
    endings_within(PREEMPTIONS, model)
}

/// The same with fewer interruptions, for three threads or many steps.
///
/// `LOOM_MAX_PREEMPTIONS` overrides the number, for whoever has a night to spare.
pub fn endings_within<E: Ord + Send + 'static>(
    preemptions: usize,
    model: impl Fn() -> E + Send + Sync + 'static,
) -> BTreeSet<E> {
    let gathered = Arc::new(Mutex::new(BTreeSet::new()));
    let sink = Arc::clone(&gathered);
    let mut builder = Builder::new();
    builder.max_branches = STEPS;
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(move || {
        let ending = model();
        sink.lock().unwrap_or_else(PoisonError::into_inner).insert(ending);
    });
    let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *gathered)
}

/// Runs two threads against each other.
///
/// # Panics
///
/// Panics when one of them does.
#[expect(clippy::expect_used, reason = "a thread that panics fails its model")]
pub fn race<A: 'static, B>(one: impl FnOnce() -> A + 'static, other: impl FnOnce() -> B) -> (A, B) {
    let one = thread::spawn(one);
    let other = other();
    (one.join().expect("the other thread panicked"), other)
}
