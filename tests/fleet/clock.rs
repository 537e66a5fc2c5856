//! The clocks of tests that cannot do with virtual time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the clock by which durations are measured.
#[expect(clippy::disallowed_methods, reason = "a test's stopwatch")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads the clock that all processes of this machine share, in microseconds.
#[expect(clippy::disallowed_methods, reason = "a log's clock, the same in all processes")]
pub(crate) fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// Returns the shared clock's time of an instant.
pub(crate) fn wall_of(instant: Instant) -> u64 {
    let (here, wall) = (now(), wall());
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap();
    match instant.checked_duration_since(here) {
        Some(ahead) => wall + micros(ahead),
        None => wall - micros(here - instant),
    }
}
