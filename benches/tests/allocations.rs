//! A call through the layer allocates nothing, whatever the table holds.

use http::Request;
use tower::Service;
use tower_retry_after_benches::{
    AN_HOUR, Layered, ORIGIN, call, others, quiet, rejected, request, upstream, uri, waiting,
};

const CALLS: usize = 1_000;

/// An upstream whose name is too long to be copied.
const LONG: &str = "https://abcdefghij.execute-api.eu-central-1.amazonaws.example.com:8443";

/// Counts the allocations of calls that come after the first.
fn allocations<S: Service<Request<()>>>(service: S) -> u64 {
    allocations_to(ORIGIN, service)
}

fn allocations_to<S: Service<Request<()>>>(origin: &str, mut service: S) -> u64 {
    let mut requests: Vec<Request<()>> = (0..=CALLS).map(|_| request(uri(origin))).collect();
    let mut call_one = |request| drop(call(&mut service, request));
    requests.pop().map(&mut call_one);

    allocation_counter::measure(|| requests.drain(..).for_each(call_one)).count_total
}

#[test]
fn a_call_allocates_nothing_while_nothing_is_cooling() {
    assert_eq!(allocations(quiet()), 0);
}

#[test]
fn a_call_that_could_wait_allocates_nothing_while_nothing_is_cooling() {
    assert_eq!(allocations(waiting()), 0);
}

#[test]
fn a_call_allocates_nothing_while_ten_thousand_others_are_cooling() {
    assert_eq!(allocations(others()), 0);
}

#[test]
fn a_rejection_allocates_nothing() {
    assert_eq!(allocations(rejected()), 0);
}

#[test]
fn a_long_name_allocates_nothing_either() {
    let cooling = others();
    cooling.cooldowns().cool(&upstream(LONG), AN_HOUR);

    assert_eq!(allocations_to(LONG, quiet()), 0);
    assert_eq!(allocations_to(LONG, others()), 0);
    assert!(call(&mut cooling.clone(), request(uri(LONG))).is_err());
    assert_eq!(allocations_to(LONG, cooling), 0);
}

#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(info.count_total, 1);
}

#[test]
fn the_cases_are_what_they_say() {
    let state = |service: Layered| {
        let cooldowns = service.cooldowns();
        (cooldowns.len(), cooldowns.get(&upstream(ORIGIN)).is_some())
    };
    assert_eq!(state(quiet()), (0, false));
    assert_eq!(state(others()), (tower_retry_after_benches::OTHERS, false));
    assert_eq!(state(rejected()), (1, true));
}
