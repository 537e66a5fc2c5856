//! Calls that are given up, at every point: what they held is free again, and no
//! upstream is ever wedged.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::Outcome::Sent;
use support::*;
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, State};

/// A layer, and a client of a peer that refused once and whose cooldown has just
/// run out.
macro_rules! at_the_deadline {
    ($($answer:expr),*) => {{
        let peer = Peer::says([refused(), $($answer),*]);
        let layer = RetryAfterBackoffLayer::new();
        let client = client(&layer, &peer);
        assert_eq!(ask(&client, A).await, Sent(429));
        pass(secs(60)).await;
        (client, layer.cooldowns())
    }};
}

/// The same, after a probe that succeeded: two places, both free.
macro_rules! reopening {
    ($($answer:expr),*) => {{
        let (client, cooldowns) = at_the_deadline!(ok(), $($answer),*);
        assert_eq!(ask(&client, A).await, Sent(200));
        (client, cooldowns)
    }};
}

/// The next caller is the probe at once, on the same rung.
async fn assert_next_is_the_probe(client: &impl Client, cooldowns: &Cooldowns) {
    assert_eq!(info(cooldowns, A).consecutive_failures(), 1);
    let probe = hang(client, A);
    assert_eq!(state(cooldowns, A), Some(State::Probing));
    assert_eq!(ask(client, A).await, PROBING);
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_clear_upstream_leaves_nothing_behind() {
    let peer = Peer::always(never());
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &peer);

    drop(call(&client, A));
    drop(hang(&client, A));

    assert!(layer.cooldowns().is_empty());
    assert_eq!(peer.reserved(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_leaves_nothing_behind() {
    let (client, cooldowns) = at_the_deadline!(never());
    let _probe = hang(&client, A);

    drop(call(&client, A));

    assert_eq!(ask(&client, A).await, PROBING);
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_dropped_before_its_first_poll_makes_way() {
    let (client, cooldowns) = at_the_deadline!(never(), never());

    drop(call(&client, A));

    assert_next_is_the_probe(&client, &cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_dropped_while_it_is_out_makes_way() {
    let (client, cooldowns) = at_the_deadline!(never(), never());
    let probe = hang(&client, A);
    pass(secs(3)).await;

    drop(probe);

    assert_next_is_the_probe(&client, &cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_makes_way() {
    let (client, cooldowns) = at_the_deadline!(never(), never());
    let task = tokio::spawn(call(&client, A));
    tokio::task::yield_now().await;
    assert_eq!(state(&cooldowns, A), Some(State::Probing));

    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());

    assert_next_is_the_probe(&client, &cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_in_its_call_makes_way() {
    let (client, cooldowns) = at_the_deadline!(panics_in_call(), never());

    let panicked = catch_unwind(AssertUnwindSafe(|| drop(call(&client, A))));

    assert!(panicked.is_err());
    assert_next_is_the_probe(&client, &cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_in_its_future_makes_way() {
    let (client, cooldowns) = at_the_deadline!(panics_in_future(), never());

    let panicked = tokio::spawn(call(&client, A)).await;

    assert!(panicked.unwrap_err().is_panic());
    assert_next_is_the_probe(&client, &cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn a_superseded_probe_that_is_dropped_leaves_the_newer_one_alone() {
    let (client, cooldowns) = at_the_deadline!(never(), never(), never());
    let first = hang(&client, A);
    pass(secs(30)).await;
    let second = hang(&client, A);

    drop(first);
    assert_eq!(ask(&client, A).await, PROBING);

    drop(second);
    assert_next_is_the_probe(&client, &cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn a_superseded_probe_that_learns_nothing_leaves_the_newer_one_alone() {
    let (client, cooldowns) = at_the_deadline!(fails().after(secs(40)), never());
    let first = hang(&client, A);
    pass(secs(30)).await;
    let _second = hang(&client, A);

    assert!(first.await.is_err());

    assert_eq!(state(&cooldowns, A), Some(State::Probing));
    assert_eq!(ask(&client, A).await, PROBING);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_whenever_its_call_is_dropped() {
    let (client, _) = reopening!(never(), panics_in_call(), never(), never());
    drop(call(&client, A));
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(call(&client, A))));
    assert!(panicked.is_err());

    let (kept, dropped) = (hang(&client, A), hang(&client, A));
    assert_eq!(ask(&client, A).await, REOPENING);
    drop(dropped);

    assert_eq!(ask(&client, A).await, Sent(200), "two places again");
    drop(kept);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_once() {
    let (client, _) = reopening!(never(), ok(), never(), never());
    let _kept = hang(&client, A);
    let mut answered = Box::pin(call(&client, A));
    assert!(poll_once(answered.as_mut()).is_ready());

    drop(answered);

    // Three places by now, one of them taken.
    let _two = (hang(&client, A), hang(&client, A));
    assert_eq!(ask(&client, A).await, REOPENING);
}

#[tokio::test(start_paused = true)]
async fn a_place_of_an_ended_episode_is_not_given_back_to_a_later_one() {
    let (client, cooldowns) = reopening!(never(), refused(), ok(), never(), never());
    let old = hang(&client, A);
    assert_eq!(ask(&client, A).await, Sent(429));
    pass(secs(60)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    let _two = (hang(&client, A), hang(&client, A));

    drop(old);

    assert_eq!(ask(&client, A).await, REOPENING);
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_an_upstream_that_was_cleared_leaves_nothing_behind() {
    let (client, cooldowns) = at_the_deadline!(never());
    let probe = hang(&client, A);
    cooldowns.clear(&upstream(A));

    drop(probe);

    assert!(cooldowns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_layer_and_client_settles_in_peace() {
    let (client, cooldowns) = at_the_deadline!(ok().after(secs(5)));
    let probe = hang(&client, A);
    drop(client);

    assert!(probe.await.is_ok());

    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
}
