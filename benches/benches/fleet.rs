//! Instructions of a call whose table is in step with a fleet, counted by callgrind.
//!
//! The `gates` program compares them with those of the same call without a fleet.
#![allow(missing_docs, reason = "the harness makes public items")]

use std::hint::black_box;

use gungraun::prelude::*;
use http::Request;
use tower_retry_after_benches::fleet::InFleet;
use tower_retry_after_benches::{CALLS, ORIGIN, call, others, quiet, rejected, request, uri};

/// A service that has been called once, and the requests to come.
struct Fixture {
    service: InFleet,
    requests: Vec<Request<()>>,
}

fn warm(service: InFleet) -> Fixture {
    warm_for(service, |_| ORIGIN.to_owned())
}

/// As in the bench without a fleet: many upstreams, of names as long.
fn warm_for_many(service: InFleet) -> Fixture {
    warm_for(service, |n| format!("https://a{n:02}.example.com"))
}

fn warm_for(mut service: InFleet, origin: impl Fn(usize) -> String) -> Fixture {
    drop(call(&mut service, request(uri(&origin(0)))));
    Fixture { service, requests: (0..CALLS).map(|n| request(uri(&origin(n)))).collect() }
}

#[library_benchmark]
#[bench::quiet_in_fleet(warm(InFleet::new(quiet())))]
#[bench::others_in_fleet(warm_for_many(InFleet::new(others())))]
#[bench::rejected_in_fleet(warm(InFleet::new(rejected())))]
fn in_fleet(mut fixture: Fixture) -> InFleet {
    let service = black_box(&mut fixture.service);
    for request in fixture.requests {
        black_box(&call(service, request));
    }
    fixture.service
}

library_benchmark_group!(name = calls, benchmarks = [in_fleet]);
main!(library_benchmark_groups = calls);
