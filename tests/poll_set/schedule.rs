//! When a target is called again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tower_retry_after::schedule::Next;

use super::*;

const NAMED: &str = "a";

fn named(name: &str) -> tower_retry_after::Upstream {
    tower_retry_after::Upstream::named(name)
}

#[tokio::test(start_paused = true)]
async fn a_target_is_called_again_after_its_interval() {
    let start = now();
    let mut set = PollSet::builder(Peer::always(ok()).service(), request).policy(policy()).build();
    set.add(upstream(A), A);

    let answers = poll_until(&mut set, start + secs(2000)).await;

    assert_eq!(seconds(start, &answers), [0, 600, 1200, 1800]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_counted_once_and_climbs_one_rung() {
    let start = now();
    let peer = Peer::says([fails(), fails(), fails()]);
    let mut set = PollSet::builder(peer.service(), request).policy(policy()).build();
    set.add(upstream(A), A);

    let answers = poll_until(&mut set, start + secs(600)).await;

    let failures: Vec<u32> = answers.iter().map(|(_, it)| it.consecutive_failures).collect();
    assert_eq!(seconds(start, &answers), [0, 60, 180, 420]);
    assert_eq!(failures, [1, 2, 3, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_longer_of_ladder_and_hint_counts_within_its_ceiling() {
    for (hint, due) in [(10, 60), (90, 90), (5000, 3600)] {
        let judge = move |_: &Result<_, _>| Next::Failed { hint: Some(secs(hint)) };
        let builder = PollSet::builder(Peer::always(ok()).service(), request);
        let mut set = builder.judge(judge).wall_clock(wall_clock()).build();
        set.add(upstream(A), A);

        let answer = set.next().await.unwrap();

        assert_eq!(answer.due_at, noon() + secs(due), "{hint}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_neither_ladder_nor_interval_nothing_spins() {
    let still = SyncPolicy {
        interval: Duration::ZERO,
        ladder: Ladder::new(Duration::ZERO, Duration::ZERO),
        ..policy()
    };
    for (answer, most) in [(ok(), 1001), (fails(), 2)] {
        let start = now();
        let peer = Peer::always(answer);
        let mut set = PollSet::builder(peer.service(), request).policy(still).build();
        set.add(upstream(A), A);

        let answers = poll_until(&mut set, start + secs(1)).await;

        assert!(answers.len() <= most, "{}", answers.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_with_a_schedule_of_its_own_is_obeyed() {
    let start = now();
    let judge = move |_: &Result<_, _>| Next::DueAt(start + secs(1000));
    let mut set = PollSet::builder(Peer::always(ok()).service(), request).judge(judge).build();
    set.add(upstream(A), A);

    let answers = poll_until(&mut set, start + secs(1000)).await;

    // From then on that time is past, and the least wait holds.
    assert_eq!(seconds(start, &answers), [0, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_floor_delays_a_good_answers_next_call_within_its_cap() {
    for (asked, cap, due) in [(60, 3600, 600), (900, 3600, 900), (9000, 3600, 3600)] {
        let peer = Peer::always(ok().header("x-poll-interval", &asked.to_string()));
        let builder = PollSet::builder(peer.service(), request).policy(policy());
        let mut set = builder.floor(secs(cap)).wall_clock(wall_clock()).build();
        let id = set.add(upstream(A), A);

        set.next().await.unwrap();

        assert_eq!(set.get(id).unwrap().due_at(), noon() + secs(due), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_overdue_goes_first_over_all_upstreams() {
    let builder = PollSet::builder(Peer::always(ok()).service(), |_: &u32| get(A));
    let mut set = builder.concurrency(1).spread(Duration::ZERO).build();
    set.pause();
    for target in 0..6_u32 {
        set.add(named(&(target % 2).to_string()), target);
        pass(secs(1)).await;
    }
    set.resume();

    for expected in 0..6 {
        let answer = set.next().await.unwrap();
        assert_eq!(set.get(answer.id).unwrap().target(), &expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_triggered_target_is_due_now_and_no_sooner_than_who_is_overdue() {
    let builder = PollSet::builder(Peer::always(ok()).service(), request);
    let mut set = builder.spread(Duration::ZERO).build();
    let first = set.add(named(NAMED), A);
    set.next().await.unwrap();
    pass(secs(1)).await;
    let second = set.add(named(NAMED), B);
    pass(secs(1)).await;

    assert!(set.trigger(first));

    assert_eq!(set.next().await.unwrap().id, second);
    assert_eq!(set.next().await.unwrap().id, first);
    assert!(poll_until(&mut set, now() + secs(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_interval_counts_from_the_next_answer_on() {
    let start = now();
    let mut set = PollSet::new(Peer::always(ok()).service(), request);
    let id = set.add_every(upstream(A), A, secs(100));
    set.next().await.unwrap();

    assert!(set.set_interval(id, secs(30)));
    let answers = poll_until(&mut set, start + secs(170)).await;

    assert_eq!(seconds(start, &answers), [100, 130, 160]);
    assert_eq!(set.get(id).unwrap().interval(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_stale_finds_nobody() {
    let mut set = PollSet::new(Peer::always(ok()).service(), request);
    let stale = set.add(upstream(A), A);
    assert_eq!(set.remove(stale), Some(A));
    let other = set.add(upstream(B), B);

    assert!(set.get(stale).is_none());
    assert!(set.target_mut(stale).is_none());
    assert_eq!(set.remove(stale), None);
    assert!(!set.trigger(stale) && !set.set_interval(stale, secs(1)));
    assert_eq!(set.get(other).unwrap().target(), &B);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_target_is_told_on_the_wall_clock() {
    let peer = Peer::says([ok(), fails()]);
    let builder = PollSet::builder(peer.service(), request).policy(policy());
    let mut set = builder.wall_clock(wall_clock()).build();
    let id = set.add(upstream(A), A);
    let info = set.get(id).unwrap();
    assert_eq!((info.due_at(), info.last_ok_at()), (noon(), None));

    set.next().await.unwrap();
    set.next().await.unwrap();

    let info = set.get(id).unwrap();
    assert_eq!(info.last_ok_at(), Some(noon()));
    assert_eq!(info.due_at(), noon() + secs(660));
    assert_eq!(info.consecutive_failures(), 1);
    assert_eq!(info.interval(), secs(600));
    assert_eq!(info.upstream(), &upstream(A));
    assert_eq!(info.held_until(), None);
    assert!(!info.is_in_flight());
    assert_eq!(set.iter().map(|info| info.id()).collect::<Vec<_>>(), [id]);
}

#[tokio::test(start_paused = true)]
async fn when_nothing_is_due_it_wakes_when_it_said() {
    let born = now();
    let builder = PollSet::builder(Peer::always(ok()).service(), |_: &u32| get(A));
    let mut set = builder.policy(policy()).wall_clock(wall_clock()).build();
    assert_eq!(set.wakes_at(), None);
    for target in 0..50 {
        set.add(named(&(target % 7).to_string()), target);
    }

    for _ in 0..500 {
        let wakes = set.wakes_at().unwrap();
        set.next().await.unwrap();
        // Tokio's timers have a grain of a millisecond.
        let late = (noon() + (now() - born)).duration_since(wakes).unwrap();
        assert!(late <= millis(1), "{late:?}");
    }
    set.pause();
    assert_eq!(set.wakes_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_neither_stalls_nor_hurries_anything() {
    let start = now();
    let step = Arc::new(AtomicI64::new(0));
    let (shown, honest) = (Arc::clone(&step), wall_clock());
    let jumping = move || {
        let step = shown.load(Ordering::Relaxed);
        let by = secs(step.unsigned_abs());
        if step < 0 { honest() - by } else { honest() + by }
    };
    let builder = PollSet::builder(Peer::always(ok()).service(), request).policy(policy());
    let mut set = builder.wall_clock(jumping).build();
    let id = set.add(upstream(A), A);

    let mut answers = poll_until(&mut set, start + secs(300)).await;
    step.store(-3600, Ordering::Relaxed);
    assert_eq!(set.get(id).unwrap().due_at(), noon() + secs(600) - hours(1));
    answers.extend(poll_until(&mut set, start + secs(900)).await);
    step.store(24 * 3600, Ordering::Relaxed);
    assert_eq!(set.get(id).unwrap().due_at(), noon() + secs(1200) + hours(24));
    answers.extend(poll_until(&mut set, start + secs(2000)).await);

    assert_eq!(seconds(start, &answers), [0, 600, 1200, 1800]);
}

#[tokio::test(start_paused = true)]
async fn what_fell_due_in_a_pause_goes_out_after_it_and_once() {
    let start = now();
    let mut set = PollSet::builder(Peer::always(ok()).service(), request).policy(policy()).build();
    set.add(upstream(A), A);
    set.pause();
    assert!(poll_until(&mut set, start + hours(5)).await.is_empty());

    set.resume();
    let answers = poll_until(&mut set, start + hours(5) + secs(700)).await;

    assert_eq!(seconds(start + hours(5), &answers), [0, 600]);
}

#[tokio::test(start_paused = true)]
async fn new_targets_are_spread_over_their_interval_or_the_window() {
    for (window, per_tenth) in [(None, 60), (Some(secs(100)), 10)] {
        let start = now();
        let builder = PollSet::builder(Peer::always(ok()).service(), |_: &u32| get(A));
        let builder = builder.policy(policy());
        let mut set = match window {
            Some(window) => builder.spread(window).build(),
            None => builder.build(),
        };
        for target in 0..1000 {
            set.add(named(&(target % 89).to_string()), target);
        }

        let answers = poll_until(&mut set, start + secs(599)).await;

        let mut tenths = [0; 10];
        for second in seconds(start, &answers) {
            tenths[usize::try_from(second / per_tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (80..=120).contains(count)), "{tenths:?}");
    }
}
