//! What all clones of a cycle share: the book, the state, and whose turn it is.
//!
//! Everything stored is on the wall clock; everything decided here is decided in
//! tokio's time. No code of the user's runs under the lock.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ambient;
use crate::cooldowns::Cooldowns;
use crate::schedule::peers::{Peer, PeerBook};
use crate::schedule::state::{SyncPolicy, SyncState};
use crate::schedule::wall::{Reading, Step, WallClock};
use crate::upstream::Upstream;

/// Tells which upstream a peer is.
pub(super) type UpstreamBy = Arc<dyn Fn(&Peer) -> Upstream + Send + Sync>;

pub(super) struct Shared {
    pub(super) policy: SyncPolicy,
    pub(super) wall: WallClock,
    pub(super) cooldowns: Option<Cooldowns>,
    pub(super) upstream_by: Option<UpstreamBy>,
    pub(super) max_retry_after: Duration,
    pub(super) ledger: Mutex<Ledger>,
    /// Told whenever the turn is given back.
    pub(super) freed: Notify,
}

impl Shared {
    /// Does something with what is known, and with what the time is.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Ledger, Reading) -> T) -> T {
        // The user's clock, and so before the lock.
        let read = self.wall.read();
        let mut ledger = self.lock();
        let now = ledger.catch_up(read);
        act(&mut ledger, now)
    }

    /// Returns until when every call to a peer would be rejected, if its upstream
    /// is being left alone.
    pub(super) fn held_until(&self, peer: &Peer) -> Option<Instant> {
        let cooldowns = self.cooldowns.as_ref()?;
        let upstream = match &self.upstream_by {
            Some(upstream_by) => upstream_by(peer),
            None => Upstream::from_uri(&peer.peer_url.parse().ok()?),
        };
        cooldowns.held_until(&upstream)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, wall, cooldowns, .. } = self;
        f.debug_struct("Shared")
            .field("policy", policy)
            .field("wall", wall)
            .field("cooldowns", cooldowns)
            .finish_non_exhaustive()
    }
}

/// What is known, and since when the wall clock has run without a step.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) book: PeerBook,
    pub(super) state: SyncState,
    is_taken: bool,
    /// A run has begun in this process, and has not ended.
    pub(super) is_running: bool,
    since: Reading,
}

impl Ledger {
    pub(super) fn new(book: PeerBook, state: SyncState, since: Reading) -> Self {
        Self { book, state, is_taken: false, is_running: false, since }
    }

    /// Moves the deadlines along if the wall clock was stepped, and returns what
    /// the time is.
    ///
    /// The wall clock's time is counted on from the last step by tokio's clock, so
    /// that deadlines come exactly when tokio's clock says so. The two differ by
    /// less than counts as a step.
    fn catch_up(&mut self, read: Reading) -> Reading {
        // Whoever read the clocks before the step, and came later, knows less.
        if read.now >= self.since.now {
            let step = read.step_since(&self.since);
            if step != Step::None {
                self.book.shift(step, read.wall);
                self.state.shift(step);
                self.since = read;
            }
        }
        self.reckon(read.now)
    }

    fn reckon(&self, now: Instant) -> Reading {
        Reading { wall: self.since.time(now), now }
    }

    /// Notes that a run begins with that peer.
    pub(super) fn begin(&mut self, peer_url: &str, now: Reading) {
        self.is_running = true;
        self.state.begin(peer_url, "", now.wall);
    }

    /// Returns when the next cycle is due; at once where there was none.
    pub(super) fn due(&self, policy: &SyncPolicy, now: Reading) -> Instant {
        // A run of this process will end, in whatever way; its lease is no due time.
        let due =
            if self.is_running { self.state.next_sync_due_at } else { self.state.due_at(policy) };
        due.map_or(now.now, |due| now.instant(due, ambient::FAR))
    }

