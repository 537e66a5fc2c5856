//! What the crate takes from its surroundings, made up: a clock that stands.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// Returns the same instant always: a model says itself what time it is.
#[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
pub(crate) fn now() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

/// Returns the instant `wait` later.
pub(crate) fn later(instant: Instant, wait: Duration) -> Instant {
    instant.checked_add(wait).unwrap_or(instant)
}
