//! Waiting for an upstream: nothing is reserved, nobody is forgotten, and the
//! waiters do not all come back at once.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use support::Outcome::Sent;
use support::*;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, State};

/// Who was woken when, in seconds since the beginning.
#[derive(Clone)]
struct Log {
    start: Instant,
    woken: Arc<Mutex<Vec<(u32, u64)>>>,
}

impl Log {
    fn new() -> Self {
        Self { start: now(), woken: Arc::default() }
    }

    fn note(&self, who: u32) {
        self.woken.lock().unwrap().push((who, self.start.elapsed().as_secs()));
    }

    fn entries(&self) -> Vec<(u32, u64)> {
        self.woken.lock().unwrap().clone()
    }
}

/// Starts a waiter that calls nobody when it is woken.
async fn wait(cooldowns: &Cooldowns, log: &Log, who: u32) -> JoinHandle<()> {
    let (cooldowns, log) = (cooldowns.clone(), log.clone());
    let waiter = tokio::spawn(async move {
        cooldowns.ready(&upstream(A)).await;
        log.note(who);
    });
    tokio::task::yield_now().await;
    waiter
}

fn waiting(cooldowns: &Cooldowns) -> Pin<Box<impl Future<Output = ()> + use<>>> {
    let cooldowns = cooldowns.clone();
    Box::pin(async move { cooldowns.ready(&upstream(A)).await })
}

/// A table in which A is cooling for that many seconds.
fn cooling(seconds: u64) -> Cooldowns {
    let cooldowns = Cooldowns::new();
    cooldowns.cool(&upstream(A), secs(seconds));
    cooldowns
}

