//! The shared table and the state cell under a model checker.
//!
//! `cargo test --release -p tower-retry-after-loom` runs the models: each one
//! under every interleaving of its threads, within the bounds below, and with every
//! old value that a load may see, as far as [loom](https://docs.rs/loom) knows the
//! memory model. That takes some four minutes on two cores, its build included.
//!
//! # What is checked
//!
//! The crate's own source: `moment`, `ladder`, `upstream`, `cooldown`, the cell, the
//! table and the lines are compiled from where they stand, against a `sync` module
//! that hands out loom's types. So no `--cfg loom` is needed, which some of the
//! crate's dependencies do not build under. A model makes calls through
//! [`world`], which asks in the service's steps and settles in the permit's, or
//! reads the cell through [`board`].
//!
//! # What is not
//!
//! *The map.* Papaya is trusted. In its place stands one that promises no more
//! (`map.rs`): a look-up that finds an entry sees what was written before its
//! insertion, one that finds nothing has learned nothing.
//!
//! *tokio's `Notify` and `Semaphore`*, on which the queue behind `Cooldowns::ready`
//! stands. In their place stand some that promise no more than tokio documents
//! (`turns.rs`). *The services and their futures*, which share nothing but the table
//! and the lines.
//!
//! *Long runs.* Threads are interrupted three times in a run at most, twice in
//! the larger models; more than three threads never meet. `LOOM_MAX_PREEMPTIONS`
//! raises that.
//!
//! *What loom does not know*: a store that is seen before its time.
//!
//! # How a model can fail
//!
//! Each gathers the ways in which it can end, and its test names all of them. So
//! it fails on an ending too many, and on one too few: a race that no longer
//! happens is no proof. These changes have been tried; each is found by the
//! models beside it.
//!
//! | change | found by |
//! |---|---|
//! | the generation is raised before the entry is published | `bursts` |
//! | the generation is read or raised without acquire or release | `bursts` |
//! | the generation is raised by a load and a store | `neighbours` |
//! | the service asks whether all is quiet before it reads the generation | `bursts` |
//! | the entry is counted only after the generation is raised | `bursts`, `forgetting` |
//! | the entry is published before its lock is held | `bursts`, `probes` |
//! | no call is ever stale, or the entry's generation is not kept | `bursts`, `probes`, `reopening` |
//! | a call is stale by the table's generation, not the entry's | `neighbours` |
//! | a probe keeps the generation that its caller read | `probes` |
//! | the lock is let go between deciding and writing | `probes`, `reopening`, `forgetting` |
//! | one of two that publish stays counted, or alive, though it lost | `bursts` |
//! | whoever waited for an entry's lock does not ask whether it was forgotten | `forgetting` |
//! | an entry is taken out of the map after its lock is let go | `forgetting` |
//! | room is made and taken in two steps | `forgetting` |
//! | the order's lock is asked for under an entry's | `forgetting` |
//! | a change's number is drawn once it is written, or after the lock is let go | `changes` |
//! | the notice goes without its version, a fence, acquire or release | `notices` |
//! | those who wait are told before the table has changed | `waiting` |
//! | the first in line looks at the table before it leaves its waker | `waiting` |
//! | a line is taken out that somebody has joined meanwhile | `waiting` |
//! | a line is joined after the lock of all lines is let go | `waiting` |
//! | whoever leaves a line, or a call that ends, tells nobody | `waiting` |
//! | one that is not the first in line is let go | `waiting` |

// The modules' unit tests are run where they belong.
#![cfg(not(test))]

pub mod board;
pub mod race;
pub mod waiters;
pub mod world;

mod ambient;
mod map;
mod sync;
mod turns;

#[path = "../../../src"]
#[expect(dead_code, unreachable_pub, unused_imports, reason = "the crate uses more of them")]
mod source {
    pub(crate) mod cooldown;
    pub(crate) mod ladder;
    pub(crate) mod moment;
    pub(crate) mod upstream;
}

#[path = "../../../src/cooldowns"]
#[expect(dead_code, unreachable_pub, unused_imports, reason = "the crate uses more of them")]
mod cooldowns {
    pub(crate) mod cell;
    pub(crate) mod changes;
    pub(crate) mod line;
    pub(crate) mod ready;
    pub(crate) mod table;
    mod trigger;

    use crate::map;
    use crate::waiters::{Cooldowns, Known};
}

use source::{cooldown, ladder, moment, upstream};

pub use upstream::Upstream;
