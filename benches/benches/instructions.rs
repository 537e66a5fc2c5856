//! Instructions of one call, counted by callgrind.
//!
//! Each case makes `CALLS` calls with requests built beforehand; the `gates`
//! program divides, subtracts the bare service, and compares.
#![allow(missing_docs, reason = "the harness makes public items without docs")]

use std::hint::black_box;

use gungraun::prelude::*;
use http::Request;
use tower::Service;
use tower_retry_after_benches::{
    Bare, CALLS, Layered, ORIGIN, call, others, quiet, rejected, request, uri,
};

/// A service that has been called once, and the requests to come.
struct Fixture<S> {
    service: S,
    requests: Vec<Request<()>>,
}

fn warm<S: Service<Request<()>>>(mut service: S) -> Fixture<S> {
    drop(call(&mut service, request(uri(ORIGIN))));
    Fixture { service, requests: (0..CALLS).map(|_| request(uri(ORIGIN))).collect() }
}

/// Returns the service, so that its end is not measured.
#[inline]
fn run<S: Service<Request<()>>>(mut fixture: Fixture<S>) -> S {
    let service = black_box(&mut fixture.service);
    for request in fixture.requests {
        black_box(&call(service, request));
    }
    fixture.service
}

#[library_benchmark]
#[bench::nothing(warm(Bare))]
fn bare(fixture: Fixture<Bare>) -> Bare {
    run(fixture)
}

#[library_benchmark]
#[bench::quiet(warm(quiet()))]
#[bench::others(warm(others()))]
#[bench::rejected(warm(rejected()))]
fn layered(fixture: Fixture<Layered>) -> Layered {
    run(fixture)
}

library_benchmark_group!(name = calls, benchmarks = [bare, layered]);
main!(library_benchmark_groups = calls);
