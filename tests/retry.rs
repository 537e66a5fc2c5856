//! `RetryPolicy`: what is sent again, when, and how often; in virtual time.
#![cfg(feature = "retry")]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod support;

#[path = "retry/bodies.rs"]
mod bodies;
#[path = "retry/bounds.rs"]
mod bounds;
#[path = "retry/budget.rs"]
mod budget;
#[path = "retry/herd.rs"]
mod herd;
#[path = "retry/orders.rs"]
mod orders;
#[path = "retry/redirected.rs"]
mod redirected;
#[path = "retry/rules.rs"]
mod rules;
#[path = "retry/waiting.rs"]
mod waiting;

use http::{Method, Request};
use support::*;
use tower::retry::{Retry, RetryLayer};
use tower::{Layer, ServiceExt};
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{Error, RetryAfterBackoffLayer};

/// A client that does not retry.
fn plain(backoff: &RetryAfterBackoffLayer, peer: &Peer) -> impl Client + Send + use<> {
    client(backoff, peer)
}

/// A client that retries outside of the layer.
fn retrying(backoff: &RetryAfterBackoffLayer, peer: &Peer) -> impl Client + Send + use<> {
    with(RetryPolicy::new(backoff), plain(backoff, peer))
}

/// The same with a policy of its own.
fn with<S: Clone>(policy: RetryPolicy, service: S) -> Retry<RetryPolicy, S> {
    RetryLayer::new(policy).layer(service)
}

/// Sends one request of that method; tells what became of it, and after how long.
async fn request(client: &impl Client, method: Method) -> (Outcome, std::time::Duration) {
    let start = now();
    let request = Request::builder().method(method).uri(A).body(()).unwrap();
    let result: Result<_, Error> = client.clone().oneshot(request).await;
    (Outcome::of(&result), now() - start)
}
