//! `RejectionResponseLayer`: a rejection as a response, for HTTP and for gRPC.
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use support::*;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_retry_after::message::Synthetic;
use tower_retry_after::{
    Error, RateLimited, Reason, RefusalErrorLayer, RejectionResponse, RejectionResponseFuture,
    RejectionResponseLayer, RetryAfterBackoffLayer, State, classify,
};

fn answering(backoff: &RetryAfterBackoffLayer, peer: &Peer) -> impl Client + use<> {
    RejectionResponseLayer::new().layer(client(backoff, peer))
}

/// The response to a call to A while it cools for so long.
async fn rejected(wait: Duration, request: Request<()>) -> Response<()> {
    let backoff = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    backoff.cooldowns().cool(&upstream(A), wait);
    let response = answering(&backoff, &peer).oneshot(request).await.unwrap();
    assert_eq!(peer.calls(), 0);
    response
}

fn grpc(content_type: &str) -> Request<()> {
    Request::post(A).header("content-type", content_type).body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_back_is_answered_with_429() {
    let response = rejected(secs(90), get(A)).await;

    assert_eq!(response.status(), 429);
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["retry-after"], "90");
    let limited = response.extensions().get::<RateLimited>().unwrap();
    assert_eq!((limited.reason(), limited.retry_after()), (Reason::Cooling, secs(90)));
    assert_eq!(limited.upstream(), &upstream(A));
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_told_in_whole_seconds_rounded_up() {
    for (wait, told) in [
        (Duration::from_nanos(1), "1"),
        (millis(1), "1"),
        (secs(1), "1"),
        (millis(1001), "2"),
        (Duration::new(3599, 999_999_999), "3600"),
    ] {
        let response = rejected(wait, get(A)).await;
        assert_eq!(response.headers()["retry-after"], told, "{wait:?}");
    }
    // The longest that the table counts is 584 years.
    let told = rejected(Duration::MAX, get(A)).await.headers()["retry-after"].clone();
    assert!(told.to_str().unwrap().parse::<u64>().unwrap() > 18_000_000_000, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_is_answered_in_headers_alone() {
    let backoff = RetryAfterBackoffLayer::new();
    let client = answering(&backoff, &Peer::says([refused_for(90)]));
    assert_eq!(ask(&client, A).await, Outcome::Sent(429));

    let response = client.oneshot(grpc("application/grpc+proto")).await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), Version::HTTP_2);
    let headers = response.headers();
    assert_eq!(headers.len(), 4);
    assert_eq!(headers["content-type"], "application/grpc+proto");
    assert_eq!(headers["grpc-status"], "8");
    assert_eq!(headers["grpc-retry-pushback-ms"], "90000");
    assert_eq!(
        headers["grpc-message"],
        "not sent, https://a.example is cooling down after HTTP 429 (retry after 90s)",
    );
    assert!(response.extensions().get::<RateLimited>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_rounded_up_and_fits_the_protocols_number() {
    let pushback = async |wait| {
        rejected(wait, grpc("application/grpc")).await.headers()["grpc-retry-pushback-ms"].clone()
    };

    assert_eq!(pushback(Duration::from_nanos(1)).await, "1");
    assert_eq!(pushback(Duration::new(1, 1)).await, "1001");
    assert_eq!(pushback(secs(2_147_483)).await, "2147483000");
    assert_eq!(pushback(secs(2_147_484)).await, "2147483647");
    assert_eq!(pushback(Duration::MAX).await, "2147483647");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_percent_encoded() {
    let backoff = RetryAfterBackoffLayer::builder()
        .upstream_key(tower_retry_after::key::from_fn(|_| {
            tower_retry_after::Upstream::named("50 % \u{e4}\n")
        }))
        .build();
    let client = answering(&backoff, &Peer::always(refused_for(90)));
    assert_eq!(ask(&client, A).await, Outcome::Sent(429));

    let response = client.oneshot(grpc("application/grpc")).await.unwrap();

    assert_eq!(
        response.headers()["grpc-message"],
        "not sent, 50 %25 %C3%A4\\n is cooling down after HTTP 429 (retry after 90s)",
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_passes_unchanged() {
    let backoff = RetryAfterBackoffLayer::new();
    let peer = Peer::says([ok().header("x", "1"), status(500), refused_for(90)]);
    let client = answering(&backoff, &peer);

    let response = send(&client, A).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().len()), (200, 1));
    assert!(response.extensions().is_empty());
    assert_eq!(ask(&client, A).await, Outcome::Sent(500));
    let refused = send(&client, A).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.extensions().get::<RateLimited>().is_none());
}

#[tokio::test(start_paused = true)]
async fn every_other_error_passes_with_its_chain() {
    let inner = Strict::new(|_: Request<()>| async {
        Err::<Response<()>, _>(io::Error::new(io::ErrorKind::TimedOut, "too slow"))
    });
    let client = RejectionResponseLayer::new().layer(inner);

    let error = client.oneshot(get(A)).await.unwrap_err();

    let Error::Inner(_) = &error else { panic!("{error}") };
    assert_eq!(error.source().unwrap().to_string(), "too slow");
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_alone() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(90));
    let peer = Peer::always(ok());
    let mut client = answering(&backoff, &peer);

    let mut cx = Context::from_waker(Waker::noop());
    assert!(client.poll_ready(&mut cx).is_ready());
    assert_eq!(peer.reserved(), 1);
    assert_eq!(client.call(get(A)).await.unwrap().status(), 429);
    assert_eq!(peer.reserved(), 0);
}

#[tokio::test(start_paused = true)]
async fn behind_a_buffer_the_rate_limit_is_found_in_the_box() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(90));
    let client = ServiceBuilder::new()
        .layer(RejectionResponseLayer::new())
        .buffer(8)
        .layer(backoff)
        .service(Peer::always(ok()).service());

    let response = client.oneshot(get(A)).await.unwrap();

    assert_eq!(response.headers()["retry-after"], "90");
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_is_found_deep_in_an_error_of_others() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(90));
    let client = ServiceBuilder::new()
        .layer(RejectionResponseLayer::new())
        .map_err(io::Error::other)
        .layer(backoff)
        .service(Peer::always(ok()).service());

    let response = client.oneshot(get(A)).await.unwrap();

    assert_eq!(response.headers()["retry-after"], "90");
}

