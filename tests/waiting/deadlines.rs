//! How long a call waits, and what it is told when that was in vain.

use http::Request;
use tower::ServiceExt;
use tower_retry_after::message::Deadline;
use tower_retry_after::{Error, RateLimited, Reason};

use super::Outcome::Sent;
use super::*;

/// Makes a call, and returns the error that it must end with.
async fn held_back(client: &impl Client, request: Request<()>) -> RateLimited {
    match client.clone().oneshot(request).await {
        Err(Error::RateLimited(limited)) => limited,
        other => panic!("not held back: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_rejected_at_once_if_the_cooldown_ends_too_late() {
    let peer = Peer::always(ok());
    let client = waits(&cooling(60), &peer, secs(60) - millis(1));

    let limited = at_once(held_back(&client, get(A)));

    assert_eq!((limited.reason(), limited.retry_after()), (Reason::Cooling, secs(60)));
    assert_eq!((peer.calls(), peer.reserved()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_can_be_sent_at_its_deadline_is_sent() {
    let peer = Peer::always(ok());
    let client = waits(&cooling(60), &peer, secs(60));

    assert_eq!(ask(&client, A).await, Sent(200));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_polled_only_after_its_deadline_is_not_sent() {
    let peer = Peer::always(ok());
    let client = waits(&cooling(60), &peer, secs(70));
    let mut waiting = wait(&client);

    pass(secs(71)).await;

    assert_eq!(Outcome::of(&at_once(waiting.as_mut())), REOPENING);
    assert_eq!(peer.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_deadline_counts_where_it_is_earlier() {
    let peer = Peer::always(ok());
    let client = patient(&cooling(60), &peer);
    let own =
        |seconds| Request::get(A).extension(Deadline::within(secs(seconds))).body(()).unwrap();
    let grpc = |timeout: &str| Request::get(A).header("grpc-timeout", timeout).body(()).unwrap();

    for request in [own(59), grpc("59S"), grpc("59999m"), own(0)] {
        assert_eq!(at_once(held_back(&client, request)).retry_after(), secs(60));
    }
    let far = Request::get(A).header("grpc-timeout", "2H").extension(Deadline::within(secs(7200)));
    let short = waits(&cooling(60), &peer, secs(1));
    at_once(held_back(&short, far.body(()).unwrap()));

    assert!(client.clone().oneshot(own(60)).await.is_ok());
    assert_eq!(peer.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_rejected_at_once_when_a_refusal_makes_it_too_long() {
    let peer = Peer::says([refused_for(100), ok()]);
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let short = waits(&layer, &peer, secs(70));
    log.call(&client, 0).await;
    for who in 1..4 {
        log.call(&short, who).await;
    }
    log.call(&client, 4).await;

    rest(secs(200)).await;

    let entries = log.entries();
    assert_eq!(entries[..1], [(0, 60_000, Sent(429))]);
    let mut rejected: Vec<_> = entries[1..4].to_vec();
    rejected.sort_by_key(|&(who, ..)| who);
    assert_eq!(rejected, [(1, 60_000, COOLING), (2, 60_000, COOLING), (3, 60_000, COOLING)]);
    assert_eq!(entries[4..], [(4, 160_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn cooling_by_hand_rejects_at_once_who_would_wait_too_long() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let (client, log) = (waits(&layer, &peer, secs(100)), Log::new());
    for who in 0..3 {
        log.call(&client, who).await;
    }

    rest(secs(10)).await;
    layer.cooldowns().cool(&upstream(A), secs(91));
    rest(millis(1)).await;

    assert_eq!(log.entries(), [(0, 10_000, COOLING), (1, 10_000, COOLING), (2, 10_000, COOLING)]);
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_that_ends_as_a_cleared_one_would_have_rejects_at_once_as_well() {
    let peer = Peer::says([refused_for(60).after(secs(1))]);
    let layer = cooling(61);
    let (client, short, log) = (patient(&layer, &peer), waits(&layer, &peer, secs(30)), Log::new());
    log.call(&client, 0).await;
    log.call(&client, 1).await;
    layer.cooldowns().clear(&upstream(A));
    tokio::task::yield_now().await;
    // The first is out; this one stands behind the second, and hears of the refusal.
    log.call(&short, 2).await;

    rest(secs(2)).await;

    assert_eq!(log.entries(), [(0, 1_000, Sent(429)), (2, 1_000, COOLING)]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_rejects_who_waits_at_its_deadline_and_as_of_then() {
    let peer = Peer::says([never()]);
    let layer = cooling(60);
    let (client, short) = (patient(&layer, &peer), waits(&layer, &peer, secs(70)));
    let log = Log::new();
    let _probe = log.call(&client, 0).await;
    log.call(&short, 1).await;

    rest(secs(80)).await;

    assert_eq!(log.entries(), [(1, 70_000, PROBING)]);
}

#[tokio::test(start_paused = true)]
async fn whom_the_line_itself_holds_back_is_told_that_the_upstream_reopens() {
    let peer = Peer::says([ok(), never(), never()]);
    let layer = cooling(60);
    let (client, short) = (patient(&layer, &peer), waits(&layer, &peer, secs(70)));
    let log = Log::new();
    for who in 0..3 {
        log.call(&client, who).await;
    }
    log.call(&short, 3).await;
    rest(secs(61)).await;
    layer.cooldowns().clear(&upstream(A));

    rest(secs(20)).await;

    assert_eq!(log.entries(), [(0, 60_000, Sent(200)), (3, 70_000, REOPENING)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_no_time_at_all_is_rejected_as_without_waiting() {
    let peer = Peer::says([ok(), never(), never()]);
    let layer = cooling(60);
    let (client, hurried) = (patient(&layer, &peer), waits(&layer, &peer, Duration::ZERO));
    assert_eq!(at_once(ask(&hurried, A)), COOLING);
    pass(secs(60)).await;
    assert_eq!(at_once(ask(&hurried, A)), Sent(200));
    let _places = [hang(&client, A), hang(&client, A)];

    assert_eq!(at_once(ask(&hurried, A)), REOPENING);
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_bound_ends_before_a_cooldown_without_end() {
    let peer = Peer::always(ok());
    let client = waits(&cooling(u64::MAX), &peer, Duration::MAX);

    assert_eq!(at_once(ask(&client, A)), COOLING);
}

#[tokio::test(start_paused = true)]
async fn decades_can_be_waited_for() {
    let peer = Peer::always(ok());
    let layer = cooling(40 * 365 * 86_400);
    let client = waits(&layer, &peer, Duration::MAX);
    let mut waiting = wait(&client);

    rest(secs(3600)).await;
    assert!(poll_once(waiting.as_mut()).is_pending());
    layer.cooldowns().clear(&upstream(A));

    assert_eq!(Outcome::of(&waiting.await), Sent(200));
}
