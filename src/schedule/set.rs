//! Many targets, one client: which target is due, and who is called next.
//!
//! A [`PollSet`] owns its targets and is polled by one task, so there is no lock.
//! `queue.rs` says who is next, `targets.rs` what an answer does to a target, and in
//! `drive.rs` calls go out and come back. It spawns nothing, retries nothing by itself
//! and does not wait for an upstream that is held back.

mod builder;
mod call;
mod drive;
mod handle;
mod heap;
mod queue;
#[cfg(feature = "serde")]
mod records;
mod spread;
mod target;
mod targets;

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tower_service::Service;

pub use self::builder::PollSetBuilder;
use self::call::Call;
use self::handle::Command;
pub use self::handle::{PollSetGone, PollSetHandle};
pub use self::target::{PolledTarget, TargetId, TargetInfo};
use self::targets::Targets;
use super::next::Judging;
use crate::cooldowns::Cooldowns;
use crate::error::BoxError;
use crate::upstream::Upstream;

/// Polls any number of targets through one service, each when it is due.
///
/// A stream of answers. The target that is longest overdue goes first, over all
/// upstreams; at most so many calls are out at once, in all and to each upstream.
/// Each target has its own interval and its own count of failures, and a judge says
/// what an answer means ([`judge::standard`](super::judge::standard) by default):
/// after a good one the target is due after its interval, after a failure after the
/// longer of ladder and hint. A call that was not sent, because its upstream is
/// being left alone, counts as nothing: that upstream's targets are put off
/// together, and stay due in their order. Given the layer's
/// [cooldowns](PollSetBuilder::cooldowns), they are put off without a call.
///
/// New targets are spread, so that they do not all fall due at once: the first of
/// all is due at once, the others within their interval or the builder's
/// [`spread`](PollSetBuilder::spread). [`trigger`](Self::trigger) is for those that
/// cannot wait.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tower::{ServiceBuilder, service_fn};
/// use tower_retry_after::schedule::PollSet;
/// use tower_retry_after::{RefusalErrorLayer, RetryAfterBackoffLayer, Upstream};
///
/// # async fn send(_: http::Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::io::Error> {
/// #     Ok(http::Response::new(http_body_util::Empty::new()))
/// # }
/// let layer = RetryAfterBackoffLayer::new();
/// let client = ServiceBuilder::new()
///     .layer(RefusalErrorLayer::new(&layer))
///     .layer(layer.clone())
///     .service(service_fn(send));
/// let request = |feed: &http::Uri| http::Request::get(feed).body(()).unwrap();
///
/// let mut feeds = PollSet::builder(client, request)
///     .cooldowns(layer.cooldowns())
///     .spread(Duration::from_secs(60))
///     .build();
/// for feed in ["https://blog.example/rss", "https://news.example/atom"] {
///     let feed = http::Uri::from_static(feed);
///     feeds.add_every(Upstream::from_uri(&feed), feed, Duration::from_secs(3600));
/// }
///
/// let polled = feeds.next().await.unwrap();
/// assert!(polled.result.is_ok());
/// assert_eq!(feeds.get(polled.id).unwrap().target(), "https://blog.example/rss");
/// # }
/// ```
///
/// # When it waits, and when it ends
///
/// The stream is pending while nothing is due, an empty set for ever;
/// [`wakes_at`](Self::wakes_at) says when there is something to do. It ends after
/// [`shutdown`](Self::shutdown) alone, when the calls that were out have been
/// answered. Dropping [`next`](Self::next) loses nothing. Dropping the set drops
/// the calls that are out.
///
/// Between two calls of `next` the owner changes the set as it likes; other tasks
/// have a [`PollSetHandle`].
///
/// What falls due while the set is paused, or the machine asleep, is polled when it
/// goes on, within the limits, and stays as close together as it was then.
///
/// # Panics
///
/// Needs a tokio runtime with time when it is polled, and panics without one, as
/// every timer of tokio's does. A set in which the service, the judge or the making of
/// a request has panicked is to be dropped: the call that did so is never answered.
pub struct PollSet<S, T, M, R>
where
    S: Service<R>,
{
    service: S,
    make_request: M,
    targets: Targets<T>,
    judging: Judging<S::Response>,
    cooldowns: Option<Cooldowns>,
    run_lease: Duration,
    calls: FuturesUnordered<Pin<Box<Call<S::Future>>>>,
    /// A box for the next call, if one is left over.
    spare: Option<Pin<Box<Call<S::Future>>>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether calls that are out are asked before another one begins: they take
    /// turns, or a fast upstream would keep everybody from the slow ones' answers.
    asks_first: bool,
    /// Whom the service was asked to be ready for, if it was not at once.
    readying: Option<TargetId>,
    /// How many wishes are heard until something else gets a turn.
    commands_left: u32,
    /// How many answers there may be until the task has to wait for its turn.
    answers_left: u32,
    sender: mpsc::UnboundedSender<Command<T>>,
    commands: mpsc::UnboundedReceiver<Command<T>>,
    request: PhantomData<fn() -> R>,
}

