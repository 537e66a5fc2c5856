//! What is kept of one target of a poll set.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::credentials::veiled;
use super::object::Named;
use crate::schedule::text::short;

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

impl Named for TargetRecord {
    type Name = String;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn said(&self) -> String {
        format!("a target named `{}`", short(&veiled(&self.name)))
    }
}

/// Leaves out those with a name that a later one has as well.
pub(super) fn distinct(mut targets: Vec<TargetRecord>) -> Vec<TargetRecord> {
    let mut names = HashSet::new();
    let is_last: Vec<bool> =
        targets.iter().rev().map(|target| names.insert(target.name.as_str())).collect();
    let mut is_last = is_last.into_iter().rev();
    targets.retain(|_| is_last.next().unwrap_or_default());
    targets
}
