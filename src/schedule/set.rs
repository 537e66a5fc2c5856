//! Many targets, one client: which target is due, and who is called next.
//!
//! A [`PollSet`] owns its targets and is polled by one task, so there is no lock.
//! `queue.rs` says who is next and `targets.rs` what an answer does to a target;
//! here calls go out and come back. It spawns nothing, retries nothing by itself
//! and does not wait for an upstream that is held back.

mod builder;
mod call;
mod handle;
mod heap;
mod queue;
#[cfg(feature = "serde")]
mod records;
mod spread;
mod target;
mod targets;

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

pub use self::builder::PollSetBuilder;
use self::call::{Call, Ticket};
use self::handle::Command;
pub use self::handle::{PollSetGone, PollSetHandle};
use self::queue::{Hold, Turn};
pub use self::target::{PolledTarget, TargetId, TargetInfo};
use self::targets::Targets;
use super::next::{Judging, LEAST, Next};
use crate::cooldowns::Cooldowns;
use crate::error::{BoxError, Error, RateLimited, Reason};
use crate::upstream::Upstream;

/// How long a hold that was read from the table of cooldowns is believed before
/// the table is read again.
///
/// It bounds how long a cooldown that somebody cleared by hand goes on being
/// heeded; a look every half minute costs nothing, for however many upstreams.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How much is done before the task's other business gets a turn: as much as
/// tokio lets a task do.
const TURNS: u32 = 128;

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
///     .layer(RefusalErrorLayer::new())
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
/// # Panics
///
/// Needs a tokio runtime with time when it is polled, and panics without one, as
/// every timer of tokio's does.
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
    /// How many answers there may be until the task has to wait for its turn.
    answers_left: u32,
    sender: mpsc::UnboundedSender<Command<T>>,
    commands: mpsc::UnboundedReceiver<Command<T>>,
    request: PhantomData<fn() -> R>,
}

/// What became of one step.
enum Step<A> {
    Answered(PolledTarget<A>),
    Again,
    Wait,
    Ended,
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

    /// Goes on until there is something to tell, or nothing to do.
    fn step(&mut self, cx: &mut Context<'_>) -> Step<S::Response> {
        if let Ok(command) = self.commands.try_recv() {
            command(&mut self.targets);
            return Step::Again;
        }
        if std::mem::take(&mut self.asks_first)
            && let Some(step) = self.ask(cx)
        {
            return step;
        }
        match self.begin(cx) {
            Step::Wait => {}
            step => {
                self.asks_first = matches!(step, Step::Answered(_));
                return step;
            }
        }
        if let Some(step) = self.ask(cx) {
            return step;
        }
        // Nothing to do: whoever asks for something wakes the task from here on.
        match self.commands.poll_recv(cx) {
            Poll::Ready(Some(command)) => {
                command(&mut self.targets);
                Step::Again
            }
            Poll::Ready(None) | Poll::Pending
                if self.targets.is_ending && self.calls.is_empty() =>
            {
                self.commands.close();
                // Who asks from now on is told that the set is gone.
                while let Ok(command) = self.commands.try_recv() {
                    drop(command);
                }
                Step::Ended
            }
            Poll::Ready(None) | Poll::Pending => Step::Wait,
        }
    }

    /// Asks the calls that are out for an answer.
    fn ask(&mut self, cx: &mut Context<'_>) -> Option<Step<S::Response>> {
        if self.calls.is_empty() {
            return None;
        }
        match Pin::new(&mut self.calls).poll_next(cx) {
            Poll::Ready(Some((Some(ticket), result))) => Some(self.take(ticket, result)),
            Poll::Ready(_) | Poll::Pending => None,
        }
    }

