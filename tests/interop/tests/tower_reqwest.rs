//! tower-reqwest, which turns a reqwest client into a service of `http` types.
//!
//! It never polls the client it wraps and fixes its error type, so the layer
//! goes outside of it. There a response no longer tells who sent it: a refusal
//! that comes after a redirect is charged to the origin that was asked. Where
//! that matters, have the layer go around the reqwest client itself, and send
//! reqwest's own requests.
#![allow(clippy::unwrap_used, reason = "for tests")]

use http::{Request, Uri};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_reqwest::HttpClientLayer;
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{Error, RejectionResponseLayer, RetryAfterBackoffLayer, State};
use tower_retry_after_interop::{Answer, Outcome, Server, Story};

type Response = http::Response<reqwest::Body>;

fn client(
    layer: &RetryAfterBackoffLayer,
) -> impl Service<Request<reqwest::Body>, Response = Response, Error = Error> + Clone {
    ServiceBuilder::new()
        .layer(layer.clone())
        .layer(HttpClientLayer)
        .service(reqwest::Client::new())
}

async fn ask<S>(client: &S, uri: Uri) -> Outcome
where
    S: Service<Request<reqwest::Body>, Response = Response, Error = Error> + Clone,
{
    let request = Request::get(uri).body(reqwest::Body::default()).unwrap();
    match client.clone().oneshot(request).await {
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
    let client = client(&layer);

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), Outcome::Held).await;
}

#[tokio::test]
async fn with_responses_for_rejections_callers_see_nothing_but_statuses() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = ServiceBuilder::new().layer(RejectionResponseLayer::new()).service(client(&layer));

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), |_| Outcome::Answered(429)).await;
}

#[tokio::test]
async fn a_refusal_after_a_redirect_is_charged_to_the_origin_that_was_asked() {
    let (asked, other) = (Server::start().await, Server::start().await);
    asked.says([Answer::status(307).header("location", other.uri("/").to_string())]);
    other.says([Answer::refused()]);
    let layer = Story::layer().build();
    let client = client(&layer);

    assert_eq!(ask(&client, asked.uri("/")).await, Outcome::Answered(429));

    let state_of = |server: &Server| layer.cooldowns().get(&server.upstream()).map(|i| i.state());
    assert_eq!(state_of(&asked), Some(State::Cooling));
    assert_eq!(state_of(&other), None);
}

#[tokio::test]
async fn the_crates_own_retry_waits_as_told_and_gets_through() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    // reqwest's bodies have no clone, but a default, which is empty.
    let client = ServiceBuilder::new()
        .retry(RetryPolicy::new(&layer).empty_bodies())
        .service(client(&layer));

    assert_eq!(ask(&client, server.uri("/")).await, Outcome::Answered(200));

    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}
