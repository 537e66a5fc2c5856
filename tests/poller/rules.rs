//! What each outcome means for the next poll.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::hint::Dialect;
use tower_retry_after::schedule::{Next, Outcome, judge};
use tower_retry_after::{
    Cooldowns, Ladder, Reason, RefusalErrorLayer, RejectionResponseLayer, RetryAfterBackoffLayer,
    Upstream,
};

use super::support::{A, Peer, get, millis, ok, refused, refused_for, status, upstream};
use super::*;

#[tokio::test(start_paused = true)]
async fn it_is_due_at_once_and_then_after_each_interval() {
    let script = Script::new([]);
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();

    polls(&mut poller, 3).await;

    assert_eq!(script.seconds(), [0, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn ten_days_of_polling_are_that_many_polls() {
    let script = Script::lasting((0..).map(|_| (Play::Answers, millis(1500))).take(20_000));
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();

    let ten_days = async { while poller.next().await.is_some() {} };
    let _ = timeout(secs(10 * 86_400), ten_days).await;

    // Each takes a second and a half, and the interval counts from its end.
    assert_eq!(script.calls().len(), (10 * 86_400_000_usize).div_ceil(61_500));
}

#[tokio::test(start_paused = true)]
async fn failures_climb_the_ladder_and_a_success_forgets_them() {
    let script = Script::new([Play::Fails, Play::Fails, Play::Fails, Play::Answers, Play::Fails]);
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();

    let polled = polls(&mut poller, 6).await;

    assert_eq!(script.seconds(), [0, 10, 30, 70, 130, 140]);
    let failures: Vec<u32> =
        polled.iter().map(|polled| polled.state.consecutive_failures).collect();
    assert_eq!(failures, [1, 2, 3, 0, 1, 0]);
    assert_eq!(polled[0].state.last_error, "connection reset");
    assert_eq!(polled[3].state.last_error, "");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_waits_for_the_longer_of_ladder_and_hint_and_counts_once() {
    let peer = Peer::says([refused_for(600), refused()]);
    let backoff = RetryAfterBackoffLayer::new();
    let service = peer.service().map_response(|response| response.map(|()| Empty::<Bytes>::new()));
    let service = RefusalErrorLayer::new(&backoff).layer(backoff.layer(service));
    let began = now();
    let mut poller = Poller::builder(service, || get(A)).policy(policy()).build();

    // The hint is longer than ten seconds, and the layer's rung of 120 s counts as
    // one: what it has learned is the hint.
    for (failures, seconds) in [(1, 600), (2, 720), (0, 780)] {
        let polled = polls(&mut poller, 1).await.remove(0);
        assert_eq!(polled.state.consecutive_failures, failures);
        let due = polled.state.next_sync_due_at.unwrap();
        let wait = due.duration_since(polled.state.last_sync_finished_at.unwrap()).unwrap();
        assert_eq!((now() - began) + wait, secs(seconds));
    }
    assert_eq!(peer.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_early_rejection_puts_off_and_counts_nothing() {
    let peer = Peer::always(ok());
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(1000));
    let mut poller =
        Poller::builder(backoff.layer(peer.service()), || get(A)).policy(policy()).build();
    let began = now();

    let polled = polls(&mut poller, 2).await;

    let held = error_of(&polled[0]).rate_limited().unwrap();
    assert_eq!(held.reason(), Reason::Cooling);
    assert_eq!(polled[0].state.consecutive_failures, 0);
    assert_eq!(polled[0].state.last_outcome, Outcome::Idle);
    let due = polled[0].state.next_sync_due_at.unwrap();
    let wait = due.duration_since(polled[0].state.last_sync_started_at.unwrap()).unwrap();
    assert!(wait > secs(999), "{wait:?}");
    assert!(polled[1].result.is_ok());
    assert_eq!((now() - began, peer.calls()), (secs(1000), 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_a_schedule_of_its_own_is_asked_then() {
    let script = Script::new([]);
    let began = script.began;
    let mut poller = Poller::builder(script.service(), unit)
        .policy(policy())
        .judge(move |_| Next::DueAt(began + secs(7)))
        .build();

    let polled = polls(&mut poller, 2).await;

    assert_eq!(script.seconds(), [0, 7]);
    assert_eq!(polled[0].state.last_outcome, Outcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_judge_of_responses_sees_the_refusal_that_is_no_error() {
    let peer = Peer::says([refused_for(600), status(503), status(404), ok()]);
    let began = now();
    let mut poller =
        Poller::builder(peer.service(), || get(A)).policy(policy()).judge(judge::responses).build();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let polled = polls(&mut poller, 1).await.remove(0);
        seen.push(((now() - began).as_secs(), polled.state.consecutive_failures));
    }

    // 404 is an answer.
    assert_eq!(seen, [(0, 1), (600, 2), (620, 0), (680, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_stands_for_a_rejection_puts_off_and_counts_nothing() {
    let peer = Peer::always(ok());
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(1000));
    let service = RejectionResponseLayer::new().layer(backoff.layer(peer.service()));
    let began = now();
    let mut poller =
        Poller::builder(service, || get(A)).policy(policy()).judge(judge::responses).build();

    let polled = polls(&mut poller, 2).await;

    assert_eq!(polled[0].result.as_ref().unwrap().status(), 429);
    assert_eq!(polled[0].state.consecutive_failures, 0);
    assert_eq!(polled[0].state.last_outcome, Outcome::Idle);
    assert_eq!((now() - began, peer.calls()), (secs(1000), 1));
}

#[tokio::test(start_paused = true)]
async fn a_judge_of_a_layers_responses_hears_what_the_layer_hears() {
    let primary =
        status(403).header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", "90");
    let peer = Peer::says([primary, status(420), status(403), ok()]);
    let backoff = RetryAfterBackoffLayer::builder()
        .trust_hints(true)
        .ladder(Ladder::new(secs(5), secs(5)))
        .quota_signals(Dialect::DeltaSeconds)
        .classify(classify::from_fn(|head| match head.status().as_u16() {
            420 => Verdict::RateLimited { hint: None },
            _ => classify::standard(head),
        }))
        .build();
    let began = now();
    let mut poller = Poller::builder(backoff.layer(peer.service()), || get(A))
        .policy(policy())
        .judge(judge::responses_of(&backoff))
        .build();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let polled = polls(&mut poller, 1).await.remove(0);
        seen.push(((now() - began).as_secs(), polled.state.consecutive_failures));
    }

    // A bare 403 is an answer.
    assert_eq!(seen, [(0, 1), (90, 2), (110, 0), (170, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_counts_up_to_its_ceiling() {
    let script = Script::new([]);
    let mut poller = Poller::builder(script.service(), unit)
        .policy(policy())
        .judge(|_| Next::Failed { hint: Some(Duration::MAX) })
        .max_retry_after(secs(500))
        .build();

    polls(&mut poller, 2).await;

    assert_eq!(script.seconds(), [0, 500]);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_it_does_not_spin() {
    let past = now();
    let off =
        SyncPolicy { interval: Duration::ZERO, ladder: Ladder::new(secs(0), secs(0)), ..policy() };
    for (next, least) in [
        (Next::Ok, millis(1)),
        (Next::NotSent { until: past }, millis(1)),
        (Next::DueAt(past), millis(1)),
        (Next::Failed { hint: None }, secs(1)),
        (Next::Failed { hint: Some(Duration::ZERO) }, secs(1)),
    ] {
        let script = Script::new([]);
        let mut poller =
            Poller::builder(script.service(), unit).policy(off).judge(move |_| next).build();

        polls(&mut poller, 4).await;

        let calls = script.calls();
        assert!(calls.windows(2).all(|pair| pair[1] == pair[0] + least), "{next:?}: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_readied_is_a_failure() {
    #[derive(Clone)]
    struct Broken;
    impl Service<()> for Broken {
        type Response = ();
        type Error = io::Error;
        type Future = std::future::Ready<io::Result<()>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::Error::other("closed")))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("it was never ready")
        }
    }
    let mut poller = Poller::builder(Broken, unit).policy(policy()).build();

    let polled = polls(&mut poller, 2).await;

    assert_eq!(polled[1].state.consecutive_failures, 2);
    assert_eq!(polled[1].state.last_error, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_outlives_its_lease_is_given_up_and_the_loop_goes_on() {
    let script = Script::new([Play::Hangs, Play::Answers]);
    let policy = SyncPolicy { run_lease: secs(100), ..policy() };
    let mut poller = Poller::builder(script.service(), unit).policy(policy).build();

    let polled = polls(&mut poller, 2).await;

    assert_eq!(
        std::error::Error::source(error_of(&polled[0])).unwrap().to_string(),
        "the run took longer than its lease and was given up"
    );
    assert_eq!(polled[0].state.consecutive_failures, 1);
    assert!(polled[1].result.is_ok());
    assert_eq!(script.seconds(), [0, 110]);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_says_is_kept_escaped_and_cut() {
    let endless = "\u{1b}[31m".to_owned() + &"a".repeat(10_000);
    let service = service_fn(move |()| {
        let text = endless.clone();
        async move { Err::<Infallible, _>(io::Error::other(text)) }
    });
    let mut poller = Poller::new(service, unit);

    let polled = polls(&mut poller, 1).await.remove(0);

    let kept = &polled.state.last_error;
    assert!(kept.starts_with("\\u{1b}[31maaa") && kept.len() < 300, "{kept}");
}

#[tokio::test(start_paused = true)]
async fn a_reopening_upstream_is_asked_again_and_again_without_a_call() {
    // Two places are taken and never given back: the poller is held, not stuck.
    let peer = Peer::says([refused_for(60), ok()]);
    let backoff = RetryAfterBackoffLayer::new();
    let client = backoff.layer(peer.service());
    let _ = super::support::ask(&client, A).await;
    super::support::pass(secs(60)).await;
    let _ = super::support::ask(&client, A).await;
    let places = [super::support::call(&client, A), super::support::call(&client, A)];
    let mut poller = Poller::builder(client, || get(A)).policy(policy()).build();

    let held = polls(&mut poller, 3).await;
    assert!(held.iter().all(|polled| {
        error_of(polled).rate_limited().unwrap().reason() == Reason::Reopening
            && polled.state.consecutive_failures == 0
    }));
    drop(places);

    assert!(polls(&mut poller, 1).await[0].result.is_ok());
    let unknown = Upstream::named("nobody");
    assert!(Cooldowns::new().get(&unknown).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_has_a_schedule_of_its_own_and_does_not_answer_counts_as_nothing() {
    let script = Script::new([Play::Fails, Play::Fails]);
    let began = script.began;
    let judge = move |result: &Result<(), Error>| match result {
        Err(_) if now() == began => Next::Failed { hint: None },
        _ => Next::DueAt(began + secs(30)),
    };
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).judge(judge).build();

    let polled = polls(&mut poller, 2).await;

    assert_eq!(polled[1].state.consecutive_failures, 1);
    assert_eq!(polled[1].state.last_outcome, Outcome::Error);
    assert_eq!(script.seconds(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_meets_a_probe_was_not_sent() {
    let peer = Peer::says([refused_for(60), super::support::never(), ok()]);
    let backoff = RetryAfterBackoffLayer::new();
    let client = backoff.layer(peer.service());
    let _ = super::support::ask(&client, A).await;
    super::support::pass(secs(60)).await;
    let probe = super::support::hang(&client, A);
    let mut poller = Poller::builder(client, || get(A)).policy(policy()).build();

    let held = polls(&mut poller, 1).await.remove(0);
    assert_eq!(error_of(&held).rate_limited().unwrap().reason(), Reason::Probing);
    assert_eq!(held.state.consecutive_failures, 0);
    drop(probe);

    assert!(polls(&mut poller, 1).await[0].result.is_ok());
}
