//! Scripted peers, a wall clock that can be stepped, and a cycle over them.

use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::Response;
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::schedule::{
    CycleReport, Peer, PeerBook, SyncCycle, SyncCycleBuilder, SyncPolicy, Synced, Tried,
};
use tower_retry_after::{Error, Ladder, RefusalErrorLayer, RetryAfterBackoffLayer};

use crate::support::{Strict, get, now, secs, upstream};

/// How a peer answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Ok,
    Fork,
    Down,
    /// Sent, and refused for so many seconds.
    Refused(u64),
    /// Held back by the layer for so many seconds.
    Early(u64),
    Never,
    PanicInCall,
    PanicInFuture,
    /// After so many seconds.
    After(u64, Box<Reply>),
}

pub(crate) fn after(seconds: u64, reply: Reply) -> Reply {
    Reply::After(seconds, Box::new(reply))
}

type Answered = Pin<Box<dyn Future<Output = Result<Synced, BoxError>> + Send>>;

/// The peers: what each says, one after the other, and who was called when.
#[derive(Clone, Default)]
pub(crate) struct Mesh {
    scripts: Arc<Mutex<HashMap<String, VecDeque<Reply>>>>,
    calls: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Mesh {
    /// Adds to what a peer will say; in the end it always says `Ok`.
    pub(crate) fn says(&self, peer_url: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut scripts = self.scripts.lock().unwrap();
        scripts.entry(peer_url.to_owned()).or_default().extend(replies);
    }

    /// Forgets what has not been said.
    pub(crate) fn forget(&self) {
        self.scripts.lock().unwrap().clear();
    }

    /// Returns who was called since this was asked last, in order.
    pub(crate) fn called(&self) -> Vec<String> {
        self.calls.lock().unwrap().drain(..).map(|(peer_url, _)| peer_url).collect()
    }

    pub(crate) fn service(
        &self,
    ) -> Strict<impl FnMut(Peer) -> Answered + Clone + Send + Sync + use<>> {
        let mesh = self.clone();
        Strict::new(move |peer: Peer| {
            mesh.calls.lock().unwrap().push((peer.peer_url.clone(), now()));
            let mut scripts = mesh.scripts.lock().unwrap();
            let reply = scripts.get_mut(&peer.peer_url).and_then(VecDeque::pop_front);
            drop(scripts);
            answer(reply.unwrap_or(Reply::Ok))
        })
    }

    /// A cycle over these peers, with the wall clock that is given.
    pub(crate) fn builder(
        &self,
        wall: &Wall,
        urls: &[&str],
    ) -> SyncCycleBuilder<Strict<impl FnMut(Peer) -> Answered + Clone + Send + Sync + use<>>> {
        let wall = wall.clone();
        SyncCycle::builder(self.service()).book(book(urls)).wall_clock(move || wall.now())
    }
}

/// The peers were added one after the other, so that they come in this order.
pub(crate) fn book(urls: &[&str]) -> PeerBook {
    let mut book = PeerBook::new();
    for (added, url) in (1..).zip(urls) {
        book.add(Peer::new(*url, SystemTime::UNIX_EPOCH + secs(added)).unwrap()).unwrap();
    }
    book
}

pub(crate) fn answer(reply: Reply) -> Answered {
    assert!(!matches!(reply, Reply::PanicInCall), "as scripted");
    Box::pin(async move {
        match reply {
            Reply::Ok => Ok(Synced::ok("here")),
            Reply::Fork => Ok(Synced::fork("there", "no common block\u{7}")),
            Reply::Down => Err(wrapped("connection refused")),
            Reply::Refused(seconds) => Err(wrapped(refused(seconds).await)),
            Reply::Early(seconds) => Err(wrapped(held(secs(seconds)).await)),
            Reply::Never => std::future::pending().await,
            Reply::PanicInCall | Reply::PanicInFuture => panic!("as scripted"),
            Reply::After(seconds, reply) => {
                sleep(secs(seconds)).await;
                answer(*reply).await
            }
        }
    })
}

/// What a peer service of one's own makes of an error.
#[derive(Debug)]
struct SyncError(BoxError);

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sync failed")
    }
}

impl StdError for SyncError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

fn wrapped(error: impl Into<BoxError>) -> BoxError {
    SyncError(error.into()).into()
}

/// An error as the layers make it when a call is refused.
async fn refused(seconds: u64) -> Error {
    let off = Ladder::new(Duration::ZERO, Duration::ZERO);
    let layer =
        RetryAfterBackoffLayer::builder().ladder(off).max_retry_after(secs(1_000_000)).build();
    let client = ServiceBuilder::new().layer(RefusalErrorLayer::new(&layer)).layer(layer).service(
        service_fn(move |_| async move {
            let response = Response::builder().status(429).header("retry-after", seconds);
            Ok::<_, io::Error>(response.body(String::new()).unwrap())
        }),
    );
    client.oneshot(get("https://limited.example/")).await.unwrap_err()
}

/// An error as the layer makes it when a call is held back.
async fn held(wait: Duration) -> Error {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream("https://limited.example/"), wait);
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(|_| async { Ok::<_, io::Error>(Response::new(())) }));
    client.oneshot(get("https://limited.example/")).await.unwrap_err()
}

/// A wall clock that goes with tokio's, and can be stepped.
#[derive(Clone)]
pub(crate) struct Wall {
    start: Instant,
    reads_at_start: Arc<Mutex<SystemTime>>,
}

impl Wall {
    pub(crate) fn new() -> Self {
        // 2027, about.
        let reads_at_start = SystemTime::UNIX_EPOCH + secs(1_800_000_000);
        Self { start: now(), reads_at_start: Arc::new(Mutex::new(reads_at_start)) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        *self.reads_at_start.lock().unwrap() + self.start.elapsed()
    }

    pub(crate) fn ahead(&self, step: Duration) {
        *self.reads_at_start.lock().unwrap() += step;
    }

    pub(crate) fn back(&self, step: Duration) {
        *self.reads_at_start.lock().unwrap() -= step;
    }
}

/// Every five minutes; the ladder from one minute to half an hour.
pub(crate) fn policy() -> SyncPolicy {
    SyncPolicy::default()
}

/// A service that runs cycles, as the tests use it.
pub(crate) trait Cycles:
    Service<(), Response = CycleReport, Error = std::convert::Infallible>
{
}

impl<S> Cycles for S where S: Service<(), Response = CycleReport, Error = std::convert::Infallible> {}

/// Runs one cycle; whoever hangs for a day fails the test.
pub(crate) async fn run(cycle: &mut impl Cycles) -> CycleReport {
    let report = async {
        let Ok(ready) = cycle.ready().await;
        let Ok(report) = ready.call(()).await;
        report
    };
    timeout(secs(86_400), report).await.expect("an end of the cycle")
}

pub(crate) fn urls(report: &CycleReport) -> Vec<&str> {
    report.tried().iter().map(Tried::peer_url).collect()
}
