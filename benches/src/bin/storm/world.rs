//! The world of one run: its time, and the wire between its callers and its
//! upstreams.
//!
//! Time is tokio's, paused, so an hour takes as long as its events. Everything is
//! reckoned from the run's beginning.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri};
use tokio::time::Instant;
use tower::Service;

use crate::upstream::Upstream;

/// Who of the callers sent a request. A header, as any client lets it pass.
pub(crate) const SENDER: HeaderName = HeaderName::from_static("sender");

/// What an upstream saw: one request, and what it answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// When the request arrived.
    pub(crate) at: Duration,
    /// Which upstream it went to.
    pub(crate) upstream: usize,
    /// Which caller sent it.
    pub(crate) sender: usize,
    /// What was answered.
    pub(crate) status: StatusCode,
    /// When the upstream would have served the next request, as of this one.
    pub(crate) lifts_at: Duration,
}

/// Returns what a wall clock that is right shows at `at`.
///
/// The day is made up, so that a run is the same whenever it is.
pub(crate) fn wall_clock(at: Duration) -> SystemTime {
    const NOON: Duration = Duration::from_secs(1_781_524_800);

    SystemTime::UNIX_EPOCH + NOON + at
}

/// The upstreams, and the log of what arrived there.
#[derive(Debug)]
pub(crate) struct World {
    began: Instant,
    round_trip: Duration,
    upstreams: Mutex<Vec<Upstream>>,
    log: Mutex<Vec<Exchange>>,
}

impl World {
    /// Creates the world as of now, in whose upstreams nothing has arrived.
    #[expect(clippy::disallowed_methods, reason = "a run's only look at the clock")]
    pub(crate) fn new(upstreams: Vec<Upstream>, round_trip: Duration) -> Arc<Self> {
        let began = Instant::now();
        Arc::new(Self {
            began,
            round_trip,
            upstreams: Mutex::new(upstreams),
            log: Mutex::default(),
        })
    }

    /// Returns the time since the run's beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns what has arrived so far, in order, and forgets it.
    pub(crate) fn take_log(&self) -> Vec<Exchange> {
        std::mem::take(&mut *lock(&self.log))
    }

    /// Returns the address of an upstream.
    pub(crate) fn uri(upstream: usize) -> Uri {
        let uri = format!("http://host-{upstream}.example/items");
        uri.parse().expect("a host of letters and digits")
    }

    /// Returns a request to an upstream.
    pub(crate) fn request(upstream: usize, sender: usize) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = Self::uri(upstream);
        request.headers_mut().insert(SENDER, sender.into());
        request
    }

    /// Lets a request arrive now.
    fn arrive(&self, upstream: usize, sender: usize) -> Response<()> {
        let at = self.now();
        let mut upstreams = lock(&self.upstreams);
        let answered = &mut upstreams[upstream];
        let response = answered.answer(at);
        let lifts_at = answered.lifts_at(at);
        let status = response.status();
        lock(&self.log).push(Exchange { at, upstream, sender, status, lifts_at });
        response
    }
}

/// The way to the upstreams: half a round trip out, half a round trip back.
///
/// An HTTP client, as far as any strategy can tell.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    world: Arc<World>,
}

impl Wire {
    /// Creates a wire into that world.
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Returns what the callers' wall clock shows, which is right.
    pub(crate) fn wall_clock(&self) -> SystemTime {
        wall_clock(self.world.now())
    }

    /// Sends a request and waits for the answer.
    ///
    /// The URI and the headers are all that matters of it, whatever its type.
    pub(crate) async fn send(self, uri: Uri, headers: HeaderMap) -> Response<()> {
        let host = uri.host().expect("each request has a host");
        let number = host.trim_start_matches("host-").trim_end_matches(".example");
        let upstream = number.parse().expect("each host has a number");
        let sender = headers[SENDER].to_str().expect("digits").parse().expect("a number");
        let half = self.world.round_trip / 2;
        tokio::time::sleep(half).await;
        let response = self.world.arrive(upstream, sender);
        tokio::time::sleep(half).await;
        response
    }
}

impl Service<Request<()>> for Wire {
    type Response = Response<()>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Response<()>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let (head, ()) = request.into_parts();
        let answer = self.clone().send(head.uri, head.headers);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// Takes the lock; nothing panics under it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
