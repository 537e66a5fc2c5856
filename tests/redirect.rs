//! Clients that follow redirects by themselves: whose answer it was, and what that
//! says of the one that was asked.
#![allow(clippy::unwrap_used, reason = "for tests")]

mod support;

use std::future::ready;
use std::io;

use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use support::*;
use tower::{Layer, ServiceExt};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::message::Incoming;
use tower_retry_after::{Cooldowns, Error, RetryAfterBackoffLayer, State, Upstream, key};

/// A response of a client that knows who answered in the end.
#[derive(Clone)]
struct Answered {
    response: Response<()>,
    by: Upstream,
}

impl Incoming for Answered {
    fn status(&self) -> StatusCode {
        self.response.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.response.extensions())
    }

    fn answered_by(&self) -> Option<Upstream> {
        Some(self.by.clone())
    }
}

fn from(uri: &str, status: u16) -> Answered {
    let response = Response::builder().status(status).body(()).unwrap();
    Answered { response, by: upstream(uri) }
}

fn refusal_from(uri: &str, wait: u64) -> Answered {
    let mut answered = from(uri, 429);
    answered.response.headers_mut().insert("retry-after", wait.into());
    answered
}

/// Asks A through the layer, and is answered so.
async fn ask_a(layer: &RetryAfterBackoffLayer, answer: Answered) {
    let inner = Strict::new(move |_: Request<()>| ready(Ok::<_, io::Error>(answer.clone())));
    layer.layer(inner).oneshot(get(A)).await.map(drop).unwrap();
}

/// Lets A refuse, and waits until it may be probed.
async fn about_to_probe_a(layer: &RetryAfterBackoffLayer) {
    ask_a(layer, refusal_from(A, 1)).await;
    pass(secs(60)).await;
}

fn rung(cooldowns: &Cooldowns, uri: &str) -> u32 {
    info(cooldowns, uri).consecutive_failures()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_charged_to_who_sent_it() {
    let layer = RetryAfterBackoffLayer::new();

    ask_a(&layer, refusal_from(B, 90)).await;

    assert_eq!(state(&layer.cooldowns(), A), None);
    assert_eq!(info(&layer.cooldowns(), B).retry_after(), secs(90));
    assert_eq!(ask(&client(&layer, &Peer::always(ok())), B).await, COOLING);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_sent_its_probe_on_has_answered() {
    let quota = || {
        RetryAfterBackoffLayer::builder()
            .classify(classify::from_fn(|head| match head.status().as_u16() {
                299 => Verdict::Exhausted { reset: secs(30) },
                _ => classify::standard(head),
            }))
            .build()
    };
    for (answer, b) in [
        (from(B, 200), None),
        (from(B, 404), None),
        (from(B, 500), None),
        (from(B, 503), None),
        (from(B, 299), Some((State::Cooling, 0))),
        (refusal_from(B, 9), Some((State::Cooling, 1))),
    ] {
        let layer = quota();
        about_to_probe_a(&layer).await;

        ask_a(&layer, answer.clone()).await;

        let status = answer.status();
        assert_eq!(state(&layer.cooldowns(), A), Some(State::Reopening), "{status}");
        let known = layer.cooldowns().get(&upstream(B));
        assert_eq!(known.map(|b| (b.state(), b.consecutive_failures())), b, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_answered_badly_by_the_one_that_was_asked_has_learned_nothing() {
    let layer = RetryAfterBackoffLayer::new();
    about_to_probe_a(&layer).await;

    ask_a(&layer, from(A, 500)).await;

    assert_eq!(state(&layer.cooldowns(), A), Some(State::Cooling));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_whoever_answers() {
    let layer = RetryAfterBackoffLayer::new();
    about_to_probe_a(&layer).await;
    ask_a(&layer, from(A, 200)).await;

    // Each was a success for A, and makes one more place: 63 and it is Clear.
    for _ in 0..62 {
        ask_a(&layer, from(B, 500)).await;
    }
    assert_eq!(state(&layer.cooldowns(), A), Some(State::Reopening));
    ask_a(&layer, from(B, 500)).await;

    assert_eq!(state(&layer.cooldowns(), A), None);
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_was_sent_on_is_one_rung() {
    let layer = RetryAfterBackoffLayer::new();
    let refusing = Strict::new(|_: Request<()>| async {
        tokio::time::sleep(millis(10)).await;
        Ok::<_, io::Error>(refusal_from(B, 9))
    });
    let service = layer.layer(refusing);
    let call = || service.clone().oneshot(get(A));

    let answers: [Result<Answered, Error>; 3] = tokio::join!(call(), call(), call()).into();

    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(rung(&layer.cooldowns(), B), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_sent_on_to_a_cooling_upstream_climb_nothing() {
    let layer = RetryAfterBackoffLayer::new();

    // Nothing holds them back: A is Clear, and what lies behind it is the client's own.
    ask_a(&layer, refusal_from(B, 9)).await;
    ask_a(&layer, refusal_from(B, 9)).await;
    ask_a(&layer, refusal_from(B, 90)).await;

    let known = info(&layer.cooldowns(), B);
    assert_eq!((known.consecutive_failures(), known.retry_after()), (1, secs(90)));
    assert_eq!(state(&layer.cooldowns(), A), None);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_sent_on_once_the_cooldown_is_over_climbs() {
    let layer = RetryAfterBackoffLayer::new();
    ask_a(&layer, refusal_from(B, 9)).await;

    pass(secs(60)).await;
    ask_a(&layer, refusal_from(B, 9)).await;

    let known = info(&layer.cooldowns(), B);
    assert_eq!((known.consecutive_failures(), known.retry_after()), (2, secs(120)));
}

#[tokio::test(start_paused = true)]
async fn a_success_elsewhere_ends_the_episode_there_once_the_cooldown_is_over() {
    let layer = RetryAfterBackoffLayer::builder().reopen_width(3).build();
    ask_a(&layer, refusal_from(B, 90)).await;

    pass(secs(90)).await;
    ask_a(&layer, from(B, 200)).await;
    assert_eq!(state(&layer.cooldowns(), B), Some(State::Reopening));

    for _ in 0..2 {
        ask_a(&layer, from(B, 200)).await;
    }
    assert_eq!(state(&layer.cooldowns(), B), None);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_a_call_that_would_have_been_rejected_is_charged_to_nobody() {
    let layer = RetryAfterBackoffLayer::builder().shadow(true).build();
    layer.cooldowns().cool(&upstream(A), secs(60));

    ask_a(&layer, refusal_from(B, 90)).await;
    ask_a(&layer, from(B, 200)).await;

    assert_eq!(state(&layer.cooldowns(), A), Some(State::Cooling));
    assert_eq!(state(&layer.cooldowns(), B), None);
    assert_eq!((layer.shadowed().refused(), layer.shadowed().answered()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_success_elsewhere_opens_nothing_there() {
    let layer = RetryAfterBackoffLayer::new();
    ask_a(&layer, refusal_from(B, 90)).await;

    ask_a(&layer, from(B, 200)).await;

    assert_eq!(info(&layer.cooldowns(), B).retry_after(), secs(90));
}

#[tokio::test(start_paused = true)]
async fn with_a_key_of_the_users_own_the_one_that_was_asked_is_charged() {
    let layer = RetryAfterBackoffLayer::builder().upstream_key(key::by_origin()).build();

    ask_a(&layer, refusal_from(B, 90)).await;

    assert_eq!(state(&layer.cooldowns(), A), Some(State::Cooling));
    assert_eq!(state(&layer.cooldowns(), B), None);
}
