//! Storms: the layer beside what people use today, against the same upstreams, in
//! one run, in virtual time.
//!
//! `cargo run -p tower-retry-after-benches --release --bin storm`

mod callers;
mod plot;
mod scenario;
mod strategies;
mod strategy;
mod tally;
mod upstream;
mod world;

use scenario::Scenario;
use strategy::Strategy;
use tally::Tally;
use world::{Wire, World};

fn main() {
    for scenario in scenario::all() {
        println!("{}: {}", scenario.name, scenario.about);
        let mut played = Vec::new();
        for strategy in strategies::all() {
            let (exchanges, tally) = play(&scenario, strategy.as_ref());
            println!("  {:24} {tally:?}", strategy.name());
            played.push((strategy.name(), exchanges, tally));
        }
        let rows: Vec<_> = played
            .iter()
            .map(|(name, exchanges, tally)| plot::Row { name, exchanges, tally })
            .collect();
        let folder = std::path::Path::new("target/storm");
        plot::write(folder, &scenario, std::time::Duration::from_secs(180), &rows).expect("drawn");
    }
}

/// Plays a scenario with one strategy, in a time of its own.
fn play(scenario: &Scenario, strategy: &dyn Strategy) -> (Vec<world::Exchange>, Tally) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(async {
        let world = World::new((scenario.upstreams)(), scenario.round_trip);
        let client = strategy.client(Wire::new(world.clone()), scenario.limits);
        let ended = callers::run(scenario.callers, client, &world, scenario.length).await;
        let log = world.take_log();
        let tally = Tally::new(&log, &ended, scenario.length);
        (log, tally)
    })
}
