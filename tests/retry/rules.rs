//! Which calls are sent again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Method, Request, Response};
use tower::retry::RetryLayer;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{RefusalErrorLayer, RejectionResponseLayer, RetryAfterBackoffLayer};

use super::support::*;
use super::{plain, request, retrying, with};

#[tokio::test(start_paused = true)]
async fn a_refused_call_comes_back_when_its_cooldown_ends() {
    let peer = Peer::says([refused_for(90)]);
    let client = retrying(&RetryAfterBackoffLayer::new(), &peer);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(90)));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_back_waits_whatever_its_method() {
    let backoff = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    let client = retrying(&backoff, &peer);
    for (calls, method) in [(1, Method::POST), (2, Method::PATCH), (3, Method::GET)] {
        backoff.cooldowns().cool(&upstream(A), secs(30));

        assert_eq!(request(&client, method).await, (Outcome::Sent(200), secs(30)));
        assert_eq!(peer.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_is_retried_whatever_the_method() {
    for method in [Method::POST, Method::PATCH, Method::GET, Method::CONNECT] {
        let peer = Peer::says([refused_for(2)]);
        let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);

        assert_eq!(request(&client, method).await, (Outcome::Sent(200), secs(2)));
        assert_eq!(peer.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn another_refusal_is_retried_for_idempotent_methods_alone() {
    for code in [403, 503, 529] {
        let says = || Peer::says([status(code).header("retry-after", "2")]);
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let peer = says();
            let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);
            assert_eq!(request(&client, method).await, (Outcome::Sent(200), secs(2)));
            assert_eq!(peer.calls(), 2);
        }
        for method in [Method::POST, Method::PATCH] {
            let peer = says();
            let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);
            assert_eq!(request(&client, method).await, (Outcome::Sent(code), secs(0)));
            assert_eq!(peer.calls(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_but_a_rate_limit_is_retried() {
    for code in [200, 302, 401, 403, 404, 408, 425, 500, 502, 503] {
        let peer = Peer::always(status(code));
        let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);
        assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(code), secs(0)));
        assert_eq!(peer.calls(), 1);
    }
    let peer = Peer::always(fails());
    let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);
    assert_eq!(request(&client, Method::GET).await, (Outcome::Failed, secs(0)));
    assert_eq!(peer.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_on_the_second_try_ends_the_call() {
    let peer = Peer::says([refused_for(2), fails()]);
    let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Failed, secs(2)));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_response_of_ours_is_a_call_that_was_not_sent() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::always(ok());
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new(&backoff).attempts(1)))
        .layer(RejectionResponseLayer::new())
        .layer(backoff.clone())
        .service(peer.service());
    backoff.cooldowns().cool(&upstream(A), secs(30));

    assert_eq!(request(&client, Method::POST).await, (Outcome::Sent(200), secs(30)));
    assert_eq!(peer.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_became_an_error_is_a_refusal() {
    let retried = async |code, method| {
        let backoff = RetryAfterBackoffLayer::for_api();
        let answer = status(code).header("retry-after", "2");
        let peer = Peer::says([answer]);
        let client = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new(&backoff)))
            .layer(RefusalErrorLayer::new(&backoff))
            .layer(backoff)
            .map_response(|response: Response<()>| response.map(|()| String::new()))
            .service(peer.service());
        let request = Request::builder().method(method).uri(A).body(()).unwrap();
        let is_ok = client.oneshot(request).await.is_ok();
        (is_ok, peer.calls())
    };

    assert_eq!(retried(429, Method::POST).await, (true, 2));
    assert_eq!(retried(503, Method::GET).await, (true, 2));
    assert_eq!(retried(503, Method::POST).await, (false, 1));
}

#[tokio::test(start_paused = true)]
async fn behind_a_buffer_the_rate_limit_is_found_in_the_box() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::says([refused_for(2)]);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new(&backoff)))
        .buffer(8)
        .layer(backoff.clone())
        .service(peer.service());
    backoff.cooldowns().cool(&upstream(A), secs(30));

    let start = now();
    let response: Result<Response<()>, BoxError> = client.oneshot(get(A)).await;

    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(now() - start, secs(32));
    assert_eq!(peer.calls(), 2);
}

