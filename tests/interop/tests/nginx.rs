//! hyper-util's legacy client at a real nginx, whose access log is the judge.
//!
//! Nothing here depends on how fast the machine is. What must not happen is judged
//! by the log's own times; what has to happen first is waited for; and whatever was
//! refused asks for a longer wait than the limit that refused it takes to lift.
#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_retry_after::{Ladder, RateLimited, RetryAfterBackoff, RetryAfterBackoffLayer};
use tower_retry_after_interop::nginx::{Line, Nginx};

/// Each path has a bucket of its own. A refused request is not charged.
const BUCKETS: &str = "
    limit_req_zone $uri zone=half:1m rate=2r/s;
    limit_req_zone $uri zone=slow:1m rate=30r/m;
    limit_req_zone $uri zone=wide:1m rate=80r/s;
";

const LOCATIONS: &str = "
    location /with_hint {
        limit_req zone=half; limit_req_status 429; error_page 429 @in_two_seconds; empty_gif;
    }
    location /wide {
        limit_req zone=wide burst=79 nodelay; limit_req_status 429;
        error_page 429 @in_two_seconds; empty_gif;
    }
    location @in_two_seconds { add_header Retry-After 2 always; return 429 'slow down'; }

    location /without_hint { limit_req zone=slow; limit_req_status 429; empty_gif; }

    location /by_default { limit_req zone=half; error_page 503 @unavailable; empty_gif; }
    location @unavailable { add_header Retry-After 2 always; return 503 'come back'; }
";

/// What the hints above ask for: more than the first rung of the ladder, which is what
/// somebody waits who has not read them.
const HINT: Duration = Duration::from_secs(2);

/// How long all of a test may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(2);

type Hyper = Client<HttpConnector, Empty<Bytes>>;

