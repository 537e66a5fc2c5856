//! Random histories against what the rules say, written down a second time.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tower_retry_after::schedule::Next;

use super::support::millis;
use super::*;

/// An outcome, as the judge has it: times are milliseconds from then on.
#[derive(Clone, Copy, Debug)]
enum Said {
    Ok,
    Failed(Option<u64>),
    NotSent(u64),
    DueAt(u64),
}

fn said() -> impl Strategy<Value = Said> {
    let time = || prop_oneof![Just(0), 0..200_000_u64, Just(10_000_000_000)];
    prop_oneof![
        Just(Said::Ok),
        proptest::option::of(time()).prop_map(Said::Failed),
        time().prop_map(Said::NotSent),
        time().prop_map(Said::DueAt),
    ]
}

/// What the rules say: the wait in milliseconds, and the failures after it.
fn expected(said: Said, failures: u32, policy: &SyncPolicy, ceiling: u64) -> (u64, u32) {
    let whole = |wait: Duration| u64::try_from(wait.as_millis()).unwrap();
    let (wait, failures) = match said {
        Said::Ok => (whole(policy.interval), 0),
        Said::Failed(hint) => {
            let ladder = whole(policy.ladder.base()) << (failures).min(16);
            let ladder = ladder.min(whole(policy.ladder.cap()));
            let wait = ladder.max(hint.unwrap_or(0).min(ceiling));
            (if wait == 0 { 1000 } else { wait }, failures + 1)
        }
        Said::NotSent(wait) => (wait, failures),
        // The service answered.
        Said::DueAt(wait) => (wait, 0),
    };
    (wait.max(1), failures)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::with_cases(256)
    })]

    /// Not early, not late, nothing counted twice.
    #[test]
    fn every_history_goes_by_the_rules(
        history in proptest::collection::vec((said(), 0..5_000_u64), 1..20),
        interval in 0..100_000_u64,
        base in 0..20_000_u64,
        cap in 0..100_000_u64,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let policy = SyncPolicy {
                interval: millis(interval),
                ladder: Ladder::new(millis(base), millis(cap)),
                ..SyncPolicy::default()
            };
            let ceiling = 3_600_000;
            let script = Script::lasting(history.iter().map(|&(_, ms)| (Play::Answers, millis(ms))));
            let said = Arc::new(Mutex::new(history.iter().map(|&(said, _)| said).collect::<VecDeque<_>>()));
            let judge = move |_: &Result<(), Error>| {
                match said.lock().unwrap().pop_front().unwrap_or(Said::Ok) {
                    Said::Ok => Next::Ok,
                    Said::Failed(hint) => Next::Failed { hint: hint.map(millis) },
                    Said::NotSent(wait) => Next::NotSent { until: now() + millis(wait) },
                    Said::DueAt(wait) => Next::DueAt(now() + millis(wait)),
                }
            };
            let mut poller =
                Poller::builder(script.service(), unit).policy(policy).judge(judge).build();

            let (mut due, mut failures) = (0, 0);
            for &(said, lasting) in &history {
                let polled = polls(&mut poller, 1).await.remove(0);
                assert_eq!(script.calls().last(), Some(&millis(due)));
                let (wait, after) = expected(said, failures, &policy, ceiling);
                assert_eq!(polled.state.consecutive_failures, after);
                (due, failures) = (due + lasting + wait, after);
            }
            assert_eq!(script.calls().len(), history.len());
        });
    }
}