/// gRPC's `RESOURCE_EXHAUSTED`, and `UNAVAILABLE`, are refusals.
fn grpc() -> RetryAfterBackoffLayer {
    let is_refusal = |headers: &HeaderMap| {
        headers.get("grpc-status").is_some_and(|code| code == "8" || code == "14")
    };
    RetryAfterBackoffLayer::builder()
        .classify(classify::from_fn(move |head| {
            if is_refusal(head.headers()) {
                return Verdict::RateLimited { hint: Some(secs(2)) };
            }
            classify::standard(head)
        }))
        .trust_hints(true)
        .build()
}

#[tokio::test(start_paused = true)]
async fn grpc_says_in_its_headers_what_may_be_retried() {
    let says = |code: &str, pushback: &str| {
        let answer = ok().header("content-type", "application/grpc").header("grpc-status", code);
        Peer::says([answer.header("grpc-retry-pushback-ms", pushback)])
    };
    let calls = async |peer: Peer, method| {
        request(&retrying(&grpc(), &peer), method).await;
        peer.calls()
    };

    assert_eq!(calls(says("8", "2000"), Method::POST).await, 2);
    assert_eq!(calls(says("8", "-1"), Method::POST).await, 1);
    assert_eq!(calls(says("8", "soon"), Method::GET).await, 1);
    assert_eq!(calls(says("14", "2000"), Method::POST).await, 1);
    assert_eq!(calls(says("14", "2000"), Method::GET).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_clears_an_upstream_lets_those_who_wait_go() {
    let backoff = RetryAfterBackoffLayer::new();
    let peer = Peer::says([refused_for(100)]);
    let client = retrying(&backoff, &peer);

    let (answered, ()) = tokio::join!(request(&client, Method::GET), async {
        pass(secs(7)).await;
        backoff.cooldowns().clear(&upstream(A));
    });

    assert_eq!(answered, (Outcome::Sent(200), secs(7)));
}

#[tokio::test(start_paused = true)]
async fn another_table_that_holds_the_call_back_is_waited_for_and_not_stormed() {
    let (ours, other) = (RetryAfterBackoffLayer::for_api(), RetryAfterBackoffLayer::for_api());
    // Ours is reopening, with room.
    let reopening = plain(&ours, &Peer::says([refused_for(1)]));
    assert_eq!(ask(&reopening, A).await, Outcome::Sent(429));
    pass(secs(1)).await;
    assert_eq!(ask(&reopening, A).await, Outcome::Sent(200));
    other.cooldowns().cool(&upstream(A), secs(30));
    let attempts = Arc::new(AtomicUsize::new(0));
    let (held_back, count) = (plain(&other, &Peer::always(ok())), Arc::clone(&attempts));
    let inner = tower::service_fn(move |request: Request<()>| {
        assert!(count.fetch_add(1, Ordering::SeqCst) < 99, "a storm");
        held_back.clone().oneshot(request)
    });

    let answered = request(&with(RetryPolicy::new(&ours), inner), Method::GET).await;

    assert_eq!(answered, (Outcome::Sent(200), secs(30)));
    let attempts = attempts.load(Ordering::SeqCst);
    assert!(attempts <= 3, "{attempts} attempts");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_wraps_no_rate_limit_is_passed_on_as_it_is() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let inner = Strict::new(|_: Request<()>| async {
        Err::<Response<()>, _>(io::Error::other("connection reset"))
    });

    let answered = RetryLayer::new(RetryPolicy::new(&backoff)).layer(inner).oneshot(get(A)).await;

    assert_eq!(answered.unwrap_err().to_string(), "connection reset");
}
