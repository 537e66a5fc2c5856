//! One of the processes: an HTTP client with the layer around it, whose table joins
//! the fleet. It says on standard output how it is, and ends when its standard input
//! does.

use std::error::Error as StdError;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::oneshot;
use tokio::time::{interval, sleep, timeout};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_retry_after::{
    Cooldowns, Error, Fleet, Ladder, RetryAfterBackoff, RetryAfterBackoffLayer, State, Upstream,
};

use crate::args::Job;
use crate::team::Report;
use crate::upstream::WORKER;

/// How many tasks of a worker call the upstream.
pub(crate) const CALLERS: u32 = 4;

/// The shortest pause of a caller after an answer.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// How often a worker says how it is.
const SAYS_EVERY: Duration = Duration::from_millis(20);

type HttpClient = RetryAfterBackoff<Client<HttpConnector, Empty<Bytes>>>;

/// Works until standard input ends.
pub(crate) async fn work(job: Job) -> Result<(), Box<dyn StdError>> {
    let backoff = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(Duration::from_secs(1), Duration::from_secs(4)))
        .trust_hints(true)
        .build();
    let cooldowns = backoff.cooldowns();

    // This is all. Whoever joins under the same name shares what it learns; the table
    // leaves the fleet when the value is dropped.
    let fleet = match &job.redis {
        Some(redis) => Some(Fleet::join(redis.as_str(), "example", &cooldowns)?),
        None => None,
    };
    if let Some(fleet) = &fleet {
        // Optional, and no longer than this: Redis away is no reason not to start.
        let _ = timeout(Duration::from_secs(1), fleet.in_step()).await;
    }

    let client: HttpClient = ServiceBuilder::new()
        .layer(backoff)
        .service(Client::builder(TokioExecutor::new()).build_http());
    let rejected = Arc::new(AtomicU64::new(0));
    for caller in 0..CALLERS {
        tokio::spawn(call(client.clone(), Caller::new(&job, caller), Arc::clone(&rejected)));
    }

    let upstream = Upstream::from_uri(&job.url);
    let mut ticks = interval(SAYS_EVERY);
    let mut end = std::pin::pin!(end_of_input());
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            _ = ticks.tick() => {}
        }
        let report = Report {
            rejected: rejected.load(Ordering::Relaxed),
            is_in_step: fleet.as_ref().is_none_or(Fleet::is_in_step),
            left: left(&cooldowns, &upstream),
        };
        writeln!(io::stdout().lock(), "{report}")?;
    }
}

/// How long the upstream is held back yet, as far as is known here.
fn left(cooldowns: &Cooldowns, upstream: &Upstream) -> Duration {
    let cooling = cooldowns.get(upstream).filter(|info| info.state() == State::Cooling);
    cooling.map(|info| info.retry_after()).unwrap_or_default()
}

/// One of the tasks that call.
struct Caller {
    request: Request<Empty<Bytes>>,
    pause: Duration,
}

impl Caller {
    fn new(job: &Job, number: u32) -> Self {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = job.url.clone();
        request.headers_mut().insert(WORKER, HeaderValue::from(job.number));
        // A little more for each, so that they do not all come at once.
        let later = u32::try_from(job.number).unwrap_or(0).saturating_mul(CALLERS);
        let later = Duration::from_millis(later.saturating_add(number).into());
        let pause = PAUSE.saturating_add(later);
        Self { request, pause }
    }
}

/// Calls without end: after an answer it pauses, and when it is rejected it sleeps for
/// as long as it is told.
async fn call(mut client: HttpClient, caller: Caller, rejected: Arc<AtomicU64>) {
    loop {
        let answer = match client.ready().await {
            Ok(client) => client.call(caller.request.clone()).await,
            Err(error) => Err(error),
        };
        let pause = match answer {
            Ok(mut response) => {
                // Read to its end, so that the connection can be used again.
                while let Some(Ok(_)) = response.frame().await {}
                caller.pause
            }
            Err(Error::RateLimited(limited)) => {
                rejected.fetch_add(1, Ordering::Relaxed);
                limited.retry_after()
            }
            // No connection: says nothing about limits.
            Err(_) => caller.pause,
        };
        sleep(pause).await;
    }
}

/// Waits until whoever started this process lets go of it, or is gone.
async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = end.await;
}
