//! A reqwest client that is limited, with the layer and without.
//!
//! `cargo run -p tower-retry-after-interop --example reqwest_client` starts an API
//! on loopback that answers ten requests in two seconds, and asks it for a while,
//! ten times a second: first with the client as it is, then with the layer around
//! it, and at last with a retry around that, which waits its turn.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::{Method, Request, Url};
use tokio::time::{Instant, interval, sleep};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{RateLimited, RetryAfterBackoffLayer};
use tower_retry_after_interop::{Answer, Limiter, Server, Stage, say};

/// How often a client asks.
const EVERY: Duration = Duration::from_millis(100);

/// How long each part takes.
const LASTING: Duration = Duration::from_secs(5);

/// An API that limits: `429 Too Many Requests`, and `Retry-After` in seconds. Who
/// asks again before that has to wait longer.
async fn api() -> Server {
    let limiter = Limiter::new(10, Duration::from_secs(2)).penalty(Duration::from_secs(1));
    Server::of(move |_| match limiter.take(1) {
        quota if quota.is_granted => Answer::status(200).body("here you are"),
        quota => Answer::status(429).header("retry-after", quota.seconds.to_string()),
    })
    .await
}

/// Asks for a while, and tells each time that the answer is another one.
async fn poll<S>(client: S, url: &Url) -> u32
where
    S: Service<Request, Response = reqwest::Response, Error: Into<BoxError>> + Clone,
{
    let stage = Stage::new();
    let (mut last, mut calls) = (String::new(), 0_u32);
    let mut ticks = interval(EVERY);
    let end = Instant::now().checked_add(LASTING);
    while ticks.tick().await < end.unwrap_or_else(Instant::now) {
        calls = calls.saturating_add(1);
        let request = Request::new(Method::GET, url.clone());
        let outcome = match client.clone().oneshot(request).await {
            Ok(response) => format!("answered: {}", response.status()),
            Err(error) => match RateLimited::find(&*error.into()) {
                // It never left.
                Some(limited) => format!("held back: {:?}", limited.reason()),
                None => "failed".to_owned(),
            },
        };
        if outcome != last {
            stage.say(&outcome);
            last = outcome;
        }
    }
    calls
}

/// Tells what the API saw of so many calls.
fn sum_up(server: &Server, calls: u32) {
    let heard = server.log().heard();
    let answered = heard.iter().filter(|heard| heard.answered == 200).count();
    let refused = heard.len().saturating_sub(answered);
    say(format_args!("{calls} calls: {answered} answers, {refused} refusals\n"));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    say("An API answers 10 requests in 2 s. Who asks while it refuses has to wait longer.");
    say("Its client asks every 100 ms.\n");

    say("Without the layer:");
    let server = api().await;
    let url: Url = server.uri("/items").to_string().parse()?;
    let calls = poll(reqwest::Client::new(), &url).await;
    sum_up(&server, calls);

    say("With the layer:");
    let server = api().await;
    let url: Url = server.uri("/items").to_string().parse()?;
    let backoff = RetryAfterBackoffLayer::for_api();
    let calls = poll(backoff.layer(reqwest::Client::new()), &url).await;
    sum_up(&server, calls);

    say("With a retry around the layer, for callers who would rather wait:");
    let client = ServiceBuilder::new()
        .retry(RetryPolicy::new(&backoff))
        .layer(backoff)
        .service(reqwest::Client::new());
    let stage = Stage::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..15 {
        let before = stage.elapsed();
        let request = Request::new(Method::GET, url.clone());
        let response = client.clone().oneshot(request).await?;
        response.error_for_status()?;
        slowest = slowest.max(stage.elapsed().saturating_sub(before));
        sleep(EVERY).await;
    }
    stage
        .say(format_args!("15 calls, 15 answers; the slowest took {:.1} s", slowest.as_secs_f64()));
    Ok(())
}
