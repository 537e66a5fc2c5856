//! A million targets in one set: what they take, and how fast they are polled.
//! Fails where a gate is missed; the `gates` program runs it.
//!
//! The yardstick is a loop over a plain `DelayQueue` of tokio-util's, in the same run
//! and in turn. Both have a million targets that are always overdue, take the next,
//! make its request, call the same service, which answers at once, judge the answer
//! by `judge::standard`, and put the target back with the same interval. What the
//! loop does not do, and the set does: to keep to limits, in all and for each
//! upstream; to take the longest overdue first (the wheel goes by the millisecond);
//! to remember failures and the last success; to read the wall clock for the answer;
//! to hear its handles; to let others have the thread.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Request, Uri};
use tokio::runtime::{Builder, Runtime};
use tokio_util::time::DelayQueue;
use tower_retry_after::schedule::{Next, PollSet, SyncPolicy, TargetId, judge};
use tower_retry_after::{Cooldowns, Error, Upstream};
use tower_retry_after_benches::{AN_HOUR, Bare, call, host, now, request, upstream, uri};

const MILLION: usize = 1_000_000;

/// Ten thousand targets each.
const UPSTREAMS: usize = 100;

/// Just past a power of two, where what grows by doubling has most room to spare.
const WORST: usize = (1 << 20) + 1;

/// Bytes that a target may take beside the user's own data, everything counted.
const MOST_BYTES: f64 = 128.0;

/// What share of the `DelayQueue`'s throughput the set must have.
const LEAST_RATIO: f64 = 0.5;

/// The throughput that was aimed at, on one core; reported, and judged by nobody.
const AIM: f64 = 300_000.0;

/// So short that a million targets are always overdue.
const INTERVAL: Duration = Duration::from_millis(200);

/// How many targets are polled in a round, and how many rounds there are.
const ROUND: usize = 100_000;
const ROUNDS: usize = 21;

fn main() -> ExitCode {
    let mut all_held = true;
    let mut judge = |held: bool| {
        all_held &= held;
        if held { "ok" } else { "MISSED" }
    };
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let uris: Vec<Uri> = (0..UPSTREAMS).map(|n| uri(&host(n))).collect();
    let upstreams: Vec<Upstream> = (0..UPSTREAMS).map(|n| upstream(&host(n))).collect();

    println!("\na million targets of a hundred upstreams");
    for targets in [MILLION, WORST] {
        let mut set = PollSet::new(Bare, to_request(&uris));
        let start = now();
        let grown = allocation_counter::measure(|| add(&mut set, &upstreams, targets));
        let took = start.elapsed();
        let own = size_of::<u64>() as f64;
        let bytes = grown.bytes_current as f64 / targets as f64 - own;
        let held = judge(bytes <= MOST_BYTES);
        println!(
            "{targets} targets: built in {:.0} ms, {bytes:.0} bytes each  <= {MOST_BYTES} {held}",
            took.as_secs_f64() * 1e3
        );
        // Each moved once, which is where a heap has most that is stale.
        let ids: Vec<TargetId> = set.iter().map(|target| target.id()).collect();
        let moved = allocation_counter::measure(|| {
            assert!(ids.iter().all(|id| set.trigger(*id)), "all are there");
        });
        let bytes = bytes + moved.bytes_current as f64 / targets as f64;
        let held = judge(bytes <= MOST_BYTES);
        println!("each made due: {bytes:.0} bytes each  <= {MOST_BYTES} {held}");
    }

    let (took, calls) = put_off(&runtime, &uris, &upstreams);
    let held = judge(calls == 0);
    println!(
        "10,000 targets of a cooling upstream put off in {:.1} µs with {calls} calls  {held}",
        took * 1e6
    );

    let policy = SyncPolicy { interval: INTERVAL, ..SyncPolicy::default() };
    let builder = PollSet::builder(Bare, to_request(&uris)).policy(policy);
    let mut set = builder.spread(Duration::ZERO).build();
    add(&mut set, &upstreams, MILLION);
    let mut queue = runtime.block_on(async { DelayQueue::with_capacity(MILLION) });
    runtime.block_on(async {
        for target in 0..MILLION as u64 {
            queue.insert(target, Duration::ZERO);
        }
    });
    let mut make_request = to_request(&uris);
    let mut poll_set = |targets| poll_set(&runtime, &mut set, targets);
    let mut poll_queue = |targets| poll_queue(&runtime, &mut queue, &mut make_request, targets);
    // Each once around, so that both have put every target back.
    poll_set(MILLION);
    poll_queue(MILLION);
    let next = median((0..ROUNDS).map(|_| poll_set(1000)).collect());
    println!("the next thousand that are due, polled in {:.0} µs", next * 1e6);
    let (mut ratios, mut sets, mut queues) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (set, queue) = (poll_set(ROUND), poll_queue(ROUND));
        ratios.push(queue / set);
        sets.push(ROUND as f64 / set);
        queues.push(ROUND as f64 / queue);
    }
    let (ratio, set, queue) = (median(ratios), median(sets), median(queues));
    let held = judge(ratio >= LEAST_RATIO);
    println!("polled in a second: {set:.0} (aim {AIM:.0}); by a plain DelayQueue {queue:.0}");
    println!("ratio: {ratio:.2}  >= {LEAST_RATIO} {held}");
    if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A target of the bench is a number.
