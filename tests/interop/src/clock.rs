//! The servers' clock.

use tokio::time::Instant;

/// Returns the time, as servers and tests see it.
#[expect(clippy::disallowed_methods, reason = "these servers live in real time")]
pub fn now() -> Instant {
    Instant::now()
}
