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
}

/// Reads the wall clock, for the upstream's dates.
#[expect(clippy::disallowed_methods, reason = "a server dates its answers")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
