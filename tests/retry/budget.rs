//! A budget that all calls share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use http::Method;
use tower::retry::budget::{Budget, TpsBudget};
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after::retry::RetryPolicy;

use super::support::*;
use super::{plain, request, with};

/// A budget that keeps what it is given, for ever.
#[derive(Debug)]
struct Purse(AtomicI32);

impl Purse {
    fn with(coins: i32) -> Arc<Self> {
        Arc::new(Self(AtomicI32::new(coins)))
    }

    fn coins(&self) -> i32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Budget for Purse {
    fn deposit(&self) {
        self.0.fetch_add(10, Ordering::SeqCst);
    }

    fn withdraw(&self) -> bool {
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |coins| {
                (coins > 0).then(|| coins - 1)
            })
            .is_ok()
    }
}

fn client(peer: &Peer, purse: &Arc<Purse>) -> (RetryAfterBackoffLayer, impl Client + use<>) {
    let backoff = RetryAfterBackoffLayer::for_api();
    let policy = RetryPolicy::new(&backoff).budget(Arc::clone(purse));
    let client = with(policy, plain(&backoff, peer));
    (backoff, client)
}

#[tokio::test(start_paused = true)]
async fn a_success_deposits_and_a_retried_refusal_withdraws() {
    let purse = Purse::with(5);
    let peer = Peer::says([refused_for(1), refused_for(1)]);
    let (_, client) = client(&peer, &purse);

    assert_eq!(request(&client, Method::GET).await.0, Outcome::Sent(200));

    assert_eq!(purse.coins(), 5 - 2 + 10);
}

#[tokio::test(start_paused = true)]
async fn with_an_empty_budget_the_refusal_is_returned_at_once() {
    let purse = Purse::with(1);
    let peer = Peer::always(refused_for(1));
    let (_, client) = client(&peer, &purse);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(429), secs(1)));
    assert_eq!((peer.calls(), purse.coins()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_held_back_withdraws_nothing() {
    let purse = Purse::with(0);
    let peer = Peer::always(ok());
    let (backoff, client) = client(&peer, &purse);
    backoff.cooldowns().cool(&upstream(A), secs(30));

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(30)));
    assert_eq!(purse.coins(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_retried_anyway_withdraws_nothing() {
    let purse = Purse::with(5);
    for answer in [refused_for(500), status(503).header("retry-after", "1"), status(500), fails()] {
        let (_, client) = client(&Peer::always(answer), &purse);
        request(&client, Method::POST).await;
        assert_eq!(purse.coins(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn towers_own_budget_fits() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let budget = Arc::new(TpsBudget::new(secs(10), 0, 1.0));
    let policy = RetryPolicy::new(&backoff).budget(budget);
    let peer = Peer::says([ok(), refused_for(1), refused_for(1), refused_for(1)]);
    let client = with(policy, plain(&backoff, &peer));

    assert_eq!(request(&client, Method::GET).await.0, Outcome::Sent(200));
    // One success buys one retry.
    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(429), secs(1)));
    assert_eq!(peer.calls(), 3);
}