impl<S, T, M, R> PollSet<S, T, M, R>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
    S::Response: 'static,
    M: FnMut(&T) -> R,
{
    /// Creates an empty set with the default settings, which polls through `service`
    /// with the requests that `make_request` makes of the targets.
    pub fn new(service: S, make_request: M) -> Self {
        Self::builder(service, make_request).build()
    }

    /// Configures a set.
    pub fn builder(service: S, make_request: M) -> PollSetBuilder<S, T, M, R> {
        PollSetBuilder::new(service, make_request)
    }

    /// Waits for the next answer; `None` once the set is shut down and every call
    /// answered.
    ///
    /// It may be dropped at any time: nothing is lost, and nothing counted twice.
    pub async fn next(&mut self) -> Option<PolledTarget<S::Response>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<S, T, M, R> PollSet<S, T, M, R>
where
    S: Service<R>,
{
    /// Adds a target that is polled at the policy's interval.
    pub fn add(&mut self, upstream: Upstream, target: T) -> TargetId {
        self.targets.add(upstream, target, None)
    }

    /// Adds a target with an interval of its own: so long after a good answer it is
    /// called again. A millisecond is the least.
    pub fn add_every(&mut self, upstream: Upstream, target: T, interval: Duration) -> TargetId {
        self.targets.add(upstream, target, Some(interval))
    }

    /// Removes a target; nothing where it is gone already.
    ///
    /// A call to it that is out goes on, and keeps its place until it ends; its
    /// answer is dropped.
    pub fn remove(&mut self, id: TargetId) -> Option<T> {
        self.targets.remove(id)
    }

    /// Sets a target's interval, from its next good answer on; for one sooner,
    /// [`trigger`](Self::trigger) it. Returns whether the target is there.
    pub fn set_interval(&mut self, id: TargetId, interval: Duration) -> bool {
        self.targets.set_interval(id, interval)
    }

    /// Makes a target due now, whatever its failures. Returns whether it is there.
    ///
    /// It stands behind those that are overdue already, and waits as they do where
    /// its upstream is held back. One that is being called is left as it is.
    pub fn trigger(&mut self, id: TargetId) -> bool {
        self.targets.trigger(id)
    }

    /// Returns what is known of a target.
    pub fn get(&self, id: TargetId) -> Option<TargetInfo<'_, T>> {
        self.targets.get(id)
    }

    /// Returns a target to be changed, as by the `ETag` of its last answer.
    pub fn target_mut(&mut self, id: TargetId) -> Option<&mut T> {
        self.targets.data_mut(id)
    }

    /// Lists all targets, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = TargetInfo<'_, T>> {
        self.targets.iter()
    }

    /// Returns how many targets there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many calls are out.
    pub fn in_flight(&self) -> usize {
        self.targets.queue.in_flight()
    }

    /// Returns when the set wakes next, as far as time decides: now where something
    /// is overdue already.
    ///
    /// `None` where only something else can wake it: nothing is scheduled, all that
    /// is waits for calls that are out, or the set is paused or shut down. Where an
    /// upstream is held back it may wake just to look whether it still is.
    pub fn wakes_at(&self) -> Option<SystemTime> {
        self.targets.wakes_at()
    }

    /// Begins no calls until [`resume`](Self::resume); those that are out go on.
    pub fn pause(&mut self) {
        self.targets.is_paused = true;
    }

    /// Goes on after [`pause`](Self::pause): what fell due meanwhile is overdue, and
    /// goes out in its order.
    pub fn resume(&mut self) {
        self.targets.is_paused = false;
    }

    /// Begins no calls any more. The stream ends when those that are out have been
    /// answered.
    pub fn shutdown(&mut self) {
        self.targets.is_ending = true;
    }

    /// Returns a handle for other tasks.
    pub fn handle(&self) -> PollSetHandle<T> {
        PollSetHandle::new(self.sender.clone())
    }
}

/// Nothing in a set is ever pinned but what stands in a box.
impl<S, T, M, R> Unpin for PollSet<S, T, M, R> where S: Service<R> {}

impl<S, T, M, R> fmt::Debug for PollSet<S, T, M, R>
where
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollSet")
            .field("targets", &self.targets.len())
            .field("upstreams", &self.targets.queue.upstreams())
            .field("in_flight", &self.in_flight())
            .field("is_paused", &self.targets.is_paused)
            .field("is_ending", &self.targets.is_ending)
            .field("judging", &self.judging)
            .finish_non_exhaustive()
    }
}
