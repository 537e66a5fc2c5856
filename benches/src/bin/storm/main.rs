//! Storms: the layer beside what people use today, against the same upstreams, in
//! one run, in virtual time.
//!
//! `cargo run -p tower-retry-after-benches --release --bin storm`

mod bars;
mod callers;
mod runs;
mod scenario;
mod scenarios;
mod strategies;
mod strategy;
mod tally;
mod upstream;
mod world;

fn main() {
    for played in runs::all(scenarios::all(), &strategies::all(), 1, |_| false) {
        println!("{}: {}", played.scenario.name, played.scenario.about);
        for run in played.runs {
            println!("  {:24} {:?}", run.strategy, run.tally);
        }
    }
}
