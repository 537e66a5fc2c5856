//! The clients of a pair, and what was measured of each.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::{RetryAfterBackoff, RetryAfterBackoffLayer};
use tower_retry_after_benches::now;

type Hyper = Client<HttpConnector, Empty<Bytes>>;

/// A client with connections of its own.
pub(crate) struct Side {
    client: Either,
    uri: Uri,
}

enum Either {
    Bare(Hyper),
    Layered(RetryAfterBackoff<Hyper>),
}

impl Side {
    pub(crate) fn bare(uri: &Uri) -> Self {
        Self { client: Either::Bare(hyper()), uri: uri.clone() }
    }

    pub(crate) fn layered(uri: &Uri) -> Self {
        let client = RetryAfterBackoffLayer::new().layer(hyper());
        Self { client: Either::Layered(client), uri: uri.clone() }
    }

    /// Sends that many requests by so many callers, each of whom waits for the answer
    /// before the next.
    pub(crate) async fn run(&self, callers: usize, requests: usize) -> Run {
        match &self.client {
            Either::Bare(client) => run(client, &self.uri, callers, requests).await,
            Either::Layered(client) => run(client, &self.uri, callers, requests).await,
        }
    }
}

fn hyper() -> Hyper {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn run<S>(client: &S, uri: &Uri, callers: usize, requests: usize) -> Run
where
    S: Service<Request<Empty<Bytes>>, Response = Response<Incoming>> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut tasks = JoinSet::new();
    let start = now();
    for _ in 0..callers {
        tasks.spawn(calls(client.clone(), uri.clone(), requests.div_ceil(callers)));
    }
    let latencies = tasks.join_all().await.concat();
    Run { taken: start.elapsed(), latencies }
}

async fn calls<S>(mut client: S, uri: Uri, requests: usize) -> Vec<Duration>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<Incoming>>,
{
    let mut latencies = Vec::with_capacity(requests);
    for _ in 0..requests {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        let start = now();
        let Ok(client) = client.ready().await else { panic!("not ready") };
        let Ok(response) = client.call(request).await else { panic!("no answer") };
        assert!(response.status().is_success());
        let Ok(body) = response.into_body().collect().await else { panic!("no body") };
        latencies.push(start.elapsed());
        assert_eq!(body.to_bytes().len(), 1024);
    }
    latencies
}

/// What was measured of a client.
pub(crate) struct Run {
    taken: Duration,
    latencies: Vec<Duration>,
}

impl Run {
    pub(crate) const fn new() -> Self {
        Self { taken: Duration::ZERO, latencies: Vec::new() }
    }

    pub(crate) fn add(&mut self, turn: Self) {
        self.taken += turn.taken;
        self.latencies.extend(turn.latencies);
    }

    /// Returns the requests in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.taken.as_secs_f64()
    }

    /// Returns within how many seconds that share of the requests was answered.
    pub(crate) fn percentile(&mut self, share: f64) -> f64 {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        #[expect(clippy::cast_sign_loss, reason = "a share of a length")]
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).map_or(f64::NAN, Duration::as_secs_f64)
    }
}
