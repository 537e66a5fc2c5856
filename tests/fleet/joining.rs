//! Who joins, leaves, and joins again.

use tower_retry_after::{Fleet, FleetError, State};

use crate::server::until;
use crate::solo::{Outcome, Solo};
use crate::support::{millis, secs};
use crate::{with_redis, with_redis_on_one_thread};

#[test]
fn who_joins_late_is_told_of_a_cooldown_that_runs() {
    with_redis(async |redis| {
        let (early, late) = (Solo::new(), Solo::new());
        let fleet = Fleet::join(redis.url(), "joining", &early.table).unwrap();
        fleet.in_step().await;
        early.refuse(1, secs(5));
        assert_eq!(early.call().await, Outcome::Sent(429));
        tokio::time::sleep(millis(100)).await;

        let fleet = Fleet::join(redis.url(), "joining", &late.table).unwrap();
        fleet.in_step().await;

        assert_eq!(late.state(), State::Cooling);
        assert!(matches!(late.call().await, Outcome::Held(..)));
    });
}

#[test]
fn what_a_table_knew_before_it_joined_all_others_heed() {
    with_redis(async |redis| {
        let (other, late) = (Solo::new(), Solo::new());
        let fleet = Fleet::join(redis.url(), "joining", &other.table).unwrap();
        fleet.in_step().await;
        late.refuse(1, secs(5));
        assert_eq!(late.call().await, Outcome::Sent(429));

        let _fleet = Fleet::join(redis.url(), "joining", &late.table).unwrap();

        assert!(until(secs(2), || other.state() == State::Cooling).is_some());
        assert!(matches!(other.call().await, Outcome::Held(..)));
    });
}

#[test]
fn the_same_namespace_in_another_database_is_another_fleet() {
    with_redis(async |redis| {
        let (one, other) = (Solo::new(), Solo::new());
        let fleet = Fleet::join(redis.url(), "joining", &one.table).unwrap();
        let elsewhere = format!("{}1", redis.url());
        let elsewhere = Fleet::join(elsewhere, "joining", &other.table).unwrap();
        fleet.in_step().await;
        elsewhere.in_step().await;

        for solo in [&one, &other] {
            solo.refuse(1, secs(5));
            assert_eq!(solo.call().await, Outcome::Sent(429));
            tokio::time::sleep(millis(100)).await;
        }

        assert_eq!([fleet.last_problem(), elsewhere.last_problem()], [None, None]);
    });
}

#[test]
fn who_has_left_goes_on_alone_and_may_join_again_at_once() {
    with_redis_on_one_thread(async |redis| {
        let solo = Solo::new();
        let fleet = Fleet::join(redis.url(), "joining", &solo.table).unwrap();
        fleet.in_step().await;
        let twice = Fleet::join(redis.url(), "joining", &solo.table);
        assert!(matches!(twice, Err(FleetError::Joined)));

        drop(fleet);
        let again = Fleet::join(redis.url(), "joining", &solo.table);

        let again = again.unwrap_or_else(|error| panic!("joins again: {error}"));
        again.in_step().await;
        drop(again);
        solo.episode(millis(50)).await;
    });
}