    /// Begins a call, if one is due and may be.
    fn begin(&mut self, cx: &mut Context<'_>) -> Step<S::Response> {
        let Targets { is_paused, is_ending, .. } = self.targets;
        if is_paused || is_ending {
            return Step::Wait;
        }
        let index = match self.targets.next() {
            Turn::Call(index) => index,
            Turn::Until(wakes) => return self.sleep(self.targets.instant(wakes), cx),
            Turn::Idle => return Step::Wait,
        };
        let lane = self.targets.queue.lane(index);
        if let Some(until) = self.held_until(lane) {
            let now = self.targets.now();
            let until = self.targets.moment(until).min(now.after(LOOK_AGAIN)).max(now.after(LEAST));
            self.targets.queue.hold(lane, until, Hold::Loose);
            return Step::Again;
        }
        // Whom to call is known, so what the service reserves is used at once.
        let readied = match self.service.poll_ready(cx) {
            Poll::Ready(readied) => readied,
            Poll::Pending => return Step::Wait,
        };
        let Some((id, target)) = self.targets.at(index) else { return Step::Wait };
        let ticket = Ticket { id, lane, has_place: false };
        if let Err(error) = readied {
            return self.take(ticket, Err(Error::inner(error)));
        }
        let future = self.service.call((self.make_request)(target));
        self.send(future, ticket, cx)
    }

    /// Asks a call for its answer once, and puts it with the others if it has none.
    fn send(
        &mut self,
        future: S::Future,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Step<S::Response> {
        let mut call = self.spare.take().unwrap_or_else(Call::empty);
        call.as_mut().set(future);
        match call.as_mut().ask(cx) {
            Poll::Ready(result) => {
                self.spare = Some(call);
                self.take(ticket, result)
            }
            Poll::Pending => {
                self.targets.queue.begin(ticket.id.index);
                call.as_mut().keep(Ticket { has_place: true, ..ticket }, self.run_lease);
                self.calls.push(call);
                Step::Again
            }
        }
    }

    /// Takes in an answer.
    fn take(&mut self, ticket: Ticket, result: Result<S::Response, Error>) -> Step<S::Response> {
        let Ticket { id, lane, .. } = ticket;
        if !self.targets.has(id) {
            self.targets.queue.finish(lane, None);
            return Step::Again;
        }
        let reading = self.targets.wall.read();
        let now = self.targets.moment(reading.now);
        let (next, least) = self.judging.judge(&result, reading.wall);
        let (next, hold) = self.weigh(lane, next, &result, reading.now);
        let Some(outlook) = self.targets.answered(ticket, next, least, hold, now) else {
            return Step::Again;
        };
        Step::Answered(PolledTarget {
            id,
            result,
            consecutive_failures: outlook.failures,
            due_at: reading.time(self.targets.instant(outlook.due)),
        })
    }

    /// Says how sure it is that nothing can be sent, and until when.
    fn weigh(
        &self,
        lane: u32,
        next: Next,
        result: &Result<S::Response, Error>,
        now: Instant,
    ) -> (Next, Hold) {
        let Next::NotSent { until } = next else { return (next, Hold::Firm) };
        if let Some(held) = self.held_until(lane) {
            let until = held.min(crate::ambient::later(now, LOOK_AGAIN));
            return (Next::NotSent { until }, Hold::Loose);
        }
        let limited = result.as_ref().err().and_then(|error| RateLimited::find(error));
        let hold = match limited.map(RateLimited::reason) {
            // Nobody knows how long these take.
            Some(Reason::Probing | Reason::Reopening) => Hold::Loose,
            Some(Reason::Cooling | Reason::Refused) | None => Hold::Firm,
        };
        (Next::NotSent { until }, hold)
    }

    /// Returns until when the table of cooldowns holds a lane back.
    fn held_until(&self, lane: u32) -> Option<Instant> {
        self.cooldowns.as_ref()?.held_until(self.targets.queue.upstream(lane)?)
    }

    /// Waits until then.
    fn sleep(&mut self, until: Instant, cx: &mut Context<'_>) -> Step<S::Response> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Step::Again,
            Poll::Pending => Step::Wait,
        }
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

impl<S, T, M, R> Stream for PollSet<S, T, M, R>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
    S::Response: 'static,
    M: FnMut(&T) -> R,
{
    type Item = PolledTarget<S::Response>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let set = self.get_mut();
        if let Some(left) = set.answers_left.checked_sub(1) {
            for _ in 0..TURNS {
                match set.step(cx) {
                    Step::Again => {}
                    Step::Answered(answer) => {
                        set.answers_left = left;
                        return Poll::Ready(Some(answer));
                    }
                    Step::Wait => {
                        set.answers_left = TURNS;
                        return Poll::Pending;
                    }
                    Step::Ended => return Poll::Ready(None),
                }
            }
        }
        // More is to be done at once; but others have a right to the thread.
        set.answers_left = TURNS;
        cx.waker().wake_by_ref();
        Poll::Pending
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
