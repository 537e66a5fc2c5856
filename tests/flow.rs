//! An episode from the first refusal until the upstream is Clear again, with its
//! exact waits in virtual time.
#![allow(clippy::arithmetic_side_effects, reason = "for tests")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use support::Outcome::Sent;
use support::*;
use tokio::task::JoinSet;
use tower_retry_after::{RetryAfterBackoffLayer, State};

/// A default layer, a client on that peer, and its upstream cooling on rung 1
/// for a minute: the peer's first answer must be a refusal.
macro_rules! cooling {
    ($peer:expr) => {{
        let layer = RetryAfterBackoffLayer::new();
        let client = client(&layer, &$peer);
        assert_eq!(ask(&client, A).await, Sent(429));
        (client, layer.cooldowns())
    }};
}

#[tokio::test(start_paused = true)]
async fn an_episode_goes_from_refusal_over_probe_and_reopening_to_clear() {
    let peer = Peer::says([refused_for(120)]);
    let (client, cooldowns) = cooling!(peer);

    pass(millis(119_999)).await;
    assert_eq!(ask(&client, A).await, COOLING);
    assert_eq!(peer.calls(), 1);

    pass(millis(1)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));

    // Two places at first and one more with each success: Clear beyond 64.
    for _ in 0..62 {
        assert_eq!(ask(&client, A).await, Sent(200));
    }
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(state(&cooldowns, A), None);
}

