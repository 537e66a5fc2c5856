//! Polls an imitation of GitHub, with quota signals and without.
//!
//! `cargo run -p tower-retry-after-interop --example github_poll` starts GitHub
//! twice on loopback, and polls three repositories of each for twelve seconds: once
//! with `.quota_signals(Dialect::EpochSeconds)` on the layer, once without. How the
//! poller is used stands in `poll`; `Site` is the imitation.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use reqwest::{Method, Request, Response, Url};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::ServiceBuilder;
use tower::limit::ConcurrencyLimit;
use tower_retry_after::hint::Dialect;
use tower_retry_after::schedule::{Next, Poller, SyncPolicy, judge};
use tower_retry_after::{Error, RateLimited, RetryAfterBackoff, RetryAfterBackoffLayer};
use tower_retry_after_interop::{Answer, Limiter, Server, Stage, github, say};

const LASTING: Duration = Duration::from_secs(12);

/// The time from one poll to the next, unless GitHub wants it to be longer.
const INTERVAL: Duration = Duration::from_millis(500);

/// An imitation of `GET /repos/{owner}/{repo}/events`: six answers in each window
/// of five seconds. What has not changed costs nothing, as on GitHub.
struct Site {
    limiter: Limiter,
    stage: Stage,
}

impl Site {
    fn new() -> Self {
        Self { limiter: Limiter::new(6, Duration::from_secs(5)), stage: Stage::new() }
    }

    fn answer(&self, request: &Parts) -> Answer {
        // Something happens every one and a half seconds.
        let etag = format!("\"{}\"", self.stage.elapsed().as_millis() / 1500);
        let is_known = request.headers.get(IF_NONE_MATCH).is_some_and(|known| *known == *etag);
        let quota = self.limiter.take(u32::from(!is_known));
        if !quota.is_granted {
            // 403, and no `Retry-After`.
            return github::primary_limit(quota.reset);
        }
        Answer::status(if is_known { 304 } else { 200 })
            .header("etag", etag)
            .header("x-poll-interval", "1")
            .header("x-ratelimit-remaining", quota.remaining.to_string())
            .header("x-ratelimit-reset", quota.reset.to_string())
            .body(if is_known { "" } else { "[]" })
    }
}

/// What is polled: a client with the layer around it. GitHub wants requests one
/// after the other; so whoever comes next knows what the answer before has said.
type Client = ConcurrencyLimit<RetryAfterBackoff<reqwest::Client>>;

fn client(backoff: RetryAfterBackoffLayer) -> Client {
    ServiceBuilder::new().concurrency_limit(1).layer(backoff).service(reqwest::Client::new())
}

/// Polls a repository's events, and tells what comes of it.
async fn poll(
    client: Client,
    judge: impl Fn(&Result<Response, Error>) -> Next + Send + Sync + 'static,
    url: Url,
    tell: impl Fn(&dyn fmt::Display),
) {
    // What we know already need not be sent again.
    let known: Arc<Mutex<Option<HeaderValue>>> = Arc::default();
    let request = {
        let known = Arc::clone(&known);
        move || {
            let mut request = Request::new(Method::GET, url.clone());
            if let Some(etag) = &*known.lock().unwrap_or_else(PoisonError::into_inner) {
                request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
            }
            request
        }
    };
    let mut poller = Poller::builder(client, request)
        .policy(SyncPolicy { interval: INTERVAL, ..SyncPolicy::default() })
        // `X-Poll-Interval` is heeded, up to a minute.
        .floor(Duration::from_mins(1))
        .judge(judge)
        .build();
    while let Some(polled) = poller.next().await {
        tell(&Line(&polled.result));
        if let Ok(response) = polled.result
            && let Some(etag) = response.headers().get(ETAG)
        {
            *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(etag.clone());
        }
    }
}

/// What came of a poll, on a line.
struct Line<'a>(&'a Result<Response, Error>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(response) => match response.status() {
                StatusCode::FORBIDDEN => f.write_str("403 rate limit exceeded"),
                status => {
                    let left = response.headers().get("x-ratelimit-remaining");
                    let left = left.and_then(|left| left.to_str().ok()).unwrap_or("?");
                    let what = if status == StatusCode::OK { "news" } else { "no news" };
                    write!(f, "{} {what}, {left} left", status.as_u16())
                }
            },
            Err(error) => match RateLimited::find(error) {
                // It never left, and was no failure.
                Some(limited) => {
                    write!(f, "put off for {:.1} s", limited.retry_after().as_secs_f64())
                }
                None => f.write_str("failed"),
            },
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    say("GitHub has 6 answers in 5 s, for polls of three repositories.");
    say("To say that nothing has changed costs none.\n");
    say("          with quota signals             without");
    let with = RetryAfterBackoffLayer::builder()
        .trust_hints(true)
        .quota_signals(Dialect::EpochSeconds)
        .build();
    let without = RetryAfterBackoffLayer::builder().trust_hints(true).build();

    let stage = Stage::new();
    let mut servers = Vec::new();
    let mut pollers = JoinSet::new();
    for (backoff, column) in [(with, ""), (without, "                               ")] {
        let site = Site::new();
        // Refusals arrive as the responses that they are; it hears what the layer hears.
        let judge = judge::responses_of(&backoff);
        // All clones share what one of them learns.
        let client = client(backoff);
        let server = Server::of(move |request| site.answer(request)).await;
        for repository in ["cat", "dog", "owl"] {
            let uri = server.uri(&format!("/repos/octo/{repository}/events"));
            let tell = move |line: &dyn fmt::Display| {
                stage.say(format_args!("{column}{repository}  {line}"));
            };
            pollers.spawn(poll(client.clone(), judge.clone(), uri.to_string().parse()?, tell));
        }
        servers.push(server);
    }
    sleep(LASTING).await;
    pollers.shutdown().await;

    say("\n                        200   304   403");
    for (name, server) in ["with quota signals", "without"].into_iter().zip(servers) {
        let heard = server.log().heard();
        let count = |status| heard.iter().filter(|heard| heard.answered == status).count();
        say(format_args!("{name:<21} {:>5} {:>5} {:>5}", count(200), count(304), count(403)));
    }
    Ok(())
}
