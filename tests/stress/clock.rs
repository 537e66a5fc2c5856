//! One time for all threads, which passes and jumps as they like.
//!
//! Each thread has a runtime with a paused clock of its own. Between two steps it
//! brings that forward to the time of all; so it is late by a step at most, as a
//! thread is that was interrupted after it read the clock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, advance};

/// Nanoseconds since the clock's origin.
pub(crate) type Nanos = u64;

pub(crate) struct Clock {
    origin: Instant,
    passed: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        // Later than any thread's clock begins.
        let origin = now() + Duration::from_secs(3600);
        Self { origin, passed: AtomicU64::new(0) }
    }

    /// Lets time pass for all.
    pub(crate) fn pass(&self, time: Duration) {
        self.passed.fetch_add(nanos(time), SeqCst);
    }

    /// Returns the time that no thread's clock is ahead of.
    pub(crate) fn latest(&self) -> Nanos {
        self.passed.load(SeqCst)
    }

    /// Brings this thread's clock forward, and lets its timers go off.
    pub(crate) async fn follow(&self) {
        let latest = self.origin + Duration::from_nanos(self.latest());
        let behind = latest.saturating_duration_since(now());
        if behind.is_zero() {
            yield_now().await;
        } else {
            advance(behind).await;
        }
    }

    /// Returns the time by this thread's clock.
    pub(crate) fn here(&self) -> Nanos {
        self.at(now())
    }

    pub(crate) fn at(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.origin))
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock is this test's")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
