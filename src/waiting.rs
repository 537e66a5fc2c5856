//! Waiting instead of rejecting: a layer of its own over the same table.
//!
//! A call to an upstream that is held back stands in line for it, up to a
//! maximum, and leaves when its turn comes. It rejects where waiting is in vain.
//! Whoever uses [`RetryAfterBackoffLayer`](crate::RetryAfterBackoffLayer) by
//! itself pays nothing for this.

mod future;
mod outing;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use self::future::Waiter;
pub use self::future::WaitingFuture;
use self::outing::Outing;
use crate::ambient;
use crate::cooldowns::{Cooldowns, Entered, Place, Prospect};
use crate::error::{BoxError, Error, RateLimited};
use crate::message::{Incoming, Outgoing};
use crate::permit::{Permit, Shared};

/// Holds calls back while their upstream is cooling down, and lets them wait.
///
/// Made by [`RetryAfterBackoffLayer::waiting`](crate::RetryAfterBackoffLayer::waiting),
/// whose table, rules, key and classifier it shares.
///
/// **It goes in that layer's place, neither around it nor inside.** It asks the
/// table by itself, and a call that asks twice stands in its own way. Around the
/// rejecting layer over the same table, it sees each probe rejected by the inner
/// one: one call a second fails, and nothing is sent until the table forgets the
/// episode. Inside of it, or of another like itself, a probe waits for its own
/// lease to end. Different clients over one table may well use one the one, one
/// the other.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_retry_after::Error> {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
/// use tower_retry_after::RetryAfterBackoffLayer;
///
/// // Refuses once, then answers.
/// let mut answers = [429, 200].into_iter();
/// let send = service_fn(move |_: http::Request<()>| {
///     let status = answers.next().unwrap_or(200);
///     let response = http::Response::builder().status(status).header("retry-after", "20");
///     let response = response.body(()).unwrap();
///     async move { Ok::<_, std::io::Error>(response) }
/// });
///
/// let backoff = RetryAfterBackoffLayer::for_api();
/// let mut client = ServiceBuilder::new()
///     .layer(backoff.waiting(Duration::from_secs(30)))
///     .service(send);
/// let request = || http::Request::get("https://api.example/items").body(()).unwrap();
///
/// // The refusal reaches the caller as it is.
/// assert_eq!(client.ready().await?.call(request()).await?.status(), 429);
///
/// // The next call waits for the end of the cooldown, and is answered.
/// let start = Instant::now();
/// assert_eq!(client.ready().await?.call(request()).await?.status(), 200);
/// assert_eq!(start.elapsed(), Duration::from_secs(20));
///
/// // Half an hour is more than it would wait: such a call is rejected at once.
/// let upstream = tower_retry_after::Upstream::from_uri(request().uri());
/// backoff.cooldowns().cool(&upstream, Duration::from_secs(1800));
/// let error = client.ready().await?.call(request()).await.unwrap_err();
/// assert!(error.rate_limited().unwrap().retry_after() > Duration::from_secs(1799));
/// # Ok(())
/// # }
/// ```
///
/// # Who waits, and how long
///
/// A call that the table admits leaves at once, unless others wait already. Any
/// other stands in the line of its upstream until its deadline: `max_wait` from
/// the call, or what the request itself says
/// ([`Outgoing::deadline`]: a [`Deadline`](crate::message::Deadline) among its
/// extensions, or `grpc-timeout`), whichever is earlier. It is rejected with the
/// [`RateLimited`] of that time
///
/// - at once, if the upstream's cooldown ends later than that, or if it comes to
///   do so while the call waits, by another refusal;
/// - at its deadline, if its turn has not come by then.
///
/// Whoever watches the table hears of a call once: when it is sent, or rejected for
/// good. In shadow mode ([`shadow`](crate::RetryAfterBackoffLayerBuilder::shadow))
/// nobody waits: a call that would have is sent at once, and counted as one that
/// would have been rejected.
///
/// # In what order
///
/// First come, first served, by upstream, all services and layers over one table
/// taken together. One that arrives does not overtake those who wait. When a
/// cooldown ends, the first leaves as the probe; with its success two follow, and
/// for each success two more, as many as a Reopening upstream admits. The line
/// goes on like that, one call and one more for each success, when the table has
/// long called the upstream Clear, and also when somebody clears it by hand:
/// however many wait, they do not come as a herd. A refusal starts it again at
/// one; and if none had got through but the probe, one follows the next probe and
/// not two, until one gets through. When nobody waits any more, and as many have
/// succeeded as make a Reopening upstream Clear, those who arrive leave as they
/// come. Callers of a rejecting layer over the same table stand in no line: they
/// take what room they find.
///
/// A call that is never answered keeps its place for as long as a probe may be
/// out ([`probe_lease`](crate::RetryAfterBackoffLayerBuilder::probe_lease)); then
/// another takes it.
///
/// # Whoever waits must be polled
///
/// One whose turn has come and that is not polled within a second is passed
/// over, and keeps its place in line. So is one whose inner service is not ready:
/// a call waits without a reservation in the inner service, readies it when its
/// turn comes, and leaves when both have said yes.
///
/// A waiting call may be dropped at any time.
///
/// # Refused calls are not sent again
///
/// A call is sent once, and a refusal that it meets reaches the caller. For calls
/// that are to be sent again, stack a retry outside, such as `retry::RetryPolicy`
/// (feature `retry`), which also does without this layer.
///
/// # Panics
///
/// A call that waits needs a tokio runtime with time, and panics without one when
/// it is polled.
#[derive(Clone)]
pub struct WaitingLayer {
    shared: Arc<Shared>,
    max_wait: Duration,
}

