//! One cycle of a sync loop: the eligible peers in order, until one answers.

use tokio::time::Instant;

use super::state::SyncState;

/// What became of a cycle.
#[derive(Clone, Debug)]
pub struct CycleReport {
    state: SyncState,
    due: Instant,
}

impl CycleReport {
    /// Returns the state of the loop after the cycle.
    pub fn state(&self) -> &SyncState {
        &self.state
    }

    /// Returns when the next cycle is due, in tokio's time.
    pub fn due(&self) -> Instant {
        self.due
    }
}
