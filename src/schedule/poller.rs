//! A loop that asks one service again and again, each time when it is due.
//!
//! The shell around [`SyncState`]: it sleeps until the state says so, calls, and
//! takes in what came of it. Deadlines are kept in tokio's time and only shown on
//! the wall clock, so a clock that is stepped moves none of them. It does not
//! retry, and it does not catch up: a poll that was missed is missed.

mod builder;
mod drive;
mod handle;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

pub use self::builder::PollerBuilder;
use self::handle::Remote;
pub use self::handle::{PollerHandle, StateWatch};
use super::cycle::{SyncCycle, Synced};
use super::judge;
use super::next::Judging;
use super::peers::Peer;
use super::state::{SyncPolicy, SyncState};
use super::wall::{Reading, WallClock};
use crate::error::{BoxError, Error};

/// Asks a service again and again, each time when it is due.
///
/// A [`Stream`] of what the service answered, each with the state of the loop
/// after it. It sleeps until the next poll is due, readies the service, makes a
/// request and calls. Then:
///
/// | the judge says | the next poll is due | counted |
/// |---|---|---|
/// | [`Next::Ok`](super::Next::Ok) | after the interval | the failures are forgotten |
/// | [`Next::Failed`](super::Next::Failed) | after the longer of ladder and hint | one failure |
/// | [`Next::NotSent`](super::Next::NotSent) | then | nothing |
/// | [`Next::DueAt`](super::Next::DueAt) | then | a success, where the service answered |
///
/// It lives in the task that polls it: nothing is spawned, and nothing happens
/// while nobody asks for the next result. Giving up on [`next`](Self::next) loses
/// nothing, so it can stand in a `select!`; dropping the poller drops the call
/// that is out. A run that takes longer than [`SyncPolicy::run_lease`] is given
/// up, and yields an error.
///
/// The service is used for as long as the poller lives: one that can fail to become
/// ready must be able to recover from it, or each poll fails, on the ladder.
///
/// [`handle`](Self::handle) is for other tasks: to poll now, to pause, to shut
/// down, to look at the state.
///
/// # Panics
///
/// Polling needs a tokio runtime with time, and panics without one, as every
/// timer of tokio's does.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use http_body_util::Empty;
/// use tower::{ServiceBuilder, service_fn};
/// use tower_retry_after::schedule::{Poller, SyncPolicy};
/// use tower_retry_after::{RefusalErrorLayer, RetryAfterBackoffLayer};
///
/// # type Body = Empty<&'static [u8]>;
/// # async fn send(_: http::Request<Body>) -> Result<http::Response<Body>, std::io::Error> {
/// #     Ok(http::Response::new(Body::new()))
/// # }
/// let backoff = RetryAfterBackoffLayer::new();
/// let client = ServiceBuilder::new()
///     .layer(RefusalErrorLayer::new(&backoff))
///     .layer(backoff)
///     .service(service_fn(send)); // any HTTP client
///
/// let request = || http::Request::get("https://api.example/items").body(Body::new()).unwrap();
/// let policy = SyncPolicy { interval: Duration::from_secs(60), ..SyncPolicy::default() };
/// let mut poller = Poller::builder(client, request).policy(policy).build();
///
/// while let Some(polled) = poller.next().await {
///     match polled.result {
///         Ok(response) => println!("{}", response.status()),
///         Err(error) => println!("{error}"), // a refusal, or a connection that failed
///     }
///     println!("next at {:?}", polled.state.next_sync_due_at);
/// #   break;
/// }
/// # }
/// ```
#[must_use = "a poller does nothing unless it is asked for the next result"]
pub struct Poller<S, M, R>
where
    S: Service<R>,
{
    service: S,
    make_request: M,
    policy: SyncPolicy,
    judging: Judging<S::Response>,
    clock: WallClock,
    state: SyncState,
    /// When the state was brought in line with the clocks.
    since: Reading,
    /// When the next run is due.
    due: Instant,
    /// Who else says so, if the service has a schedule of its own.
    owner: Option<Owner<S>>,
    phase: Phase<S::Future>,
    /// Made when it is first needed, for it needs a runtime.
    sleep: Option<Pin<Box<Sleep>>>,
    remote: Remote,
}

/// Where the loop stands.
enum Phase<F> {
    /// No run is out.
    Waiting,
    /// A run has begun, and the service is not ready yet. `wanted` by somebody, it
    /// is not for the schedule to put it off.
    Readying { expires: Instant, wanted: bool },
    /// The call is out.
    Calling { call: Pin<Box<F>>, expires: Instant },
    /// Code that is not ours runs. Found by the next poll, it has panicked.
    Away,
    /// The loop was shut down.
    Ended,
}