#[tokio::test(start_paused = true)]
async fn each_refused_probe_climbs_a_rung() {
    let peer = Peer::always(refused());
    let (client, cooldowns) = cooling!(peer);

    for (rung, wait) in (1..).zip([60, 120, 240, 480, 960, 1800, 1800]) {
        let now = info(&cooldowns, A);
        assert_eq!((now.consecutive_failures(), now.retry_after()), (rung, secs(wait)));
        pass(millis(wait * 1000 - 1)).await;
        assert_eq!(ask(&client, A).await, COOLING);
        pass(millis(1)).await;
        assert_eq!(ask(&client, A).await, Sent(429));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_shorter_than_the_rung_does_not_shorten_it_and_a_longer_one_climbs_once() {
    let peer = Peer::says([refused_for(1), refused_for(600)]);
    let (client, cooldowns) = cooling!(peer);
    assert_eq!(info(&cooldowns, A).retry_after(), secs(60));

    pass(secs(60)).await;
    ask(&client, A).await;

    assert_eq!(info(&cooldowns, A).retry_after(), secs(600));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_an_episode_the_ladder_starts_at_its_first_rung_again() {
    let peer = Peer::says([refused(), refused(), ok(), refused()]);
    let (client, cooldowns) = cooling!(peer);
    pass(secs(60)).await;
    assert_eq!(ask(&client, A).await, Sent(429));
    pass(secs(120)).await;
    assert_eq!(ask(&client, A).await, Sent(200));

    assert_eq!(ask(&client, A).await, Sent(429), "the upstream is reopening");

    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
    assert_eq!(info(&cooldowns, A).retry_after(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_a_hundred_refusals_is_one_rung() {
    let delay = AtomicU64::new(0);
    let peer =
        Peer::by(move |_| refused().after(millis(1 + delay.fetch_add(7, Ordering::SeqCst) % 100)));
    let layer = RetryAfterBackoffLayer::new();
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client(&layer, &peer);
        calls.spawn(async move { ask(&client, A).await });
    }

    let outcomes = calls.join_all().await;

    assert_eq!(outcomes, [Sent(429); 100]);
    assert_eq!(info(&layer.cooldowns(), A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_straggler_raises_the_wait_by_its_hint_and_climbs_nothing() {
    let peer = Peer::says([
        refused_for(5).after(secs(2)),
        refused_for(300).after(secs(3)),
        refused_for(90),
    ]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let (short, long) = (hang(&client, A), hang(&client, A));
    assert_eq!(ask(&client, A).await, Sent(429));

    assert_eq!(Outcome::of(&short.await), Sent(429));
    assert_eq!(info(&cooldowns, A).retry_after(), secs(88), "two of ninety seconds on");
    assert_eq!(Outcome::of(&long.await), Sent(429));

    assert_eq!(info(&cooldowns, A).retry_after(), secs(300));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_straggler_says_nothing_about_a_probe_or_a_reopening_upstream() {
    let peer = Peer::says([
        refused_for(900).after(secs(61)),
        refused_for(900).after(secs(63)),
        refused(),
        ok().after(secs(2)),
    ]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let (during_probe, while_reopening) = (hang(&client, A), hang(&client, A));
    ask(&client, A).await;
    pass(secs(60)).await;
    let probe = hang(&client, A);

    during_probe.await.unwrap();
    assert_eq!(state(&cooldowns, A), Some(State::Probing));
    probe.await.unwrap();
    while_reopening.await.unwrap();

    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn a_late_success_changes_nothing_and_is_not_taken_for_the_probes() {
    let peer = Peer::says([ok().after(secs(10)), ok().after(secs(61)), refused(), never()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let (while_cooling, during_probe) = (hang(&client, A), hang(&client, A));
    ask(&client, A).await;

    while_cooling.await.unwrap();
    assert_eq!(info(&cooldowns, A).retry_after(), secs(50));
    pass(secs(50)).await;
    let _probe = hang(&client, A);
    during_probe.await.unwrap();

    assert_eq!(state(&cooldowns, A), Some(State::Probing));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_success_of_a_call_that_held_a_place_changes_nothing_either() {
    let late = |seconds| ok().after(secs(seconds));
    let peer = Peer::says([refused(), ok(), ok(), late(10), late(61), refused(), never()]);
    let (client, cooldowns) = cooling!(peer);
    pass(secs(60)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(ask(&client, A).await, Sent(200));
    let (while_cooling, during_probe) = (hang(&client, A), hang(&client, A));
    assert_eq!(ask(&client, A).await, Sent(429));

    while_cooling.await.unwrap();
    assert_eq!(info(&cooldowns, A).retry_after(), secs(50));
    pass(secs(50)).await;
    let _probe = hang(&client, A);
    during_probe.await.unwrap();

    assert_eq!(state(&cooldowns, A), Some(State::Probing));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_callers_at_the_deadline_one_is_the_probe() {
    let peer = Peer::says([refused(), ok().after(millis(20))]);
    let (client, _) = cooling!(peer);
    pass(secs(60)).await;
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { ask(&client, A).await });
    }

    let outcomes = calls.join_all().await;

    let count = |wanted| outcomes.iter().filter(|&&outcome| outcome == wanted).count();
    assert_eq!((count(Sent(200)), count(PROBING)), (1, 99));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn when_the_lease_runs_out_the_next_caller_is_the_probe() {
    let peer = Peer::says([refused(), never(), never()]);
    let (client, cooldowns) = cooling!(peer);
    pass(secs(60)).await;
    let _first = hang(&client, A);

    pass(millis(29_999)).await;
    assert_eq!(ask(&client, A).await, PROBING);
    pass(millis(1)).await;
    let _second = hang(&client, A);

    assert_eq!(ask(&client, A).await, PROBING);
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_slower_than_the_lease_still_end_the_episode() {
    let slow = || ok().after(secs(45));
    let peer = Peer::says([refused(), slow(), slow()]);
    let (client, cooldowns) = cooling!(peer);
    pass(secs(60)).await;
    let first = hang(&client, A);
    pass(secs(30)).await;
    let second = hang(&client, A);

    first.await.unwrap();
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
    second.await.unwrap();
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_probe_that_is_refused_climbs_for_both() {
    let peer = Peer::says([refused(), refused().after(secs(40)), refused().after(secs(20))]);
    let (client, cooldowns) = cooling!(peer);
    pass(secs(60)).await;
    let first = hang(&client, A);
    pass(secs(30)).await;
    let second = hang(&client, A);

    first.await.unwrap();
    assert_eq!(info(&cooldowns, A).retry_after(), secs(120));
    second.await.unwrap();

    assert_eq!(info(&cooldowns, A).consecutive_failures(), 2);
    assert_eq!(info(&cooldowns, A).retry_after(), secs(110));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_learns_nothing_is_followed_by_another_after_a_second() {
    for answer in [status(500), status(503), status(408), fails()] {
        let peer = Peer::says([refused(), answer]);
        let (client, cooldowns) = cooling!(peer);
        pass(secs(60)).await;

        ask(&client, A).await;

        assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
        assert_eq!(held(&client, A).await.retry_after(), secs(1));
        pass(secs(1)).await;
        assert_eq!(ask(&client, A).await, Sent(200));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reopening_upstream_admits_two_and_one_more_with_each_success() {
    let peer = Peer::says([refused(), ok(), never(), ok().after(secs(5))]);
    let (client, cooldowns) = cooling!(peer);
    pass(secs(60)).await;
    ask(&client, A).await;

    let (_hung, answered) = (hang(&client, A), hang(&client, A));
    assert_eq!(ask(&client, A).await, REOPENING);
    answered.await.unwrap();

    // Three places, one of them taken; these two are answered at once.
    let (second, third) = (call(&client, A), call(&client, A));
    assert_eq!(ask(&client, A).await, REOPENING);
    second.await.unwrap();
    third.await.unwrap();
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn places_that_learn_nothing_are_free_again_and_widen_nothing() {
    let peer = Peer::says([refused(), ok(), status(500), fails(), never(), never()]);
    let (client, _) = cooling!(peer);
    pass(secs(60)).await;
    ask(&client, A).await;

    assert_eq!(ask(&client, A).await, Sent(500));
    assert_eq!(ask(&client, A).await, Outcome::Failed);

    let _two = (hang(&client, A), hang(&client, A));
    assert_eq!(ask(&client, A).await, REOPENING);
}

#[tokio::test(start_paused = true)]
async fn cooling_by_hand_never_shortens_keeps_the_rung_and_makes_older_calls_stale() {
    let peer = Peer::says([refused().after(secs(5)), refused().after(secs(5)), ok()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let older = hang(&client, A);
    cooldowns.cool(&upstream(A), secs(90));
    cooldowns.cool(&upstream(A), secs(30));
    assert_eq!(info(&cooldowns, A).retry_after(), secs(90));

    older.await.unwrap();
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 0);
    pass(secs(85)).await;
    ask(&client, A).await;
    cooldowns.cool(&upstream(A), secs(7200));

    assert_eq!(info(&cooldowns, A).retry_after(), secs(7200), "beyond every ceiling");
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn clearing_by_hand_forgets_at_once_even_while_a_probe_is_out() {
    let peer = Peer::says([refused(), refused(), ok().after(secs(1)), ok(), refused()]);
    let (client, cooldowns) = cooling!(peer);
    cooldowns.clear(&upstream(A));
    assert_eq!(ask(&client, A).await, Sent(429));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);

    pass(secs(60)).await;
    let probe = hang(&client, A);
    cooldowns.clear(&upstream(A));
    assert_eq!(ask(&client, A).await, Sent(200));
    probe.await.unwrap();

    assert!(cooldowns.is_empty());
}
