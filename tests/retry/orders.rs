//! The retry outside of the layer, and inside.

use http::{Method, Request, Response};
use tower::retry::RetryLayer;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_retry_after::message::Incoming;
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{RetryAfterBackoffLayer, State, Upstream};

use super::support::*;
use super::{plain, request, retrying};

/// A client that retries inside of the layer.
fn inside(backoff: &RetryAfterBackoffLayer, peer: &Peer) -> impl Client + use<> {
    ServiceBuilder::new()
        .layer(backoff.clone())
        .layer(RetryLayer::new(RetryPolicy::new(backoff)))
        .service(peer.service())
}

#[tokio::test(start_paused = true)]
async fn outside_a_refusal_counts_at_once_and_for_all_callers() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::says([refused_for(10)]);
    let client = retrying(&backoff, &peer);
    let mut call = Box::pin(client.oneshot(get(A)));
    assert!(poll_once(call.as_mut()).is_pending());

    assert_eq!(ask(&plain(&backoff, &peer), A).await, COOLING);

    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!(state(&backoff.cooldowns(), A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn inside_refusals_that_were_made_good_are_kept_from_the_table() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::says([refused_for(10)]);
    let client = inside(&backoff, &peer);
    let mut call = Box::pin(client.oneshot(get(A)));
    assert!(poll_once(call.as_mut()).is_pending());

    assert!(backoff.cooldowns().is_empty());
    assert_eq!(ask(&plain(&backoff, &peer), A).await, Outcome::Sent(200));

    assert_eq!(call.await.unwrap().status(), 200);
    assert!(backoff.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn inside_the_waits_are_those_of_the_layers_rules() {
    // Bare refusals climb the ladder: a second, and two.
    let peer = Peer::says([refused(), refused()]);
    let client = inside(&RetryAfterBackoffLayer::for_api(), &peer);
    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(3)));

    // A hint that is trusted is believed, and proves too short: 2 s, and then 2 s.
    let peer = Peer::says([refused_for(2), refused_for(1)]);
    let client = inside(&RetryAfterBackoffLayer::for_api(), &peer);
    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(3)));

    // By default the ladder is the least.
    let peer = Peer::says([refused_for(2)]);
    let client = inside(&RetryAfterBackoffLayer::new(), &peer);
    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(200), secs(60)));
}

#[tokio::test(start_paused = true)]
async fn inside_jitter_only_ever_adds() {
    let backoff = RetryAfterBackoffLayer::builder().jitter(0.5).build();
    let client = inside(&backoff, &Peer::says([refused()]));

    let (answered, waited) = request(&client, Method::GET).await;

    assert_eq!(answered, Outcome::Sent(200));
    assert!(waited > secs(60) && waited <= secs(90), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn inside_the_layer_learns_of_the_last_refusal() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::always(refused_for(2));
    let client = inside(&backoff, &peer);

    assert_eq!(request(&client, Method::GET).await, (Outcome::Sent(429), secs(4)));

    assert_eq!(peer.calls(), 3);
    let info = info(&backoff.cooldowns(), A);
    assert_eq!((info.state(), info.consecutive_failures()), (State::Cooling, 1));
}

#[tokio::test(start_paused = true)]
async fn inside_a_probe_spans_all_attempts_and_does_not_wait_for_itself() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let peer = Peer::says([refused_for(2)]);
    let client = inside(&backoff, &peer);
    backoff.cooldowns().cool(&upstream(A), secs(10));
    pass(secs(10)).await;

    let (answered, ()) = tokio::join!(request(&client, Method::GET), async {
        pass(secs(1)).await;
        assert_eq!(ask(&plain(&backoff, &peer), A).await, PROBING);
    });

    assert_eq!(answered, (Outcome::Sent(200), secs(2)));
    assert_eq!(state(&backoff.cooldowns(), A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn inside_what_others_have_learned_meanwhile_is_heeded() {
    let backoff = RetryAfterBackoffLayer::for_api();
    let retried = Peer::says([refused_for(2).after(secs(1))]);
    let client = inside(&backoff, &retried);
    let other = plain(&backoff, &Peer::always(refused_for(20)));

    let (answered, refused) = tokio::join!(request(&client, Method::GET), ask(&other, A));

    assert_eq!(refused, Outcome::Sent(429));
    assert_eq!(answered, (Outcome::Sent(200), secs(20)));
}

/// A response of a client that follows redirects.
struct Answered {
    response: Response<()>,
    by: Upstream,
}

impl Incoming for Answered {
    fn status(&self) -> http::StatusCode {
        self.response.status()
    }

    fn headers(&self) -> &http::HeaderMap {
        self.response.headers()
    }

    fn extensions(&self) -> Option<&http::Extensions> {
        None
    }

    fn answered_by(&self) -> Option<Upstream> {
        Some(self.by.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_sent_on_and_refused_there_waits_for_that_upstream() {
    let backoff = RetryAfterBackoffLayer::for_api();
    backoff.cooldowns().cool(&upstream(B), secs(20));
    let peer = Peer::says([refused_for(5)]);
    let inner = peer.service();
    let redirected = tower::service_fn(move |request: Request<()>| {
        let call = inner.clone().oneshot(request);
        async move { call.await.map(|response| Answered { response, by: upstream(B) }) }
    });
    let client = RetryLayer::new(RetryPolicy::new(&backoff)).layer(backoff.layer(redirected));
    let start = now();

    let answered = client.oneshot(get(A)).await.unwrap();

    assert_eq!((answered.status().as_u16(), now() - start), (200, secs(20)));
    assert_eq!(state(&backoff.cooldowns(), A), None);
    // Its success there ended the episode.
    assert_eq!(state(&backoff.cooldowns(), B), Some(State::Reopening));
}
