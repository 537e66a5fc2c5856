//! A Redis that is slow: calls do not wait for it, and a probe only for so long.

use tokio::time::sleep;
use tower_retry_after::{Fleet, Reason, State};

use crate::proxy::{Proxy, Way};
use crate::solo::{Outcome, Solo};
use crate::support::millis;
use crate::with_redis;

#[test]
fn a_probe_waits_a_tenth_of_a_second_for_a_slow_redis_and_goes_by_itself() {
    with_redis(async |redis| {
        let proxy = Proxy::start(redis.port(), 0).await;
        proxy.set(Way { there: millis(250), back: millis(250), ..Way::default() });
        let solo = Solo::new();
        let fleet = Fleet::join(proxy.url(), "slow", &solo.table).unwrap();
        fleet.in_step().await;

        for round in 0..5 {
            solo.refuse(1, millis(150));
            assert_eq!(solo.call().await, Outcome::Sent(429));
            let Outcome::Held(Reason::Cooling, wait) = solo.call().await else {
                panic!("round {round}: not held back");
            };
            sleep(wait).await;

            // Once told to wait for the lease, and then sent.
            let Outcome::Held(Reason::Probing, wait) = solo.call().await else {
                panic!("round {round}: the lease is not waited for");
            };
            assert!(wait <= millis(100), "round {round}: {wait:?}");
            sleep(wait).await;
            assert_eq!(solo.call().await, Outcome::Sent(200), "round {round}: not sent");
            assert_eq!(solo.state(), State::Reopening);

            solo.table.clear(&Solo::upstream());
            sleep(millis(700)).await;
            assert_eq!(solo.state(), State::Clear, "round {round}: what is late revives nothing");
        }
        assert!(fleet.is_in_step(), "{:?}", fleet.last_problem());
    });
}

#[test]
fn an_episode_with_a_slow_redis_ends_as_ever() {
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

        for _ in 0..3 {
            let held = slow.episode().await;
            println!("slow: held {} times in an episode", held.len());
            sleep(millis(1500)).await;
            assert_eq!((slow.state(), quick.state()), (State::Clear, State::Clear));
        }
    });
}
