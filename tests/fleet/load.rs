//! What the fleet costs Redis: something where something changes, and nothing else.

use std::collections::BTreeMap;

use tokio::time::sleep;
use tower_retry_after::Fleet;

use crate::server::Redis;
use crate::solo::{Outcome, Solo};
use crate::support::millis;
use crate::with_redis;

/// Returns which commands came since, and how often.
fn since(before: &BTreeMap<String, u64>, redis: &Redis) -> BTreeMap<String, u64> {
    let more = |(name, count): (String, u64)| {
        let more = count - before.get(&name).copied().unwrap_or(0);
        (more > 0).then_some((name, more))
    };
    redis.commands().into_iter().filter_map(more).collect()
}

#[test]
fn the_healthy_path_costs_redis_nothing_and_an_episode_a_count_of_scripts() {
    with_redis(async |redis| {
        let (one, other) = (Solo::new(), Solo::new());
        let fleets = [&one, &other].map(|solo| Fleet::join(redis.url(), "load", &solo.table));
        for fleet in &fleets {
            fleet.as_ref().unwrap().in_step().await;
        }

        let before = redis.commands();
        for _ in 0..5000 {
            assert_eq!(one.call().await, Outcome::Sent(200));
            assert_eq!(other.call().await, Outcome::Sent(200));
        }
        sleep(millis(300)).await;
        assert_eq!(since(&before, redis), BTreeMap::new(), "on the healthy path");

        let before = redis.commands();
        one.episode(millis(50)).await;
        sleep(millis(300)).await;
        let episode = since(&before, redis);
        let scripts = episode.get("evalsha").copied().unwrap_or(0);
        println!("load: an episode costs {scripts} scripts: {episode:?}");
        // The refusal, the lease, the probe's success; and on the way back at most one
        // for each success, of which there are sixty-three until it is Clear.
        assert!((3..=3 + 63).contains(&scripts), "{episode:?}");
        // News are published by changes: at most one for each script.
        assert!(episode["publish"] <= scripts, "{episode:?}");
        let scans = ["keys", "scan", "zscan", "hgetall"].map(|name| episode.get(name).copied());
        assert!(scans.iter().flatten().sum::<u64>() <= scripts, "{episode:?}");
    });
}

#[test]
fn a_success_and_the_places_that_it_gives_are_told_in_one_breath() {
    with_redis(async |redis| {
        let solo = Solo::new();
        let fleet = Fleet::join(redis.url(), "load", &solo.table).unwrap();
        fleet.in_step().await;
        solo.refuse(1, millis(50));
        assert_eq!(solo.call().await, Outcome::Sent(429));
        sleep(millis(100)).await;

        for expected in [2, 1, 1] {
            let before = redis.commands();
            solo.call_until_sent().await;
            sleep(millis(100)).await;
            // The lease and the probe's success; then a success each.
            assert_eq!(since(&before, redis)["evalsha"], expected);
        }
    });
}

#[test]
fn what_was_told_just_after_joining_is_not_told_twice() {
    with_redis(async |redis| {
        let solo = Solo::new();
        let fleet = Fleet::join(redis.url(), "load", &solo.table).unwrap();
        fleet.in_step().await;
        let before = redis.commands();

        solo.refuse(1, millis(2000));
        assert_eq!(solo.call().await, Outcome::Sent(429));
        sleep(millis(400)).await;

        // Each script that runs looks at the clock once.
        assert_eq!(since(&before, redis)["time"], 1);
    });
}
