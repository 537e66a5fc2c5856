//! How a cycle is set up.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::SyncCycle;
use super::shared::{Ledger, Place, Shared, UpstreamBy};
use crate::cooldowns::Cooldowns;
use crate::schedule::next::DEFAULT_MAX_RETRY_AFTER;
use crate::schedule::peers::{Peer, PeerBook};
use crate::schedule::state::{SyncPolicy, SyncState};
use crate::schedule::wall::WallClock;
use crate::upstream::Upstream;

/// Configures a [`SyncCycle`].
///
/// ```
/// use std::time::Duration;
/// use tower::service_fn;
/// use tower_retry_after::schedule::{Peer, SyncCycle, SyncPolicy, Synced};
/// use tower_retry_after::{Ladder, RetryAfterBackoffLayer};
///
/// async fn sync(_: Peer) -> Result<Synced, std::io::Error> {
///     Ok(Synced::ok("block 4711"))
/// }
///
/// let layer = RetryAfterBackoffLayer::new();
/// let cycle = SyncCycle::builder(service_fn(sync))
///     .policy(SyncPolicy { interval: Duration::from_secs(60), ..SyncPolicy::default() })
///     .cooldowns(layer.cooldowns())
///     .build();
/// assert_eq!(cycle.policy().interval, Duration::from_secs(60));
/// ```
#[must_use = "a builder makes a cycle when `build` is called"]
pub struct SyncCycleBuilder<S> {
    service: S,
    book: PeerBook,
    state: SyncState,
    policy: SyncPolicy,
    cooldowns: Option<Cooldowns>,
    upstream_by: Option<UpstreamBy>,
    wall: WallClock,
    max_retry_after: Duration,
}

impl<S> SyncCycleBuilder<S> {
    pub(super) fn new(service: S) -> Self {
        Self {
            service,
            book: PeerBook::new(),
            state: SyncState::default(),
            policy: SyncPolicy::default(),
            cooldowns: None,
            upstream_by: None,
            wall: WallClock::default(),
            max_retry_after: DEFAULT_MAX_RETRY_AFTER,
        }
    }

    /// Sets the peers; none by default.
    pub fn book(self, book: PeerBook) -> Self {
        Self { book, ..self }
    }

    /// Sets the state to go on from, as after a restart; by default there was no
    /// cycle yet. If it tells of a run that has not ended, that run keeps its lease:
    /// who crashes in each cycle does not begin one at each start.
    pub fn state(self, state: SyncState) -> Self {
        Self { state, ..self }
    }

    /// Sets how often to sync, and how long the loop stays away after failed cycles.
    ///
    /// Each peer climbs the ladder of the book ([`PeerBook::with_ladder`]), and a
    /// failed cycle waits for the first of them to come free, at least.
    pub fn policy(self, policy: SyncPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Sets the table of the layer that the peers are called through, so that who
    /// is being left alone is passed over without a call.
    pub fn cooldowns(self, cooldowns: Cooldowns) -> Self {
        Self { cooldowns: Some(cooldowns), ..self }
    }

    /// Sets under which upstream a peer stands in that table; by default under the
    /// origin of its URL. Needed where the layer has a key of your own.
    pub fn upstream_by(self, by: impl Fn(&Peer) -> Upstream + Send + Sync + 'static) -> Self {
        Self { upstream_by: Some(Arc::new(by)), ..self }
    }

    /// Sets where the wall clock is read; the system's by default.
    ///
    /// It only says how times are stored and shown. When a cycle is due, and who is
    /// eligible, is decided in tokio's time, whatever the wall clock does.
    pub fn wall_clock(self, read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { wall: WallClock::new(read), ..self }
    }

    /// Sets the longest wait that a peer can ask for; an hour by default, the
    /// layer's own. Set it if the layer's is set.
    ///
    /// Nothing is cut that a peer asks for now: the layer does that. But deadlines
    /// that come from elsewhere, with a restored book or state or with
    /// [`SyncCycle::merge`], and are further ahead than the longest wait there is,
    /// were made by a clock that was wrong, and are put there.
    pub fn max_retry_after(self, max_retry_after: Duration) -> Self {
        Self { max_retry_after, ..self }
    }

    /// Makes the cycle.
    #[must_use]
    pub fn build(self) -> SyncCycle<S> {
        let Self { service, mut book, mut state, policy, cooldowns, .. } = self;
        let since = self.wall.read();
        book.restore(self.max_retry_after, since.wall);
        // A cycle is put off for as long as its peers are left alone.
        state.restore(&policy, book.longest(self.max_retry_after), since);
        let shared = Shared {
            policy,
            wall: self.wall,
            cooldowns,
            upstream_by: self.upstream_by,
            max_retry_after: self.max_retry_after,
            ledger: Mutex::new(Ledger::new(book, state, since)),
            freed: Notify::new(),
        };
        SyncCycle { service, place: Place::Away, shared: Arc::new(shared) }
    }
}

impl<S: Clone> Clone for SyncCycleBuilder<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            book: self.book.clone(),
            state: self.state.clone(),
            policy: self.policy,
            cooldowns: self.cooldowns.clone(),
            upstream_by: self.upstream_by.clone(),
            wall: self.wall.clone(),
            max_retry_after: self.max_retry_after,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for SyncCycleBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncCycleBuilder")
            .field("service", &self.service)
            .field("book", &self.book)
            .field("state", &self.state)
            .field("policy", &self.policy)
            .field("cooldowns", &self.cooldowns)
            .field("wall", &self.wall)
            .field("max_retry_after", &self.max_retry_after)
            .finish_non_exhaustive()
    }
}
