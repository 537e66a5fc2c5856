//! What people see of an upstream in trouble.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::cooldown::{Cause, Phase};
use crate::upstream::Upstream;

/// The state of an upstream.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// No refusal is in force; every call is admitted.
    Clear,
    /// It refused; nothing is sent before the cooldown ends, then one probe.
    Cooling,
    /// The probe is out.
    Probing,
    /// The probe succeeded; calls come back a few at a time.
    Reopening,
}

impl State {
    pub(crate) fn of(phase: Phase) -> Self {
        match phase {
            Phase::Clear => Self::Clear,
            Phase::Cooling { .. } => Self::Cooling,
            Phase::Probing { .. } => Self::Probing,
            Phase::Reopening { .. } => Self::Reopening,
        }
    }

    /// The word for it, in tables, logs and labels.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Cooling => "cooling",
            Self::Probing => "probing",
            Self::Reopening => "reopening",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What is known of an upstream that is not Clear, as of the time of asking.
#[derive(Clone, Debug)]
pub struct CooldownInfo {
    pub(super) upstream: Upstream,
    pub(super) state: State,
    pub(super) retry_after: Duration,
    pub(super) until: Instant,
    pub(super) cause: Cause,
}

impl CooldownInfo {
    /// Returns the upstream.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Returns its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns how long calls are held back yet: the rest of the cooldown, or of
    /// the probe's lease; zero while reopening.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// Returns when that time is over, or was.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Returns how many refusals in a row have been counted.
    pub fn consecutive_failures(&self) -> u32 {
        self.cause.rung
    }

    /// Returns the status of the last refusal; none if there was no refusal yet.
    pub fn status(&self) -> Option<StatusCode> {
        self.cause.status
    }

    /// Returns the wait that the last refusal asked for, as sent.
    pub fn hint(&self) -> Option<Duration> {
        self.cause.hint
    }
}
