//! Redis is killed, hangs, and comes back with nothing: calls do not notice.

use std::thread::sleep;
use std::time::Duration;

use tower_retry_after::{Fleet, State};

use crate::clock;
use crate::crew::{self, Settings, Table, Worker};
use crate::server::{Redis, until};
use crate::site::{Reply, Site};
use crate::solo::{NAME, Solo};
use crate::storm::{WORKERS, cooling, rest, served, storm};
use crate::support::{millis, secs};
use crate::with_redis;

/// How far apart tables may be that agree, in microseconds: by as much as they heard it
/// at different times.
const ALIKE: u64 = 50_000;

/// Waits until all tables tell the same, and returns how long that took.
fn agreed(workers: &mut [Worker], within: Duration) -> (Option<Duration>, Vec<Table>) {
    let mut tables = Vec::new();
    let took = until(within, || {
        tables = crew::tables(workers);
        crew::spread(&tables).is_some_and(|spread| spread <= ALIKE)
    });
    (took, tables)
}

#[test]
fn redis_killed_in_the_storm_is_not_noticed_by_calls_and_all_agree_after_its_return() {
    with_redis(async |redis| {
        let well = Reply::ok(millis(60));
        let site = Site::start(move |_| well).await;
        let mut workers = storm(Settings::new(redis, &site), &site);
        let before = crew::tally(&mut workers);

        // Each process is told something else: when Redis is gone, they are not alike.
        let start = clock::now();
        site.answers(move |worker| match start.elapsed() {
            time if time < millis(600) => Reply::refused(secs(1), millis(5)),
            time if time < secs(4) => Reply::refused(
                millis(3000) + millis(100) * u32::try_from(worker).unwrap(),
                millis(5),
            ),
            _ => well,
        });
        cooling(&mut workers);
        redis.kill();
        let sent = site.requests();
        // The first cooldown ends: each process sends a probe by itself, and is refused.
        let apart =
            until(secs(5), || crew::tables(&mut workers).iter().all(|table| table.rung == 2));
        assert!(apart.is_some(), "{:?}", crew::tables(&mut workers));
        let probes = site.requests() - sent;
        let tables = crew::tables(&mut workers);
        let (is_apart, longest) =
            (crew::spread(&tables), tables.iter().map(|table| table.until).max().unwrap());
        assert!(tables.iter().all(|table| table.state == "cooling"), "{tables:?}");
        sleep(millis(300));
        let during = crew::tally(&mut workers);

        redis.restart();
        let (took, tables) = agreed(&mut workers, secs(1));

        println!(
            "outage: {probes} probes without redis; tables {is_apart:?} us apart, and alike \
             {took:?} after its return, then {:?} us; before {before:?}; without {during:?}",
            crew::spread(&tables),
        );
        assert_eq!(probes, usize::try_from(WORKERS).unwrap(), "one for each process");
        assert!(took.is_some(), "{:?} us apart: {tables:?}", crew::spread(&tables));
        // The longest has won.
        for table in &tables {
            assert_eq!(table.state, "cooling");
            assert!(table.until + ALIKE >= longest, "{longest}: {table:?}");
        }
        served(&mut workers);
        rest(&mut workers);
        let after = crew::tally(&mut workers);
        for tally in [before, during, after] {
            assert!(tally.is_calm(), "{tally:?}");
        }
    });
}

/// Two workers, of which the first one's probe has succeeded, so that the upstream is
/// reopening, and the second one has no places of its own.
fn reopening(redis: &Redis, site: &Site) -> Vec<Worker> {
    let settings = Settings::new(redis, site).with(|settings| settings.base = millis(100));
    let mut workers = Worker::start_many(&settings, 2);
    site.answers(|_| Reply::refused(millis(300), millis(0)));
    assert_eq!(workers[0].ask("once", "once").words, ["429"]);
    site.answers(|_| Reply::ok(millis(20)));
    let probed = until(secs(5), || workers[0].ask("once", "once").words == ["200"]);
    assert!(probed.is_some(), "no probe");
    let heard = until(secs(5), || workers[1].table().state == "reopening");
    assert!(heard.is_some(), "{:?}", workers[1].table());
    workers
}

#[test]
fn who_has_no_places_as_redis_dies_lets_calls_through_by_itself() {
    with_redis(async |redis| {
        let site = Site::start(|_| Reply::ok(millis(0))).await;
        let mut workers = reopening(redis, &site);

        redis.kill();

        let served = until(secs(3), || workers[1].ask("once", "once").words == ["200"]);
        assert!(served.is_some(), "wedged: {:?}", workers[1].table());
    });
}

#[test]
fn who_has_no_places_as_redis_hangs_lets_calls_through_by_itself() {
    with_redis(async |redis| {
        let site = Site::start(|_| Reply::ok(millis(0))).await;
        let mut workers = reopening(redis, &site);

        redis.hang();

        let served = until(secs(4), || workers[1].ask("once", "once").words == ["200"]);
        println!("hanging: who has no places is served after {served:?}");
        assert!(served.is_some(), "wedged: {:?}", workers[1].table());
        redis.go_on();
    });
}

#[test]
fn a_redis_that_hangs_in_an_episode_is_not_noticed_by_calls() {
    with_redis(async |redis| {
        let well = Reply::ok(millis(10));
        let site = Site::start(move |_| well).await;
        let settings = Settings::new(redis, &site).with(|settings| settings.callers = 8);
        let mut workers = Worker::start_many(&settings, 3);
        crate::storm::begin(&mut workers, &site, 24);

        redis.hang();
        site.refuses_for(millis(600), Reply::refused(millis(500), millis(2)), well);
        sleep(millis(700));
        served(&mut workers);
        let during = crew::tally(&mut workers);
        assert!(during.is_calm() && during.answered > 0, "{during:?}");
        site.refuses_for(millis(600), Reply::refused(millis(2500), millis(2)), well);
        let cooling = until(secs(3), || {
            crew::tables(&mut workers).iter().all(|table| table.state == "cooling")
        });
        assert!(cooling.is_some(), "each learns by itself");

        redis.go_on();
        let back = until(secs(3), || workers.iter_mut().all(Worker::is_in_step));
        let (took, tables) = agreed(&mut workers, secs(1));

        println!("hanging: in step {back:?} after it goes on, alike {took:?} after that");
        assert!(back.is_some_and(|back| back <= secs(1)), "{back:?}");
        assert!(took.is_some(), "{tables:?}");
        served(&mut workers);
        assert!(crew::tally(&mut workers).is_calm());
    });
}

#[test]
fn what_was_told_to_a_redis_that_hung_is_not_heard_long_after() {
    with_redis(async |redis| {
        let solo = Solo::new();
        let fleet = Fleet::join(redis.url(), "hung", &solo.table).unwrap();
        fleet.in_step().await;
        // The script is there from here on, and Redis has heard all of this.
        solo.episode(millis(50)).await;
        tokio::time::sleep(millis(200)).await;

        redis.hang();
        solo.episode(millis(500)).await;
        // Longer than an answer is waited for, and the clocks may differ.
        tokio::time::sleep(millis(5500)).await;
        redis.go_on();
        fleet.in_step().await;
        tokio::time::sleep(millis(500)).await;

        let mut connection = redis.connection();
        let key = format!("{{hung}}:u:{NAME}");
        let known: bool = redis::cmd("EXISTS").arg(key).query(&mut connection).unwrap();
        assert!(!known, "the episode was over before anybody heard of it");
        assert_eq!(solo.state(), State::Clear);
    });
}
