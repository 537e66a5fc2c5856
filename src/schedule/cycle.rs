//! One cycle of a sync loop: the eligible peers in order, until one answers.
//!
//! A Tower service over a service that syncs with one peer. It marks the book and
//! moves the state; it sleeps for nobody, so whoever drives it waits until the
//! next cycle is due.
//!
//! `shared` is what the clones have in common, `run` says what an answer means,
//! `future` calls the peers.

mod builder;
mod future;
mod report;
mod run;
mod shared;

use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;
use tower_service::Service;

pub use self::builder::SyncCycleBuilder;
pub use self::future::CycleFuture;
pub use self::report::{Answer, CycleReport, Synced, Tried};
use self::run::Run;
use self::shared::{Place, Shared};
use super::peers::{Peer, PeerBook, PeerError};
use super::state::{SyncPolicy, SyncState};
use super::wall::WallClock;
use crate::error::BoxError;

/// A service that runs one cycle of a sync loop at each call.
///
/// It goes around a service that syncs with one [`Peer`], which is built on a
/// client with the [`RetryAfterBackoffLayer`](crate::RetryAfterBackoffLayer). A
/// cycle calls the eligible peers in order until one has answered:
///
/// - [`Synced::Ok`] ends the cycle, and so does [`Synced::Fork`].
/// - A peer that refused, with a [`RateLimited`](crate::RateLimited) anywhere in
///   its error, has failed, and is left alone for as long as it asked, at least.
///   Any other error is a failure as well, and the next peer is called.
/// - A call that was held back by the layer is no failure: the peer is put off. A
///   peer whose upstream is known to be left alone is passed over without a call.
///
/// A cycle in which all have failed counts once, and the next is due after the
/// longer of the ladder and the first peer's return. Where nothing could be sent,
/// nothing counts, and the next is due when the first peer comes free. All of that
/// is in the [`CycleReport`]; a cycle never fails.
///
/// Clones share the book, the state, and the turn: there is one cycle at a time,
/// and `poll_ready` is pending while one runs. Under Tower's `LoadShed` a second
/// one is refused instead. A handle that is ready has the turn until it is called
/// or dropped. [`Poller::cycle`](super::Poller::cycle) runs it whenever it is due.
///
/// A run that has not ended after the policy's
/// [`run_lease`](SyncPolicy::run_lease) is given up, as a failure of the peer that
/// has not answered.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_retry_after::schedule::PeerError> {
/// use std::time::SystemTime;
/// use tower::{Service, ServiceExt, service_fn};
/// use tower_retry_after::schedule::{Outcome, Peer, PeerBook, SyncCycle, Synced};
///
/// // Syncs with one peer, through a client that has the layer.
/// async fn sync(peer: Peer) -> Result<Synced, std::io::Error> {
///     match peer.peer_url.as_str() {
///         "https://a.example" => Err(std::io::Error::other("connection refused")),
///         _ => Ok(Synced::ok("block 4711")),
///     }
/// }
///
/// let mut book = PeerBook::new();
/// book.add(Peer::new("https://a.example", SystemTime::UNIX_EPOCH)?)?;
/// book.add(Peer::new("https://b.example", SystemTime::UNIX_EPOCH)?)?;
/// let mut cycle = SyncCycle::new(service_fn(sync), book);
///
/// let Ok(ready) = cycle.ready().await;
/// let Ok(report) = ready.call(()).await;
///
/// assert_eq!(report.tried().len(), 2);
/// assert_eq!(report.state().last_outcome, Outcome::Ok);
/// assert_eq!(cycle.book().peer("https://a.example").unwrap().failure_count, 1);
/// tokio::time::sleep_until(report.due()).await; // five minutes
/// # Ok(())
/// # }
/// ```
pub struct SyncCycle<S> {
    service: S,
    place: Place,
    shared: Arc<Shared>,
}

impl<S> SyncCycle<S> {
    /// Creates a cycle with the default policy.
    pub fn new(service: S, book: PeerBook) -> Self {
        Self::builder(service).book(book).build()
    }

