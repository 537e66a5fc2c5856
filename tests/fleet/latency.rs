//! How long it takes from a refusal in one process to the rejection in another.

use crate::crew::{Settings, Worker};
use crate::site::{Reply, Site};
use crate::support::millis;
use crate::with_redis;

/// How many times it is measured; each time with an upstream of its own.
const SAMPLES: usize = 300;

#[test]
fn a_refusal_in_one_process_is_a_rejection_in_another_within_five_milliseconds() {
    with_redis(async |redis| {
        let site = Site::start(|worker| match worker {
            0 => Reply::refused(millis(60_000), millis(0)),
            _ => Reply::ok(millis(0)),
        });
        let site = site.await;
        let settings = Settings::new(redis, &site).with(|settings| settings.keyed = true);
        let mut workers = Worker::start_many(&settings, 2);
        let [refused, other] = &mut workers[..] else {
            panic!("two");
        };

        let mut micros: Vec<u64> = Vec::new();
        for sample in 0..SAMPLES {
            let mark = other.mark();
            other.ask(&format!("watch {sample}"), "watching");
            let refused = refused.ask(&format!("once {sample}"), "once");
            assert_eq!(refused.words, ["429"]);
            let rejected = other.wait_for("rejected", mark);
            micros.push(rejected.at.saturating_sub(refused.at));
        }

        micros.sort_unstable();
        let share = |of: usize| micros[SAMPLES * of / 100];
        let (median, late) = (share(50), share(99));
        println!("latency: median {median} us, 99th percentile {late} us of {SAMPLES}");
        assert!(median <= 5000, "median {median} us, 99th percentile {late} us");
    });
}
