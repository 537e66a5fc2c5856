//! What is played: an upstream, its callers, and for how long.

use std::time::Duration;

use crate::callers::Callers;
use crate::strategy::Limits;
use crate::upstream::{FixedWindow, Telling, Upstream};

/// One storm.
pub(crate) struct Scenario {
    /// The name in tables and on the command line.
    pub(crate) name: &'static str,
    /// What it is, in a sentence.
    pub(crate) about: &'static str,
    /// Makes the upstreams of a run.
    pub(crate) upstreams: fn() -> Vec<Upstream>,
    /// Who calls.
    pub(crate) callers: Callers,
    /// What the oracle is told.
    pub(crate) limits: Limits,
    /// How long the run is.
    pub(crate) length: Duration,
    /// From a request's leaving to its answer's arrival.
    pub(crate) round_trip: Duration,
}

/// Returns all scenarios, in the order of the tables.
pub(crate) fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "window-64",
        about: "64 callers, sixty requests a minute, told exactly",
        upstreams: || {
            vec![Upstream::new(FixedWindow::new(60, Duration::from_secs(60)), Telling::Exact)]
        },
        callers: Callers::Loops { callers: 64, pace: Duration::from_secs(1) },
        limits: Limits { quota: 60, window: Duration::from_secs(60) },
        length: Duration::from_secs(3600),
        round_trip: Duration::from_millis(50),
    }]
}
