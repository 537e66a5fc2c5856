//! What other tasks may ask of a poller.

use tokio::task::yield_now;
use tower_retry_after::schedule::{Outcome, PollerHandle};

use super::support::pass;
use super::*;

/// Polls in a task of its own until it is shut down; returns how often.
fn spawn(script: &Script) -> (PollerHandle, tokio::task::JoinHandle<usize>) {
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();
    let handle = poller.handle();
    let polling = tokio::spawn(async move {
        let mut polls = 0;
        while poller.next().await.is_some() {
            polls += 1;
        }
        polls
    });
    (handle, polling)
}

/// Lets time pass, and everybody act on it.
async fn settle(seconds: u64) {
    sleep(secs(seconds)).await;
    yield_now().await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_polls_now_and_any_number_is_one() {
    let script = Script::new([]);
    let (handle, _polling) = spawn(&script);
    settle(20).await;

    handle.trigger();
    handle.trigger();
    settle(59).await;

    assert_eq!(script.seconds(), [0, 20]);
    settle(1).await;
    assert_eq!(script.seconds(), [0, 20, 80]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_while_a_poll_is_out_is_followed_by_another() {
    let script = Script::lasting([(Play::Answers, secs(10))]);
    let (handle, _polling) = spawn(&script);
    settle(5).await;

    handle.trigger();
    settle(6).await;

    assert_eq!(script.seconds(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn while_paused_nothing_begins_and_nothing_is_caught_up() {
    let script = Script::lasting([(Play::Answers, secs(10))]);
    let (handle, _polling) = spawn(&script);
    settle(5).await;
    handle.pause();
    settle(5).await;
    // The call that was out has ended.
    assert_eq!(handle.state().last_outcome, Outcome::Ok);

    settle(3600).await;
    handle.trigger();
    settle(10).await;
    assert!(handle.is_paused());
    assert_eq!(script.seconds(), [0]);

    handle.resume();
    settle(59).await;
    assert_eq!(script.seconds(), [0, 3620]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_wait_at_once() {
    let script = Script::new([]);
    let (handle, polling) = spawn(&script);
    settle(5).await;
    let began = now();

    handle.shutdown();

    assert_eq!(polling.await.unwrap(), 1);
    assert_eq!(now(), began);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_call_that_is_out_end() {
    let script = Script::lasting([(Play::Answers, secs(10))]);
    let (handle, polling) = spawn(&script);
    settle(5).await;

    handle.shutdown();

    assert_eq!(polling.await.unwrap(), 1);
    assert_eq!(handle.state().last_outcome, Outcome::Ok);
    assert_eq!(now() - script.began, secs(10));
}

#[tokio::test(start_paused = true)]
async fn who_was_shut_down_stays_so() {
    let script = Script::new([]);
    let mut poller = Poller::new(script.service(), unit);
    poller.handle().shutdown();

    assert!(poller.next().await.is_none());
    poller.handle().trigger();
    poller.handle().resume();
    assert!(poller.next().await.is_none());
    assert_eq!(script.seconds(), [0_u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_state_can_be_watched() {
    let script = Script::lasting([(Play::Answers, secs(10))]);
    let (handle, polling) = spawn(&script);
    let mut watch = handle.watch();

    assert_eq!(watch.changed().await.unwrap().last_outcome, Outcome::Running);
    assert_eq!(watch.changed().await.unwrap().last_outcome, Outcome::Ok);
    handle.shutdown();
    polling.await.unwrap();

    assert!(watch.changed().await.is_none());
    assert_eq!(watch.state().last_outcome, Outcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_nobody_asks_does_nothing() {
    let script = Script::new([]);
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();
    polls(&mut poller, 1).await;

    pass(secs(86_400)).await;
    assert_eq!(script.seconds(), [0]);

    // A day late is one poll, and the next is an interval away.
    polls(&mut poller, 2).await;
    assert_eq!(script.seconds(), [0, 86_400, 86_460]);
}

/// Polls a service that is not ready, in a task of its own.
fn spawn_gated(script: &Script) -> (Gate<impl Clone + use<>>, PollerHandle) {
    let gate = Gate::new(script.service());
    let mut poller = Poller::builder(gate.clone(), unit).policy(policy()).build();
    let handle = poller.handle();
    tokio::spawn(async move { while poller.next().await.is_some() {} });
    (gate, handle)
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_what_has_begun_and_was_not_sent() {
    let script = Script::new([]);
    let (gate, handle) = spawn_gated(&script);
    settle(1).await;
    assert_eq!(handle.state().last_outcome, Outcome::Running);

    handle.pause();
    settle(1).await;
    assert_eq!(handle.state().last_outcome, Outcome::Idle);
    gate.open();
    settle(4000).await;
    assert_eq!(script.seconds(), [0_u64; 0]);
    assert_eq!(handle.state().consecutive_failures, 0);

    handle.resume();
    settle(1).await;
    assert_eq!(script.seconds(), [4002]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_while_paused_is_kept() {
    let script = Script::new([]);
    let (handle, _polling) = spawn(&script);
    settle(5).await;

    handle.pause();
    handle.trigger();
    settle(5).await;
    handle.resume();
    settle(5).await;

    // Long before the next poll was due.
    assert_eq!(script.seconds(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_is_kept_through_a_pause_that_held_it() {
    let script = Script::new([]);
    let gate = Gate::new(script.service());
    gate.open();
    let mut poller = Poller::builder(gate.clone(), unit).policy(policy()).build();
    let handle = poller.handle();
    polls(&mut poller, 1).await;
    gate.is_open.store(false, Ordering::SeqCst);
    tokio::spawn(async move { while poller.next().await.is_some() {} });
    handle.trigger();
    settle(1).await;
    handle.pause();
    settle(1).await;
    gate.open();

    handle.resume();
    settle(1).await;

    assert_eq!(script.seconds(), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_new_watch_waits_for_a_change() {
    let script = Script::new([]);
    let (handle, _polling) = spawn(&script);
    settle(5).await;

    let mut watch = handle.watch();
    let began = now();
    watch.changed().await.unwrap();

    assert_eq!(now() - began, secs(55));
}
