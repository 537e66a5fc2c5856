//! The parts of `std` that the model checker swaps for its own.
//!
//! The member `tests/loom` compiles the state cell and the table against a
//! module of this name that hands out loom's types.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Mutex, MutexGuard};
