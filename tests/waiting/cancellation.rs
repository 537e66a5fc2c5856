//! Calls that are given up while they wait, or that nobody polls: the others go.

use std::task::{Context, Waker};

use tower::Service;

use super::Outcome::Sent;
use super::*;
use tower_retry_after::{Cooldowns, State};

/// Nobody stands in any line, and no call of one is out.
fn assert_no_lines(cooldowns: &Cooldowns) {
    let shown = format!("{cooldowns:?}");
    assert!(shown.contains("lines: 0"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_at_any_point_of_its_wait_is_not_missed() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let unpolled = call(&client, A);
    let (first, second) = (wait(&client), wait(&client));
    log.call(&client, 1).await;
    let third = wait(&client);
    log.call(&client, 2).await;

    drop((unpolled, second));
    rest(secs(30)).await;
    drop((first, third));
    rest(secs(60)).await;

    assert_eq!(log.entries(), [(1, 60_000, Sent(200)), (2, 60_000, Sent(200))]);
    assert_eq!((peer.calls(), peer.reserved()), (2, 0));
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_when_its_turn_has_come_passes_it_on_at_once() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let first = wait(&client);
    log.call(&client, 1).await;

    rest(secs(60)).await;
    drop(first);
    rest(millis(1)).await;

    assert_eq!(log.entries(), [(1, 60_000, Sent(200))]);
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_while_it_is_the_probe_makes_way() {
    let peer = Peer::says([never(), ok()]);
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let probe = log.call(&client, 0).await;
    log.call(&client, 1).await;

    rest(secs(63)).await;
    probe.abort();
    rest(millis(1)).await;

    assert_eq!(log.entries(), [(1, 63_000, Sent(200))]);
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_while_it_is_out_gives_its_place_back() {
    let peer = Peer::says([ok(), never(), never(), ok()]);
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    log.call(&client, 0).await;
    let out = log.call(&client, 1).await;
    let other = log.call(&client, 2).await;
    log.call(&client, 3).await;

    rest(secs(61)).await;
    assert_eq!(state(&layer.cooldowns(), A), Some(State::Reopening));
    assert_eq!(peer.calls(), 3);
    out.abort();
    rest(millis(1)).await;

    assert_eq!(log.entries(), [(0, 60_000, Sent(200)), (3, 61_000, Sent(200))]);
    other.abort();
    rest(millis(1)).await;
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_or_say_nothing_let_the_next_go() {
    let peer = Peer::says([fails(), status(503), ok()]);
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    for who in 0..3 {
        log.call(&client, who).await;
    }

    rest(secs(100)).await;

    // Each failure of a probe is a pause of a second.
    let failed = Outcome::Failed;
    assert_eq!(
        log.entries(),
        [(0, 60_000, failed), (1, 61_000, Sent(503)), (2, 62_000, Sent(200))]
    );
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_polls_is_passed_over_after_a_second_and_keeps_its_place() {
    let peer = Peer::always(ok().after(millis(10)));
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let mut asleep = wait(&client);
    for who in 1..4 {
        log.call(&client, who).await;
    }

    rest(secs(61) + millis(5)).await;
    assert_eq!(peer.calls(), 1);
    // It stands first again, and there is no room yet.
    assert!(poll_once(asleep.as_mut()).is_pending());
    let asleep = tokio::spawn(async move { Outcome::of(&asleep.await) });
    rest(secs(1)).await;

    assert_eq!(asleep.await.unwrap(), Sent(200));
    let expected = [(1, 61_010, Sent(200)), (2, 61_020, Sent(200)), (3, 61_030, Sent(200))];
    assert_eq!(log.entries(), expected);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_leaked_is_passed_over() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    std::mem::forget(wait(&client));
    log.call(&client, 1).await;

    rest(secs(62)).await;

    assert_eq!(log.entries(), [(1, 61_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_that_nobody_polls_keep_the_others_waiting_for_two_seconds() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let asleep: Vec<_> = (0..100).map(|_| wait(&client)).collect();
    log.call(&client, 100).await;
    log.call(&client, 101).await;

    rest(secs(70)).await;

    assert_eq!(log.entries(), [(100, 62_000, Sent(200)), (101, 62_000, Sent(200))]);
    drop(asleep);
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn one_that_was_never_polled_keeps_nobody_waiting() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let unpolled = call(&client, A);
    log.call(&client, 1).await;

    rest(secs(61)).await;
    assert_eq!(log.entries(), [(1, 60_000, Sent(200))]);

    assert_eq!(Outcome::of(&unpolled.await), Sent(200));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_by_another_task_is_woken_there() {
    let peer = Peer::always(ok());
    let client = patient(&cooling(60), &peer);
    let (mut first, mut second) = (wait(&client), wait(&client));
    for _ in 0..3 {
        (first, second) = tokio::spawn(async move {
            assert!(poll_once(first.as_mut()).is_pending());
            assert!(poll_once(second.as_mut()).is_pending());
            (first, second)
        })
        .await
        .unwrap();
        rest(secs(1)).await;
    }
    let start = now();

    let second = tokio::spawn(async move { Outcome::of(&second.await) });
    tokio::task::yield_now().await;
    assert_eq!(Outcome::of(&first.await), Sent(200));
    assert_eq!(second.await.unwrap(), Sent(200));

    assert_eq!(start.elapsed(), secs(57));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_after_its_end_answers_nothing() {
    let peer = Peer::says([refused(), ok()]);
    let layer = RetryAfterBackoffLayer::new();
    let client = patient(&layer, &peer);
    let mut sent = Box::pin(call(&client, A));
    assert!(poll_once(sent.as_mut()).is_ready());
    assert!(poll_once(sent.as_mut()).is_pending());

    let mut rejected = Box::pin(call(&waits(&layer, &peer, secs(1)), A));
    assert!(poll_once(rejected.as_mut()).is_ready());
    assert!(poll_once(rejected.as_mut()).is_pending());

    let mut waited = wait(&client);
    rest(secs(60)).await;
    assert!(poll_once(waited.as_mut()).is_ready());
    assert!(poll_once(waited.as_mut()).is_pending());
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_in_its_call_makes_way() {
    let peer = Peer::says([panics_in_call(), panics_in_future(), ok()]);
    let layer = cooling(60);
    let (client, log) = (patient(&layer, &peer), Log::new());
    let panicked = [log.call(&client, 0).await, log.call(&client, 1).await];
    log.call(&client, 2).await;

    for task in panicked {
        assert!(task.await.unwrap_err().is_panic());
    }
    rest(secs(1)).await;

    assert_eq!(log.entries(), [(2, 60_000, Sent(200))]);
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_when_it_is_readied_makes_way() {
    #[derive(Clone)]
    struct Mined(Arc<Mutex<bool>>);
    impl Service<http::Request<()>> for Mined {
        type Response = http::Response<()>;
        type Error = std::io::Error;
        type Future = std::future::Pending<std::io::Result<http::Response<()>>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> std::task::Poll<std::io::Result<()>> {
            assert!(!std::mem::replace(&mut *self.0.lock().unwrap(), true), "as scripted");
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: http::Request<()>) -> Self::Future {
            std::future::pending()
        }
    }
    let peer = Peer::always(ok());
    let (layer, log) = (cooling(60), Log::new());
    let mut mined = layer.waiting(secs(3600)).layer(Mined(Arc::default()));
    let _ = mined.poll_ready(&mut Context::from_waker(Waker::noop()));
    let task = tokio::spawn(mined.call(get(A)));
    tokio::task::yield_now().await;
    log.call(&patient(&layer, &peer), 1).await;

    assert!(task.await.unwrap_err().is_panic());
    rest(secs(1)).await;

    assert_eq!(log.entries(), [(1, 60_000, Sent(200))]);
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn one_that_has_panicked_and_is_kept_is_passed_over() {
    #[derive(Clone)]
    struct Mined;
    impl Service<http::Request<()>> for Mined {
        type Response = http::Response<()>;
        type Error = std::io::Error;
        type Future = std::future::Pending<std::io::Result<http::Response<()>>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> std::task::Poll<std::io::Result<()>> {
            panic!("as scripted");
        }
        fn call(&mut self, _: http::Request<()>) -> Self::Future {
            std::future::pending()
        }
    }
    let peer = Peer::always(ok());
    let (layer, log) = (cooling(60), Log::new());
    let mut mined = layer.waiting(secs(3600)).layer(Mined);
    let mut kept = Box::pin(mined.call(get(A)));
    assert!(poll_once(kept.as_mut()).is_pending());
    log.call(&patient(&layer, &peer), 1).await;
    log.call(&patient(&layer, &peer), 2).await;

    rest(secs(60)).await;
    let polled = std::panic::AssertUnwindSafe(|| poll_once(kept.as_mut()));
    assert!(std::panic::catch_unwind(polled).is_err());
    rest(secs(3)).await;

    assert_eq!(log.entries(), [(1, 61_000, Sent(200)), (2, 61_000, Sent(200))]);
    drop(kept);
    assert_no_lines(&layer.cooldowns());
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_gives_the_place_back() {
    let peer = Peer::says([ok().header("mine", "1"), ok()]);
    let layer = RetryAfterBackoffLayer::builder()
        .classify(tower_retry_after::classify::from_fn(
            |head: &tower_retry_after::classify::Head<'_>| {
                assert!(!head.headers().contains_key("mine"), "as scripted");
                tower_retry_after::classify::standard(head)
            },
        ))
        .build();
    layer.cooldowns().cool(&upstream(A), secs(60));
    let (client, log) = (patient(&layer, &peer), Log::new());
    let panicked = log.call(&client, 0).await;
    log.call(&client, 1).await;

    assert!(panicked.await.unwrap_err().is_panic());
    rest(secs(1)).await;

    assert_eq!(log.entries(), [(1, 60_000, Sent(200))]);
    assert_no_lines(&layer.cooldowns());
}
