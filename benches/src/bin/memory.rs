//! A million upstreams in trouble at once: what they take, and what it takes to
//! find one of them. Fails where a gate is missed; the `gates` program runs it.

use std::hint::black_box;
use std::process::ExitCode;

use foldhash::fast::RandomState;
use papaya::HashMap;
use tower::Layer;
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, Upstream};
use tower_retry_after_benches::{Bare, call, cool, host, now, request, upstream, uri};

const MILLION: usize = 1_000_000;

/// Bytes that an upstream may take, everything counted.
const MOST_BYTES: f64 = 256.0;

/// How many times the map's own look-up an admission may take.
const MOST_TIMES: f64 = 3.0;

/// How many are looked up in a row, and how often that is done.
const BATCH: usize = 500;
const ROUNDS: usize = 201;

fn main() -> ExitCode {
    let mut all_held = true;
    let mut judge = |held: bool| {
        all_held &= held;
        if held { "ok" } else { "MISSED" }
    };
    let (before, cooldowns) = (resident(), Cooldowns::builder().max_upstreams(MILLION).build());
    let allocated = allocation_counter::measure(|| cool(&cooldowns, MILLION));
    let (bytes, resident) = (each(allocated.bytes_current), each(resident() - before));
    assert_eq!(cooldowns.len(), MILLION, "all are cooling");

    println!("\na million cooling upstreams");
    let held = judge(bytes <= MOST_BYTES);
    println!("bytes each: {bytes:.0} allocated  <= {MOST_BYTES} {held}; {resident:.0} resident");

    let layer = RetryAfterBackoffLayer::builder().cooldowns(cooldowns).build();
    let mut service = layer.layer(Bare);
    let map: HashMap<Upstream, (), RandomState> = HashMap::default();
    for n in 0..MILLION {
        map.pin().insert(upstream(&host(n)), ());
    }
    for (name, first) in [("one of them", 0), ("another", MILLION)] {
        let (mut calls, mut lookups) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let hosts = hosts(first, round);
            calls.push(time(hosts.iter().map(|host| request(uri(host))).collect(), |request| {
                black_box(&call(&mut service, request)).is_err()
            }));
            lookups.push(time(hosts.iter().map(|host| upstream(host)).collect(), |upstream| {
                map.pin().contains_key(&upstream)
            }));
        }
        let (call, lookup) = (median(calls), median(lookups));
        let held = judge(call <= MOST_TIMES * lookup);
        let times = call / lookup;
        print!("a call to {name}: {call:.0} ns, the map's look-up {lookup:.0} ns: ");
        println!("{times:.2} times  <= {MOST_TIMES} {held}");
    }
    if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Names some of the upstreams from `first` on, here and there.
fn hosts(first: usize, round: usize) -> Vec<String> {
    // A prime stride meets each once before it meets one again.
    let there = |n: usize| first + (round * BATCH + n) * 611_953 % MILLION;
    (0..BATCH).map(|n| host(there(n))).collect()
}

/// Returns the nanoseconds that each takes.
fn time<T>(all: Vec<T>, mut each: impl FnMut(T) -> bool) -> f64 {
    let start = now();
    for one in all {
        black_box(each(one));
    }
    start.elapsed().as_nanos() as f64 / BATCH as f64
}

fn each(bytes: i64) -> f64 {
    bytes as f64 / MILLION as f64
}

/// Returns the process's resident bytes; zero where the system does not tell.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<i64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// Returns the middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
