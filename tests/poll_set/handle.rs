//! The set as other tasks change it.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use tokio::task::yield_now;
use tower_retry_after::Upstream;
use tower_retry_after::schedule::PollSetGone;

use super::*;

#[tokio::test(start_paused = true)]
async fn targets_are_added_listed_and_removed_while_it_runs() {
    let mut set = PollSet::builder(Peer::always(ok()).service(), request)
        .policy(policy())
        .spread(Duration::ZERO)
        .build();
    let handle = set.handle();
    let polled = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&polled);
    let polling = tokio::spawn(async move {
        while let Some(answer) = set.next().await {
            noted.lock().unwrap().push(answer.id);
        }
    });

    let a = handle.add(upstream(A), A).await.unwrap();
    let b = handle.add_every(upstream(B), B, secs(100)).await.unwrap();
    tokio::time::sleep(secs(150)).await;
    assert_eq!(*polled.lock().unwrap(), [a, b, b]);

    let mut listed = handle.list(|info| (*info.target(), info.interval())).await.unwrap();
    listed.sort_unstable();
    assert_eq!(listed, [(A, secs(600)), (B, secs(100))]);

    assert_eq!(handle.remove(b).await, Ok(Some(B)));
    assert_eq!(handle.remove(b).await, Ok(None));
    assert_eq!(handle.trigger(b).await, Ok(false));
    assert_eq!(handle.set_interval(a, secs(50)).await, Ok(true));
    assert_eq!(handle.trigger(a).await, Ok(true));
    tokio::time::sleep(secs(120)).await;
    assert_eq!(polled.lock().unwrap()[3..], [a, a, a]);

    handle.pause();
    tokio::time::sleep(secs(500)).await;
    assert_eq!(polled.lock().unwrap().len(), 6);
    handle.resume();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(polled.lock().unwrap().len(), 7);

    handle.shutdown();
    polling.await.unwrap();
    assert_eq!(handle.add(upstream(A), A).await, Err(PollSetGone));
}

#[tokio::test(start_paused = true)]
async fn whoever_still_waits_for_an_answer_when_the_set_ends_is_told() {
    let mut set = PollSet::new(Peer::always(ok()).service(), request);
    let handle = set.handle();
    handle.shutdown();
    assert!(set.next().await.is_none());

    assert_eq!(handle.add(upstream(A), A).await, Err(PollSetGone));

    let set = PollSet::new(Peer::always(ok()).service(), request);
    let handle = set.handle();
    let mut adding = pin!(handle.add(upstream(A), A));
    assert!(poll_once(adding.as_mut()).is_pending());
    drop(set);
    assert_eq!(adding.await, Err(PollSetGone));
}

#[tokio::test(start_paused = true)]
async fn a_question_wakes_a_set_that_waits() {
    let mut set = PollSet::builder(Peer::always(ok()).service(), request).policy(policy()).build();
    set.add(upstream(A), A);
    let handle = set.handle();
    let polling = tokio::spawn(async move { while set.next().await.is_some() {} });
    yield_now().await;

    let before = now();
    assert_eq!(handle.list(|info| *info.target()).await, Ok(vec![A]));

    assert_eq!(now(), before);
    handle.shutdown();
    polling.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_target_removed_while_it_is_called_gives_its_place_back_when_the_call_ends() {
    let start = now();
    let peer = Peer::always(ok().after(secs(10)));
    let builder = PollSet::builder(peer.service(), |_: &u32| get(A)).policy(policy());
    let mut set = builder.per_upstream(1).spread(Duration::ZERO).build();
    let gone = set.add(upstream(A), 1);
    assert!(poll_once(pin!(set.next())).is_pending());

    assert_eq!(set.remove(gone), Some(1));
    // The one that takes the number of the one that is gone has its own answer.
    let other = set.add(upstream(A), 2);
    assert_eq!((set.len(), set.in_flight()), (1, 1));
    let answers = poll_until(&mut set, start + secs(100)).await;

    assert_eq!(seconds(start, &answers), [20]);
    assert_eq!(answers[0].1.id, other);
    assert_eq!(set.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_targets_are_all_gone_can_be_used_again() {
    let mut set = PollSet::new(Peer::always(ok()).service(), |_: &u32| get(A));
    for round in 0..3 {
        let ids: Vec<_> =
            (0..100).map(|n| set.add(Upstream::named((n % 9).to_string()), n)).collect();
        for id in ids {
            assert!(set.remove(id).is_some(), "{round}");
        }
        assert!(set.is_empty());
        assert_eq!(set.wakes_at(), None);
        assert!(format!("{set:?}").contains("upstreams: 0"));
    }
}
