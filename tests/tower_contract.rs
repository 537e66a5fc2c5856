//! Tower's contract: readiness, reservations, and stacks with Tower's own layers
//! above and below.

mod support;

use std::convert::Infallible;
use std::io;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use support::Outcome::Sent;
use support::*;
use tokio::time::timeout;
use tower::limit::{ConcurrencyLimit, ConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_retry_after::{Error, RateLimited, Reason, RetryAfterBackoffLayer, State};

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn ready<S: Service<Request<()>>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

/// A layer whose upstream A is cooling for a minute.
fn cooling() -> RetryAfterBackoffLayer {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(A), secs(60));
    layer
}

#[tokio::test(start_paused = true)]
async fn poll_ready_forwards_readiness_and_is_not_moved_by_a_cooldown() {
    let peer = Peer::always(ok());
    let limit = ConcurrencyLimit::new(peer.service(), 1);
    let layer = cooling();
    let (mut first, mut second) = (layer.layer(limit.clone()), layer.layer(limit));

    assert!(matches!(ready(&mut first), Poll::Ready(Ok(()))), "cooling is no reason to wait");
    assert!(ready(&mut second).is_pending(), "the inner service is not ready");
    drop(first);
    assert!(matches!(ready(&mut second), Poll::Ready(Ok(()))));
}

/// A service that is broken for good.
#[derive(Clone)]
struct Broken;

impl Service<Request<()>> for Broken {
    type Response = Response<()>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Response<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("broken")))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        unreachable!("called unready")
    }
}

