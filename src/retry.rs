//! When to send a call again, and when to give up: a policy for `tower::retry`.
//!
//! The decision (`retry/decide.rs`) is pure, and the waiting is the table's: who
//! is to come back stands in the queue of [`Cooldowns::ready`], so that no herd
//! strikes when a cooldown ends. The policy learns nothing and holds nothing back,
//! and it retries nothing but rate limits: not a lost connection, not a bare 500.

mod answer;
mod decide;
mod replay;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower::retry::Policy;
use tower::retry::budget::Budget;

use self::answer::Answer;
use self::decide::{Case, Decision, Outcome, decide};
pub use self::replay::{ByClone, FromFn, IfEmpty, Replay};
pub use self::wait::Wait;
use crate::ambient;
use crate::cooldown::LEAST_WAIT;
#[cfg(doc)]
use crate::cooldowns::Cooldowns;
use crate::cooldowns::{CooldownInfo, State};
use crate::error::RateLimited;
use crate::layer::RetryAfterBackoffLayer;
use crate::message::{Incoming, Outgoing};
use crate::permit::Shared;
use crate::upstream::Upstream;

/// The default of [`RetryPolicy::attempts`]: that of the standard mode of
/// [AWS's SDKs](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
///
/// Who is refused a third time, after the waits that were asked for, is not helped
/// by a fourth.
const DEFAULT_ATTEMPTS: u32 = 3;

/// The default of [`RetryPolicy::total_time`]: time for one window of a minute,
/// the commonest there is, to pass, and for the answers around it.
///
/// Who can wait longer is better served by a schedule than by a call that hangs.
const DEFAULT_TOTAL_TIME: Duration = Duration::from_secs(120);

/// Sends calls again that met a rate limit, once they have a chance.
///
/// | the call | is sent again |
/// |---|---|
/// | was held back, and never sent | whatever its method |
/// | was refused with 429, or gRPC's `RESOURCE_EXHAUSTED` | whatever its method |
/// | was refused otherwise (503, 529, 403 with a wait, gRPC's `UNAVAILABLE`) | if its method is idempotent (RFC 9110 §9.2.2) |
/// | was refused with a `grpc-retry-pushback-ms` that is negative or unreadable | never |
/// | ended in any other way | never |
///
/// Who waits for an upstream stands in one queue with all others that do, and is
/// let go when a call has a chance. A call whose wait would end too late fails at
/// once, with the answer it has.
///
/// A request is sent again only if it can be cloned, body and all; a stream never
/// is. See [`clone_with`](Self::clone_with) and [`empty_bodies`](Self::empty_bodies)
/// for bodies that are not `Clone`.
///
/// # Which order does what
///
/// Stack the retry **outside** of the layer. Each attempt then asks whether it may
/// leave, and each refusal counts at once, for all callers:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use tower::retry::RetryLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_retry_after::RetryAfterBackoffLayer;
/// use tower_retry_after::retry::RetryPolicy;
///
/// // Refuses once, then answers.
/// let mut answers = [429, 200].into_iter();
/// let upstream = service_fn(move |_: http::Request<()>| {
///     let status = answers.next().unwrap_or(200);
///     let response = http::Response::builder().status(status).header("retry-after", "2");
///     std::future::ready(Ok::<_, std::io::Error>(response.body(()).unwrap()))
/// });
///
/// let backoff = RetryAfterBackoffLayer::for_api();
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::new(&backoff)))
///     .layer(backoff)
///     // A service that is not `Clone` goes behind a `Buffer`.
///     .buffer(8)
///     .service(upstream);
///
/// let start = tokio::time::Instant::now();
/// let request = http::Request::get("https://api.example/").body(()).unwrap();
/// let response = client.oneshot(request).await.unwrap();
/// assert_eq!(response.status(), 200);
/// assert!(start.elapsed().as_secs() >= 2);
/// # }
/// ```
///
/// **Inside** of the layer, all attempts are one call to it. It sees the last
/// answer alone: refusals that were made good are kept from the table, and other
/// callers carry on meanwhile; a probe lasts as long as all of its attempts. The
/// policy then waits by the layer's own rules, for that call alone, and nothing
/// keeps many such calls from coming back together. That order suits a single
/// caller that wants to be left in peace by short refusals, and few others.
///
/// # A retry, or a layer that waits
///
/// A [`WaitingLayer`](crate::WaitingLayer) sends every call once: take it where a
/// call shall wait its turn, and a refusal that it meets itself may reach the
/// caller. It clones no request, and keeps the order of arrival. Take this policy
/// where refused calls are to be sent again too. It may stand outside of that layer
/// in the rejecting one's place; then `max_wait` bounds each wait in the layer's
/// line, and [`total_time`](Self::total_time) only what this policy waits for.
#[derive(Clone)]
#[must_use = "a policy does nothing until it is given to `tower::retry`"]
pub struct RetryPolicy<C = ByClone> {
    shared: Arc<Shared>,
    bounds: Bounds,
    replay: C,
    course: Course,
}

