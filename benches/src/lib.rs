//! What the benches share: an inner service that does nothing, the layer around
//! it in each state worth measuring, and one call.

pub mod cases;
#[cfg(feature = "every")]
pub mod fleet;
pub mod pace;
pub mod run;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{Request, Response, Uri};
use tower::{Layer, Service};
use tower_retry_after::{Cooldowns, RetryAfterBackoff, RetryAfterBackoffLayer, Upstream, Waiting};

/// The upstream that is called: a host name of usual length.
pub const ORIGIN: &str = "https://api.example.com";

/// How many calls a count of instructions covers.
pub const CALLS: usize = 100;

/// How many other upstreams are in trouble where some are.
pub const OTHERS: usize = 10_000;

/// Longer than any bench runs.
pub const AN_HOUR: Duration = Duration::from_secs(3600);

/// An inner service that answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// An inner service that answers at once, with the headers of a usual API.
#[derive(Clone, Debug)]
pub struct Api {
    headers: http::HeaderMap,
}

impl Api {
    /// Creates the service.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "there is nothing by default")]
    pub fn new() -> Self {
        let lines = [
            ("date", "Mon, 15 Jun 2026 12:00:00 GMT"),
            ("server", "api"),
            ("vary", "accept"),
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("content-length", "1024"),
        ];
        let line = |(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        };
        Self { headers: lines.into_iter().map(line).collect() }
    }
}

impl Api {
    /// Adds the headers of a quota of which most remains.
    #[must_use]
    pub fn with_quota(mut self) -> Self {
        let lines = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4999"),
            ("x-ratelimit-reset", "1781524800"),
        ];
        for (name, value) in lines {
            self.headers.insert(name, http::HeaderValue::from_static(value));
        }
        self
    }
}

impl Service<Request<()>> for Api {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        // Clones share the values, and leave room for as many as there are.
        *response.headers_mut() = self.headers.clone();
        ready(Ok(response))
    }
}

/// The layer around it.
pub type Layered = RetryAfterBackoff<Bare>;

/// Nothing is cooling anywhere.
#[must_use]
pub fn quiet() -> Layered {
    RetryAfterBackoffLayer::new().layer(Bare)
}

/// Nothing is cooling anywhere, and calls would wait.
#[must_use]
pub fn waiting() -> Waiting<Bare> {
    RetryAfterBackoffLayer::new().waiting(AN_HOUR).layer(Bare)
}

/// Ten thousand other upstreams are cooling.
#[must_use]
pub fn others() -> Layered {
    let service = quiet();
    cool(&service.cooldowns(), OTHERS);
    service
}

/// The upstream that is called is cooling.
#[must_use]
pub fn rejected() -> Layered {
    let service = quiet();
    service.cooldowns().cool(&upstream(ORIGIN), AN_HOUR);
    service
}

/// Cools that many upstreams.
pub fn cool(cooldowns: &Cooldowns, upstreams: usize) {
    for n in 0..upstreams {
        cooldowns.cool(&upstream(&host(n)), AN_HOUR);
    }
}

/// Names the upstream of that number.
#[must_use]
pub fn host(n: usize) -> String {
    format!("https://host-{n:07}.example.net")
}

/// Names an upstream by its origin.
#[must_use]
pub fn upstream(origin: &str) -> Upstream {
    Upstream::from_uri(&uri(origin))
}

/// Reads a URI; each is built anew and shares nothing with any other.
#[must_use]
pub fn uri(origin: &str) -> Uri {
    let uri = format!("{origin}/v1/items").parse();
    uri.unwrap_or_else(|_| panic!("not an origin: {origin}"))
}

/// Makes a request of a URI.
#[must_use]
pub fn request(uri: Uri) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    request
}

/// One call: readied, called, and polled to its end.
#[inline]
pub fn call<S>(service: &mut S, request: Request<()>) -> Result<S::Response, S::Error>
where
    S: Service<Request<()>>,
{
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut context) else { panic!("not ready") };
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("no answer at once"),
    }
}

/// Reads the clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub fn now() -> Instant {
    Instant::now()
}