#[tokio::test(start_paused = true)]
async fn poll_ready_forwards_the_inner_error_and_no_rate_limit() {
    let mut client = cooling().layer(Broken);

    let Poll::Ready(Err(Error::Inner(error))) = ready(&mut client) else {
        panic!("not the inner error");
    };

    assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn a_rejecting_idle_handle_keeps_no_permit_of_the_service_below() {
    let peer = Peer::always(ok());
    let limit = ConcurrencyLimit::new(peer.service(), 1);
    let layer = cooling();
    let (mut rejecting, other) = (layer.layer(limit.clone()), layer.layer(limit));
    for _ in 0..3 {
        assert!(matches!(ready(&mut rejecting), Poll::Ready(Ok(()))));

        let outcome = Outcome::of(&at_once(rejecting.call(get(A))));

        assert_eq!(outcome, COOLING);
        assert_eq!(peer.reserved(), 0);
        assert_eq!(at_once(ask(&other, B)), Sent(200), "the only permit is free");
    }
    assert_eq!(peer.calls_to(A), 0);
}

#[tokio::test(start_paused = true)]
async fn an_admitted_call_uses_the_service_that_was_readied() {
    // With a single permit, calling a clone would need a second one.
    let peer = Peer::always(ok());
    let limit = ConcurrencyLimit::new(peer.service(), 1);
    let quiet = RetryAfterBackoffLayer::new();
    for layer in [quiet, cooling()] {
        let mut client = layer.layer(limit.clone());
        for _ in 0..3 {
            assert!(matches!(ready(&mut client), Poll::Ready(Ok(()))));
            assert_eq!(Outcome::of(&at_once(client.call(get(B)))), Sent(200));
        }
        assert_eq!(peer.reserved(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_handle_works_again_once_it_is_readied_again() {
    let peer = Peer::always(ok());
    let mut client = client(&cooling(), &peer);

    assert!(client.ready().await.unwrap().call(get(A)).await.is_err());
    pass(secs(60)).await;

    assert!(client.ready().await.unwrap().call(get(A)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_buffer_above_survives_a_thousand_rejections() {
    let peer = Peer::always(ok());
    let client = ServiceBuilder::new().buffer(8).layer(cooling()).service(peer.service());

    for _ in 0..1000 {
        let error = client.clone().oneshot(get(A)).await.unwrap_err();
        let limited = RateLimited::find(&*error).unwrap();
        assert_eq!(limited.reason(), Reason::Cooling);
    }
    assert_eq!(peer.calls(), 0);

    pass(secs(60)).await;
    assert_eq!(client.oneshot(get(A)).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_below_gets_its_slot_back_with_each_rejection() {
    let peer = Peer::always(ok());
    let client =
        ServiceBuilder::new().layer(cooling()).buffer::<Request<()>>(1).service(peer.service());
    let mut handles = vec![client; 20];

    for handle in &mut handles {
        let handle = timeout(secs(1), handle.ready()).await.expect("a slot").unwrap();
        assert!(handle.call(get(A)).await.is_err());
    }

    assert_eq!(ask(&handles[0], B).await, Sent(200));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_gives_a_slow_probe_up_and_the_next_caller_is_the_probe() {
    let peer = Peer::says([refused(), never(), ok()]);
    let layer = RetryAfterBackoffLayer::new();
    let client =
        ServiceBuilder::new().timeout(secs(5)).layer(layer.clone()).service(peer.service());
    client.clone().oneshot(get(A)).await.unwrap();
    pass(secs(60)).await;

    let error = client.clone().oneshot(get(A)).await.unwrap_err();

    assert!(error.is::<Elapsed>());
    assert_eq!(info(&layer.cooldowns(), A).consecutive_failures(), 1);
    assert_eq!(client.oneshot(get(A)).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_is_an_inner_error_and_no_refusal() {
    let peer = Peer::always(never());
    let layer = RetryAfterBackoffLayer::new();
    let client = layer.layer(TimeoutLayer::new(secs(5)).layer(peer.service()));

    let Err(Error::Inner(error)) = send(&client, A).await else {
        panic!("not the timeout");
    };

    assert!(error.is::<Elapsed>());
    assert!(layer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shed_call_below_is_an_inner_error_and_no_refusal() {
    let peer = Peer::always(never());
    let layer = RetryAfterBackoffLayer::new();
    let client = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(peer.service());
    let _hung = hang(&client, A);

    let Err(Error::Inner(error)) = send(&client, A).await else {
        panic!("not shed");
    };

    assert!(error.is::<Overloaded>());
    assert!(layer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn load_shedding_and_limits_above_pass_rejections_on_and_are_free_again() {
    let peer = Peer::always(ok());
    let client = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .layer(cooling())
        .service(peer.service());

    for _ in 0..10 {
        let error: Boxed = client.clone().oneshot(get(A)).await.unwrap_err();
        assert!(RateLimited::find(&*error).is_some(), "{error}");
    }
    assert_eq!(client.oneshot(get(B)).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn it_stacks_above_and_below_boxed_services() {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::new();
    let below = BoxCloneService::new(peer.service().map_err(Boxed::from));
    let client: BoxCloneService<Request<()>, Response<()>, Error> =
        BoxCloneService::new(layer.layer(below));

    assert_eq!(ask(&client, A).await, Sent(429));
    assert_eq!(ask(&client, A).await, COOLING);
    assert_eq!(peer.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_whole_stack_runs_an_episode() {
    let peer = Peer::says([refused_for(90)]);
    let layer = RetryAfterBackoffLayer::new();
    let client = ServiceBuilder::new()
        .buffer(4)
        .load_shed()
        .timeout(secs(10))
        .concurrency_limit(4)
        .layer(layer.clone())
        .timeout(secs(10))
        .buffer(4)
        .concurrency_limit(1)
        .service(peer.service());
    let ask = async || client.clone().oneshot(get(A)).await;

    assert_eq!(ask().await.unwrap().status(), 429);
    for _ in 0..100 {
        let error = ask().await.unwrap_err();
        assert_eq!(RateLimited::find(&*error).unwrap().consecutive_failures(), 1);
    }
    assert_eq!(peer.calls(), 1);
    pass(secs(90)).await;
    assert_eq!(ask().await.unwrap().status(), 200);
    assert_eq!(state(&layer.cooldowns(), A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_cannot_fail_needs_nothing_more() {
    let inner = Strict::new(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let client = RetryAfterBackoffLayer::new().layer(inner.clone());

    assert_eq!(ask(&client, A).await, Sent(200));
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_readied_and_dropped_reserves_nothing() {
    let peer = Peer::always(ok());
    let mut client = client(&cooling(), &peer);
    assert!(matches!(ready(&mut client), Poll::Ready(Ok(()))));
    assert_eq!(peer.reserved(), 1);

    drop(client);

    assert_eq!(peer.reserved(), 0);
}