    /// Configures a cycle.
    pub fn builder(service: S) -> SyncCycleBuilder<S> {
        SyncCycleBuilder::new(service)
    }

    /// Returns the state of the loop.
    pub fn state(&self) -> SyncState {
        self.shared.with(|ledger, _| ledger.state.clone())
    }

    /// Returns the peers, as they are known now.
    pub fn book(&self) -> PeerBook {
        self.shared.with(|ledger, _| ledger.book.clone())
    }

    /// Returns the policy.
    pub fn policy(&self) -> SyncPolicy {
        self.shared.policy
    }

    /// Returns when the next cycle is due, in tokio's time; now if there was none.
    pub fn due(&self) -> Instant {
        self.shared.with(|ledger, now| ledger.due(&self.shared.policy, now))
    }

    /// Adds a peer.
    ///
    /// # Errors
    ///
    /// As [`PeerBook::add`].
    pub fn add(&self, peer: Peer) -> Result<(), PeerError> {
        self.take_in(peer, PeerBook::add)
    }

    /// Adds a peer, or takes in what this record of it knows.
    ///
    /// # Errors
    ///
    /// As [`PeerBook::merge`].
    pub fn merge(&self, peer: Peer) -> Result<(), PeerError> {
        self.take_in(peer, PeerBook::merge)
    }

    /// Takes a peer out, and returns what was known of it. If it is being called,
    /// the call goes on, and leaves no mark.
    ///
    /// # Errors
    ///
    /// As [`PeerBook::remove`].
    pub fn remove(&self, peer_url: &str) -> Result<Peer, PeerError> {
        self.shared.with(|ledger, _| ledger.book.remove(peer_url))
    }

    /// Says whether a peer may be called at all.
    ///
    /// # Errors
    ///
    /// As [`PeerBook::set_enabled`].
    pub fn set_enabled(&self, peer_url: &str, enabled: bool) -> Result<(), PeerError> {
        self.shared.with(|ledger, _| ledger.book.set_enabled(peer_url, enabled))
    }

    /// Notes that a peer was seen, by whatever sign.
    ///
    /// # Errors
    ///
    /// As [`PeerBook::mark_seen`].
    pub fn mark_seen(&self, peer_url: &str) -> Result<(), PeerError> {
        self.shared.with(|ledger, now| ledger.book.mark_seen(peer_url, now.wall))
    }

    /// Gives the turn back.
    pub(super) fn release(&mut self) {
        self.place = Place::Away;
    }

    pub(super) fn wall(&self) -> WallClock {
        self.shared.wall.clone()
    }

    fn take_in(
        &self,
        mut peer: Peer,
        take: fn(&mut PeerBook, Peer) -> Result<(), PeerError>,
    ) -> Result<(), PeerError> {
        let max_retry_after = self.shared.max_retry_after;
        self.shared.with(|ledger, now| {
            peer.bound(ledger.book.longest(max_retry_after), now.wall);
            take(&mut ledger.book, peer)
        })
    }
}

impl<S> Service<()> for SyncCycle<S>
where
    S: Service<Peer, Response = Synced> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = CycleReport;
    type Error = Infallible;
    type Future = CycleFuture<S>;

    /// Takes the turn, as soon as no cycle runs.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        ready!(self.place.poll_turn(&self.shared, cx));
        Poll::Ready(Ok(()))
    }

    /// Runs a cycle. Without having been readied, it waits for its turn first.
    fn call(&mut self, (): ()) -> CycleFuture<S> {
        let place = mem::take(&mut self.place);
        CycleFuture::new(self.service.clone(), place, Run::new(Arc::clone(&self.shared)))
    }
}

/// A clone shares book, state and turn, but is not ready.
impl<S: Clone> Clone for SyncCycle<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), place: Place::Away, shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug> fmt::Debug for SyncCycle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncCycle")
            .field("service", &self.service)
            .field("place", &self.place)
            .field("shared", &self.shared)
            .finish()
    }
}
