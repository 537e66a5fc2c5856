//! The example's clocks, in one place.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A clock that counts from when it was made.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    start: Instant,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "an example has to start somewhere")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns how long it is until then, since when the clock was made.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }
}

/// Reads the wall clock: a peer is added at a time, and shown beside one.
#[expect(clippy::disallowed_methods, reason = "a book has dates")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
