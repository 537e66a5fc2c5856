//! How often and how long a call is tried; and who goes away in the middle.

use std::borrow::Cow;
use std::time::Duration;

use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use tokio::time::Instant;
use tower::retry::RetryLayer;
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::message::Outgoing;
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{Reason, RetryAfterBackoffLayer, State};

use super::support::*;
use super::{plain, request, retrying, with};

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_three_times_at_most() {
    let peer = Peer::always(refused_for(2));
    let client = retrying(&RetryAfterBackoffLayer::for_api(), &peer);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(429), secs(4)));
    assert_eq!(peer.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_as_often_as_was_set_and_once_at_least() {
    for (attempts, sent) in [(0, 1), (1, 1), (2, 2), (5, 5)] {
        let backoff = RetryAfterBackoffLayer::for_api();
        let peer = Peer::always(refused_for(1));
        let client = with(RetryPolicy::new(&backoff).attempts(attempts), plain(&backoff, &peer));

        assert_eq!(request(&client, Method::GET).await.0, Outcome::Sent(429));
        assert_eq!(peer.calls(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_held_back_do_not_count() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::says([refused_for(5)]);
    let client = with(RetryPolicy::new(&backoff).attempts(2), plain(&backoff, &peer));
    backoff.cooldowns().cool(&upstream(A), secs(10));

    let (answered, ()) = tokio::join!(request(&client, Method::GET), async {
        // It is held back once more before it is sent at all.
        pass(millis(9_999)).await;
        backoff.cooldowns().cool(&upstream(A), secs(10));
    });

    assert_eq!(answered, (Outcome::Sent(200), millis(24_999)));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_end_too_late_fails_at_once() {
    let backoff = RetryAfterBackoffLayer::new();
    let peer = Peer::always(refused_for(120));
    let client = retrying(&backoff, &peer);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(429), secs(0)));
    // Nor is a call sent that is held back as long.
    assert_eq!(request(&client, Method::GET).await, (COOLING, secs(0)));
    assert_eq!(peer.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_total_time_counts_from_the_first_attempt() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::always(refused_for(50));
    let client = with(RetryPolicy::new(&backoff).attempts(9), plain(&backoff, &peer));

    // The fourth would be sent after 150 s.
    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(429), secs(100)));
    assert_eq!(peer.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn every_call_of_a_service_has_bounds_of_its_own() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::always(refused_for(50));
    let mut client = with(RetryPolicy::new(&backoff), plain(&backoff, &peer));

    for calls in [3, 6] {
        let response = client.ready().await.unwrap().call(get(A)).await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(peer.calls(), calls);
        pass(secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_retries_nothing_and_endless_time_is_no_bound() {
    let answered = async |total| {
        let backoff = RetryAfterBackoffLayer::new();
        let peer = Peer::says([refused_for(3600)]);
        let policy = RetryPolicy::new(&backoff).total_time(total);
        request(&with(policy, plain(&backoff, &peer)), Method::GET).await
    };

    assert_eq!(answered(Duration::ZERO).await, (Outcome::Sent(429), secs(0)));
    assert_eq!(answered(Duration::MAX).await, (Outcome::Sent(200), secs(3600)));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_get_its_turn_in_time_fails_at_the_deadline_unsent() {
    let backoff = RetryAfterBackoffLayer::builder().probe_lease(secs(3600)).build();
    let peer = Peer::says([refused_for(1), never()]);
    let probing = plain(&backoff, &peer);
    assert_eq!(ask(&probing, A).await, Outcome::Sent(429));
    pass(secs(60)).await;
    let _probe = hang(&probing, A);

    let answered = request(&retrying(&backoff, &peer), Method::GET).await;

    assert_eq!(answered, (PROBING, secs(120)));
    assert_eq!(peer.calls(), 2);
}

/// A request of a client with its own type, which says how long it may take.
#[derive(Clone)]
struct Timed(Request<()>, Duration);

impl Outgoing for Timed {
    fn method(&self) -> &Method {
        self.0.method()
    }

    fn scheme(&self) -> Option<&str> {
        self.0.scheme()
    }

    fn authority(&self) -> Option<&str> {
        self.0.authority()
    }

    fn uri(&self) -> Cow<'_, Uri> {
        Outgoing::uri(&self.0)
    }

    fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.0.extensions())
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        Some(now + self.1)
    }
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_deadline_bounds_the_call_as_well() {
    let answered = async |timeout| {
        let backoff = RetryAfterBackoffLayer::new();
        let peer = Peer::says([refused_for(60)]);
        let inner = peer.service();
        let unwrapping = tower::service_fn(move |Timed(request, _)| inner.clone().oneshot(request));
        let policy = RetryPolicy::new(&backoff).clone_with(|request: &Timed| Some(request.clone()));
        let client = RetryLayer::new(policy).layer(backoff.layer(unwrapping));
        let start = now();
        let response: Response<()> = client.oneshot(Timed(get(A), timeout)).await.unwrap();
        (response.status().as_u16(), now() - start)
    };

    assert_eq!(answered(secs(60)).await, (429, secs(0)));
    assert_eq!(answered(secs(61)).await, (200, secs(60)));
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_waiting_leaves_the_queue() {
    let backoff = RetryAfterBackoffLayer::new();
    let peer = Peer::says([refused_for(90)]);
    let client = retrying(&backoff, &peer);
    assert_eq!(ask(&plain(&backoff, &peer), A).await, Outcome::Sent(429));

    // The first in the queue goes away just before its turn.
    let mut first = Box::pin(client.clone().oneshot(get(A)));
    assert!(poll_once(first.as_mut()).is_pending());
    let (second, ()) = tokio::join!(request(&client, Method::GET), async {
        pass(millis(89_999)).await;
        drop(first);
    });

    assert_eq!(second, (Outcome::Sent(200), secs(90)));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_in_any_wait_wedges_nothing() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::always(refused_for(2).after(millis(10)));
    let client = retrying(&backoff, &peer);
    for steps in 0..8 {
        let mut call = Box::pin(client.clone().oneshot(get(A)));
        for _ in 0..steps {
            let _ = poll_once(call.as_mut());
            pass(millis(700)).await;
        }
    }
    pass(secs(3600)).await;

    let info = backoff.cooldowns().get(&upstream(A)).unwrap();
    assert_eq!(info.state(), State::Cooling, "{info:?}");
    let plain = plain(&backoff, &Peer::always(ok()));
    assert_eq!(ask(&plain, A).await, Outcome::Sent(200));
}

#[tokio::test(start_paused = true)]
async fn the_error_at_the_end_says_why() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(500));
    let client = retrying(&backoff, &Peer::always(ok()));

    let limited = held(&client, A).await;

    assert_eq!((limited.reason(), limited.retry_after()), (Reason::Cooling, secs(500)));
}

#[test]
fn a_policy_goes_anywhere_and_shows_its_bounds() {
    fn handle<T: Clone + Send + Sync + std::fmt::Debug + 'static>(_: &T) {}
    fn pinned<T: Send + Sync + std::fmt::Debug + 'static>() {}
    let policy = RetryPolicy::new(&RetryAfterBackoffLayer::new());

    handle(&policy);
    handle(&policy.clone().empty_bodies());
    handle(&policy.clone().clone_with(|()| Some(())));
    pinned::<tower_retry_after::retry::Wait>();
    let shown = format!("{policy:?}");
    assert!(shown.contains("attempts: 3") && shown.contains("total_time: 120s"), "{shown}");
}
