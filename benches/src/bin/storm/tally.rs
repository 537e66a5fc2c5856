//! What a run comes to.

use std::time::Duration;

use crate::callers::Ended;
use crate::strategy::Outcome;
use crate::world::Exchange;

/// The figures of one run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Requests that arrived at an upstream.
    pub(crate) sent: usize,
    /// Those that were refused: wasted.
    pub(crate) wasted: usize,
    /// Useful answers that reached a caller, an hour.
    pub(crate) useful: f64,
}

impl Tally {
    /// Adds up what upstreams and callers saw in a run of `length`.
    pub(crate) fn new(exchanges: &[Exchange], ended: &[Ended], length: Duration) -> Self {
        let wasted = exchanges.iter().filter(|one| !one.status.is_success()).count();
        let useful = ended.iter().filter(|one| one.outcome == Outcome::Served).count();
        let hours = length.as_secs_f64() / 3600.0;
        Self { sent: exchanges.len(), wasted, useful: useful as f64 / hours }
    }
}
