//! The layer around a `reqwest::Client` itself.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::time::Duration;

use http::Uri;
use reqwest::retry;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{Reason, RejectionResponseLayer, RetryAfterBackoffLayer, State};
use tower_retry_after_interop::{Answer, Outcome, Server, Story};

async fn ask<S>(client: &S, uri: Uri) -> Outcome
where
    S: Service<reqwest::Request, Response = reqwest::Response, Error: Into<BoxError>> + Clone,
{
    ask_within(client, uri, None).await
}

async fn ask_within<S>(client: &S, uri: Uri, timeout: Option<Duration>) -> Outcome
where
    S: Service<reqwest::Request, Response = reqwest::Response, Error: Into<BoxError>> + Clone,
{
    let url = uri.to_string().parse().unwrap();
    let mut request = reqwest::Request::new(reqwest::Method::GET, url);
    *request.timeout_mut() = timeout;
    match client.clone().oneshot(request).await {
        Ok(response) => Outcome::Answered(response.status().as_u16()),
        Err(error) => Outcome::of_error(&*error.into()),
    }
}

fn state(layer: &RetryAfterBackoffLayer, server: &Server) -> Option<State> {
    layer.cooldowns().get(&server.upstream()).map(|info| info.state())
}

#[tokio::test]
async fn over_http_1_it_is_refused_held_back_probed_and_clear_again() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = layer.layer(reqwest::Client::new());

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), Outcome::Held).await;
}

#[tokio::test]
async fn over_http_2_it_is_refused_held_back_probed_and_clear_again() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let client = layer.layer(client);

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), Outcome::Held).await;

    assert!(server.log().heard().iter().all(|heard| heard.version == http::Version::HTTP_2));
}

#[tokio::test]
async fn with_responses_for_rejections_callers_see_nothing_but_statuses() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = ServiceBuilder::new()
        .layer(RejectionResponseLayer::new())
        .layer(layer)
        .service(reqwest::Client::new());

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), |_| Outcome::Answered(429)).await;
}

#[tokio::test]
async fn a_refusal_after_a_redirect_is_charged_to_the_origin_that_refused() {
    let (asked, other) = (Server::start().await, Server::start().await);
    asked.says([Answer::status(307).header("location", other.uri("/").to_string())]);
    other.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(other.log(), other.upstream(), layer.cooldowns());
    let client = layer.layer(reqwest::Client::new());

    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(429));

    assert_eq!(state(&layer, &asked), None);
    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(200));
    story.continues(|| ask(&client, other.uri("/")), Outcome::Held).await;
}

#[tokio::test]
async fn a_redirect_inside_of_the_client_is_the_clients_own_and_is_followed_to_a_cooling_origin() {
    let (asked, other) = (Server::start().await, Server::start().await);
    let redirect = || Answer::status(307).header("location", other.uri("/").to_string());
    asked.says([redirect(), redirect()]);
    other.says([Answer::refused(), Answer::refused()]);
    let layer = Story::layer().build();
    let client = layer.layer(reqwest::Client::new());

    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(429));
    assert_eq!(ask(&client, other.uri("/")).await, Outcome::Held(Reason::Cooling));
    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(429));

    assert_eq!((asked.log().count(), other.log().count()), (2, 2));
}

#[tokio::test]
async fn without_reqwests_own_redirects_no_hop_reaches_a_cooling_origin() {
    let (asked, other) = (Server::start().await, Server::start().await);
    asked.says([Answer::status(307).header("location", other.uri("/").to_string())]);
    other.says([Answer::refused()]);
    let layer = Story::layer().build();
    let no_redirects = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(no_redirects).build().unwrap();
    let client = layer.layer(client);

    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(307));
    assert_eq!(ask(&client, other.uri("/")).await, Outcome::Answered(429));
    assert_eq!(ask(&client, other.uri("/")).await, Outcome::Held(Reason::Cooling));

    assert_eq!((asked.log().count(), other.log().count()), (1, 1));
}

#[tokio::test]
async fn of_reqwests_own_retry_the_server_hears_every_try_of_one_call_and_no_other_call() {
    let server = Server::start().await;
    server.says(std::iter::repeat_n(Answer::refused(), 8));
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let host = server.uri("/").host().unwrap().to_owned();
    // It is in the client, and so inside of the layer.
    let stubborn = retry::for_host(host).no_budget().max_retries_per_request(3);
    let stubborn = stubborn.classify_fn(|answer| match answer.status() {
        Some(reqwest::StatusCode::TOO_MANY_REQUESTS) => answer.retryable(),
        _ => answer.success(),
    });
    let client = layer.layer(reqwest::Client::builder().retry(stubborn).build().unwrap());

    assert_eq!(ask(&client, server.uri("/")).await, Outcome::Answered(429));
    assert_eq!(server.log().count(), 4);
    for _ in 0..5 {
        assert_eq!(ask(&client, server.uri("/")).await, Outcome::Held(Reason::Cooling));
    }

    assert_eq!(server.log().count(), 4);
    assert_eq!(story.state(), Some(State::Cooling));
}

#[tokio::test]
async fn the_crates_own_retry_waits_as_told_and_gets_through() {
    let (asked, other) = (Server::start().await, Server::start().await);
    let redirect = || Answer::status(307).header("location", other.uri("/").to_string());
    asked.says([redirect(), redirect()]);
    other.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(other.log(), other.upstream(), layer.cooldowns());
    let client = ServiceBuilder::new()
        .retry(RetryPolicy::new(&layer))
        .layer(layer)
        .service(reqwest::Client::new());

    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(200));

    // It waited for the one that refused, not for the one that was asked.
    assert_eq!((asked.log().count(), other.log().count()), (2, 2));
    story.was_left_alone();
}

#[tokio::test]
async fn calls_may_be_spawned() {
    let server = Server::start().await;
    let url = server.uri("/").to_string().parse().unwrap();
    let client = Story::layer().build().layer(reqwest::Client::new());

    let call = tokio::spawn(async move {
        client.oneshot(reqwest::Request::new(reqwest::Method::GET, url)).await
    });

    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

async fn waits_with(client: reqwest::Client) -> Server {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::waiting();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = layer.layer(client);

    let call = |timeout| {
        let (client, uri) = (client.clone(), server.uri("/"));
        async move { ask_within(&client, uri, timeout).await }
    };
    story.is_waited_out(call, &Outcome::Answered(429)).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_1_calls_wait_behind_one_probe_and_are_all_answered() {
    waits_with(reqwest::Client::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_2_calls_wait_behind_one_probe_and_are_all_answered() {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();

    let server = waits_with(client).await;

    assert!(server.log().heard().iter().all(|heard| heard.version == http::Version::HTTP_2));
}

#[tokio::test]
async fn a_call_whose_timeout_ends_before_the_cooldown_does_not_wait() {
    let server = Server::start().await;
    let layer = Story::waiting();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = layer.layer(reqwest::Client::new());

    story.is_not_waited_for(|timeout| ask_within(&client, server.uri("/"), timeout)).await;
}
