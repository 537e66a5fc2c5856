//! Polls an upstream that limits its callers, and shows what the layer does.
//!
//! `cargo run --example poll` starts such an upstream on loopback; with
//! `-- --url http://host/path` it polls yours (`-- --help` tells the rest).
//!
//! How the layer is used stands in this file. Beside it: `args` reads the
//! command line, `limiter` and `upstream` are the upstream, `watch`, `event`,
//! `summary`, `report` and `output` tell what happens.

mod args;
mod clock;
mod event;
mod limiter;
mod output;
mod report;
mod summary;
mod upstream;
mod watch;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_retry_after::{
    Cooldowns, Error, Ladder, Reason, RefusalError, RefusalErrorLayer, RetryAfterBackoff,
    RetryAfterBackoffLayer,
};

use crate::args::{Args, Command};
use crate::report::Report;
use crate::watch::Outcome;

/// An HTTP client with the layer around it.
type HttpClient = RefusalError<RetryAfterBackoff<Client<HttpConnector, Empty<Bytes>>>>;

/// Stacks the client; the handle on what it learns comes with it.
fn stack(args: &Args) -> (HttpClient, Cooldowns) {
    let backoff = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(args.base, args.cap))
        .reopen_width(args.reopen_width())
        .build();
    let cooldowns = backoff.cooldowns();
    let client = ServiceBuilder::new()
        // Optional: makes an error of a refusal, and keeps the start of its body.
        // Without it a 429 arrives as the response that it is.
        .layer(RefusalErrorLayer::new(&backoff).body_bytes(60))
        // Learns from refusals, and holds calls back.
        .layer(backoff)
        .service(Client::builder(TokioExecutor::new()).build_http());
    (client, cooldowns)
}

/// Tells apart what can become of a call.
fn outcome(answer: Result<Response<Incoming>, Error>) -> Outcome {
    match answer {
        Ok(response) => Outcome::Answered(response.status()),
        Err(Error::RateLimited(limited)) => match limited.reason() {
            // It was sent, and the upstream said 429, or 503 with a Retry-After.
            Reason::Refused => Outcome::Refused(limited),
            // Cooling, Probing, Reopening: it was not sent.
            _ => Outcome::RejectedEarly(limited),
        },
        // No connection, no answer: says nothing about limits.
        Err(error) => Outcome::Failed(chain(&error)),
    }
}

/// Sends one request, and reads the answer to its end.
async fn ask(client: &mut HttpClient, poller: &Poller) -> Outcome {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = poller.url.clone();
    // A Tower service has to be ready before each call.
    let call = match client.ready().await {
        Ok(client) => client.call(request),
        Err(error) => return outcome(Err(error)),
    };
    // Whether the call leaves has been decided: if it is the probe, it shows now.
    poller.report.look(poller.place);
    let mut answer = call.await;
    if let Ok(response) = &mut answer {
        // Read to its end, so that the connection can be used again.
        while let Some(Ok(_)) = response.frame().await {}
    }
    outcome(answer)
}

/// How long one poll may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One of the tasks that poll.
struct Poller {
    url: Uri,
    /// The upstream's place in the report.
    place: usize,
    every: Duration,
    report: Arc<Report>,
}

impl Poller {
    async fn run(self, mut client: HttpClient) -> Infallible {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.report.started(self.place);
            // Giving a call up is safe: if it was the probe, the next one is.
            let outcome = timeout(PATIENCE, ask(&mut client, &self)).await;
            let outcome = outcome
                .unwrap_or_else(|_| Outcome::Failed(format!("no answer within {PATIENCE:?}")));
            self.report.ended(self.place, &outcome);
        }
    }
}

/// Polls until the time is over or somebody presses Ctrl-C.
async fn poll(args: Args) -> Result<(), Box<dyn StdError>> {
    let (urls, is_own) = match args.urls.as_slice() {
        [] => (vec![upstream::start().await?], true),
        urls => (urls.to_vec(), false),
    };
    let (client, cooldowns) = stack(&args);
    let report = Arc::new(Report::new(&args, &urls, is_own, cooldowns));

    let mut pollers = JoinSet::new();
    let start = async {
        for url in urls.iter().flat_map(|url| std::iter::repeat_n(url, args.concurrency)) {
            let (every, report) = (args.every, Arc::clone(&report));
            let poller = Poller { url: url.clone(), place: report.place(url), every, report };
            // All clones of one client share what they learn.
            pollers.spawn(poller.run(client.clone()));
        }
        pollers.join_next().await
    };
    tokio::select! {
        biased; // Ctrl-C is heard before the first poll is sent.
        pressed = tokio::signal::ctrl_c() => pressed?,
        () = sleep(args.lasting) => {}
        Some(Err(died)) = start => return Err(died.into()),
    }
    pollers.shutdown().await;
    report.sum_up();
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match args::parse(lexopt::Parser::from_env()) {
        Ok(Command::Poll(args)) => poll(args).await,
        Ok(Command::Help) => {
            output::print(args::HELP);
            Ok(())
        }
        Err(error) => {
            eprintln!("poll: {error} (--help tells what there is)");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poll: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes an error with all that is behind it.
fn chain(error: &Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
