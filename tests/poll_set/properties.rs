//! Random outcomes for random targets: no call is early, none is forgotten, and no
//! failure is counted twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::sleep;
use tower::service_fn;
use tower_retry_after::Upstream;
use tower_retry_after::schedule::{Next, TargetId};

use super::*;

const TARGETS: usize = 5;
const LASTING: Duration = secs(3600);

/// An outcome, as the judge has it; times are seconds from then on.
#[derive(Clone, Copy, Debug)]
enum Said {
    Ok,
    Failed(Option<u64>),
    NotSent(u64),
    DueAt(u64),
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => Just(Said::Ok),
        2 => proptest::option::of(0..300_u64).prop_map(Said::Failed),
        1 => (1..100_u64).prop_map(Said::NotSent),
        1 => (1..300_u64).prop_map(Said::DueAt),
    ]
}

/// What the rules say: until when its target is left alone, and how often it has
/// failed.
fn expected(said: Said, interval: u64, failures: u32) -> (u64, u32) {
    match said {
        Said::Ok => (interval, 0),
        Said::Failed(hint) => ((60 << failures).min(1800).max(hint.unwrap_or(0)), failures + 1),
        Said::NotSent(_) => (0, failures),
        Said::DueAt(wait) => (wait, failures),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::with_cases(64)
    })]

    #[test]
    fn no_call_is_early_and_none_is_forgotten(
        script in proptest::collection::vec((said(), 0..5_u64), 1..200),
        intervals in proptest::collection::vec(1..600_u64, TARGETS),
        upstreams in proptest::collection::vec(0..3_usize, TARGETS),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let start = now();
            let script = Mutex::new(script.into_iter().cycle());
            let calls: Arc<Mutex<Vec<(usize, Instant)>>> = Arc::default();
            let seen = Arc::clone(&calls);
            let (lanes, mut was_held) = (upstreams.clone(), [false; 3]);
            let service = service_fn(move |target: usize| {
                seen.lock().unwrap().push((target, now()));
                let (mut said, lasting) = script.lock().unwrap().next().unwrap();
                // An upstream that is held again and again has no other calls.
                let was_held = &mut was_held[lanes[target]];
                if matches!(said, Said::NotSent(_)) && *was_held {
                    said = Said::Ok;
                }
                *was_held = matches!(said, Said::NotSent(_));
                async move {
                    sleep(secs(lasting)).await;
                    Ok::<_, io::Error>(said)
                }
            });
            let judge = |said: &Result<Said, _>| match said {
                Ok(Said::Failed(hint)) => Next::Failed { hint: hint.map(secs) },
                Ok(Said::NotSent(wait)) => Next::NotSent { until: now() + secs(*wait) },
                Ok(Said::DueAt(wait)) => Next::DueAt(now() + secs(*wait)),
                Ok(Said::Ok) | Err(_) => Next::Ok,
            };
            let mut set = PollSet::builder(service, |target: &usize| *target)
                .policy(policy())
                .judge(judge)
                .build();
            let ids: HashMap<TargetId, usize> = (0..TARGETS)
                .map(|n| {
                    let upstream = Upstream::named(upstreams[n].to_string());
                    (set.add_every(upstream, n, secs(intervals[n])), n)
                })
                .collect();

            let mut failures = [0; TARGETS];
            let mut free = [start; TARGETS];
            let mut held = [start; 3];
            let mut answered = 0;
            for (at, polled) in poll_until(&mut set, start + LASTING).await {
                let target = ids[&polled.id];
                let said = polled.result.unwrap();
                let (wait, counted) = expected(said, intervals[target], failures[target]);
                assert_eq!(polled.consecutive_failures, counted);
                (failures[target], free[target]) = (counted, at + secs(wait));
                if let Said::NotSent(wait) = said {
                    let held = &mut held[upstreams[target]];
                    *held = (*held).max(at + secs(wait));
                }
                answered += 1;
                // No call to it since has left before that.
                let calls = calls.lock().unwrap();
                let next = calls.iter().find(|call| call.0 == target && call.1 > at);
                assert!(next.is_none_or(|call| call.1 >= free[target]));
            }

            let calls = calls.lock().unwrap();
            assert!(calls.len() - answered <= TARGETS);
            for (target, free) in free.into_iter().enumerate() {
                let last = calls.iter().rev().find(|call| call.0 == target);
                let last = last.unwrap_or_else(|| panic!("{target} was forgotten")).1;
                // Whoever was free long ago has been called since, but for a hold.
                let free = free.max(held[upstreams[target]]);
                assert!(last >= free || free + secs(700) > start + LASTING, "{target} stalls");
            }
        });
    }
}
