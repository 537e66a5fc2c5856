//! octocrab, which wraps the stack that it is given in a `tower::buffer`.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{HeaderValue, USER_AGENT};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::service::middleware::retry::{RateLimitMetrics, RetryConfig};
use octocrab::{AuthState, Error, OctoBody, Octocrab, OctocrabBuilder};
use tower::{BoxError, Layer, Service, ServiceBuilder};
use tower_retry_after::hint::Dialect;
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{Reason, RejectionResponseLayer, RetryAfterBackoffLayer};
use tower_retry_after_interop::{Answer, Outcome, Server, Story, github};

/// What octocrab's own stack ends with.
fn http() -> HttpClient<HttpConnector, OctoBody> {
    HttpClient::builder(TokioExecutor::new()).build_http()
}

/// Puts octocrab around a stack. The layer stands inside of the base URI: before
/// that, requests do not say where they go.
fn client<S, B>(server: &Server, service: S) -> Octocrab
where
    S: Service<http::Request<OctoBody>, Response = http::Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    let agent = vec![(USER_AGENT, HeaderValue::from_static("interop"))];
    OctocrabBuilder::new_empty()
        .with_service(service)
        .with_layer(&BaseUriLayer::new(server.uri("/")))
        .with_layer(&ExtraHeadersLayer::new(Arc::new(agent)))
        .with_auth(AuthState::None)
        .build()
        .unwrap()
}

/// Notes for how long octocrab waits before a retry, in seconds.
#[derive(Default)]
struct Waits(Mutex<Vec<u64>>);

impl RateLimitMetrics for Waits {
    fn retry_after_error(&self, _: &http::Request<OctoBody>, _: http::StatusCode, _: usize) {}

    fn rate_limited(
        &self,
        _: &http::Request<OctoBody>,
        _: http::StatusCode,
        _: usize,
        seconds: u64,
    ) {
        self.0.lock().unwrap().push(seconds);
    }
}

/// octocrab's own way to heed GitHub.
fn heedful(waits: &Arc<Waits>) -> RetryConfig {
    RetryConfig::HandleRateLimits {
        metrics: Arc::<Waits>::clone(waits),
        max_retries: 3,
        min_wait_seconds: 2,
        retry_on_forbidden: false,
    }
}

async fn issues(client: &Octocrab) -> Outcome {
    match client.issues("octo", "cat").list().send().await {
        Ok(_) => Outcome::Answered(200),
        Err(Error::GitHub { source, .. }) => Outcome::Answered(source.status_code.as_u16()),
        Err(error) => Outcome::of_error(&error),
    }
}

/// A layer that was just refused, in whose table the server cools.
async fn refused(server: &Server) -> RetryAfterBackoffLayer {
    let layer = Story::layer().build();
    server.says([github::secondary_limit()]);
    assert_eq!(issues(&client(server, layer.layer(http()))).await, Outcome::Answered(403));
    layer
}

/// Returns the second that begins when two have passed, at the earliest.
fn reset() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().saturating_add(3)
}

#[tokio::test]
async fn it_is_refused_by_a_secondary_limit_held_back_probed_and_clear_again() {
    let server = Server::of(github::answer).await;
    server.says([github::secondary_limit()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, layer.layer(http()));

    // What is held back comes back through the buffer, and the buffer lives on.
    story.is_told_by(|| issues(&client), &Outcome::Answered(403), Outcome::Held).await;
}

#[tokio::test]
async fn it_is_refused_by_the_primary_limit_held_back_probed_and_clear_again() {
    let server = Server::of(github::answer).await;
    server.says([github::primary_limit(reset())]);
    let layer = Story::layer().quota_signals(Dialect::EpochSeconds).build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, layer.layer(http()));

    story.is_told_by(|| issues(&client), &Outcome::Answered(403), Outcome::Held).await;
}

