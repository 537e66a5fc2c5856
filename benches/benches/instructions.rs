//! Instructions of a call, counted by callgrind.
//!
//! Each case makes `CALLS` calls with requests built beforehand; the `gates`
//! program divides, subtracts the bare service, and compares.
#![allow(missing_docs, reason = "the harness makes public items")]

use std::hint::black_box;

use gungraun::prelude::*;
use http::Request;
use tower::{Layer, Service};
use tower_retry_after::{RetryAfterBackoff, RetryAfterBackoffLayer, Waiting};
use tower_retry_after_benches::{
    Api, Bare, CALLS, Layered, ORIGIN, call, others, quiet, rejected, request, uri, waiting,
};

/// A service that has been called once, and the requests to come.
struct Fixture<S> {
    service: S,
    requests: Vec<Request<()>>,
}

fn warm<S: Service<Request<()>>>(service: S) -> Fixture<S> {
    warm_for(service, |_| ORIGIN.to_owned())
}

/// Calls many upstreams, of names as long: the table's seed makes the way to
/// "not here" longer for one than for another, but their average is steady.
fn warm_for_many<S: Service<Request<()>>>(service: S) -> Fixture<S> {
    warm_for(service, |n| format!("https://a{n:02}.example.com"))
}

fn warm_for<S>(mut service: S, origin: impl Fn(usize) -> String) -> Fixture<S>
where
    S: Service<Request<()>>,
{
    drop(call(&mut service, request(uri(&origin(0)))));
    Fixture { service, requests: (0..CALLS).map(|n| request(uri(&origin(n)))).collect() }
}

/// Returns the service, so that its end is not counted.
#[inline]
fn run<S: Service<Request<()>>>(mut fixture: Fixture<S>) -> S {
    let service = black_box(&mut fixture.service);
    for request in fixture.requests {
        black_box(&call(service, request));
    }
    fixture.service
}

#[library_benchmark]
#[bench::bare(warm(Bare))]
fn alone(fixture: Fixture<Bare>) -> Bare {
    run(fixture)
}

#[library_benchmark]
#[bench::bare_api(warm(Api::new()))]
fn api(fixture: Fixture<Api>) -> Api {
    run(fixture)
}

#[library_benchmark]
#[bench::api(warm(RetryAfterBackoffLayer::new().layer(Api::new())))]
fn layered_api(fixture: Fixture<RetryAfterBackoff<Api>>) -> RetryAfterBackoff<Api> {
    run(fixture)
}

#[library_benchmark]
#[bench::quiet(warm(quiet()))]
#[bench::others(warm_for_many(others()))]
#[bench::rejected(warm(rejected()))]
fn layered(fixture: Fixture<Layered>) -> Layered {
    run(fixture)
}

#[library_benchmark]
#[bench::waiting(warm(waiting()))]
fn patient(fixture: Fixture<Waiting<Bare>>) -> Waiting<Bare> {
    run(fixture)
}

library_benchmark_group!(name = calls, benchmarks = [alone, api, layered, layered_api, patient]);
main!(library_benchmark_groups = calls);
