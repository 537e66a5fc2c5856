//! The example's clocks, in one place.

use std::time::SystemTime;

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "an example has to start somewhere")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "due times are on the wall clock")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
