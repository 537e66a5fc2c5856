//! The parts of `std` and tokio that the model checker swaps for its own.
//!
//! The member `tests/loom` compiles the state cell, the table and those who wait
//! against a module of this name that hands out loom's types.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use tokio::sync::{Notify, Semaphore};
pub(crate) use tokio::time::timeout_at;
