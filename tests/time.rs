//! Time: dates are read against the response's own clock, and deadlines live on
//! tokio's, wherever that one stands.
#![allow(clippy::arithmetic_side_effects, reason = "for tests")]

mod support;

use support::Outcome::Sent;
use support::*;
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, State};

/// What a default layer makes of a 429 with these headers.
async fn waits(headers: &[(&'static str, &str)]) -> u64 {
    let answer =
        headers.iter().fold(refused(), |answer, &(name, value)| answer.header(name, value));
    let client = client(&RetryAfterBackoffLayer::new(), &Peer::says([answer]));
    ask(&client, A).await;
    held(&client, A).await.retry_after().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_date_is_measured_against_the_responses_own_date_whatever_the_local_clock_says() {
    for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2100 08:49:37 GMT"] {
        let until = date.replace("08:49:37", "08:59:37");

        assert_eq!(waits(&[("date", date), ("retry-after", &until)]).await, 600);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_usable_date_the_local_clock_has_to_do() {
    let (past, future) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT");

    assert_eq!(waits(&[("retry-after", past)]).await, 60, "the first rung");
    assert_eq!(waits(&[("retry-after", future)]).await, 3600, "the ceiling");
    assert_eq!(waits(&[("retry-after", future), ("date", "yesterday")]).await, 3600);
}

#[tokio::test(start_paused = true)]
async fn a_response_from_a_cache_has_a_date_that_is_no_use() {
    let (date, until) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:59:37 GMT");

    assert_eq!(waits(&[("date", date), ("retry-after", until), ("age", "30")]).await, 60);
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_counts_from_the_receipt_of_the_response() {
    let peer = Peer::says([refused_for(90).after(secs(20))]);
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &peer);
    let start = now();

    assert_eq!(ask(&client, A).await, Sent(429));

    assert_eq!(held(&client, A).await.until(), start + secs(110));
}

/// Runs an episode on a table, wherever its birth lies.
async fn episode(cooldowns: Cooldowns) {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::builder().cooldowns(cooldowns.clone()).build();
    let client = client(&layer, &peer);
    assert_eq!(ask(&client, A).await, Sent(429));
    let limited = held(&client, A).await;
    assert!(limited.retry_after() <= secs(60));
    assert!(limited.until() >= now() + secs(60));

    // A second more than the cooldown, for the time between the two clocks.
    pass(secs(61)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
}

#[test]
fn a_table_from_before_the_clock_was_paused_works_on() {
    let cooldowns = Cooldowns::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();

    runtime.block_on(async {
        let born_here = Cooldowns::new();
        tokio::time::pause();
        episode(cooldowns).await;
        episode(born_here).await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_born_in_the_future_works_too() {
    // A thread of its own has the real clock, which is ahead of the paused one.
    let cooldowns = std::thread::spawn(Cooldowns::new).join().unwrap();

    episode(cooldowns).await;
}

#[tokio::test(start_paused = true)]
async fn years_may_pass() {
    let peer = Peer::says([refused(), refused()]);
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &peer);
    for _ in 0..2 {
        assert_eq!(ask(&client, A).await, Sent(429));
        assert_eq!(info(&layer.cooldowns(), A).consecutive_failures(), 1);
        pass(secs(50 * 365 * 86_400)).await;
    }

    assert!(layer.cooldowns().is_empty());
}
