//! No herd: many callers on one small bucket, in virtual time.
//!
//! The measure is how many calls the upstream refused for each useful answer. The
//! bucket holds one request and answers after 50 ms, so one useful answer costs
//! at least the refusal that says it is empty again; the calls that are let in
//! beside the one that empties it are what Reopening bounds.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower_retry_after::{Ladder, RetryAfterBackoffLayer};

const CALLERS: u64 = 64;

#[derive(Debug, Default)]
struct Tally {
    useful: AtomicU64,
    refused: AtomicU64,
}

/// An upstream with a bucket of one request a second, which says so.
fn bucket(tally: &Arc<Tally>) -> Peer {
    let tally = Arc::clone(tally);
    let next = Mutex::new(None::<Instant>);
    Peer::by(move |_| {
        let (mut next, now) = (next.lock().unwrap(), now());
        let answer = match *next {
            Some(next) if now < next => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
                refused_for(1)
            }
            Some(_) | None => {
                tally.useful.fetch_add(1, Ordering::Relaxed);
                *next = now.checked_add(secs(1));
                ok()
            }
        };
        answer.after(millis(50))
    })
}

/// How callers wait between two calls.
#[derive(Clone, Copy)]
enum Manner {
    /// Each at a pace of its own, some eight times a second.
    Polling,
    /// Until the upstream is ready for them.
    Waiting,
}

/// Lets all callers call for that long; returns useful and refused answers.
async fn run(layer: &RetryAfterBackoffLayer, time: Duration, manner: Manner) -> (u64, u64) {
    let tally = Arc::new(Tally::default());
    let peer = bucket(&tally);
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (client, cooldowns) = (client(layer, &peer), layer.cooldowns());
        callers.spawn(async move {
            loop {
                match manner {
                    Manner::Polling => sleep(millis(100 + number)).await,
                    Manner::Waiting => cooldowns.ready(&upstream(A)).await,
                }
                let _ = send(&client, A).await;
            }
        });
    }
    let _ = timeout(time, callers.join_next()).await;
    callers.shutdown().await;
    (tally.useful.load(Ordering::Relaxed), tally.refused.load(Ordering::Relaxed))
}

/// An API client's layer that takes the bucket's word.
fn api(reopen_width: u32) -> RetryAfterBackoffLayer {
    RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(secs(1), secs(60)))
        .trust_hints(true)
        .reopen_width(reopen_width)
        .build()
}

#[tokio::test(start_paused = true)]
async fn sixty_four_callers_on_a_bucket_of_one_a_second_are_refused_a_few_times_an_answer() {
    for manner in [Manner::Polling, Manner::Waiting] {
        let (useful, refused) = run(&RetryAfterBackoffLayer::for_api(), secs(100), manner).await;

        assert!(useful > 75, "{useful}: three of four tokens are used");
        // Measured: 2.3. Before anything is known all 64 are out at once.
        assert!(refused <= 3 * useful + CALLERS, "{refused} refused for {useful}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_default_ladder_they_are_refused_once_an_answer() {
    for manner in [Manner::Polling, Manner::Waiting] {
        let (useful, refused) = run(&RetryAfterBackoffLayer::new(), secs(600), manner).await;

        assert!(useful >= 9, "{useful}: one a minute");
        assert!(refused <= 2 * useful + CALLERS, "{refused} refused for {useful}");
    }
}

/// What Reopening is for: the same callers, all admitted once a probe succeeds.
#[tokio::test(start_paused = true)]
async fn admitting_everybody_after_the_probe_gives_dozens_of_refusals_an_answer() {
    for manner in [Manner::Polling, Manner::Waiting] {
        let (useful, refused) = run(&api(0), secs(50), manner).await;

        assert!(refused >= 24 * useful, "{refused} refused for {useful}");
    }
    let (useful, refused) = run(&api(64), secs(50), Manner::Polling).await;
    assert!(refused <= 3 * useful + CALLERS, "{refused} refused for {useful}");
}
