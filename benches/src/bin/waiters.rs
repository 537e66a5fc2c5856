//! Ten thousand calls that wait for one upstream: what they take, and what it
//! takes to let them go. Fails where a gate is missed; the `gates` program runs
//! it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::{RetryAfterBackoffLayer, Waiting, WaitingFuture};
use tower_retry_after_benches::{AN_HOUR, ORIGIN, now, upstream, uri};

const WAITERS: usize = 10_000;

/// Bytes that a waiting call may take, everything counted but its task.
const MOST_BYTES: f64 = 1000.0;

/// How many times as long each of the ten thousand may take as each of a
/// thousand: a line that is searched would take ten times as long.
const MOST_TIMES: f64 = 5.0;

const ROUNDS: usize = 9;

/// An inner service that answers at once.
#[derive(Clone, Copy, Debug)]
struct AtOnce;

impl Service<Request<Full<Bytes>>> for AtOnce {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

type Call = WaitingFuture<AtOnce, Request<Full<Bytes>>>;

fn main() -> ExitCode {
    let mut all_held = true;
    let mut judge = |held: bool| {
        all_held &= held;
        if held { "ok" } else { "MISSED" }
    };
    println!("\nten thousand calls that wait for one upstream");
    let runtime = runtime();

    let bytes = runtime.block_on(async { boxed() });
    let spawned = spawned(&runtime);
    let held = judge(bytes <= MOST_BYTES);
    println!("bytes each: {bytes:.0} allocated  <= {MOST_BYTES} {held}; {} of them the future", {
        size_of::<Call>()
    });
    println!("bytes each in a task of its own: {spawned:.0}");

    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        few.push(runtime.block_on(drain(WAITERS / 10)));
        many.push(runtime.block_on(drain(WAITERS)));
    }
    let (few, many) = (median(few), median(many));
    let times = many / few;
    let held = judge(times <= MOST_TIMES);
    print!("from the call to the last answer: {:.0} ms for all, ", many * WAITERS as f64 / 1e6);
    println!("{times:.2} times what each of a thousand takes  <= {MOST_TIMES} {held}");
    if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A runtime in virtual time.
fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

/// A client whose upstream is cooling for an hour, and whose calls wait for two.
fn cooling() -> Waiting<AtOnce> {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(ORIGIN), AN_HOUR);
    layer.waiting(2 * AN_HOUR).layer(AtOnce)
}

fn request() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
    *request.uri_mut() = uri(ORIGIN);
    request
}

/// Returns the bytes that a waiting call takes: its future, boxed, with all that
/// it has brought into the line and the timer. What a request owns on the heap is
/// its own.
fn boxed() -> f64 {
    let client = cooling();
    let mut requests: Vec<_> = (0..WAITERS).map(|_| request()).collect();
    let mut calls: Vec<Pin<Box<Call>>> = Vec::with_capacity(WAITERS);
    let mut noop = Context::from_waker(Waker::noop());
    let info = allocation_counter::measure(|| {
        for request in requests.drain(..) {
            let mut client = client.clone();
            assert!(matches!(client.poll_ready(&mut noop), Poll::Ready(Ok(()))));
            let mut call = Box::pin(client.call(request));
            assert!(call.as_mut().poll(&mut noop).is_pending(), "it waits");
            calls.push(call);
        }
    });
    black_box(calls);
    each(info.bytes_current)
}

/// Returns the same where each call is a task of its own.
fn spawned(runtime: &Runtime) -> f64 {
    let client = cooling();
    let mut requests: Vec<_> = (0..WAITERS).map(|_| request()).collect();
    let mut tasks = Vec::with_capacity(WAITERS);
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            for request in requests.drain(..) {
                let mut client = client.clone();
                let readied = client.poll_ready(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(readied, Poll::Ready(Ok(()))));
                tasks.push(tokio::spawn(client.call(request)));
            }
            // All of them are polled, and wait.
            sleep(Duration::from_millis(1)).await;
        });
    });
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    each(info.bytes_current)
}

/// Lets that many wait and go, with answers after ten milliseconds; returns the
/// nanoseconds that each took.
async fn drain(waiters: usize) -> f64 {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(ORIGIN), AN_HOUR);
    let answer = |_: Request<()>| async {
        sleep(Duration::from_millis(10)).await;
        Ok::<_, Infallible>(Response::new(()))
    };
    let client = layer.waiting(2 * AN_HOUR).layer(tower::service_fn(answer));
    let mut requests: Vec<_> =
        (0..waiters).map(|_| tower_retry_after_benches::request(uri(ORIGIN))).collect();
    let start = now();
    let tasks: Vec<_> =
        requests.drain(..).map(|request| tokio::spawn(client.clone().oneshot(request))).collect();
    for task in tasks {
        assert!(task.await.is_ok_and(|answer| answer.is_ok()), "all are served");
    }
    start.elapsed().as_nanos() as f64 / waiters as f64
}

fn each(bytes: i64) -> f64 {
    bytes as f64 / WAITERS as f64
}

/// Returns the middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
