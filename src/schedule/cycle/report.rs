//! What a peer answers to a cycle, and what a cycle tells in the end.

use std::time::Duration;

use tokio::time::Instant;

use crate::schedule::state::SyncState;

/// What came of a sync with one peer: the answer of the service that a
/// [`SyncCycle`](super::SyncCycle) drives.
///
/// ```
/// use tower_retry_after::schedule::Synced;
///
/// let synced = Synced::ok("block 4711");
/// assert_eq!(synced, Synced::Ok { head: "block 4711".to_owned() });
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Synced {
    /// We have what the peer has.
    Ok {
        /// How far we have come; empty if that is as before.
        head: String,
    },
    /// The peer's history is not a continuation of ours. The cycle ends, for
    /// whoever is asked next could not decide which of the two is right.
    Fork {
        /// How far we have come; empty if that is as before.
        head: String,
        /// What does not fit.
        error: String,
    },
}

impl Synced {
    /// We have what the peer has, and have come as far as `head`.
    pub fn ok(head: impl Into<String>) -> Self {
        Self::Ok { head: head.into() }
    }

    /// The peer's history is not a continuation of ours, which ends at `head`.
    pub fn fork(head: impl Into<String>, error: impl Into<String>) -> Self {
        Self::Fork { head: head.into(), error: error.into() }
    }
}

/// What became of a cycle.
#[derive(Clone, Debug)]
pub struct CycleReport {
    pub(super) tried: Vec<Tried>,
    pub(super) state: SyncState,
    pub(super) due: Instant,
}

impl CycleReport {
    /// Returns whose turn it was, in order, and what each said.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// Returns the state of the loop after the cycle.
    pub fn state(&self) -> &SyncState {
        &self.state
    }

    /// Returns when the next cycle is due, in tokio's time. On the wall clock it
    /// stands in the [`state`](Self::state).
    pub fn due(&self) -> Instant {
        self.due
    }
}

/// A peer whose turn it was in a cycle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    pub(super) peer_url: String,
    pub(super) answer: Answer,
}

impl Tried {
    /// Returns where the peer is reached.
    pub fn peer_url(&self) -> &str {
        &self.peer_url
    }

    /// Returns what the peer said.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

/// What a peer said when it was its turn.
///
/// The texts of errors hold the whole chain of causes, escaped, on one line, and
/// cut after 256 characters.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The sync went well.
    Synced {
        /// How far we have come; empty if that is as before.
        head: String,
    },
    /// Its history is not a continuation of ours.
    Forked {
        /// How far we have come; empty if that is as before.
        head: String,
        /// What does not fit.
        error: String,
    },
    /// It was called, and said "not now".
    Refused {
        /// What went wrong.
        error: String,
        /// How long to stay away.
        retry_after: Duration,
    },
    /// It was called, and that failed.
    Failed {
        /// What went wrong.
        error: String,
    },
    /// Nothing was sent: its upstream is being left alone.
    NotSent {
        /// When a call has a chance to be sent.
        until: Instant,
    },
}