type Set<M> = PollSet<Bare, u64, M, Request<()>>;

/// Makes the request of a target, of a URI that is there already.
fn to_request(uris: &[Uri]) -> impl FnMut(&u64) -> Request<()> + use<> {
    let uris = uris.to_vec();
    move |target| request(uris[*target as usize % UPSTREAMS].clone())
}

fn add<M: FnMut(&u64) -> Request<()>>(set: &mut Set<M>, upstreams: &[Upstream], targets: usize) {
    for target in 0..targets {
        set.add(upstreams[target % UPSTREAMS].clone(), target as u64);
    }
}

/// Polls so many targets by the set; returns the seconds that it takes.
fn poll_set<M: FnMut(&u64) -> Request<()>>(
    runtime: &Runtime,
    set: &mut Set<M>,
    targets: usize,
) -> f64 {
    runtime.block_on(async {
        let start = now();
        for _ in 0..targets {
            let polled = set.next().await;
            assert!(black_box(polled).is_some_and(|polled| polled.result.is_ok()));
        }
        start.elapsed().as_secs_f64()
    })
}

/// Polls so many targets by a plain queue; returns the seconds that it takes.
fn poll_queue(
    runtime: &Runtime,
    queue: &mut DelayQueue<u64>,
    make_request: &mut impl FnMut(&u64) -> Request<()>,
    targets: usize,
) -> f64 {
    runtime.block_on(async {
        let mut service = Bare;
        let start = now();
        for _ in 0..targets {
            let expired = poll_fn(|cx| queue.poll_expired(cx)).await;
            let Some(expired) = expired else { panic!("the queue is empty") };
            let target = expired.into_inner();
            let result = call(&mut service, make_request(&target));
            let result = result.map_err(|error| Error::Inner(error.into()));
            match judge::standard(&result) {
                Next::Ok => queue.insert(target, INTERVAL),
                next => panic!("{next:?}"),
            };
            assert!(black_box(result).is_ok());
        }
        start.elapsed().as_secs_f64()
    })
}

/// Puts off the ten thousand targets of one upstream, which are due, in a set of a
/// million that are not; returns how long that takes, by the median, and how many calls
/// it took.
fn put_off(runtime: &Runtime, uris: &[Uri], upstreams: &[Upstream]) -> (f64, usize) {
    let cooldowns = Cooldowns::new();
    let builder = PollSet::builder(Bare, to_request(uris)).cooldowns(cooldowns.clone());
    let mut set = builder.spread(AN_HOUR * 1000).build();
    let ids: Vec<TargetId> = (0..MILLION)
        .map(|target| set.add(upstreams[target % UPSTREAMS].clone(), target as u64))
        .collect();
    // The very first is due at once.
    poll_set(runtime, &mut set, 1);
    let (mut times, mut calls) = (Vec::new(), 0);
    for (round, cooling) in upstreams.iter().enumerate().take(ROUNDS) {
        for id in ids.iter().skip(round).step_by(UPSTREAMS) {
            set.trigger(*id);
        }
        cooldowns.cool(cooling, AN_HOUR);
        let context = &mut Context::from_waker(Waker::noop());
        runtime.block_on(async {
            let start = now();
            let answer = futures_core::Stream::poll_next(Pin::new(&mut set), context);
            times.push(start.elapsed().as_secs_f64());
            calls += usize::from(answer.is_ready());
        });
    }
    (median(times), calls)
}

/// Returns the middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
