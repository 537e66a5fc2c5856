//! The retry outside of the layer that waits.

use std::time::Duration;

use http::Method;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;
use tower::retry::RetryLayer;
use tower::{Layer, ServiceBuilder};
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after::retry::RetryPolicy;

use super::request;
use super::support::*;

/// A client that retries outside of the layer that waits, for so long.
fn waiting(
    backoff: &RetryAfterBackoffLayer,
    max_wait: u64,
    peer: &Peer,
) -> impl Client + Send + use<> {
    let inner =
        ServiceBuilder::new().layer(backoff.waiting(secs(max_wait))).service(peer.service());
    RetryLayer::new(RetryPolicy::new(backoff)).layer(inner)
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_sent_again_when_its_turn_comes() {
    let peer = Peer::says([refused_for(10)]);
    let client = waiting(&RetryAfterBackoffLayer::for_api(), 30, &peer);

    assert_eq!(request(&client, Method::POST).await, (Outcome::Sent(200), secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_layer_will_not_let_wait_waits_by_the_policy() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::says([]);
    backoff.cooldowns().cool(&upstream(A), secs(40));
    let client = waiting(&backoff, 5, &peer);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(40)));
}

#[tokio::test(start_paused = true)]
async fn the_policys_total_time_bounds_no_wait_in_the_layers_line() {
    let backoff = RetryAfterBackoffLayer::for_api();
    backoff.cooldowns().cool(&upstream(A), secs(40));
    let inner =
        ServiceBuilder::new().layer(backoff.waiting(secs(60))).service(Peer::says([]).service());
    let client = RetryLayer::new(RetryPolicy::new(&backoff).total_time(secs(5))).layer(inner);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(40)));
}

#[tokio::test(start_paused = true)]
async fn those_that_were_refused_and_those_that_wait_all_get_through_without_a_second_refusal() {
    const CALLERS: usize = 40;
    let start = now();
    let peer = Peer::by(move |_| {
        let answer = if now() < start + secs(10) { refused_for(10) } else { ok() };
        answer.after(Duration::from_millis(10))
    });
    let client = waiting(&RetryAfterBackoffLayer::for_api(), 60, &peer);
    let local = LocalSet::new();
    let mut calls = JoinSet::new();
    for begins_at in [0, 1] {
        for _ in 0..CALLERS {
            let client = client.clone();
            let call = async move {
                sleep(secs(begins_at)).await;
                request(&client, Method::GET).await.0
            };
            calls.spawn_local_on(call, &local);
        }
    }

    let outcomes = local.run_until(calls.join_all()).await;

    assert_eq!(outcomes, vec![Outcome::Sent(200); 2 * CALLERS]);
    assert_eq!(peer.calls(), 3 * CALLERS, "the first ones were refused once");
    assert!(now() - start < secs(11), "{:?}", now() - start);
}