/// What a user may set.
#[derive(Clone)]
struct Bounds {
    attempts: u32,
    total_time: Duration,
    budget: Option<Arc<dyn Budget + Send + Sync>>,
}

/// How far a call has come.
///
/// A service keeps one policy and clones it for each call, after it has asked for
/// the request's clone: what is left there from the call before is overwritten.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// When nobody wants the answer any longer.
    deadline: Option<Instant>,
    /// The table's generation before the attempt that is out.
    generation: u64,
    /// The attempts that were sent and refused.
    sent: u32,
    /// When the last attempt was held back.
    held_back: Option<Instant>,
    /// The next request that is to be cloned is this call's next attempt.
    is_under_way: bool,
}

impl RetryPolicy {
    /// Creates a policy that waits by the table and the rules of that layer.
    pub fn new(backoff: &RetryAfterBackoffLayer) -> Self {
        let bounds =
            Bounds { attempts: DEFAULT_ATTEMPTS, total_time: DEFAULT_TOTAL_TIME, budget: None };
        let shared = Arc::clone(backoff.shared());
        Self { shared, bounds, replay: ByClone(()), course: Course::default() }
    }
}

impl<C> RetryPolicy<C> {
    /// Sets how often a call is sent at most, the first time included; 3 by
    /// default, and at least once.
    ///
    /// An attempt that was held back was not sent, and does not count.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.bounds.attempts = attempts.max(1);
        self
    }

    /// Sets within which time the last attempt must begin; 120 s by default,
    /// counted from when the first one is made.
    ///
    /// An attempt that would have to wait longer is not made, nor waited for: the
    /// call fails at once. The request's own deadline
    /// ([`Outgoing::deadline`]) bounds it as well. Zero retries nothing.
    pub fn total_time(mut self, total_time: Duration) -> Self {
        self.bounds.total_time = total_time;
        self
    }

    /// Sets a budget that all calls share; without one, each has its own bounds
    /// alone.
    ///
    /// A success deposits. Sending a call again that was refused withdraws; with
    /// nothing left, the refusal is returned. A call that was held back withdraws
    /// nothing, for it has cost the upstream nothing.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower::retry::budget::TpsBudget;
    /// use tower_retry_after::RetryAfterBackoffLayer;
    /// use tower_retry_after::retry::RetryPolicy;
    ///
    /// let backoff = RetryAfterBackoffLayer::for_api();
    /// let policy = RetryPolicy::new(&backoff).budget(Arc::new(TpsBudget::default()));
    /// # let _ = policy;
    /// ```
    pub fn budget(mut self, budget: Arc<impl Budget + Send + Sync + 'static>) -> Self {
        self.bounds.budget = Some(budget);
        self
    }

    /// Sets how a request is cloned; one for which there is no clone is sent once.
    ///
    /// For bodies that are not `Clone`, and request types of your own.
    ///
    /// ```
    /// use http::Request;
    /// use hyper::body::Incoming;
    /// use http_body_util::Either;
    /// use tower_retry_after::RetryAfterBackoffLayer;
    /// use tower_retry_after::retry::RetryPolicy;
    ///
    /// // A proxy: what comes in as a stream is passed on once.
    /// type Body = Either<Incoming, String>;
    ///
    /// let backoff = RetryAfterBackoffLayer::for_api();
    /// let policy = RetryPolicy::new(&backoff).clone_with(|request: &Request<Body>| {
    ///     let Either::Right(text) = request.body() else {
    ///         return None;
    ///     };
    ///     let mut clone = Request::new(Either::Right(text.clone()));
    ///     *clone.method_mut() = request.method().clone();
    ///     *clone.uri_mut() = request.uri().clone();
    ///     *clone.headers_mut() = request.headers().clone();
    ///     Some(clone)
    /// });
    /// # let _ = policy;
    /// ```
    pub fn clone_with<R, F>(self, clone: F) -> RetryPolicy<FromFn<F>>
    where
        F: Fn(&R) -> Option<R>,
    {
        self.with(FromFn(clone))
    }

    /// Sends requests of any body again that have an empty one, such as most `GET`s.
    ///
    /// For bodies that are not `Clone` but have a default, which must be empty:
    /// those of `tonic` and `http-body-util`'s boxed ones.
    pub fn empty_bodies(self) -> RetryPolicy<IfEmpty> {
        self.with(IfEmpty(()))
    }

    fn with<D>(self, replay: D) -> RetryPolicy<D> {
        let Self { shared, bounds, course, .. } = self;
        RetryPolicy { shared, bounds, replay, course }
    }

    /// Plans the wait of a call that was not sent; nor was it `before`, if then it
    /// was held back as well.
    fn after_rejection(
        &self,
        limited: &RateLimited,
        before: Option<Instant>,
        now: Instant,
    ) -> Plan {
        // Twice at once, though the table says that there is room: it was another
        // table that said no.
        let is_going_in_circles =
            before.is_some_and(|before| now.saturating_duration_since(before) < LEAST_WAIT);
        match self.shared.cooldowns.get(limited.upstream()) {
            Some(info) if !is_going_in_circles => Plan::queue(&info, now),
            Some(_) | None => Plan { earliest: Some(limited.until()), queue: None },
        }
    }

    /// Plans the wait of a call that was sent and refused.
    fn after_refusal(&self, by: &Upstream, hint: Option<Duration>) -> Plan {
        let now = ambient::now();
        // Has it come to the table's ears? A layer inside has told it; one outside
        // does not know of it yet, and may have a probe out for this very call.
        if let Some(info) = self.shared.cooldowns.outdated_since(by, self.course.generation) {
            return Plan::queue(&info, now);
        }
        let rules = &self.shared.rules;
        let sample = if rules.jitter > 0.0 { ambient::sample() } else { 0.0 };
        let pause = rules.pause(self.course.sent, hint, sample);
        Plan { earliest: now.checked_add(pause), queue: None }
    }
}

