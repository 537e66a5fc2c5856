//! What is played: an upstream, its callers, and for how long.

use std::time::Duration;

use crate::bars::Bar;
use crate::callers::Callers;
use crate::strategy::Limits;
use crate::upstream::Upstream;

/// From a request's leaving to its answer's arrival, in every scenario.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

/// One storm.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The name in tables and on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in a sentence.
    pub(crate) about: &'static str,
    /// Makes an upstream of a run, of that seed.
    pub(crate) upstream: fn(u64) -> Upstream,
    /// Who calls.
    pub(crate) callers: Callers,
    /// What the oracle is told.
    pub(crate) limits: Limits,
    /// What the layer is held to, beside being no worse than its peers.
    pub(crate) bars: &'static [Bar],
    /// How long the run is.
    pub(crate) length: Duration,
}
