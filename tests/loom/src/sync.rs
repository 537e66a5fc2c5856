//! The parts of `std` and tokio that the model checker swaps for its own, swapped.
//!
//! *Why are loom's atomics wrapped?* loom (0.7) notes for each atomic who came
//! last, and tries the other order where a store meets another thread's load.
//! A thread that loads an atomic before it stores to it hides the other thread's
//! load behind its own, and then whole interleavings are never tried. So each
//! access here first makes a turn: a store that nobody ever reads. It orders
//! nothing in memory, and is never hidden.

use loom::sync::atomic;
pub(crate) use loom::sync::atomic::{Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};

pub(crate) use crate::turns::{Notify, Semaphore, timeout_at};

macro_rules! atomic {
    ($name:ident, $word:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            value: atomic::$name,
            turn: atomic::AtomicUsize,
        }

        impl $name {
            pub(crate) fn new(value: $word) -> Self {
                Self { value: atomic::$name::new(value), turn: atomic::AtomicUsize::new(0) }
            }

            pub(crate) fn load(&self, order: Ordering) -> $word {
                self.turn().load(order)
            }

            pub(crate) fn store(&self, value: $word, order: Ordering) {
                self.turn().store(value, order);
            }

            fn turn(&self) -> &atomic::$name {
                self.turn.store(0, Ordering::Relaxed);
                &self.value
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

impl AtomicU64 {
    pub(crate) fn fetch_add(&self, more: u64, order: Ordering) -> u64 {
        self.turn().fetch_add(more, order)
    }
}

impl AtomicUsize {
    pub(crate) fn fetch_add(&self, more: usize, order: Ordering) -> usize {
        self.turn().fetch_add(more, order)
    }

    pub(crate) fn fetch_sub(&self, less: usize, order: Ordering) -> usize {
        self.turn().fetch_sub(less, order)
    }
}
