//! Waiters on several threads and runtimes. Only here is time real; nothing is
//! said of how long anything takes.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;
use tower_retry_after::{Ladder, State};

use super::*;

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn real(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_time().build().unwrap()
}

/// A number below `below`, by chance.
fn chance(below: u64) -> u64 {
    RandomState::new().hash_one(0_u8) % below
}

#[test]
fn a_runtime_that_is_dropped_with_waiters_in_it_leaves_nothing_behind() {
    let peer = Peer::always(ok());
    let layer = cooling(60);
    let client = patient(&layer, &peer);
    let runtime = paused();
    let survivor = runtime.block_on(async {
        for _ in 0..10 {
            tokio::spawn(client.clone().oneshot(get(A)));
        }
        let survivor = wait(&client);
        rest(secs(1)).await;
        Some(survivor)
    });
    assert!(format!("{:?}", layer.cooldowns()).contains("lines: 1"));

    drop(runtime);
    drop(survivor);

    assert!(format!("{:?}", layer.cooldowns()).contains("lines: 0"));
    assert_eq!((peer.calls(), peer.reserved()), (0, 0));
    layer.cooldowns().clear(&upstream(A));
    assert_eq!(paused().block_on(ask(&client, A)), Outcome::Sent(200));
}

#[test]
fn waiters_on_two_runtimes_stand_in_one_line() {
    let peer = Peer::always(ok());
    let layer = cooling(3600);
    let (one, other) = (real(1), real(1));
    let tasks: Vec<_> = [&one, &other, &one, &other]
        .map(|runtime| runtime.spawn(patient(&layer, &peer).oneshot(get(A))))
        .into();

    layer.cooldowns().clear(&upstream(A));

    for task in tasks {
        let answer = one.block_on(async { timeout(secs(60), task).await });
        assert_eq!(Outcome::of(&answer.unwrap().unwrap()), Outcome::Sent(200));
    }
    assert!(format!("{:?}", layer.cooldowns()).contains("lines: 0"));
}

#[test]
fn whatever_comes_between_whom_the_line_ends_empty() {
    let peer = Peer::by(|_| {
        let answer = match chance(40) {
            0..3 => refused(),
            3 => fails(),
            4 => status(500),
            5 => never(),
            _ => ok(),
        };
        answer.after(Duration::from_micros(chance(2000)))
    });
    let layer = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(millis(1), millis(4)))
        .probe_lease(millis(5))
        .reopen_width(4)
        .build();
    let runtime = real(4);
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..64 {
            let (layer, peer) = (layer.clone(), peer.clone());
            tasks.spawn(async move {
                for _ in 0..40 {
                    let client = waits(&layer, &peer, millis(chance(60)));
                    // Calls that never end are given up like all others.
                    let patience = Duration::from_micros(chance(40_000));
                    let _ = timeout(patience, client.oneshot(get(A))).await;
                    if chance(200) == 0 {
                        layer.cooldowns().clear(&upstream(A));
                    }
                }
            });
        }
        let all = timeout(secs(120), async { while tasks.join_next().await.is_some() {} }).await;
        assert!(all.is_ok(), "somebody waits for ever: {layer:?}");
    });

    assert!(peer.calls() > 0);
    assert_eq!(peer.reserved(), 0);
    assert_ne!(state(&layer.cooldowns(), A), Some(State::Probing), "{layer:?}");
    assert!(format!("{:?}", layer.cooldowns()).contains("lines: 0"), "{layer:?}");
}

#[test]
fn whoever_has_the_time_is_sent() {
    let peer = Peer::by(|_| {
        let answer = if chance(100) == 0 { refused() } else { ok() };
        answer.after(Duration::from_micros(chance(2) * 50))
    });
    let layer = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(millis(1), millis(1)))
        .reopen_width(4)
        .build();
    real(4).block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..64 {
            let client = patient(&layer, &peer);
            tasks.spawn(async move {
                for _ in 0..40 {
                    let outcome = Outcome::of(&client.clone().oneshot(get(A)).await);
                    assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}");
                }
            });
        }
        let all = timeout(secs(300), tasks.join_all()).await;
        assert!(all.is_ok(), "somebody waits for ever: {layer:?}");
    });

    assert_eq!((peer.calls(), peer.reserved()), (64 * 40, 0));
    assert!(format!("{:?}", layer.cooldowns()).contains("lines: 0"), "{layer:?}");
}
