//! A Redis that is slow: calls do not wait for it, and a probe only for so long.

use std::time::Duration;

use tokio::time::sleep;
use tower_retry_after::{Fleet, Reason, State};

use crate::proxy::{Proxy, Way};
use crate::solo::{Outcome, Solo};
use crate::support::millis;
use crate::with_redis;

/// Longer than Redis takes: so it knows of the cooldown before that ends.
const HINT: Duration = millis(900);

#[test]
fn a_probe_waits_a_tenth_of_a_second_for_a_slow_redis_and_goes_by_itself() {
    with_redis(async |redis| {
        let proxy = Proxy::start(redis.port(), 0).await;
        proxy.set(Way { there: millis(250), back: millis(250), ..Way::default() });
        let solo = Solo::new();
        let fleet = Fleet::join(proxy.url(), "slow", &solo.table).unwrap();
        fleet.in_step().await;

        for round in 0..2 {
            solo.refuse(1, HINT);
            assert_eq!(solo.call().await, Outcome::Sent(429));
            let Outcome::Held(Reason::Cooling, wait) = solo.call().await else {
                panic!("round {round}: not held back");
            };
            sleep(wait).await;

            // Once told to wait for the lease, and then sent.
            let told = solo.call().await;
            let Outcome::Held(Reason::Probing, wait) = told else {
                panic!("round {round}: the lease is not waited for: {told:?}");
            };
            assert!(wait <= millis(100), "round {round}: {wait:?}");
            sleep(wait).await;
            assert_eq!(solo.call().await, Outcome::Sent(200), "round {round}: not sent");
            assert_eq!(solo.state(), State::Reopening);

            // What is said late to all that changes nothing any more.
            for _ in 0..100 {
                solo.call_until_sent().await;
                sleep(millis(20)).await;
            }
            assert_eq!(solo.state(), State::Clear, "round {round}");
        }
        assert!(fleet.is_in_step(), "{:?}", fleet.last_problem());
    });
}

#[test]
fn with_a_slow_redis_all_tables_are_clear_in_the_end() {
    with_redis(async |redis| {
        let proxy = Proxy::start(redis.port(), 0).await;
        proxy.set(Way { there: millis(250), back: millis(250), ..Way::default() });
        let (slow, quick) = (Solo::new(), Solo::new());
        let fleets = [
            Fleet::join(proxy.url(), "slow", &slow.table).unwrap(),
            Fleet::join(redis.url(), "slow", &quick.table).unwrap(),
        ];
        for fleet in &fleets {
            fleet.in_step().await;
        }

        for (round, refused) in [&slow, &quick].into_iter().enumerate() {
            refused.episode(HINT).await;
            for calls in 0.. {
                let states = (slow.state(), quick.state());
                if states == (State::Clear, State::Clear) {
                    break;
                }
                assert!(calls < 300, "round {round}: {states:?}");
                slow.call_until_sent().await;
                quick.call_until_sent().await;
                sleep(millis(20)).await;
            }
        }
    });
}

#[test]
fn a_cooldown_that_is_over_before_redis_hears_of_it_stops_nobody_for_long() {
    with_redis(async |redis| {
        let proxy = Proxy::start(redis.port(), 0).await;
        proxy.set(Way { there: millis(250), back: millis(250), ..Way::default() });
        let solo = Solo::new();
        let fleet = Fleet::join(proxy.url(), "slow", &solo.table).unwrap();
        fleet.in_step().await;

        solo.refuse(1, millis(50));
        assert_eq!(solo.call().await, Outcome::Sent(429));

        // It is Clear for longer than anything takes that may still be on its way.
        let mut clear = 0;
        for calls in 0.. {
            solo.call_until_sent().await;
            sleep(millis(20)).await;
            clear = if solo.state() == State::Clear { clear + 1 } else { 0 };
            if clear > 40 {
                break;
            }
            assert!(calls < 1000, "{:?}", solo.table.get(&Solo::upstream()));
        }
    });
}