#[tokio::test]
async fn the_last_answer_of_a_quota_is_heeded_and_no_refusal_is_ever_met() {
    let server = Server::of(github::answer).await;
    server.says([github::last(reset())]);
    let layer = Story::layer().quota_signals(Dialect::EpochSeconds).build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, layer.layer(http()));

    story.is_told_by(|| issues(&client), &Outcome::Answered(200), Outcome::Held).await;

    assert!(server.log().heard().iter().all(|heard| heard.answered == 200));
}

#[tokio::test]
async fn without_quota_signals_a_403_of_the_primary_limit_is_none() {
    let server = Server::of(github::answer).await;
    server.says([github::primary_limit(reset())]);
    let layer = Story::layer().build();
    let client = client(&server, layer.layer(http()));

    assert_eq!(issues(&client).await, Outcome::Answered(403));

    assert!(layer.cooldowns().is_empty());
}

#[tokio::test]
async fn a_403_about_authorisation_is_no_refusal() {
    let server = Server::of(github::answer).await;
    server.says([github::forbidden()]);
    let layer = Story::layer().quota_signals(Dialect::EpochSeconds).build();
    let client = client(&server, layer.layer(http()));

    assert_eq!(issues(&client).await, Outcome::Answered(403));

    assert!(layer.cooldowns().is_empty());
}

#[tokio::test]
async fn octocrabs_own_retry_waits_as_told_and_gets_through() {
    let server = Server::of(github::answer).await;
    server.says([github::secondary_limit()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let waits = Arc::<Waits>::default();
    let service = ServiceBuilder::new().retry(heedful(&waits)).layer(layer).service(http());
    let client = client(&server, service);

    assert_eq!(issues(&client).await, Outcome::Answered(200));

    assert_eq!(*waits.0.lock().unwrap(), [1]);
    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}

#[tokio::test]
async fn octocrabs_own_retry_retries_an_error_at_once_and_in_vain() {
    let server = Server::of(github::answer).await;
    let layer = refused(&server).await;
    let waits = Arc::<Waits>::default();
    let service = ServiceBuilder::new().retry(heedful(&waits)).layer(layer).service(http());
    let client = client(&server, service);

    assert_eq!(issues(&client).await, Outcome::Held(Reason::Cooling));

    assert!(waits.0.lock().unwrap().is_empty());
    assert_eq!(server.log().count(), 1);
}

#[tokio::test]
async fn octocrabs_own_retry_understands_a_response_for_a_rejection_and_gets_through() {
    let server = Server::of(github::answer).await;
    let layer = refused(&server).await;
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let waits = Arc::<Waits>::default();
    let service = ServiceBuilder::new()
        .retry(heedful(&waits))
        .layer(RejectionResponseLayer::new())
        .layer(layer)
        // The body of an answer that nobody sent must come from somewhere.
        .map_response(|response: http::Response<Incoming>| response.map(BoxBody::new))
        .service(http());
    let client = client(&server, service);

    assert_eq!(issues(&client).await, Outcome::Answered(200));

    assert_eq!(*waits.0.lock().unwrap(), [1]);
    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}

#[tokio::test]
async fn of_octocrabs_simple_retry_inside_of_the_layer_the_server_hears_every_try_of_one_call() {
    let server = Server::of(github::answer).await;
    server.says(std::iter::repeat_n(Answer::refused(), 8));
    let service = ServiceBuilder::new()
        .layer(Story::layer().build())
        .retry(RetryConfig::Simple(3))
        .service(http());
    let client = client(&server, service);

    assert_eq!(issues(&client).await, Outcome::Answered(429));
    assert_eq!(issues(&client).await, Outcome::Held(Reason::Cooling));

    assert_eq!(server.log().count(), 4);
}

#[tokio::test]
async fn the_crates_own_retry_waits_its_turn_and_gets_through() {
    let server = Server::of(github::answer).await;
    let layer = refused(&server).await;
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let service =
        ServiceBuilder::new().retry(RetryPolicy::new(&layer)).layer(layer).service(http());
    let client = client(&server, service);

    assert_eq!(issues(&client).await, Outcome::Answered(200));

    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}
