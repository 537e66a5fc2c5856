//! The fleet, by processes and under faults: real Redis, real sockets, real time.
//!
//! Each test starts a redis-server of its own, and kills it. Workers are processes: this
//! very program, started again (`fleet/worker.rs`). What is between a process and its
//! Redis is a proxy that can be told to misbehave (`fleet/proxy.rs`). The tests take
//! turns: each has the machine for itself.
//!
//! `FLEET_SEEDS=7..8 cargo test --features redis --test fleet -- schedules` plays other
//! fault schedules than the usual ones.
#![cfg(all(feature = "redis", unix))]
#![allow(clippy::arithmetic_side_effects, clippy::unchecked_time_subtraction, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]

mod support;

#[path = "fleet/bad_data.rs"]
mod bad_data;
#[path = "fleet/book.rs"]
mod book;
#[path = "stress/chance.rs"]
mod chance;
#[path = "fleet/clock.rs"]
mod clock;
#[path = "fleet/clocks.rs"]
mod clocks;
#[path = "fleet/crew.rs"]
mod crew;
#[path = "fleet/frames.rs"]
mod frames;
#[path = "fleet/joining.rs"]
mod joining;
#[path = "fleet/latency.rs"]
mod latency;
#[path = "fleet/lease.rs"]
mod lease;
#[path = "fleet/load.rs"]
mod load;
#[path = "fleet/outage.rs"]
mod outage;
#[path = "fleet/partition.rs"]
mod partition;
#[path = "fleet/proxy.rs"]
mod proxy;
#[path = "fleet/schedules.rs"]
mod schedules;
#[path = "fleet/server.rs"]
mod server;
#[path = "fleet/site.rs"]
mod site;
#[path = "fleet/slow.rs"]
mod slow;
#[path = "fleet/solo.rs"]
mod solo;
#[path = "fleet/storm.rs"]
mod storm;
#[path = "fleet/witness.rs"]
mod witness;
#[path = "fleet/worker.rs"]
mod worker;

use std::sync::{Mutex, MutexGuard, PoisonError};

use server::Redis;
use tokio::runtime;

/// Waits for the machine: tests that run beside each other would measure each other.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test with a Redis of its own; says so and does not where there is none.
///
/// The test's own body may block: what it spawns runs on other threads.
fn with_redis(test: impl AsyncFnOnce(&mut Redis)) {
    let mut runtime = runtime::Builder::new_multi_thread();
    run_with_redis(runtime.worker_threads(2), test);
}

/// The same on a single thread: nothing happens beside the test but where it waits.
fn with_redis_on_one_thread(test: impl AsyncFnOnce(&mut Redis)) {
    run_with_redis(&mut runtime::Builder::new_current_thread(), test);
}

fn run_with_redis(runtime: &mut runtime::Builder, test: impl AsyncFnOnce(&mut Redis)) {
    let _turn = turn();
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(test(&mut redis));
    // What hangs at its end, hangs by itself.
    runtime.shutdown_background();
}
