//! When is the next sync or poll due, and with whom?
//!
//! It drives services and takes their answers for facts; it does not talk to
//! upstreams itself, and spawns nothing.
//!
//! | for | there is |
//! |---|---|
//! | one target | [`Poller`]: a stream that asks a service whenever it is due |
//! | one of many peers | [`SyncCycle`]: a service that asks the best until one answers; [`Poller::cycle`] runs it when it is due |
//! | many targets | [`PollSet`]: a stream that asks for whichever is due, through one service |
//! | restarts | `Snapshot` (feature `serde`): all of it, and the cooldowns, in a file |
//! | a loop of your own | [`SyncState`] and [`PeerBook`]: the rules alone, `now` is an argument |
//!
//! All go by the same [`Ladder`](crate::Ladder), and by a judge ([`judge`]), a function
//! from a result to [`Next`]: it went well, it failed, it was not sent, or it is due
//! then. What the layer holds back was not sent, and counts as nothing.
//!
//! # Time
//!
//! What is shown and kept is on the wall clock ([`SystemTime`](std::time::SystemTime));
//! what is decided is decided in tokio's time, which only goes forward. So a wall clock
//! that is stepped, by an hour or a year, makes nobody late and nobody early. A machine
//! that was suspended goes on waiting for what was left; whatever it missed is one poll.
//!
//! # The rules by themselves
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
