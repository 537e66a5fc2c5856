//! Clocks that are wrong: a worker's by an hour, and Redis's own that is set.

use redis::Commands as _;
use tokio::time::sleep;
use tower_retry_after::{Fleet, Reason, State};

use crate::crew::{self, Settings, Worker};
use crate::server::{Redis, faketime, until};
use crate::site::{Reply, Site};
use crate::solo::{NAME, Outcome, Solo};
use crate::storm::{Episode, served};
use crate::support::{millis, secs};
use crate::with_redis;

const HOUR: u64 = 3_600_000_000;

#[test]
fn a_worker_whose_clock_is_off_by_an_hour_is_a_worker_like_any_other() {
    if faketime().is_none() {
        return;
    }
    with_redis(async |redis| {
        let well = Reply::ok(millis(20));
        let site = Site::start(move |_| well).await;
        let settings = Settings::new(redis, &site).with(|settings| settings.callers = 8);
        let worker = |id, clock: Option<&str>| {
            Worker::start(&settings.clone().with(|settings| {
                settings.id = id;
                settings.clock = clock.map(str::to_owned);
            }))
        };
        // The log is kept by the site, whose clock is right.
        let mut workers = [worker(0, None), worker(1, Some("+3600")), worker(2, Some("-3600"))];
        crate::storm::begin(&mut workers, &site, 24);

        site.refuses_for(secs(2), Reply::refused(millis(1500), millis(2)), well);
        let cooling = until(secs(3), || {
            crew::tables(&mut workers).iter().all(|table| table.state == "cooling")
        });
        assert!(cooling.is_some(), "{:?}", crew::tables(&mut workers));
        std::thread::sleep(millis(200));
        let mut tables = crew::tables(&mut workers);
        tables[1].until -= HOUR;
        tables[2].until += HOUR;
        let spread = crew::spread(&tables);
        served(&mut workers);
        crate::storm::rest(&mut workers);
        let (log, tally) = (site.log(), crew::tally(&mut workers));

        println!("clocks: tables {spread:?} us apart; {tally:?}");
        assert!(spread.is_some_and(|spread| spread < 50_000), "{tables:?}");
        let episode = Episode::of(&log, 1_000_000);
        assert_eq!(episode.refused, 1, "one probe is refused");
        episode.has_one_probe_at_a_time();
        episode.has_one_ramp();
        assert!(tally.is_calm(), "{tally:?}");
    });
}

/// Sets Redis's clock, as far as its scripts see: everything that they wrote down about
/// the upstream happened that much earlier, or later. In microseconds.
fn set_clock(redis: &Redis, by: i64) {
    let mut connection = redis.connection();
    let key = format!("{{clocks}}:u:{NAME}");
    let fields: Vec<(String, String)> = connection.hgetall(&key).unwrap();
    let mut shifted = 0;
    for (field, value) in fields {
        if ["gate", "ends", "began", "at"].contains(&&*field) {
            let value: i64 = value.parse().unwrap();
            let _: u64 = connection.hset(&key, field, value - by).unwrap();
            shifted += 1;
        }
    }
    assert_eq!(shifted, 4, "an entry is there");
    let expires: i64 = redis::cmd("PEXPIRETIME").arg(&key).query(&mut connection).unwrap();
    let _: u64 = connection.pexpire_at(&key, expires - by / 1000).unwrap();
    let _: f64 = connection.zincr(key_of_index(), NAME, -by / 1000).unwrap();
}

fn key_of_index() -> String {
    "{clocks}:index".to_owned()
}

/// Plays an episode while Redis's clock is set, and then another.
fn redis_clock_set(by: i64) {
    with_redis(async |redis| {
        let (one, other) = (Solo::new(), Solo::new());
        let fleets =
            [&one, &other].map(|solo| Fleet::join(redis.url(), "clocks", &solo.table).unwrap());
        for fleet in &fleets {
            fleet.in_step().await;
        }
        one.refuse(1, secs(1));
        assert_eq!(one.call().await, Outcome::Sent(429));
        sleep(millis(200)).await;
        assert_eq!(other.state(), State::Cooling);

        set_clock(redis, by);

        // Each keeps to the cooldown, and is out of it when it ends.
        for solo in [&one, &other] {
            let left = solo.table.get(&Solo::upstream()).unwrap().retry_after();
            assert!(left <= secs(1), "{left:?}");
            assert!(matches!(solo.call().await, Outcome::Held(Reason::Cooling, _)));
        }
        // For as long as it takes: whoever is wedged, says so.
        for calls in 0.. {
            if one.state() == State::Clear && other.state() == State::Clear {
                break;
            }
            assert!(calls < 1000, "{:?}", (one.state(), other.state()));
            one.call_until_sent().await;
            other.call_until_sent().await;
        }

        // And all is as ever.
        other.refuse(1, millis(500));
        assert_eq!(other.call().await, Outcome::Sent(429));
        assert!(until(secs(2), || one.state() == State::Cooling).is_some());
        let held = one.call_until_sent().await;
        assert!(held.iter().all(|(_, wait)| *wait <= secs(1)), "{held:?}");
    });
}

#[test]
fn a_redis_whose_clock_is_set_forward_breaks_no_cooldown() {
    redis_clock_set(3600 * 1_000_000);
}

#[test]
fn a_redis_whose_clock_is_set_back_wedges_nobody() {
    redis_clock_set(-3600 * 1_000_000);
}
