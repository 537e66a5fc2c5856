//! A cycle of a sync loop: who is called, what their answers mean, and when the
//! next one is due. In virtual time, but for the wall clock that can be stepped.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    clippy::unwrap_used,
    reason = "for tests"
)]
#![allow(clippy::similar_names, reason = "what was polled comes from a poller")]
#![cfg(feature = "schedule")]

mod support;

#[path = "sync_cycle/cancelled.rs"]
mod cancelled;
#[path = "sync_cycle/layered.rs"]
mod layered;
#[path = "sync_cycle/mesh.rs"]
mod mesh;
#[path = "sync_cycle/polled.rs"]
mod polled;
#[path = "sync_cycle/properties.rs"]
mod properties;
#[path = "sync_cycle/rules.rs"]
mod rules;
#[path = "sync_cycle/turns.rs"]
mod turns;
#[path = "sync_cycle/wall.rs"]
mod wall;
#[path = "sync_cycle/world.rs"]
mod world;

const A: &str = "https://a.example";
const B: &str = "https://b.example";
const C: &str = "https://c.example";
