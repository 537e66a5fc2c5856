//! What a set waits for, says so, and keeps from nobody meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{sleep, timeout};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::limit::rate::{Rate, RateLimit};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_retry_after::schedule::Next;
use tower_retry_after::{RetryAfterBackoffLayer, Upstream};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_set_that_waits_for_answers_alone_names_no_time() {
    let peer = Peer::always(ok().after(secs(10)));
    let mut set = PollSet::builder(peer.service(), request)
        .concurrency(1)
        .spread(Duration::ZERO)
        .wall_clock(wall_clock())
        .build();
    set.add(upstream(A), A);
    set.add(upstream(B), B);

    assert!(poll_once(pin!(set.next())).is_pending());

    assert_eq!(set.wakes_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_told_whole_though_it_is_looked_at_again() {
    let layer = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    let mut set = PollSet::builder(client(&layer, &peer), request)
        .cooldowns(layer.cooldowns())
        .wall_clock(wall_clock())
        .build();
    let id = set.add(upstream(A), A);
    layer.cooldowns().cool(&upstream(A), hours(1));

    assert!(poll_once(pin!(set.next())).is_pending());

    assert_eq!(set.get(id).unwrap().held_until(), Some(noon() + hours(1)));
    assert_eq!(set.wakes_at(), Some(noon() + secs(30)));
    // Cleared by hand, it is noticed then.
    layer.cooldowns().clear(&upstream(A));
    let began = now();
    assert!(set.next().await.unwrap().result.is_ok());
    assert_eq!(now() - began, secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_says_when_its_target_is_due() {
    let layer = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    let (cooldowns, inner) = (layer.cooldowns(), client(&layer, &peer));
    // Somebody else's call is refused between the look at the table and the call.
    let service = service_fn(move |request: Request<()>| {
        cooldowns.cool(&upstream(A), hours(1));
        inner.clone().oneshot(request)
    });
    let mut set = PollSet::builder(service, request)
        .cooldowns(layer.cooldowns())
        .wall_clock(wall_clock())
        .build();
    set.add(upstream(A), A);

    let rejected = set.next().await.unwrap();

    assert_eq!((rejected.due_at, rejected.consecutive_failures), (noon() + hours(1), 0));
}

#[tokio::test(start_paused = true)]
async fn when_a_hold_is_over_the_longest_overdue_goes_first_though_nobody_answers() {
    let start = now();
    let called = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&called);
    let service = service_fn(move |target: u32| {
        seen.lock().unwrap().push(target);
        let is_first = now() - start < secs(1);
        async move {
            if !is_first {
                sleep(hours(1)).await;
            }
            Ok::<_, io::Error>(())
        }
    });
    // One call every ten seconds, so that there is always a backlog.
    let service = RateLimit::new(service, Rate::new(1, secs(10)));
    let is_held = AtomicBool::new(false);
    let mut set = PollSet::builder(service, |target: &u32| *target)
        .judge(move |_| {
            let was_held = is_held.swap(true, Ordering::SeqCst);
            if was_held { Next::Ok } else { Next::NotSent { until: start + secs(5) } }
        })
        .spread(Duration::ZERO)
        .per_upstream(100)
        .build();
    set.add(Upstream::named("a"), 0);
    for target in 1..10 {
        pass(millis(1)).await;
        set.add(Upstream::named("b"), target);
    }

    poll_until(&mut set, start + secs(100)).await;

    assert_eq!(called.lock().unwrap()[..3], [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_waited_for_a_permit_gives_it_back_though_it_is_paused() {
    let peer = Peer::always(ok());
    let limit = GlobalConcurrencyLimitLayer::new(1);
    let mut other = limit.layer(peer.service());
    let call = other.ready().await.unwrap().call(get(B));
    let mut set = PollSet::builder(limit.layer(peer.service()), request).build();
    set.add(upstream(A), A);
    assert!(poll_once(pin!(set.next())).is_pending());

    set.pause();
    call.await.unwrap();

    // The call had begun before the pause, and there is no other.
    assert!(set.next().await.unwrap().result.is_ok());
    assert!(poll_once(pin!(set.next())).is_pending());
    assert!(timeout(hours(1), other.ready()).await.is_ok(), "it keeps the only permit");
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_upstream_cools_while_it_waits_for_a_permit_gives_it_back() {
    let peer = Peer::always(ok());
    let limit = GlobalConcurrencyLimitLayer::new(1);
    let backoff = RetryAfterBackoffLayer::new();
    let mut other = limit.layer(peer.service());
    let call = other.ready().await.unwrap().call(get(B));
    let stack = backoff.layer(limit.layer(peer.service()));
    let mut set = PollSet::builder(stack, request).cooldowns(backoff.cooldowns()).build();
    set.add(upstream(A), A);
    assert!(poll_once(pin!(set.next())).is_pending());

    backoff.cooldowns().cool(&upstream(A), hours(1));
    call.await.unwrap();
    tokio::spawn(async move { while set.next().await.is_some() {} });
    let began = now();
    other.ready().await.unwrap();

    assert!(now() - began < secs(1), "the other waited {:?}", now() - began);
    assert_eq!(peer.calls_to(A), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_when_the_permit_comes_leaves_it_to_the_next() {
    let peer = Peer::always(ok());
    let limit = GlobalConcurrencyLimitLayer::new(1);
    let mut other = limit.layer(peer.service());
    let call = other.ready().await.unwrap().call(get(B));
    let mut set =
        PollSet::builder(limit.layer(peer.service()), request).spread(Duration::ZERO).build();
    let first = set.add(upstream(A), A);
    let second = set.add(upstream(B), B);
    assert!(poll_once(pin!(set.next())).is_pending());

    set.remove(first);
    call.await.unwrap();

    assert_eq!(set.next().await.unwrap().id, second);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wishes_keeps_nobody_from_an_answer() {
    let service = service_fn(|(): ()| async {
        tokio::task::yield_now().await;
        Ok::<_, BoxError>(())
    });
    let mut set = PollSet::new(service, |_: &u32| ());
    set.add(upstream(A), 1);
    let handle = set.handle();
    for _ in 0..100_000 {
        handle.resume();
    }

    let mut polls = 0;
    while poll_once(pin!(set.next())).is_pending() {
        polls += 1;
    }

    assert!(polls < 10, "answered after {polls}");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_a_set_does_not_spin() {
    let past = now();
    let off = SyncPolicy {
        interval: Duration::ZERO,
        ladder: Ladder::new(Duration::ZERO, Duration::ZERO),
        ..policy()
    };
    for (next, calls) in [
        (Next::Ok, 1000),
        (Next::NotSent { until: past }, 1000),
        (Next::DueAt(past), 1000),
        (Next::Failed { hint: None }, 1),
    ] {
        let peer = Peer::always(ok());
        let mut set =
            PollSet::builder(peer.service(), request).policy(off).judge(move |_| next).build();
        set.add(upstream(A), A);
        let end = now() + millis(999);

        assert_eq!(poll_until(&mut set, end).await.len(), calls, "{next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_overdue_loses_no_place_by_being_triggered() {
    let peer = Peer::always(ok());
    let mut set = PollSet::builder(peer.service(), request).spread(Duration::ZERO).build();
    let first = set.add(upstream(A), A);
    pass(secs(1)).await;
    set.add(upstream(B), B);
    pass(secs(1)).await;

    assert!(set.trigger(first));

    assert_eq!(set.next().await.unwrap().id, first);
}
