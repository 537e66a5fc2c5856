//! The example's clock, in one place.

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "an example has to start somewhere")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