impl WaitingLayer {
    pub(crate) fn new(shared: Arc<Shared>, max_wait: Duration) -> Self {
        Self { shared, max_wait }
    }

    /// Returns a handle on the table of upstreams.
    pub fn cooldowns(&self) -> Cooldowns {
        self.shared.cooldowns.clone()
    }

    /// Returns how long a call waits at most.
    pub fn max_wait(&self) -> Duration {
        self.max_wait
    }
}

impl<S> Layer<S> for WaitingLayer {
    type Service = Waiting<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Waiting { inner, shared: Arc::clone(&self.shared), max_wait: self.max_wait }
    }
}

impl fmt::Debug for WaitingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingLayer")
            .field("max_wait", &self.max_wait)
            .field("rules", &self.shared.rules)
            .field("cooldowns", &self.shared.cooldowns)
            .finish_non_exhaustive()
    }
}

/// A service whose calls wait while their upstream is cooling down.
///
/// Made by [`WaitingLayer`], where the rules stand. `poll_ready` is the inner
/// service's alone. The inner service must be `Clone`: a call that waits leaves
/// a clone of it behind, and takes along another.
///
/// # Errors
///
/// Calls fail with [`Error::RateLimited`] where waiting was, or would be, in vain,
/// and with [`Error::Inner`] where the inner service failed.
pub struct Waiting<S> {
    inner: S,
    shared: Arc<Shared>,
    max_wait: Duration,
}

impl<S> Waiting<S> {
    /// Returns a handle on the table of upstreams.
    pub fn cooldowns(&self) -> Cooldowns {
        self.shared.cooldowns.clone()
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the inner service out.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Somebody is in trouble, or waits: look whether it is this call's upstream.
    fn call_with_care<R>(&mut self, generation: u64, request: R) -> WaitingFuture<S, R>
    where
        S: Service<R> + Clone,
        R: Outgoing,
    {
        let held_back = match self.arrive(&request, generation) {
            // Should the inner service panic, all places are given back.
            Ok(outing) => return WaitingFuture::called(self.inner.call(request), outing),
            Err(held_back) => held_back,
        };
        // In shadow mode nobody waits.
        if let Some(passing) = self.shared.let_pass(&held_back) {
            return WaitingFuture::called(self.inner.call(request), Outing::new(passing));
        }
        // The one place where a readied service is given up.
        let fresh = self.inner.clone();
        drop(std::mem::replace(&mut self.inner, fresh));
        let now = ambient::now();
        let longest = ambient::later(now, self.max_wait);
        let deadline = request.deadline(now).map_or(longest, |own| own.min(longest));
        if self.is_in_vain(&held_back, now, deadline) {
            self.shared.tell_rejected(&held_back);
            return WaitingFuture::rejected(held_back);
        }
        let ticket = self.shared.cooldowns.join(held_back.upstream());
        let (inner, shared) = (self.inner.clone(), Arc::clone(&self.shared));
        WaitingFuture::waiting(Waiter::new(inner, request, shared, ticket, deadline))
    }

    /// Admits a call that does not have to wait.
    #[inline]
    fn arrive<R: Outgoing>(&self, request: &R, generation: u64) -> Result<Outing, RateLimited> {
        let Shared { cooldowns, rules, .. } = &*self.shared;
        if cooldowns.lines().is_empty() {
            return Ok(Outing::new(self.shared.admit(request, generation)?));
        }
        let upstream = self.shared.upstream(request);
        let line = cooldowns.lines().find(&upstream);
        let Some(line) = line.filter(|line| !line.is_idle(rules.reopen_width)) else {
            return Ok(Outing::new(self.shared.admit_to(upstream, generation)?));
        };
        let lapses = ambient::later(ambient::now(), rules.probe_lease);
        match Place::let_in(cooldowns, &line, lapses) {
            Some(place) => {
                Ok(Outing::from_line(self.shared.admit_to(upstream, generation)?, place))
            }
            None => Err(cooldowns.waited_in_vain(&upstream)),
        }
    }

    /// Returns whether a call that is held back is rejected without waiting.
    fn is_in_vain(&self, held_back: &RateLimited, now: Instant, deadline: Instant) -> bool {
        deadline <= now
            || match self.shared.cooldowns.look(held_back.upstream()).prospect {
                Prospect::Cooling { until } => until > deadline,
                Prospect::Open | Prospect::Probing { .. } | Prospect::Full => false,
            }
    }
}

impl<S, R> Service<R> for Waiting<S>
where
    S: Service<R> + Clone,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
    R: Outgoing,
{
    type Response = S::Response;
    type Error = Error;
    type Future = WaitingFuture<S, R>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(ready!(self.inner.poll_ready(cx)).map_err(Error::inner))
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let Shared { cooldowns, .. } = &*self.shared;
        let Entered { generation, is_quiet } = cooldowns.table().enter();
        if is_quiet && cooldowns.lines().is_empty() {
            let permit = Permit::free(&self.shared, self.shared.note(&request), generation);
            permit.tell_admitted();
            let call = self.inner.call(request);
            return WaitingFuture::called(call, Outing::new(permit));
        }
        self.call_with_care(generation, request)
    }
}

impl<S: Clone> Clone for Waiting<S> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { inner: self.inner.clone(), shared, max_wait: self.max_wait }
    }
}

impl<S: fmt::Debug> fmt::Debug for Waiting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("inner", &self.inner)
            .field("max_wait", &self.max_wait)
            .field("cooldowns", &self.shared.cooldowns)
            .finish_non_exhaustive()
    }
}
