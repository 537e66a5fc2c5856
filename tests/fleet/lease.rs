//! A process that dies with the probe's lease.

use tokio::time::sleep;
use tower_retry_after::Fleet;

use crate::crew::{self, Settings, Worker};
use crate::server::until;
use crate::site::{Reply, Site};
use crate::solo::{Outcome, Solo};
use crate::support::{millis, secs};
use crate::with_redis;

const LEASE: u64 = 500_000;

#[test]
fn a_process_that_dies_with_the_lease_delays_the_rest_by_the_lease_only() {
    with_redis(async |redis| {
        let site = Site::start(|_| Reply::refused(millis(700), millis(0))).await;
        let settings = Settings::new(redis, &site).with(|settings| {
            settings.lease = std::time::Duration::from_micros(LEASE);
            settings.callers = 4;
        });
        let mut workers = Worker::start_many(&settings, 3);

        crew::tell(&mut workers, "call");
        assert!(until(secs(5), || site.requests() > 0).is_some());
        // All that are in flight are refused, and then the probe is never answered.
        std::thread::sleep(millis(300));
        let burst = site.requests();
        site.answers(|_| Reply::ok(secs(60)));
        assert!(until(secs(5), || site.requests() > burst).is_some(), "no probe");
        let probe = site.log()[burst];
        site.answers(|_| Reply::ok(millis(5)));
        workers[usize::try_from(probe.worker).unwrap()].kill();

        let next = until(secs(5), || site.requests() > burst + 1);
        assert!(next.is_some(), "no next probe");
        let next = site.log()[burst + 1];
        let delay = next.arrived - probe.arrived;
        println!("lease: the next probe came {} ms after the lost one", delay / 1000);
        assert_ne!(next.worker, probe.worker);
        // The lease began a little before its call came here; and who waits for a lease
        // asks again when it ends, within a second.
        assert!((LEASE - 50_000..LEASE + 1_000_000).contains(&delay), "{delay} us");

        let rest: Vec<_> = (0..3).filter(|id| *id != probe.worker).collect();
        let is_clear = until(secs(10), || {
            rest.iter().all(|id| workers[usize::try_from(*id).unwrap()].table().state == "clear")
        });
        assert!(is_clear.is_some());
        for id in rest {
            let tally = workers[usize::try_from(id).unwrap()].tally();
            assert!(tally.is_calm(), "{tally:?}");
        }
    });
}

/// Pollers call at their own pace, whatever a rejection says: after a second's turn the
/// lease that they have asked for is given back, and another has it.
#[test]
fn processes_that_call_seldom_and_in_turns_send_a_probe_as_well() {
    with_redis(async |redis| {
        let pollers = [Solo::new(), Solo::new()];
        let fleets = pollers.each_ref().map(|solo| Fleet::join(redis.url(), "seldom", &solo.table));
        for fleet in &fleets {
            fleet.as_ref().unwrap().in_step().await;
        }
        pollers[0].refuse(1, millis(50));
        assert_eq!(pollers[0].call().await, Outcome::Sent(429));
        sleep(millis(200)).await;

        let mut held = Vec::new();
        for poller in pollers.iter().cycle().take(8) {
            match poller.call().await {
                Outcome::Sent(_) => return,
                Outcome::Held(reason, _) => held.push(reason),
            }
            sleep(millis(1200)).await;
        }
        panic!("wedged: {held:?}");
    });
}

/// Each is given a place after it has asked, and yields it to the next before it calls
/// again.
#[test]
fn many_processes_that_call_seldom_come_back_as_well() {
    with_redis(async |redis| {
        let pollers: [_; 6] = std::array::from_fn(|_| Solo::new());
        let fleets = pollers.each_ref().map(|solo| Fleet::join(redis.url(), "seldom", &solo.table));
        for fleet in &fleets {
            fleet.as_ref().unwrap().in_step().await;
        }
        pollers[0].refuse(1, millis(50));
        assert_eq!(pollers[0].call().await, Outcome::Sent(429));
        sleep(millis(100)).await;
        pollers[0].call_until_sent().await;

        let mut sent = 0;
        for poller in pollers.iter().cycle().skip(1).take(24) {
            sent += usize::from(matches!(poller.call().await, Outcome::Sent(_)));
            sleep(millis(300)).await;
        }

        assert!(sent >= 6, "{sent} of 24");
    });
}
