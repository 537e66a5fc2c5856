//! What remembers upstreams: the layer's table, and what people keep in its place.
//!
//! Each by its own way, from the answer on. Where a peer knows one upstream alone,
//! its users keep a map of them by name.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use failsafe::CircuitBreaker as _;
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use http::header::RETRY_AFTER;
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode};
use recloser::Recloser;
use reqwest_012::Client;
use reqwest_middleware_04::{ClientBuilder, Middleware, Next};
use reqwest_retry_after::RetryAfterMiddleware;
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after_benches::{AN_HOUR, call, host, request, uri};

/// What happens to a book; upstreams are told apart by number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// The upstream is called, and refuses for an hour.
    Refuse(usize),
    /// The upstream is called, and answers.
    Answer(usize),
    /// All cooldowns run out, and as much time as anybody remembers them.
    Expire,
    /// It is told to forget what it can, where there is a way to tell it.
    Shrink,
}

/// A book: all of it is counted.
pub(crate) type Book = Box<dyn FnMut(Act)>;

/// Makes a book that has room for so many.
pub(crate) type New = fn(usize) -> Book;

/// After that long nobody remembers a cooldown of an hour: the layer for twice the
/// hour, and then the hour.
pub(crate) const LONG_AFTER: Duration = Duration::from_secs(4 * 3600);

pub(crate) const ALL: &[(&str, New)] = &[
    ("ours", ours),
    ("governor keyed", governor),
    ("map of tower-resilience breakers", tower_resilience),
    ("map of failsafe breakers", failsafe),
    ("map of recloser breakers", recloser),
    ("reqwest-retry-after", reqwest_retry_after),
];

/// What an upstream answers.
fn answer(refuses: bool, wait: &'static str) -> Response<()> {
    let mut response = Response::new(());
    if refuses {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(wait));
    }
    response
}

/// Upstreams that all answer alike.
#[derive(Clone, Copy)]
struct Upstreams {
    refuse: bool,
}

impl Service<Request<()>> for Upstreams {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(answer(self.refuse, "3600")))
    }
}

fn ours(room: usize) -> Book {
    let layer = RetryAfterBackoffLayer::builder().max_upstreams(room).build();
    let mut service = layer.layer(Upstreams { refuse: false });
    Box::new(move |act| {
        if let Act::Refuse(n) | Act::Answer(n) = act {
            service.get_mut().refuse = matches!(act, Act::Refuse(_));
            assert!(call(&mut service, request(uri(&host(n)))).is_ok(), "it was sent");
        }
    })
}

fn governor(_: usize) -> Book {
    let (clock, quota) = (FakeRelativeClock::default(), Quota::with_period(AN_HOUR));
    let quota = quota.expect("an hour is a period");
    let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
    Box::new(move |act| match act {
        // It knows no refusals: whoever asks is remembered.
        Act::Refuse(n) | Act::Answer(n) => {
            assert!(limiter.check_key(&host(n)).is_ok(), "it was allowed");
        }
        Act::Expire => clock.advance(LONG_AFTER),
        Act::Shrink => {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    })
}

/// Keeps a map of breakers; who is called has one. Nothing tells which of them may
/// be taken out again.
fn map<B: 'static>(new: impl Fn() -> B + 'static, on: impl Fn(&mut B, bool) + 'static) -> Book {
    let mut breakers: HashMap<String, B> = HashMap::new();
    Box::new(move |act| {
        if let Act::Refuse(n) | Act::Answer(n) = act {
            on(breakers.entry(host(n)).or_insert_with(&new), matches!(act, Act::Refuse(_)));
        }
    })
}

fn tower_resilience(_: usize) -> Book {
    let refused = |response: &Response<()>| response.status() == StatusCode::TOO_MANY_REQUESTS;
    let builder = CircuitBreakerLayer::builder().wait_duration_in_open(AN_HOUR);
    let layer = builder.consecutive_failures(1).classify_response(refused).build();
    let layer = layer.expect("the defaults are valid");
    let new = move || layer.layer(Upstreams { refuse: false });
    map(new, |breaker, refuse| {
        breaker.get_mut().refuse = refuse;
        assert!(call(breaker, request(uri(&host(0)))).is_ok(), "it was sent");
        assert_eq!(breaker.is_open(), refuse);
    })
}

/// As many failures as open it, by its defaults.
fn failsafe(_: usize) -> Book {
    map(
        || failsafe::Config::new().build(),
        |breaker, refuse| {
            for _ in 0..if refuse { 5 } else { 1 } {
                let answered = if refuse { Err(()) } else { Ok(()) };
                drop(breaker.call(|| answered));
            }
            assert_eq!(breaker.is_call_permitted(), !refuse);
        },
    )
}

/// As many failures as open it, by its defaults.
fn recloser(_: usize) -> Book {
    map(
        || Recloser::custom().build(),
        |breaker, refuse| {
            for _ in 0..if refuse { 101 } else { 1 } {
                drop(breaker.call(|| if refuse { Err(()) } else { Ok(()) }));
            }
            let is_open =
                matches!(breaker.call(|| Ok::<_, ()>(())), Err(recloser::Error::Rejected));
            assert_eq!(is_open, refuse);
        },
    )
}

/// The last of a chain: answers at once, as the request's method says.
struct Last {
    wait: &'static str,
}

#[async_trait]
impl Middleware for Last {
    async fn handle(
        &self,
        request: reqwest_012::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware_04::Result<reqwest_012::Response> {
        let refuses = request.method() == Method::DELETE;
        Ok(answer(refuses, self.wait).map(|()| "").into())
    }
}

fn reqwest_retry_after(_: usize) -> Book {
    // An hour's wait is that of a sleep: nobody asks twice. For the same reason
    // nothing has to run out: it looks at the time when the URL is asked again.
    let chain = ClientBuilder::new(client()).with(RetryAfterMiddleware::new());
    let chain = chain.with(Last { wait: "3600" }).build();
    Box::new(move |act| {
        if let Act::Refuse(n) | Act::Answer(n) = act {
            let refuse = matches!(act, Act::Refuse(_));
            let method = if refuse { Method::DELETE } else { Method::GET };
            let url = uri(&host(n)).to_string().parse().expect("what is a URI is a URL");
            let request = reqwest_012::Request::new(method, url);
            let answered = futures_util::FutureExt::now_or_never(chain.execute(request));
            assert!(answered.is_some_and(|answered| answered.is_ok()), "it was answered");
        }
    })
}

/// A client is no part of the book.
fn client() -> Client {
    static CLIENT: std::sync::LazyLock<Client> = std::sync::LazyLock::new(Client::new);
    CLIENT.clone()
}
