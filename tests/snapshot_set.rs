//! The targets of a poll set, kept across restarts.
#![cfg(feature = "serde")]
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]
#![allow(clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::unchecked_time_subtraction, reason = "for tests")]

mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::{Duration, SystemTime};

use support::{now, pass, secs};
use tower::{Service, service_fn};
use tower_retry_after::schedule::{Next, PollSet, Snapshot, SyncPolicy, TargetId, TargetRecord};
use tower_retry_after::{Ladder, Upstream};

/// When the tests begin, on the wall clock.
const START: SystemTime = SystemTime::UNIX_EPOCH;
const DAY: Duration = Duration::from_secs(86_400);

type Answer = Ready<Result<(), Infallible>>;
type Set<S> = PollSet<S, &'static str, fn(&&'static str) -> &'static str, &'static str>;

/// A set in a process that starts so long after [`START`]; `b` always fails.
fn set(
    after: Duration,
) -> Set<impl Service<&'static str, Response = (), Error = Infallible, Future = Answer>> {
    let began = now();
    let same: fn(&&'static str) -> &'static str = |name| *name;
    let asked = std::sync::Arc::new(std::sync::Mutex::new(""));
    let heard = std::sync::Arc::clone(&asked);
    let service = service_fn(move |name: &'static str| {
        *heard.lock().unwrap() = name;
        ready(Ok::<_, Infallible>(()))
    });
    let ladder = Ladder::new(secs(60), secs(1800));
    PollSet::builder(service, same)
        .policy(SyncPolicy { interval: secs(600), ladder, ..SyncPolicy::default() })
        .spread(Duration::ZERO)
        .judge(move |_| match *asked.lock().unwrap() {
            "b" => Next::Failed { hint: None },
            _ => Next::Ok,
        })
        .wall_clock(move || START + DAY + after + (now() - began))
        .build()
}

fn add<S>(set: &mut Set<S>) -> [TargetId; 2]
where
    S: Service<&'static str>,
{
    ["a", "b"].map(|name| set.add(Upstream::named(name), name))
}

fn name(target: &&'static str) -> String {
    (*target).to_owned()
}

/// Polls both, and returns what is kept of them.
async fn polled() -> Snapshot {
    let mut set = set(Duration::ZERO);
    add(&mut set);
    set.next().await.unwrap();
    set.next().await.unwrap();
    let json = Snapshot::new().with_targets(set.records(name)).to_json();
    Snapshot::from_json(json).unwrap()
}

#[tokio::test(start_paused = true)]
async fn targets_are_due_when_they_were_though_the_process_was_away() {
    let snapshot = polled().await;
    pass(secs(1_000_000)).await;

    // Another process, forty seconds later.
    let mut set = set(secs(40));
    let [a, b] = add(&mut set);
    assert_eq!(set.restore(snapshot.targets().unwrap(), name), 2);

    let (a, b) = (set.get(a).unwrap(), set.get(b).unwrap());
    assert_eq!((a.due_at(), a.consecutive_failures()), (START + DAY + secs(600), 0));
    assert_eq!((b.due_at(), b.consecutive_failures()), (START + DAY + secs(60), 1));
    assert_eq!((a.last_ok_at(), b.last_ok_at()), (Some(START + DAY), None));
    assert_eq!(set.wakes_at(), Some(START + DAY + secs(60)));

    // The rung is remembered.
    let began = now();
    let polled = set.next().await.unwrap();
    assert_eq!((polled.consecutive_failures, now() - began), (2, secs(20)));
    assert_eq!(polled.due_at, START + DAY + secs(60 + 120));
}

#[tokio::test(start_paused = true)]
async fn what_was_due_meanwhile_is_due_at_once_the_longest_overdue_first() {
    let snapshot = polled().await;

    let mut set = set(secs(7200));
    let [a, b] = add(&mut set);
    set.restore(snapshot.targets().unwrap(), name);

    let began = now();
    assert_eq!(set.next().await.unwrap().id, b);
    assert_eq!(set.next().await.unwrap().id, a);
    assert_eq!(now(), began);
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_wait_can_reach_is_cut() {
    let mut records = polled().await.targets().unwrap().to_vec();
    for record in &mut records {
        record.due_at = Some(START + 1000 * DAY);
    }

    let mut set = set(Duration::ZERO);
    let [a, _] = add(&mut set);
    set.restore(&records, name);

    // An hour is the longest of interval, ladder and hints.
    assert_eq!(set.get(a).unwrap().due_at(), START + DAY + secs(3600));
}

#[tokio::test(start_paused = true)]
async fn times_that_are_cut_are_spread_and_not_due_in_one_herd() {
    let names: [&'static str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let records = names.map(|name| {
        let mut record = TargetRecord::new(name, secs(600));
        record.due_at = Some(START + 1000 * DAY);
        record
    });
    let mut set = set(Duration::ZERO);
    let ids = names.map(|name| set.add(Upstream::named("all"), name));
    set.restore(&records, name);

    let longest = START + DAY + secs(3600);
    let mut dues = ids.map(|id| set.get(id).unwrap().due_at());
    dues.sort();
    // Over their interval, ten of them: the nearest two are a good twentieth apart.
    assert_eq!(dues[9], longest);
    assert!(dues[0] > longest - secs(600));
    let gap = |two: &[SystemTime]| two[1].duration_since(two[0]).unwrap();
    assert!(dues.windows(2).all(|two| gap(two) > secs(25)), "{dues:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_record_stays_as_it_is_and_records_without_a_target_are_nothing() {
    let mut records = polled().await.targets().unwrap().to_vec();
    records.retain(|record| record.name == "b");
    records.first_mut().unwrap().name = "c".to_owned();

    let mut set = set(Duration::ZERO);
    add(&mut set);

    assert_eq!(set.restore(&records, name), 0);
    assert_eq!(set.len(), 2);
    assert_eq!(set.wakes_at(), Some(START + DAY));
}

#[tokio::test(start_paused = true)]
async fn the_ladder_may_reach_further_than_hints() {
    let began = now();
    let ladder = Ladder::new(secs(60), secs(1800));
    let ask = service_fn(|()| ready(Ok::<_, Infallible>(())));
    let mut set = PollSet::builder(ask, |_: &&'static str| ())
        .policy(SyncPolicy { interval: secs(10), ladder, ..SyncPolicy::default() })
        .max_retry_after(secs(60))
        .wall_clock(move || START + DAY + (now() - began))
        .build();
    let id = set.add(Upstream::named("a"), "a");
    let mut record = TargetRecord::new("a", secs(10));
    record.due_at = Some(START + 1000 * DAY);

    set.restore(&[record], name);

    assert_eq!(set.get(id).unwrap().due_at(), START + DAY + secs(1800));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_being_called_is_left_to_its_answer() {
    let ask = service_fn(|()| async {
        tokio::time::sleep(secs(10)).await;
        Ok::<_, Infallible>(())
    });
    let mut set = PollSet::new(ask, |_: &&'static str| ());
    let id = set.add(Upstream::named("a"), "a");
    assert!(support::poll_once(std::pin::pin!(set.next())).is_pending());
    let mut record = TargetRecord::new("a", secs(10));
    record.consecutive_failures = 9;

    assert_eq!(set.restore(&[record], name), 0);

    assert_eq!(set.get(id).unwrap().consecutive_failures(), 0);
    assert_eq!(set.get(id).unwrap().interval(), secs(300));
}