/// How to wait for the next attempt.
struct Plan {
    /// Before then it has no chance; none where the clock does not reach so far.
    earliest: Option<Instant>,
    /// The upstream in whose queue to stand.
    queue: Option<Upstream>,
}

impl Plan {
    /// Stands in the queue of an upstream.
    fn queue(info: &CooldownInfo, now: Instant) -> Self {
        let earliest = match info.state() {
            State::Cooling => info.until(),
            // Nobody knows how soon: an answer may come at any time.
            State::Clear | State::Probing | State::Reopening => now,
        };
        Self { earliest: Some(earliest), queue: Some(info.upstream().clone()) }
    }
}

impl<C, Req, Res, E> Policy<Req, Res, E> for RetryPolicy<C>
where
    C: Replay<Req>,
    Req: Outgoing,
    Res: Incoming,
    E: 'static,
{
    type Future = Wait;

    fn retry(&mut self, request: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
        let before = self.course.held_back.take();
        let (outcome, plan) = match Answer::read(result, &self.shared) {
            Answer::Other => return None,
            Answer::Succeeded => {
                if let Some(budget) = &self.bounds.budget {
                    budget.deposit();
                }
                return None;
            }
            Answer::HeldBack(limited) => {
                let now = ambient::now();
                self.course.held_back = Some(now);
                (Outcome::HeldBack, self.after_rejection(&limited, before, now))
            }
            Answer::Refused { by, hint, again } => {
                self.course.sent = self.course.sent.saturating_add(1);
                let by = by.unwrap_or_else(|| self.shared.upstream(request));
                (Outcome::Refused(again), self.after_refusal(&by, hint))
            }
        };
        let decision = decide(&Case {
            outcome,
            is_idempotent: request.method().is_idempotent(),
            sent: self.course.sent,
            attempts: self.bounds.attempts,
            earliest: plan.earliest,
            deadline: self.course.deadline,
        });
        let at = match decision {
            Decision::GiveUp => return None,
            Decision::Again { at, withdraws: false } => at,
            Decision::Again { at, withdraws: true } => {
                let budget = self.bounds.budget.as_ref();
                if budget.is_some_and(|budget| !budget.withdraw()) {
                    return None;
                }
                at
            }
        };
        self.course.is_under_way = true;
        Some(match plan.queue {
            Some(upstream) => {
                Wait::turn(self.shared.cooldowns.clone(), upstream, self.course.deadline)
            }
            None => Wait::until(at),
        })
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        if !self.course.is_under_way {
            let now = ambient::now();
            let total = now.checked_add(self.bounds.total_time);
            let deadline = [total, request.deadline(now)].into_iter().flatten().min();
            self.course = Course { deadline, ..Course::default() };
        }
        self.course.is_under_way = false;
        self.course.generation = self.shared.cooldowns.table().enter().generation;
        self.replay.replay(request)
    }
}

impl<C: fmt::Debug> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.bounds.attempts)
            .field("total_time", &self.bounds.total_time)
            .field("has_budget", &self.bounds.budget.is_some())
            .field("replay", &self.replay)
            .field("cooldowns", &self.shared.cooldowns)
            .finish_non_exhaustive()
    }
}
