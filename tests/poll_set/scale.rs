//! As many targets as a large feed reader has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower::service_fn;
use tower_retry_after::Upstream;

use super::*;

const TARGETS: usize = 100_000;
const UPSTREAMS: usize = 2000;
const INTERVAL: Duration = hours(12);
/// One in so many targets is slow to answer; all others do so at once, or the
/// test would spend its time in timers.
const SLOW: usize = 8;

/// What an upstream sees of its callers.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Load {
    fn begin(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    fn end(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

struct Loads {
    all: Load,
    each: Vec<Load>,
}

impl Loads {
    fn new(upstreams: usize) -> Arc<Self> {
        let each = (0..upstreams).map(|_| Load::default()).collect();
        Arc::new(Self { all: Load::default(), each })
    }

    /// Answers so long after, and looks how many others are there.
    async fn answer(self: Arc<Self>, target: usize, after: Duration) -> io::Result<()> {
        let upstream = &self.each[target % self.each.len()];
        self.all.begin();
        upstream.begin();
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        upstream.end();
        self.all.end();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_targets_are_polled_for_a_day_evenly_and_within_the_limits() {
    let start = now();
    let loads = Loads::new(UPSTREAMS);
    let seen = Arc::clone(&loads);
    let service = service_fn(move |target: usize| {
        let after = if target.is_multiple_of(SLOW) { secs(20) } else { Duration::ZERO };
        Arc::clone(&seen).answer(target, after)
    });
    let policy = SyncPolicy { interval: INTERVAL, ..policy() };
    let mut set = PollSet::builder(service, |target: &usize| *target).policy(policy).build();
    for target in 0..TARGETS {
        set.add(Upstream::named((target % UPSTREAMS).to_string()), target);
    }

    let mut polls = vec![0_u8; TARGETS];
    let mut shares = vec![0_usize; 24 * 6];
    let handle = set.handle();
    tokio::spawn(async move {
        tokio::time::sleep_until(start + hours(24)).await;
        handle.shutdown();
    });
    while let Some(answer) = set.next().await {
        if now() - start >= hours(24) {
            break;
        }
        polls[*set.get(answer.id).unwrap().target()] += 1;
        shares[usize::try_from((now() - start).as_secs() / 600).unwrap()] += 1;
    }

    // Twice a day, but for slow ones that fall due as it ends.
    assert!(polls.iter().all(|polls| (1..=2).contains(polls)));
    let all: usize = shares.iter().sum();
    assert!(all > TARGETS * 2 - 100, "{all}");
    // Each ten minutes have their share.
    let share = TARGETS * 2 / shares.len();
    let even = share * 97 / 100..=share * 103 / 100;
    assert!(shares.iter().all(|polls| even.contains(polls)), "{shares:?}");
    assert!(loads.all.most() <= 64, "{}", loads.all.most());
    assert!(loads.each.iter().all(|load| load.most() <= 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_due_all_at_once_uses_every_place_and_no_more() {
    let start = now();
    let loads = Loads::new(20);
    let seen = Arc::clone(&loads);
    let service = service_fn(move |target: usize| Arc::clone(&seen).answer(target, secs(1)));
    let mut set = PollSet::builder(service, |target: &usize| *target)
        .concurrency(30)
        .per_upstream(3)
        .spread(Duration::ZERO)
        .policy(SyncPolicy { interval: hours(1), ..policy() })
        .build();
    for target in 0..3000 {
        set.add(Upstream::named((target % 20).to_string()), target);
        // Of what is due at the very same time any may go first.
        pass(Duration::from_nanos(1)).await;
    }

    let answers = poll_until(&mut set, start + hours(1)).await;

    assert_eq!(answers.len(), 3000);
    // Thirty a second.
    let (last, _) = answers.last().unwrap();
    assert_eq!((*last - start).as_secs(), 100);
    assert_eq!(loads.all.most(), 30);
    assert!(loads.each.iter().all(|load| load.most() <= 3));
}
