//! What is kept of one target of a poll set.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// One target of a poll set, written down: under a name of the user's choice, and
/// how its schedule stands.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TargetRecord {
    /// What the target is called, so that it is found again.
    pub name: String,
    /// When it is due; at once where there is none.
    #[serde(default, with = "super::text::option")]
    pub due_at: Option<SystemTime>,
    /// When a call to it last went well.
    #[serde(default, with = "super::text::option")]
    pub last_ok_at: Option<SystemTime>,
    /// How many calls to it in a row have failed.
    #[serde(default)]
    pub consecutive_failures: u32,
    /// From the end of one call to the next.
    #[serde(with = "super::text")]
    pub interval: Duration,
}

impl TargetRecord {
    /// Creates the record of a target that was never called.
    pub fn new(name: impl Into<String>, interval: Duration) -> Self {
        Self { name: name.into(), interval, ..Self::default() }
    }
}