    /// Returns when a sync has a chance again, with whomever it may be; `held`
    /// tells which upstreams are being left alone. Nothing if there is nobody.
    pub(super) fn first_return(
        &self,
        held: &HashMap<String, Instant>,
        now: Reading,
    ) -> Option<SystemTime> {
        let returns = |peer: &Peer| {
            let held = held.get(&peer.peer_url).map(|&until| now.time(until));
            peer.cooldown_until.max(held).max(Some(now.wall))
        };
        self.book.peers().filter(|peer| peer.may_sync()).filter_map(returns).min()
    }
}

/// The right to run a cycle: there is one.
///
/// Dropped in whatever way, it is free again, and no run is left behind that has
/// not ended.
#[derive(Debug)]
#[must_use = "dropped, the turn is free again"]
pub(super) struct Turn {
    shared: Arc<Shared>,
}

impl Turn {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let was_taken = mem::replace(&mut shared.lock().is_taken, true);
        (!was_taken).then(|| Self { shared: Arc::clone(shared) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut ledger = self.shared.lock();
        if mem::take(&mut ledger.is_running) {
            // Reckoned, not read: the user's clock is no business of a drop.
            let now = ledger.reckon(ambient::now()).wall;
            let due = ledger.state.next_sync_due_at.unwrap_or(now);
            ledger.state.put_off(due, now);
        }
        ledger.is_taken = false;
        drop(ledger);
        self.shared.freed.notify_waiters();
    }
}

/// Where a handle stands with its turn.
#[derive(Default)]
pub(super) enum Place {
    /// It has not asked.
    #[default]
    Away,
    /// Somebody else has it. Nothing is reserved for who waits: a handle that is
    /// never polled again, as under a `LoadShed`, would keep it from all others.
    Waiting(Pin<Box<dyn Future<Output = ()> + Send + Sync>>),
    /// It is this handle's.
    Held(Turn),
}

impl Place {
    /// Takes the turn as soon as it is free.
    pub(super) fn poll_turn(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self {
                Self::Held(_) => return Poll::Ready(()),
                Self::Away => {
                    if self.try_take(shared) {
                        return Poll::Ready(());
                    }
                    let shared = Arc::clone(shared);
                    *self = Self::Waiting(Box::pin(async move { shared.freed.notified().await }));
                }
                Self::Waiting(freed) => {
                    if freed.as_mut().poll(cx).is_pending() {
                        // It may have become free before we were listening.
                        return if self.try_take(shared) { Poll::Ready(()) } else { Poll::Pending };
                    }
                    *self = Self::Away;
                }
            }
        }
    }

    fn try_take(&mut self, shared: &Arc<Shared>) -> bool {
        let turn = Turn::take(shared);
        let is_ours = turn.is_some();
        if let Some(turn) = turn {
            *self = Self::Held(turn);
        }
        is_ours
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "Away",
            Self::Waiting(_) => "Waiting",
            Self::Held(_) => "Held",
        })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "for tests")]
mod tests {
    use super::*;

    #[test]
    fn whoever_read_the_clocks_before_a_step_moves_nothing_back() {
        let secs = Duration::from_secs;
        let wall = SystemTime::UNIX_EPOCH + secs(1_000_000);
        let start = Reading { wall, now: ambient::now() };
        let mut state = SyncState::default();
        state.next_sync_due_at = Some(wall + secs(300));
        let mut ledger = Ledger::new(PeerBook::new(), state, start);
        let read = |elapsed, step| Reading {
            wall: wall + secs(elapsed) + secs(step),
            now: start.now + secs(elapsed),
        };

        // Two threads: one has read before an hour's step, the other comes first.
        ledger.catch_up(read(20, 3600));
        ledger.catch_up(read(10, 0));

        assert_eq!(ledger.state.next_sync_due_at, Some(wall + secs(300 + 3600)));
        assert_eq!(ledger.catch_up(read(30, 3600)), read(30, 3600));
    }
}
