//! The layer as a middleware of reqwest-middleware, with reqwest-retry.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::time::Duration;

use http::Uri;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use tower_retry_after::{Reason, State};
use tower_retry_after_interop::{Answer, Outcome, Server, Story};

/// Three retries, within a tenth of a second.
fn stubborn() -> RetryTransientMiddleware<ExponentialBackoff> {
    let millis = Duration::from_millis;
    let policy = ExponentialBackoff::builder().retry_bounds(millis(1), millis(20));
    RetryTransientMiddleware::new_with_policy(policy.build_with_max_retries(3))
}

async fn ask(client: &ClientWithMiddleware, uri: Uri) -> Outcome {
    match client.get(uri.to_string()).send().await {
        Ok(response) => Outcome::Answered(response.status().as_u16()),
        Err(error) => Outcome::of_error(&error),
    }
}

#[tokio::test]
async fn it_is_refused_held_back_probed_and_clear_again() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = ClientBuilder::new(reqwest::Client::new()).with(layer).build();

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), Outcome::Held).await;
}

#[tokio::test]
async fn behind_a_retry_every_attempt_is_gated() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = ClientBuilder::new(reqwest::Client::new()).with(stubborn()).with(layer).build();

    // The first attempt is refused, the second is held back, and that is the end of it.
    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Held(Reason::Cooling), Outcome::Held).await;
}

#[tokio::test]
async fn before_a_retry_it_sees_the_last_attempt_alone() {
    let server = Server::start().await;
    server.says(std::iter::repeat_n(Answer::refused(), 8));
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = ClientBuilder::new(reqwest::Client::new()).with(layer).with(stubborn()).build();

    assert_eq!(ask(&client, server.uri("/")).await, Outcome::Answered(429));
    assert_eq!(ask(&client, server.uri("/")).await, Outcome::Held(Reason::Cooling));

    assert_eq!(server.log().count(), 4);
    assert_eq!(story.state(), Some(State::Cooling));
}

#[tokio::test]
async fn a_refusal_after_a_redirect_is_charged_to_the_origin_that_refused() {
    let (asked, other) = (Server::start().await, Server::start().await);
    asked.says([Answer::status(307).header("location", other.uri("/").to_string())]);
    other.says([Answer::refused()]);
    let layer = Story::layer().build();
    let client = ClientBuilder::new(reqwest::Client::new()).with(layer).build();

    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(429));

    assert_eq!(ask(&client, other.uri("/")).await, Outcome::Held(Reason::Cooling));
    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(200));
}