#[tokio::test(start_paused = true)]
async fn a_clear_upstream_is_ready_at_once() {
    at_once(cooling(60).ready(&upstream(B)));
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_is_waited_for_to_its_end() {
    let cooldowns = cooling(90);
    let start = now();

    cooldowns.ready(&upstream(A)).await;

    assert_eq!(start.elapsed(), secs(90));
    assert_eq!(state(&cooldowns, A), Some(State::Cooling), "nothing is reserved");
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_that_grows_while_waited_for_is_waited_for_to_its_new_end() {
    let (cooldowns, log) = (cooling(60), Log::new());
    let waiter = wait(&cooldowns, &log, 1).await;

    sleep(secs(59)).await;
    cooldowns.cool(&upstream(A), secs(100));
    waiter.await.unwrap();

    assert_eq!(log.entries(), [(1, 159)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_upstream_that_had_to_make_room_waits_no_longer() {
    let (cooldowns, log) = (Cooldowns::builder().max_upstreams(1).build(), Log::new());
    cooldowns.cool(&upstream(A), secs(600));
    let waiter = wait(&cooldowns, &log, 1).await;

    sleep(secs(1)).await;
    cooldowns.cool(&upstream(B), secs(900));
    waiter.await.unwrap();

    assert_eq!(log.entries(), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_probe_that_had_to_make_room_waits_no_longer() {
    let peer = Peer::says([refused(), ok().after(secs(20))]);
    let layer = RetryAfterBackoffLayer::builder().max_upstreams(1).build();
    let (cooldowns, client) = (layer.cooldowns(), client(&layer, &peer));
    assert_eq!(ask(&client, A).await, Sent(429));
    sleep(secs(60)).await;
    let probe = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, A).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(state(&cooldowns, A), Some(State::Probing));
    let log = Log::new();
    let waiter = wait(&cooldowns, &log, 1).await;

    sleep(secs(1)).await;
    cooldowns.cool(&upstream(B), secs(900));
    waiter.await.unwrap();

    assert_eq!(log.entries(), [(1, 1)]);
    assert_eq!(probe.await.unwrap(), Sent(200));
}

#[tokio::test(start_paused = true)]
async fn clearing_wakes_everybody_at_once() {
    let (cooldowns, log) = (cooling(3600), Log::new());
    for who in 0..10 {
        wait(&cooldowns, &log, who).await;
    }

    sleep(secs(5)).await;
    cooldowns.clear(&upstream(A));
    sleep(millis(1)).await;

    assert_eq!(log.entries(), (0..10).map(|who| (who, 5)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_in_order_and_the_next_after_a_second_at_the_latest() {
    let (cooldowns, log) = (cooling(60), Log::new());
    for who in 0..4 {
        wait(&cooldowns, &log, who).await;
    }

    sleep(secs(100)).await;

    assert_eq!(log.entries(), [(0, 60), (1, 61), (2, 62), (3, 63)]);
}

#[tokio::test(start_paused = true)]
async fn while_the_one_that_was_woken_probes_the_next_waits_for_its_verdict() {
    let peer = Peer::says([refused(), ok().after(secs(7))]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    let log = Log::new();
    for who in 0..2 {
        wait(&cooldowns, &log, who).await;
    }
    sleep(secs(60) + millis(1)).await;
    assert_eq!(log.entries(), [(0, 60)]);

    assert_eq!(ask(&client, A).await, Sent(200));
    sleep(millis(1)).await;

    assert_eq!(log.entries(), [(0, 60), (1, 67)]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_a_verdict_is_waited_for_until_its_lease_ends() {
    let peer = Peer::says([refused(), never()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    pass(secs(60)).await;
    let _probe = hang(&client, A);
    let start = now();

    cooldowns.ready(&upstream(A)).await;

    assert_eq!(start.elapsed(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_wakes_the_next() {
    let peer = Peer::says([refused(), never()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    pass(secs(60)).await;
    let probe = hang(&client, A);
    let log = Log::new();
    wait(&cooldowns, &log, 1).await;

    sleep(secs(3)).await;
    drop(probe);
    sleep(millis(1)).await;

    assert_eq!(log.entries(), [(1, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_reopening_upstream_without_room_wakes_a_waiter_with_each_free_place() {
    let peer = Peer::says([refused(), ok(), never(), never()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    pass(secs(60)).await;
    ask(&client, A).await;
    at_once(cooldowns.ready(&upstream(A)));
    let (first, _second) = (hang(&client, A), hang(&client, A));
    let log = Log::new();
    wait(&cooldowns, &log, 1).await;
    sleep(secs(20)).await;
    assert_eq!(log.entries(), []);

    drop(first);
    sleep(millis(1)).await;

    assert_eq!(log.entries(), [(1, 20)]);
}

#[tokio::test(start_paused = true)]
async fn waiters_that_call_when_woken_bring_an_upstream_back_without_a_refusal_more() {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    let start = now();
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (client, cooldowns) = (client.clone(), cooldowns.clone());
        waiters.spawn(async move {
            cooldowns.ready(&upstream(A)).await;
            ask(&client, A).await
        });
    }

    assert_eq!(waiters.join_all().await, [Sent(200); 100]);

    assert_eq!(start.elapsed(), secs(60), "the answers come at once");
    assert!(cooldowns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_at_any_point_does_not_hold_the_others_up() {
    let cooldowns = cooling(60);
    // Unpolled, first in the queue, second in the queue.
    let (unpolled, mut first, mut second) =
        (waiting(&cooldowns), waiting(&cooldowns), waiting(&cooldowns));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    let log = Log::new();
    wait(&cooldowns, &log, 3).await;
    wait(&cooldowns, &log, 4).await;

    drop((unpolled, second));
    sleep(secs(30)).await;
    drop(first);
    sleep(secs(60)).await;

    assert_eq!(log.entries(), [(3, 60), (4, 61)]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_after_its_waking_passes_the_turn_on() {
    let cooldowns = cooling(60);
    let mut first = waiting(&cooldowns);
    assert!(poll_once(first.as_mut()).is_pending());
    let log = Log::new();
    wait(&cooldowns, &log, 2).await;

    // Its time has come, but it has not been polled since.
    sleep(secs(60)).await;
    drop(first);
    sleep(millis(1)).await;

    assert_eq!(log.entries(), [(2, 60)]);
}

#[tokio::test(start_paused = true)]
async fn waiters_for_other_upstreams_are_left_alone() {
    let (cooldowns, log) = (cooling(60), Log::new());
    cooldowns.cool(&upstream(B), secs(3600));
    wait(&cooldowns, &log, 1).await;

    cooldowns.clear(&upstream(B));
    sleep(millis(1)).await;

    assert_eq!(log.entries(), []);
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_without_end_is_waited_for_without_a_panic() {
    let cooldowns = Cooldowns::new();
    cooldowns.cool(&upstream(A), std::time::Duration::MAX);
    let log = Log::new();
    wait(&cooldowns, &log, 1).await;

    sleep(secs(3600)).await;
    assert_eq!(log.entries(), []);
    cooldowns.clear(&upstream(A));
    sleep(millis(1)).await;

    assert_eq!(log.entries(), [(1, 3600)]);
}