#[tokio::test(start_paused = true)]
async fn a_body_with_a_default_is_empty() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(90));
    let inner = Strict::new(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from_static(b"sent"))))
    });
    let client = RejectionResponseLayer::new().layer(backoff.layer(inner));

    let response = client.oneshot(get(A)).await.unwrap();

    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[test]
fn a_made_up_response_keeps_its_head() {
    let head = Response::builder().status(429).header("x", "1").extension(7_u8).body(()).unwrap();

    let response = Response::<String>::synthetic(head);

    assert_eq!(
        (response.status().as_u16(), &response.headers()["x"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(response.extensions().get::<u8>(), Some(&7));
}

/// A layer around another, with the response made up in between.
fn stacked(
    outer: &RetryAfterBackoffLayer,
    inner: &RetryAfterBackoffLayer,
    peer: &Peer,
) -> impl Client + use<> {
    outer.layer(answering(inner, peer))
}

#[tokio::test(start_paused = true)]
async fn to_another_layer_of_ours_a_made_up_response_is_no_refusal() {
    let (outer, inner) = (RetryAfterBackoffLayer::new(), RetryAfterBackoffLayer::new());
    let client = stacked(&outer, &inner, &Peer::always(ok()));
    inner.cooldowns().cool(&upstream(A), secs(90));

    assert_eq!(ask(&client, A).await, Outcome::Sent(429));
    let response = client.clone().oneshot(grpc("application/grpc")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "8");

    assert!(outer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_end_a_probe_well_or_badly() {
    let requests: [fn() -> Request<()>; 2] = [|| get(A), || grpc("application/grpc")];
    for request in requests {
        for classifier in [false, true] {
            let inner = RetryAfterBackoffLayer::new();
            let mut outer = RetryAfterBackoffLayer::builder();
            if classifier {
                // One that must be asked about every response.
                outer = outer.classify(classify::from_fn(classify::standard));
            }
            let outer = outer.build();
            let client = stacked(&outer, &inner, &Peer::says([refused_for(90)]));
            assert_eq!(ask(&client, A).await, Outcome::Sent(429));
            inner.cooldowns().cool(&upstream(A), secs(300));
            pass(secs(90)).await;

            client.clone().oneshot(request()).await.unwrap();

            let known = info(&outer.cooldowns(), A);
            assert_eq!((known.state(), known.consecutive_failures()), (State::Cooling, 1));
            assert_eq!(known.retry_after(), secs(1), "a probe that learned nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_made_up_response_becomes_the_same_error_again() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(90));
    let client = ServiceBuilder::new()
        .layer(RefusalErrorLayer::new(&backoff))
        .layer(RejectionResponseLayer::new())
        .layer(backoff.clone())
        .map_response(|response: Response<()>| response.map(|()| String::new()))
        .service(Peer::always(ok()).service());

    let limited = client.oneshot(get(A)).await.unwrap_err().rate_limited().cloned().unwrap();

    assert_eq!((limited.reason(), limited.retry_after()), (Reason::Cooling, secs(90)));
    assert_eq!(backoff.cooldowns().len(), 1);
}

#[test]
fn its_types_can_be_named_and_go_anywhere() {
    fn handle<T: Clone + Copy + Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    fn shared<T: Send + Sync + Unpin + std::fmt::Debug>() {}

    handle::<RejectionResponseLayer>();
    handle::<RejectionResponse<()>>();
    shared::<RejectionResponseFuture<std::future::Pending<()>>>();
    let _ = RejectionResponseLayer::default();
}
