//! The layer on real clients, against real servers on loopback.
#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic, reason = "for tests")]
#![allow(clippy::unwrap_used, reason = "for tests")]

pub mod github;
pub mod grpc;
pub mod kubernetes;

mod answer;
mod limiter;
mod log;
mod server;
mod stage;
mod story;

pub use answer::Answer;
pub use limiter::{Limiter, Quota};
pub use log::{Heard, Log};
pub use server::Server;
pub use stage::{Stage, say};
pub use story::{Outcome, Story};
