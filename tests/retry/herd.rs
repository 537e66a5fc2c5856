//! Many retriers and one upstream that is limited: no herd.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after::retry::RetryPolicy;

use super::support::*;
use super::with;

const RETRIERS: usize = 64;

/// An upstream that refuses its first calls, and answers after 10 ms.
#[derive(Debug, Default)]
struct Limited {
    refusals: usize,
    sent: AtomicUsize,
    in_flight: AtomicUsize,
    succeeded: AtomicUsize,
    /// The most that were out beyond what the successes so far allow.
    excess: AtomicUsize,
}

impl Limited {
    async fn answer(self: Arc<Self>) -> Result<Response<()>, std::io::Error> {
        let number = self.sent.fetch_add(1, Ordering::SeqCst);
        let out = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        if number >= RETRIERS {
            // Reopening: two places, and one more with each success; the probe's own
            // success makes the first two.
            let allowed = match self.succeeded.load(Ordering::SeqCst) {
                0 => 1,
                successes => successes + 1,
            };
            self.excess.fetch_max(out.saturating_sub(allowed), Ordering::SeqCst);
        }
        tokio::time::sleep(millis(10)).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if number < self.refusals {
            let response = Response::builder().status(429).header("retry-after", "2");
            return Ok(response.body(()).unwrap());
        }
        self.succeeded.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(()))
    }
}

/// Sends 64 calls at once; returns how many were sent in all, and the excess.
async fn storm(refusals: usize) -> (usize, usize) {
    let limited = Arc::new(Limited { refusals, ..Limited::default() });
    let backoff = RetryAfterBackoffLayer::for_api();
    let answering = Arc::clone(&limited);
    let inner = Strict::new(move |_: Request<()>| Arc::clone(&answering).answer());
    let client = with(RetryPolicy::new(&backoff).total_time(secs(600)), backoff.layer(inner));
    let mut calls = JoinSet::new();
    for _ in 0..RETRIERS {
        calls.spawn(client.clone().oneshot(get(A)));
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    (limited.sent.load(Ordering::SeqCst), limited.excess.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn when_a_cooldown_ends_one_of_the_retriers_probes_and_the_rest_follow_by_and_by() {
    // Each is refused once, and served then: not one call too many is sent.
    assert_eq!(storm(RETRIERS).await, (2 * RETRIERS, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_upstream_goes_on_refusing_each_cooldown_costs_one_call() {
    assert_eq!(storm(RETRIERS + 5).await, (2 * RETRIERS + 5, 0));
}