/// A service that has a schedule of its own, which others may move as well.
struct Owner<S> {
    /// Says when the next run is due.
    due: fn(&S) -> Instant,
    /// Gives back what the service has reserved in being readied.
    release: fn(&mut S),
}

/// What a poll brought, and the state of the loop after it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Polled<T> {
    /// What the service answered.
    pub result: Result<T, Error>,
    /// The state after it; `next_sync_due_at` says when the next poll is due.
    pub state: SyncState,
}

impl<S, M, R> Poller<S, M, R>
where
    S: Service<R, Error: Into<BoxError>>,
    S::Response: 'static,
    M: FnMut() -> R,
{
    /// Creates a poller with the default policy, which is due at once.
    pub fn new(service: S, make_request: M) -> Self {
        Self::builder(service, make_request).build()
    }

    /// Configures a poller of `service`; `make_request` makes the request of each
    /// poll.
    pub fn builder(service: S, make_request: M) -> PollerBuilder<S, M, R> {
        PollerBuilder::new(service, make_request, Judging::by(judge::standard))
    }

    /// Waits until the next poll is due and answered; nothing is left once the
    /// poller was shut down.
    ///
    /// Dropping the future loses nothing: the poll that is out goes on when it is
    /// asked for again.
    pub async fn next(&mut self) -> Option<Polled<S::Response>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<S> Poller<SyncCycle<S>, fn(), ()>
where
    S: Service<Peer, Response = Synced, Error: Into<BoxError>> + Clone,
{
    /// Creates a poller that runs a sync cycle whenever it is due.
    ///
    /// Policy, state and wall clock are the cycle's, and so are due time and lease:
    /// the state that is shown here is that of its last report, and a cycle that
    /// another handle has run puts the next one off.
    ///
    /// A cycle behind other layers, as under Tower's `LoadShed`, is a service like
    /// any other: build its poller with `state(cycle.state())`, and with a longer
    /// [`run_lease`](SyncPolicy::run_lease) than the cycle's, which knows better whose
    /// fault it is that a run does not end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_retry_after::schedule::PeerError> {
    /// use std::time::SystemTime;
    /// use tower::service_fn;
    /// use tower_retry_after::schedule::{Outcome, Peer, PeerBook, Poller, SyncCycle, Synced};
    ///
    /// // Syncs with one peer, through a client that has the layer.
    /// async fn sync(_: Peer) -> Result<Synced, std::io::Error> {
    ///     Ok(Synced::ok("block 4711"))
    /// }
    ///
    /// let mut book = PeerBook::new();
    /// book.add(Peer::new("https://a.example", SystemTime::UNIX_EPOCH)?)?;
    /// let cycle = SyncCycle::new(service_fn(sync), book);
    /// let mut poller = Poller::cycle(cycle.clone());
    ///
    /// while let Some(polled) = poller.next().await {
    ///     assert_eq!(polled.state.last_outcome, Outcome::Ok);
    ///     println!("next cycle at {:?}", polled.state.next_sync_due_at);
    /// #   break;
    /// }
    /// assert_eq!(cycle.state().current_head, "block 4711");
    /// # Ok(())
    /// # }
    /// ```
    pub fn cycle(cycle: SyncCycle<S>) -> Self {
        // A cycle ends its runs itself, and knows whose fault it was.
        let policy = SyncPolicy { run_lease: Duration::MAX, ..cycle.policy() };
        let (state, due, clock) = (cycle.state(), cycle.due(), cycle.wall());
        let run: fn() = || ();
        let mut poller =
            Self::builder(cycle, run).policy(policy).clock(clock).build_from(state, due);
        poller.owner = Some(Owner { due: SyncCycle::due, release: SyncCycle::release });
        poller
    }
}

impl<S, M, R> Poller<S, M, R>
where
    S: Service<R>,
{
    /// Returns a handle for other tasks.
    pub fn handle(&self) -> PollerHandle {
        self.remote.handle(self.clock.clone())
    }

    /// Returns the state of the loop.
    pub fn state(&self) -> SyncState {
        self.handle().state()
    }

    /// Returns the service that is polled.
    pub fn get_ref(&self) -> &S {
        &self.service
    }
}

/// Nothing in it is ever pinned but what is boxed.
impl<S, M, R> Unpin for Poller<S, M, R> where S: Service<R> {}

impl<S, M, R> fmt::Debug for Poller<S, M, R>
where
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Waiting => "waiting",
            Phase::Readying { .. } => "readying",
            Phase::Calling { .. } => "calling",
            Phase::Away => "away",
            Phase::Ended => "ended",
        };
        f.debug_struct("Poller")
            .field("policy", &self.policy)
            .field("phase", &phase)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
