//! Polls two thousand feeds on fifty names through one client, and shows what the
//! layer and the schedule do where a name limits its callers.
//!
//! `cargo run --example feeds` starts the names on loopback and takes twelve
//! seconds. How a `PollSet` is used stands in this file; beside it, `site` is the
//! upstreams and `tally` counts.

mod clock;
mod site;
mod tally;

use std::error::Error as StdError;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::InvalidUri;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_retry_after::schedule::{PollSet, SyncPolicy};
use tower_retry_after::{Error, Ladder, RefusalErrorLayer, RetryAfterBackoffLayer, Upstream};

use crate::site::{Manner, NAMES};
use crate::tally::Tally;

const FEEDS: usize = 2_000;
const INTERVAL: Duration = Duration::from_secs(4);
const LASTING: Duration = Duration::from_secs(12);

/// What the set keeps of a feed for us.
struct Feed {
    uri: Uri,
    manner: Manner,
    /// When it is due, once it has been polled.
    due_at: Option<SystemTime>,
}

/// Stacks the client: all names lead to loopback.
fn client(
    backoff: &RetryAfterBackoffLayer,
) -> impl Service<Request<Empty<Bytes>>, Response = usize, Error = Error, Future: Send> {
    let resolver = service_fn(|_: Name| async {
        Ok::<_, BoxError>(iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
    });
    let http = HttpConnector::new_with_resolver(resolver);
    ServiceBuilder::new()
        .and_then(read)
        // Makes an error of a refusal, as the schedule wants it.
        .layer(RefusalErrorLayer::new(backoff).body_bytes(0))
        // Learns from refusals, and holds calls back.
        .layer(backoff.clone())
        .service(Client::builder(TokioExecutor::new()).build(http))
}

/// Reads a feed to its end; returns how long it is.
async fn read(response: Response<Incoming>) -> Result<usize, Error> {
    let body = response.into_body().collect().await;
    body.map(|body| body.to_bytes().len()).map_err(|error| Error::Inner(error.into()))
}

/// Names the feeds: forty for each name.
fn feeds(port: u16) -> impl Iterator<Item = Result<Feed, InvalidUri>> {
    (0..FEEDS).map(move |number| {
        let name = number % NAMES;
        let uri = format!("http://{}:{port}/feeds/{number}", site::host(name)).parse()?;
        Ok(Feed { uri, manner: Manner::of(name), due_at: None })
    })
}

async fn poll() -> Result<(), Box<dyn StdError>> {
    let port = site::start().await?;
    let backoff = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(Duration::from_secs(1), Duration::from_secs(8)))
        .trust_hints(true)
        .build();
    let request = |feed: &Feed| {
        let mut request = Request::new(Empty::new());
        request.uri_mut().clone_from(&feed.uri);
        request
    };
    let ladder = Ladder::new(Duration::from_secs(1), Duration::from_secs(8));
    let mut set = PollSet::builder(client(&backoff), request)
        .policy(SyncPolicy { interval: INTERVAL, ladder, ..SyncPolicy::default() })
        // Feeds of a name that is cooling are put off together, without a call.
        .cooldowns(backoff.cooldowns())
        .build();
    for feed in feeds(port) {
        let feed = feed?;
        set.add(Upstream::from_uri(&feed.uri), feed);
    }

    let mut tally = Tally::new(LASTING, backoff.cooldowns());
    let handle = set.handle();
    let mut stop = std::pin::pin!(async {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed,
            () = sleep(LASTING) => Ok(()),
        }
    });
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = &mut stop, if !is_stopping => {
                ended?;
                // The calls that are out are let end.
                handle.shutdown();
                is_stopping = true;
            }
            polled = set.next() => {
                let Some(polled) = polled else { break };
                if let Some(feed) = set.target_mut(polled.id) {
                    tally.count(feed.manner, &polled.result, feed.due_at);
                    feed.due_at = Some(polled.due_at);
                }
            }
        }
    }
    for feed in set.iter() {
        tally.waits(feed.target().manner, feed.due_at());
    }
    tally.sum_up();
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match poll().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("feeds: {error}");
            ExitCode::FAILURE
        }
    }
}
