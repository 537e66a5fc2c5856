//! Calls that a client sends on to another upstream, which refuses them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use tokio::task::JoinSet;
use tower::retry::RetryLayer;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::message::Incoming;
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{RetryAfterBackoffLayer, Upstream};

use super::support::*;

/// A response from B, whoever was asked.
struct FromB(Response<()>);

impl Incoming for FromB {
    fn status(&self) -> StatusCode {
        self.0.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.0.extensions())
    }

    fn answered_by(&self) -> Option<Upstream> {
        Some(upstream(B))
    }
}

#[tokio::test(start_paused = true)]
async fn they_come_back_one_after_the_other_and_do_not_wait_for_their_deadlines() {
    let start = now();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    // Asked for A, the client ends up at B, which refuses for ten seconds.
    let upstream = service_fn(move |_: Request<()>| {
        count.fetch_add(1, Ordering::SeqCst);
        let limited = now() < start + secs(10);
        async move {
            tokio::time::sleep(millis(10)).await;
            let status = if limited { 429 } else { 200 };
            let response = Response::builder().status(status).header("retry-after", "10");
            Ok::<_, io::Error>(FromB(response.body(()).unwrap()))
        }
    });
    let backoff = RetryAfterBackoffLayer::for_api();
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new(&backoff)))
        .layer(backoff.clone())
        .service(upstream);

    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let call = client.clone().oneshot(get(A));
        calls.spawn(async move { call.await.map(|response| response.status()) });
    }
    let answers = calls.join_all().await;

    assert!(answers.iter().all(|answer| matches!(answer, Ok(StatusCode::OK))), "{answers:?}");
    assert_eq!(heard.load(Ordering::SeqCst), 100);
    assert!(now() - start < secs(12), "they waited for more than their turns");
}