fn hyper() -> Hyper {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A client that numbers its requests, and keeps what became of each.
#[derive(Clone)]
struct Caller<S> {
    client: S,
    name: &'static str,
    uri: Uri,
    book: Arc<Book>,
}

#[derive(Default)]
struct Book {
    numbers: AtomicUsize,
    answers: Mutex<Vec<(usize, u16)>>,
    rejections: AtomicUsize,
}

/// What became of a call: its status, or how long to wait.
type Outcome = Result<u16, Duration>;

impl<S> Caller<S>
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<Incoming>> + Clone,
    S::Error: Into<BoxError>,
{
    fn new(client: S, name: &'static str, uri: Uri) -> Self {
        Self { client, name, uri, book: Arc::default() }
    }

    async fn call(&self) -> Outcome {
        let number = self.book.numbers.fetch_add(1, Ordering::SeqCst);
        let request = Request::get(&self.uri)
            .header("x-client", self.name)
            .header("x-request-id", number)
            .body(Empty::new())
            .unwrap();
        match self.client.clone().oneshot(request).await.map_err(Into::into) {
            Ok(response) => {
                let status = response.status().as_u16();
                // A connection is used again once its answer is read.
                response.into_body().collect().await.unwrap();
                self.book.answers.lock().unwrap().push((number, status));
                Ok(status)
            }
            Err(error) => match RateLimited::find(&*error) {
                Some(limited) => {
                    self.book.rejections.fetch_add(1, Ordering::SeqCst);
                    Err(limited.retry_after())
                }
                None => panic!("{error:?}"),
            },
        }
    }

    fn answers(&self, wanted: impl Fn(u16) -> bool) -> usize {
        self.book.answers.lock().unwrap().iter().filter(|answer| wanted(answer.1)).count()
    }

    fn refusals(&self) -> usize {
        self.answers(is_refusal)
    }

    /// Asks every few milliseconds, whatever it hears, until it has been refused so
    /// often and answered after that.
    async fn polls_until_refused(&self, times: usize) {
        while self.call().await != Ok(200) || self.refusals() < times {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns its lines of the log, and checks them against its book: what was
    /// answered stands there once, and what was held back does not.
    fn lines(&self, log: &[Line]) -> Vec<Line> {
        let lines: Vec<_> = log.iter().filter(|line| line.client == self.name).cloned().collect();
        let logged: BTreeSet<_> = lines.iter().map(|line| (line.request, line.status)).collect();
        let answers: BTreeSet<_> = self.book.answers.lock().unwrap().iter().copied().collect();
        assert_eq!(logged, answers);
        assert_eq!(lines.len(), answers.len());
        lines
    }

    /// Says what the log has of it, for who reads the output.
    fn report(&self, lines: &[Line]) {
        let held = self.book.rejections.load(Ordering::SeqCst);
        let refused = lines.iter().filter(|line| is_refusal(line.status)).count();
        let early = too_early(lines, |_| HINT).len();
        let (path, name, sent) = (self.uri.path(), self.name, lines.len());
        println!(
            "{path:<14} {name:<8} sent {sent:>5}, refused {refused:>5}, \
             within two seconds of a refusal {early:>5}, held back {held:>5}"
        );
    }
}

impl Caller<RetryAfterBackoff<Hyper>> {
    fn layered(layer: &RetryAfterBackoffLayer, uri: Uri) -> Self {
        Self::new(layer.layer(hyper()), "layered", uri)
    }
}

impl Caller<Hyper> {
    fn bare(uri: Uri) -> Self {
        Self::new(hyper(), "bare", uri)
    }
}

fn is_refusal(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Returns the pairs of a refusal and what came next, where that came before the
/// wait for so many refusals in a row was over.
fn too_early(lines: &[Line], wait: impl Fn(u32) -> Duration) -> Vec<(Line, Line)> {
    let mut in_a_row = 0;
    let mut early = Vec::new();
    for pair in lines.windows(2) {
        let [line, next] = pair else { continue };
        if !is_refusal(line.status) {
            in_a_row = 0;
            continue;
        }
        in_a_row = u32::saturating_add(in_a_row, 1);
        let wait = u64::try_from(wait(in_a_row).as_millis()).unwrap();
        if next.arrived < line.answered.saturating_add(wait) {
            early.push((line.clone(), next.clone()));
        }
    }
    early
}

/// Returns the longest row of refusals without an answer in between.
fn longest_row(lines: &[Line]) -> usize {
    lines.split(|line| !is_refusal(line.status)).map(<[Line]>::len).max().unwrap_or(0)
}

/// Whether the last of them was answered.
fn has_recovered(lines: &[Line]) -> bool {
    lines.last().is_some_and(|line| line.status == 200)
}

async fn in_time<F: Future>(work: F) -> F::Output {
    let Ok(output) = timeout(PATIENCE, work).await else { panic!("it takes for ever") };
    output
}

/// A poller that heeds nothing, with the layer and without it: with it each wait is
/// kept, and no episode has a second refusal.
async fn one_poller(path: &str) {
    let Some(nginx) = Nginx::start(BUCKETS, LOCATIONS) else { return };
    let layered = Caller::layered(&RetryAfterBackoffLayer::for_api(), nginx.uri(path));
    let bare = Caller::bare(nginx.uri(&format!("{path}/bare")));

    in_time(async {
        tokio::join!(layered.polls_until_refused(3), bare.polls_until_refused(32));
    })
    .await;

    let log = nginx.ends();
    let (ours, theirs) = (layered.lines(&log), bare.lines(&log));
    bare.report(&theirs);
    layered.report(&ours);
    assert_eq!(too_early(&ours, |_| HINT), []);
    assert_eq!(longest_row(&ours), 1, "{ours:#?}");
    assert!(has_recovered(&ours), "{ours:#?}");
    assert!(!too_early(&theirs, |_| HINT).is_empty());
    assert!(longest_row(&theirs) > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_poller_nginx_logs_nothing_within_a_cooldown_and_one_refusal_an_episode() {
    one_poller("/with_hint").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_503_that_nginx_refuses_with_by_default_is_kept_to_where_it_has_a_hint() {
    one_poller("/by_default").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_callers_that_find_it_cooling_nginx_refuses_none() {
    let Some(nginx) = Nginx::start(BUCKETS, LOCATIONS) else { return };
    let layer = RetryAfterBackoffLayer::for_api();
    let layered = Caller::layered(&layer, nginx.uri("/wide"));
    let bare = Caller::bare(nginx.uri("/wide"));

    // Others empty the bucket. A second after the last of them it is full again: before
    // the cooldown ends, where they end within a second of its beginning.
    let mut others = JoinSet::new();
    let is_over = Arc::new(AtomicUsize::new(0));
    for _ in 0..12 {
        let (bare, is_over) = (bare.clone(), Arc::clone(&is_over));
        others.spawn(async move {
            while is_over.load(Ordering::SeqCst) == 0 {
                bare.call().await.unwrap();
            }
        });
    }
    in_time(async {
        while bare.refusals() < 64 {
            sleep(Duration::from_millis(5)).await;
        }
        while layered.call().await != Ok(429) {}
    })
    .await;
    is_over.store(1, Ordering::SeqCst);
    in_time(others.join_all()).await;

    // All of them sleep as told, and so wake at the same moment.
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let layered = layered.clone();
        callers.spawn(async move {
            while let Err(wait) = layered.call().await {
                sleep(wait).await;
            }
        });
    }
    in_time(callers.join_all()).await;

    assert_eq!(layer.cooldowns().get(&nginx.upstream()).map(|info| info.state()), None);
    let log = nginx.ends();
    let (ours, theirs) = (layered.lines(&log), bare.lines(&log));
    bare.report(&theirs);
    layered.report(&ours);
    assert_eq!(too_early(&ours, |_| HINT), []);
    let refused = ours.iter().position(|line| line.status == 429).unwrap();
    let (_, after) = ours.split_at(refused.saturating_add(1));
    assert_eq!(after.len(), 64);
    assert!(after.iter().all(|line| line.status == 200), "{after:#?}");
    assert!(longest_row(&theirs) > 1);
}

/// The first cooldown where there is no hint.
const BASE: Duration = Duration::from_millis(300);
/// The longest.
const CAP: Duration = Duration::from_mins(1);

/// How long so many refusals in a row are to be heeded, reckoned by the row alone.
fn doubled(in_a_row: u32) -> Duration {
    BASE.saturating_mul(1 << in_a_row.saturating_sub(1).min(16)).min(CAP)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_callers_nginx_logs_one_refusal_a_rung_while_its_limit_outlasts_the_cooldowns() {
    let Some(nginx) = Nginx::start(BUCKETS, LOCATIONS) else { return };
    let layer = RetryAfterBackoffLayer::builder().ladder(Ladder::new(BASE, CAP)).build();
    let layered = Caller::layered(&layer, nginx.uri("/without_hint"));
    let bare = Caller::bare(nginx.uri("/without_hint/bare"));
    in_time(async { while layered.call().await != Ok(429) {} }).await;

    let mut callers = JoinSet::new();
    let is_over = Arc::new(AtomicUsize::new(0));
    for _ in 0..64 {
        let (layered, is_over) = (layered.clone(), Arc::clone(&is_over));
        callers.spawn(async move {
            // The first answer is the probe's; those that are sent after it meet the limit anew.
            while is_over.load(Ordering::SeqCst) == 0 {
                match layered.call().await {
                    Ok(200) => is_over.store(1, Ordering::SeqCst),
                    Ok(_) => {}
                    Err(wait) => sleep(wait).await,
                }
            }
        });
    }
    let mut others = JoinSet::new();
    for _ in 0..64 {
        let bare = bare.clone();
        others.spawn(async move {
            while bare.refusals() < 64 {
                bare.call().await.unwrap();
            }
        });
    }
    in_time(async { tokio::join!(callers.join_all(), others.join_all()) }).await;

    let log = nginx.ends();
    let (ours, theirs) = (layered.lines(&log), bare.lines(&log));
    bare.report(&theirs);
    layered.report(&ours);
    let refused = ours.iter().position(|line| line.status == 429).unwrap();
    let (_, episode) = ours.split_at(refused);
    let end = episode.iter().position(|line| line.status == 200).unwrap();
    let (episode, _) = episode.split_at(end.saturating_add(1));
    assert_eq!(too_early(episode, doubled), []);
    assert!(has_recovered(episode));
    assert!(longest_row(&theirs) > longest_row(episode));
}

#[test]
fn a_request_within_a_cooldown_is_seen_in_the_log() {
    let line = |arrived, status| Line {
        arrived,
        answered: arrived,
        status,
        client: "layered".to_owned(),
        request: 0,
    };
    let kept = [line(0, 200), line(1, 429), line(1001, 503), line(3001, 200), line(3001, 429)];
    let wait = |in_a_row| Duration::from_secs(1).saturating_mul(in_a_row);

    assert_eq!(too_early(&kept, wait), []);
    assert_eq!(longest_row(&kept), 2);
    for (at, early) in [(2, line(1000, 503)), (3, line(3000, 200)), (2, line(0, 200))] {
        let mut lines = kept.to_vec();
        *lines.get_mut(at).unwrap() = early;
        assert_eq!(too_early(&lines, wait).len(), 1, "{lines:#?}");
    }
}
