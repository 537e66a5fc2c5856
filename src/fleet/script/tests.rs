//! The scripts in a Redis of the tests' own, and the one suite that holds the machine
//! in Lua to the one in Rust.
#![allow(clippy::arithmetic_side_effects, reason = "for tests")]

mod agreement;
mod arguments;
mod data;
mod numbers;
mod pages;
mod places;
mod player;
mod server;
mod stage;
mod vectors;

use std::time::Duration;

/// A policy as events end with it: the defaults, and two hours of memory.
const POLICY: &str = "60000000 1800000000 3600000000 0 30000000 64 7200000000";

const SECOND: u64 = 1_000_000;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}
