//! kube, whose client wraps the stack that it is given in a `tower::buffer`.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::client::retry::RetryPolicy as KubeRetry;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Api, Client, Config, Error};
use tower::buffer::BufferLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder};
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{Reason, RejectionResponseLayer, RetryAfterBackoffLayer, Upstream, key};
use tower_retry_after_interop::{Outcome, Server, Story, kubernetes};

/// What kube's own stack ends with.
fn http() -> HttpClient<HttpConnector, Body> {
    HttpClient::builder(TokioExecutor::new()).build_http()
}

/// Puts kube's client around a stack. The layer stands inside of the base URI:
/// before that, requests do not say where they go.
fn client<S, B>(server: &Server, service: S) -> Client
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let config = Config::new(server.uri("/"));
    Client::new(config.base_uri_layer().layer(service), "default")
}

/// A layer that was just refused, in whose table the server cools.
async fn refused(server: &Server) -> RetryAfterBackoffLayer {
    let layer = Story::layer().build();
    server.says([kubernetes::refused()]);
    assert_eq!(list(&client(server, layer.layer(http()))).await, Outcome::Answered(429));
    layer
}

async fn list(client: &Client) -> Outcome {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    match maps.list(&ListParams::default()).await {
        Ok(maps) => {
            assert_eq!(maps.items.len(), 1);
            Outcome::Answered(200)
        }
        Err(Error::Api(status)) => Outcome::Answered(status.code),
        Err(error) => Outcome::of_error(&error),
    }
}

#[tokio::test]
async fn it_is_refused_held_back_probed_and_clear_again() {
    let server = Server::of(kubernetes::answer).await;
    server.says([kubernetes::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, layer.layer(http()));

    // What is held back comes back through the buffer, and the buffer lives on.
    story.is_told_by(|| list(&client), &Outcome::Answered(429), Outcome::Held).await;

    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let settings = maps.get("settings").await.unwrap();
    assert_eq!(settings.data.unwrap().get("colour").unwrap(), "blue");
}

/// kube's default stack: it is not `Clone`, has the base URI inside, and a retry
/// that sends a call up to sixteen times.
#[tokio::test]
async fn around_kubes_default_stack_it_goes_behind_a_buffer_and_has_to_be_told_the_name() {
    let server = Server::of(kubernetes::answer).await;
    server.says([kubernetes::refused()]);
    let cluster = Upstream::named("cluster");
    let name = cluster.clone();
    let layer = Story::layer().upstream_key(key::from_fn(move |_| name.clone())).build();
    let story = Story::new(server.log(), cluster, layer.cooldowns());
    let mut config = Config::new(server.uri("/"));
    config.default_retry = false;
    let client = ClientBuilder::try_from(config)
        .unwrap()
        .with_layer(&BufferLayer::new(1024))
        .with_layer(&layer)
        .build();

    story.is_told_by(|| list(&client), &Outcome::Answered(429), Outcome::Held).await;
}

#[tokio::test]
async fn kubes_own_retry_waits_as_told_and_gets_through() {
    let server = Server::of(kubernetes::answer).await;
    server.says([kubernetes::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let service = ServiceBuilder::new()
        .retry(KubeRetry::server_retry())
        .map_err(BoxError::from)
        .layer(layer)
        .service(http());
    let client = client(&server, service);

    assert_eq!(list(&client).await, Outcome::Answered(200));

    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}

#[tokio::test]
async fn kubes_own_retry_gives_up_on_an_error_at_once() {
    let server = Server::of(kubernetes::answer).await;
    let layer = refused(&server).await;
    let service = ServiceBuilder::new()
        .retry(KubeRetry::server_retry())
        .map_err(BoxError::from)
        .layer(layer)
        .service(http());
    let client = client(&server, service);

    assert_eq!(list(&client).await, Outcome::Held(Reason::Cooling));

    assert_eq!(server.log().count(), 1);
}

#[tokio::test]
async fn kubes_own_retry_understands_a_response_for_a_rejection_and_gets_through() {
    let server = Server::of(kubernetes::answer).await;
    let layer = refused(&server).await;
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let service = ServiceBuilder::new()
        .retry(KubeRetry::server_retry())
        .map_request(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            request
        })
        .map_err(BoxError::from)
        .layer(RejectionResponseLayer::new())
        .layer(layer)
        // The body of an answer that nobody sent must come from somewhere.
        .map_response(|response: http::Response<Incoming>| response.map(BoxBody::new))
        .service(http());
    let client = client(&server, service);

    assert_eq!(list(&client).await, Outcome::Answered(200));

    // It was held back once, and waited as long as it was told.
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}

#[tokio::test]
async fn a_response_for_a_rejection_is_an_api_error_with_its_code() {
    let server = Server::of(kubernetes::answer).await;
    let layer = refused(&server).await;
    let service = ServiceBuilder::new()
        .layer(RejectionResponseLayer::new())
        .layer(layer)
        .map_response(|response: http::Response<Incoming>| response.map(BoxBody::new))
        .service(http());
    let client = client(&server, service);

    assert_eq!(list(&client).await, Outcome::Answered(429));

    assert_eq!(server.log().count(), 1);
}

#[tokio::test]
async fn of_kubes_own_retry_inside_of_the_layer_the_server_hears_every_try_of_one_call() {
    let server = Server::of(kubernetes::answer).await;
    server.says(std::iter::repeat_n(kubernetes::refused(), 8));
    let millis = Duration::from_millis;
    let stubborn = KubeRetry::new(millis(1), millis(20), 3, false).unwrap();
    let service = ServiceBuilder::new()
        .layer(Story::layer().build())
        .retry(stubborn)
        .map_err(BoxError::from)
        .service(http());
    let client = client(&server, service);

    assert_eq!(list(&client).await, Outcome::Answered(429));
    assert_eq!(list(&client).await, Outcome::Held(Reason::Cooling));

    assert_eq!(server.log().count(), 4);
}

#[tokio::test]
async fn the_crates_own_retry_waits_its_turn_and_gets_through() {
    let server = Server::of(kubernetes::answer).await;
    let layer = refused(&server).await;
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    // kube's bodies have neither a clone nor a default; what it retries itself, it
    // clones by a method of its own.
    let policy = RetryPolicy::new(&layer).clone_with(|request: &http::Request<Body>| {
        let mut clone = http::Request::new(request.body().try_clone()?);
        clone.method_mut().clone_from(request.method());
        clone.uri_mut().clone_from(request.uri());
        clone.headers_mut().clone_from(request.headers());
        Some(clone)
    });
    let service = ServiceBuilder::new().retry(policy).layer(layer).service(http());
    let client = client(&server, service);

    assert_eq!(list(&client).await, Outcome::Answered(200));

    assert_eq!(server.log().count(), 2);
    story.was_left_alone();
}
