//! Plays each scenario with each strategy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::callers;
use crate::scenario::{ROUND_TRIP, Scenario};
use crate::strategy::{Reach, Strategy};
use crate::tally::Tally;
use crate::world::{Exchange, Wire, World};

/// What has been played.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The strategy's name.
    pub(crate) strategy: &'static str,
    /// Who shares what it learns.
    pub(crate) reach: Reach,
    /// Whether it was told the limit beforehand.
    pub(crate) is_told: bool,
    /// Whether it is a form of the layer.
    pub(crate) is_ours: bool,
    /// What it came to.
    pub(crate) tally: Tally,
    /// What the upstreams saw, in order: of all or of the beginning.
    pub(crate) log: Vec<Exchange>,
}

/// A scenario and what became of each strategy in it, in the order of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    /// What was played.
    pub(crate) scenario: Scenario,
    /// With whom.
    pub(crate) runs: Vec<Run>,
}

/// Plays a scenario with one strategy, in a time of its own.
pub(crate) fn play(scenario: &Scenario, strategy: &dyn Strategy, seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let Scenario { callers, limits, length, .. } = *scenario;
    let (log, ended) = runtime.block_on(async {
        let each = |number| (scenario.upstream)(seed.wrapping_add(number as u64));
        let world = World::new((0..callers.upstreams()).map(each).collect(), ROUND_TRIP);
        let client = strategy.client_for(callers.kind(), Wire::new(world.clone()), limits);
        let ended = callers::run(callers, client, &world, length, seed).await;
        (world.take_log(), ended)
    });
    Run {
        strategy: strategy.name(),
        reach: strategy.reach(),
        is_told: strategy.is_told(),
        is_ours: strategy.is_ours(),
        tally: Tally::new(&log, &ended, length, callers.number()),
        log,
    }
}

/// Plays each scenario with each strategy, on as many threads as there are cores.
///
/// The order, and each figure, is the same however many there are. Each scenario is
/// shown as soon as it and those before it have been played. Of the logs the first
/// `kept` is kept: all of them together are some gigabytes.
pub(crate) fn all(
    scenarios: &[Scenario],
    strategies: &[Box<dyn Strategy>],
    seed: u64,
    kept: Duration,
    show: impl Fn(&Played),
) -> Vec<Played> {
    let jobs: Vec<_> =
        scenarios.iter().flat_map(|one| strategies.iter().map(move |other| (one, other))).collect();
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    let work = |done: mpsc::Sender<(usize, Run)>| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(scenario, strategy)) = jobs.get(number) else {
                return;
            };
            let mut run = play(scenario, strategy.as_ref(), seed);
            run.log.retain(|one| one.at < kept);
            run.log.shrink_to_fit();
            // Fails only where the other side has panicked.
            let _ = done.send((number, run));
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            let done = done.clone();
            scope.spawn(|| work(done));
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut run = |number| loop {
            if let Some(run) = early.remove(&number) {
                return run;
            }
            early.extend([results.recv().expect("no run panics")]);
        };
        let mut numbers = 0..;
        let played = scenarios.iter().map(|scenario| {
            let runs = numbers.by_ref().take(strategies.len()).map(&mut run).collect();
            let played = Played { scenario: scenario.clone(), runs };
            show(&played);
            played
        });
        played.collect()
    })
}

#[cfg(test)]
mod tests;
