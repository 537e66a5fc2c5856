//! Bad data in Redis, of each kind: told once, ignored, and calls go on.

use redis::{Commands as _, Connection};
use tokio::time::sleep;
use tower_retry_after::{Fleet, State};

use crate::server::{Redis, until};
use crate::solo::{NAME, Outcome, Solo};
use crate::support::{millis, secs};
use crate::with_redis;

const SPACE: &str = "bad";

fn key(of: &str) -> String {
    format!("{{{SPACE}}}:{of}")
}

fn entry() -> String {
    key(&format!("u:{NAME}"))
}

/// Puts something bad where the upstream's entry should be, and in the index.
fn spoil(connection: &mut Connection, how: &str) {
    let _: u64 = connection.del(entry()).unwrap();
    match how {
        "wrong type" => connection.set(entry(), "cooling").unwrap(),
        "garbage" => {
            let fields = [("v", "1"), ("phase", "cooling"), ("gate", "soon"), ("rung", "-7")];
            let () = connection.hset_multiple(entry(), &fields).unwrap();
        }
        "version" => connection.hset_multiple(entry(), &[("v", "2"), ("state", "x")]).unwrap(),
        other => panic!("{other}"),
    }
    let far = 99_999_999_999_999_u64;
    let _: u64 = connection.zadd(key("index"), NAME, far).unwrap();
}

async fn joined(redis: &Redis) -> (Solo, Fleet) {
    let solo = Solo::new();
    let fleet = Fleet::join(redis.url(), SPACE, &solo.table).unwrap();
    fleet.in_step().await;
    (solo, fleet)
}

#[test]
fn an_entry_that_cannot_be_read_is_told_once_and_calls_go_on() {
    for how in ["wrong type", "garbage", "version"] {
        with_redis(async |redis| {
            let (solo, fleet) = joined(redis).await;
            spoil(&mut redis.connection(), how);

            for round in 0..2 {
                solo.episode(millis(50)).await;
                assert_eq!(solo.state(), State::Clear);
                assert_eq!(fleet.ignored(), 1, "{how}, {round}: {:?}", fleet.last_problem());
            }
            assert!(fleet.is_in_step(), "{how}: {:?}", fleet.last_problem());

            // Who joins later reads it, and meets it again with a call.
            let (late, fleet) = joined(redis).await;
            assert_eq!(fleet.ignored(), 1, "{how}: {:?}", fleet.last_problem());
            late.episode(millis(50)).await;
            assert_eq!(fleet.ignored(), 1, "{how}, twice: {:?}", fleet.last_problem());

            // Nothing was changed by all that; and once it is gone all is well.
            let kind: String =
                redis::cmd("TYPE").arg(entry()).query(&mut redis.connection()).unwrap();
            assert_eq!(kind, if how == "wrong type" { "string" } else { "hash" });
            let _: u64 = redis.connection().del(entry()).unwrap();
            solo.refuse(1, secs(5));
            assert_eq!(solo.call().await, Outcome::Sent(429));
            assert!(until(secs(2), || late.state() == State::Cooling).is_some(), "{how}");
        });
    }
}

#[test]
fn garbage_among_the_news_is_told_once_and_the_rest_is_heard() {
    with_redis(async |redis| {
        let ((one, one_fleet), (other, _fleet)) = (joined(redis).await, joined(redis).await);
        for (count, garbage) in [
            (1, "hello"),
            (1, ""),
            (1, "2 x 1 1 thawing 1"),
            (1, "1 x 1 1 cooling nan 0 0 0 - - 0 0 0 0 0 - 0 - origin:http://a.example"),
        ] {
            let _: u64 = redis.connection().publish(key("news"), garbage).unwrap();
            let _: u64 = redis.connection().publish(key("news"), garbage).unwrap();
            sleep(millis(50)).await;
            assert_eq!(one_fleet.ignored(), count, "{garbage:?}: {:?}", one_fleet.last_problem());
        }

        assert!(one_fleet.is_in_step());
        other.refuse(1, secs(5));
        assert_eq!(other.call().await, Outcome::Sent(429));
        assert!(until(secs(2), || one.state() == State::Cooling).is_some());
    });
}

#[test]
fn a_namespace_that_is_of_another_kind_is_told_and_tables_go_on_alone() {
    for what in ["index", "epoch"] {
        with_redis(async |redis| {
            let _: () = redis.connection().set(key(what), "mine").unwrap();
            let solo = Solo::new();
            let fleet = Fleet::join(redis.url(), SPACE, &solo.table).unwrap();
            let told = until(secs(5), || fleet.last_problem().is_some());
            assert!(told.is_some(), "{what}: not told");

            solo.episode(millis(50)).await;

            assert!(!fleet.is_in_step(), "{what}: there is no fleet");
            let kind: String =
                redis::cmd("TYPE").arg(key(what)).query(&mut redis.connection()).unwrap();
            assert_eq!(kind, "string", "{what} is somebody else's");
        });
    }
}

#[test]
fn what_goes_bad_while_all_is_in_step_stops_no_call() {
    for what in ["index", "epoch"] {
        with_redis(async |redis| {
            let (solo, fleet) = joined(redis).await;
            solo.episode(millis(50)).await;
            let _: u64 = redis.connection().del(key(what)).unwrap();
            let _: () = redis.connection().set(key(what), "mine").unwrap();

            solo.episode(millis(50)).await;
            assert!(fleet.last_problem().is_some(), "{what}: not told");

            // It is put right: the table is in step again by itself.
            let _: u64 = redis.connection().del(key(what)).unwrap();
            assert!(until(secs(40), || fleet.is_in_step()).is_some(), "{what}: never in step");
            // The fleet has missed how the last episode ended, and may bring it up again.
            sleep(millis(200)).await;
            solo.way_back().await;
            solo.episode(millis(50)).await;
        });
    }
}
