//! When is the next sync due, and with whom?
//!
//! Pure: no clock, no lock, no I/O; `now` is an argument. Times are on the wall
//! clock, for they are stored and shown. It does not talk to anybody.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_retry_after::schedule::{Peer, PeerBook, SyncPolicy, SyncState};
//!
//! # fn main() -> Result<(), tower_retry_after::schedule::PeerError> {
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
//! let policy = SyncPolicy::default();
//! let mut state = SyncState::default();
//! let mut book = PeerBook::new();
//! book.add(Peer::new("https://peer.example", now)?)?;
//!
//! assert!(state.is_due(&policy, now));
//! let peer = book.eligible(now)[0].peer_url.clone();
//! state.begin(&peer, "", now);
//!
//! // The peer said: 429, Retry-After: 600.
//! let retry_after = Duration::from_secs(600);
//! book.mark_failed(&peer, "HTTP 429", retry_after, now)?;
//! state.finish_err(&policy, &peer, "", "HTTP 429", retry_after, now);
//!
//! assert!(book.eligible(now).is_empty());
//! assert_eq!(book.next_free(now), Some(now + retry_after));
//! assert_eq!(state.next_sync_due_at, Some(now + retry_after));
//! # Ok(())
//! # }
//! ```

pub mod floor;
pub mod judge;

mod cycle;
mod next;
mod peers;
mod poller;
mod run;
mod set;
#[cfg(feature = "serde")]
mod snapshot;
mod state;
mod text;
mod wall;

pub use cycle::{Answer, CycleFuture, CycleReport, SyncCycle, SyncCycleBuilder, Synced, Tried};
pub use next::Next;
pub use peers::{Bucket, Peer, PeerBook, PeerError, Role, Source};
pub use poller::{Polled, Poller, PollerBuilder, PollerHandle, StateWatch};
pub use run::RunExpired;
pub use set::{
    PollSet, PollSetBuilder, PollSetGone, PollSetHandle, PolledTarget, TargetId, TargetInfo,
};
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use snapshot::{Snapshot, SnapshotError, TargetRecord};
pub use state::{Outcome, SyncPolicy, SyncState};
