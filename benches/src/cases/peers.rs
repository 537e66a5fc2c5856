//! The breakers and the limiter that people use today, around the bare service.
//!
//! Each as little wrapped as can be. A breaker knows one upstream, or all as one:
//! it looks nothing up. None of them reads the answer, except where a classifier is
//! its own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};

use failsafe::futures::{CircuitBreaker as _, ResponseFuture};
use failsafe::{Any, FailurePolicy, StateMachine, backoff, failure_policy};
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapErr};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::uri::Authority;
use http::{Request, Response, StatusCode};
use recloser::{AnyError, AsyncRecloser, Recloser, RecloserFuture};
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use super::Case;
use super::caller::{Made, finish, service, timed};
use crate::{AN_HOUR, Bare, ORIGIN, request, uri};

pub(super) const CASES: &[Case] = &[
    Case::new("tower-resilience breaker, closed", "bare", || tower_resilience(false)),
    Case::new("tower-resilience breaker, open", "bare", || tower_resilience(true)),
    Case::new("failsafe, closed", "bare", || {
        service(Failsafe(failsafe::Config::new().build(), Bare))
    }),
    Case::new("failsafe, open", "bare", || {
        let policy = failure_policy::consecutive_failures(1, backoff::constant(AN_HOUR));
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        breaker.on_error();
        service(Failsafe(breaker, Bare))
    }),
    Case::new("recloser, closed", "bare", || {
        service(Reclosed(Recloser::custom().build().into(), Bare))
    }),
    Case::new("recloser, open", "bare", || {
        let breaker = Recloser::custom().closed_len(1).open_wait(AN_HOUR).build();
        for _ in 0..2 {
            assert!(breaker.call(|| Err::<(), ()>(())).is_err(), "it failed");
        }
        service(Reclosed(breaker.into(), Bare))
    }),
    Case::new("governor keyed, allowed", "bare", || {
        governed(Quota::per_second(NonZeroU32::new(1_000_000_000).expect("it is not")))
    }),
    Case::new("governor keyed, refused", "bare", || {
        governed(Quota::with_period(AN_HOUR).expect("an hour is a period"))
    }),
];

fn tower_resilience(open: bool) -> Made {
    let refused = |response: &Response<()>| response.status() == StatusCode::TOO_MANY_REQUESTS;
    let builder = CircuitBreakerLayer::builder().wait_duration_in_open(AN_HOUR);
    let layer = builder.classify_response(refused).build().expect("the defaults are valid");
    let breaker = layer.layer(Bare);
    if open {
        finish(breaker.force_open());
    }
    timed(breaker)
}

/// A breaker of failsafe's around a service.
struct Failsafe<P, S>(StateMachine<P, ()>, S);

impl<P, S: Clone> Clone for Failsafe<P, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone())
    }
}

impl<P, R, S> Service<R> for Failsafe<P, S>
where
    P: FailurePolicy + Send + Sync,
    S: Service<R, Response = Response<()>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<()>;
    type Error = failsafe::Error<Infallible>;
    type Future = ResponseFuture<S::Future, P, (), Any>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.1.poll_ready(context).map_err(failsafe::Error::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(self.1.call(request))
    }
}

/// A breaker of recloser's around a service.
#[derive(Clone)]
struct Reclosed<S>(AsyncRecloser, S);

impl<R, S> Service<R> for Reclosed<S>
where
    S: Service<R, Response = Response<()>, Error = Infallible>,
{
    type Response = Response<()>;
    type Error = recloser::Error<Infallible>;
    type Future = RecloserFuture<S::Future, AnyError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.1.poll_ready(context).map_err(recloser::Error::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(self.1.call(request))
    }
}

/// governor's keyed limiter around a service.
#[derive(Clone)]
struct Governed<S>(Arc<DefaultKeyedRateLimiter<Host>>, S);

/// What is limited: a request's authority, for that needs neither copying nor
/// allocating; hashed in one go, for by itself it hashes letter by letter.
#[derive(Clone)]
struct Host(Authority);

impl Host {
    fn of(request: &Request<()>) -> Self {
        Self(request.uri().authority().expect("every request has one").clone())
    }
}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Host {}

/// The limit is reached.
#[derive(Clone, Copy, Debug)]
struct Limited;

impl Limited {
    fn never(never: Infallible) -> Self {
        match never {}
    }
}

impl<S> Service<Request<()>> for Governed<S>
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    type Response = Response<()>;
    type Error = Limited;
    type Future =
        Either<MapErr<S::Future, fn(Infallible) -> Limited>, Ready<Result<Response<()>, Limited>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Limited>> {
        self.1.poll_ready(context).map_err(Limited::never)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        match self.0.check_key(&Host::of(&request)) {
            Ok(()) => Either::Left(self.1.call(request).map_err(Limited::never)),
            Err(_) => Either::Right(ready(Err(Limited))),
        }
    }
}

fn governed(quota: Quota) -> Made {
    let limiter = RateLimiter::keyed(quota);
    // The first of an hour is allowed, and the rest refused.
    let first = limiter.check_key(&Host::of(&request(uri(ORIGIN))));
    assert!(first.is_ok(), "nobody has asked before");
    service(Governed(Arc::new(limiter), Bare))
}
