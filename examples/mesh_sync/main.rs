//! A node syncs with five peers of which one is as it should be.
//!
//! `cargo run --example mesh_sync` starts the peers on loopback: one limits, one
//! is down, one is slow, one has forked, and one is fine, but for an outage. The
//! node finds out, tells what each cycle came to, and shows its book in the end.
//!
//! How the cycle is used stands in this file. Beside it: `peers` are the peers,
//! `output` tells what happens.

mod clock;
mod output;
mod peers;

use std::error::Error as StdError;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::schedule::{Peer, PeerBook, Poller, SyncCycle, SyncPolicy, Synced};
use tower_retry_after::{
    Ladder, RefusalError, RefusalErrorLayer, RetryAfterBackoff, RetryAfterBackoffLayer,
};

use crate::clock::{Stopwatch, wall_clock};
use crate::output::print;
use crate::peers::MANNERS;

/// An HTTP client with the layers around it.
type HttpClient = RefusalError<RetryAfterBackoff<Client<HttpConnector, Empty<Bytes>>>>;

/// Everything here is short, so that it can be watched: a real node syncs every
/// few minutes, and its ladder goes from a minute to half an hour.
const INTERVAL: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_millis(500);
const LASTING: Duration = Duration::from_secs(12);

fn ladder() -> Ladder {
    Ladder::new(Duration::from_millis(300), Duration::from_secs(3))
}

/// Syncs with one peer: asks how far it has come, and on which chain.
async fn sync(client: HttpClient, peer: Peer) -> Result<Synced, BoxError> {
    let request = Request::get(format!("{}/head", peer.peer_url)).body(Empty::new())?;
    // A refusal arrives as an error, and so does a call that was held back.
    let response = client.oneshot(request).await?;
    if !response.status().is_success() {
        return Err(format!("HTTP {}", response.status().as_u16()).into());
    }
    let head = response.into_body().collect().await?.to_bytes();
    let head = String::from_utf8_lossy(&head);
    Ok(match head.split_once(' ') {
        Some(("main", _)) => Synced::ok(head),
        _ => Synced::fork("", format!("its head is {head}")),
    })
}

/// Stacks the client, and puts the cycle on top of it.
fn cycle(
    book: PeerBook,
) -> SyncCycle<impl Service<Peer, Response = Synced, Error = BoxError, Future: Send> + Clone> {
    let backoff = RetryAfterBackoffLayer::builder().ladder(ladder()).build();
    let cooldowns = backoff.cooldowns();
    let client = ServiceBuilder::new()
        .layer(RefusalErrorLayer::new(&backoff))
        .layer(backoff)
        .service(Client::builder(TokioExecutor::new()).build_http());
    let service = ServiceBuilder::new()
        .timeout(PATIENCE)
        .service(service_fn(move |peer| sync(client.clone(), peer)));
    SyncCycle::builder(service)
        .book(book)
        .policy(SyncPolicy { interval: INTERVAL, ladder: ladder(), ..SyncPolicy::default() })
        .cooldowns(cooldowns)
        .build()
}

/// Runs a cycle whenever one is due.
async fn run<S>(cycle: &SyncCycle<S>, clock: &Stopwatch)
where
    S: Service<Peer, Response = Synced, Error = BoxError> + Clone,
{
    let mut poller = Poller::cycle(cycle.clone());
    for number in 1.. {
        let Some(ended) = poller.next().await else { break };
        // A cycle never fails; what went wrong stands in its report.
        if let Ok(report) = ended.result {
            output::cycle(number, &report, &cycle.book(), clock);
        }
    }
}

/// Syncs until the time is over or somebody presses Ctrl-C.
async fn node(stop: impl Future<Output = std::io::Result<()>>) -> Result<(), Box<dyn StdError>> {
    let clock = Stopwatch::start();
    let mut book = PeerBook::with_ladder(ladder());
    for manner in MANNERS {
        let mut peer = Peer::new(peers::start(manner, clock).await?, wall_clock())?;
        manner.label().clone_into(&mut peer.label);
        book.add(peer)?;
    }
    introduce(&book);

    let cycle = cycle(book);
    tokio::select! {
        biased; // Ctrl-C is heard before the first call is sent.
        stopped = stop => stopped?,
        () = sleep(LASTING) => {}
        // A cycle may be dropped at any time, and the next one goes on.
        () = run(&cycle, &clock) => {}
    }
    output::table(&cycle.book(), wall_clock());
    Ok(())
}

fn introduce(book: &PeerBook) {
    print(&format!(
        "A node syncs with {} peers every {INTERVAL:?} for {LASTING:?}. `limited` wants a pause of\n\
         4s after three answers, `down` does not listen, `slow` takes 2s (the node waits\n\
         {PATIENCE:?}), `forked` has another history, `fine` fails its fifth to seventh request.\n\n",
        book.peers().count(),
    ));
}

#[tokio::main]
async fn main() -> ExitCode {
    match node(tokio::signal::ctrl_c()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mesh_sync: {error}");
            ExitCode::FAILURE
        }
    }
}
