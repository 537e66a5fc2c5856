//! One table for all processes: what one of them is refused, all of them heed.

#[allow(dead_code, reason = "until the driver runs them")]
mod script;

use std::fmt;
use std::time::Duration;

use crate::cooldowns::Cooldowns;

/// Keeps a table of cooldowns in step with those of other processes.
#[derive(Debug)]
#[must_use = "a table leaves the fleet when this is dropped"]
pub struct Fleet {}

/// Why a table cannot join a fleet.
#[derive(Debug)]
pub struct FleetError {}

/// Configures how a table joins a fleet.
#[derive(Debug)]
#[must_use]
pub struct FleetBuilder {}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no fleet")
    }
}

impl std::error::Error for FleetError {}

impl Fleet {
    /// Joins.
    pub fn join(
        at: impl redis::IntoConnectionInfo,
        namespace: &str,
        cooldowns: &Cooldowns,
    ) -> Result<Self, FleetError> {
        Self::builder(at, namespace).join(cooldowns)
    }

    /// Builds.
    pub fn builder(_at: impl redis::IntoConnectionInfo, _namespace: &str) -> FleetBuilder {
        FleetBuilder {}
    }

    /// Waits.
    pub async fn in_step(&self) {}

    /// Tells.
    pub fn is_in_step(&self) -> bool {
        false
    }

    /// Counts.
    pub fn ignored(&self) -> u64 {
        0
    }

    /// Tells.
    pub fn last_problem(&self) -> Option<String> {
        None
    }
}

impl FleetBuilder {
    /// Sets.
    pub fn lease_wait(self, _wait: Duration) -> Self {
        self
    }

    /// Joins.
    pub fn join(self, _cooldowns: &Cooldowns) -> Result<Fleet, FleetError> {
        Ok(Fleet {})
    }
}
