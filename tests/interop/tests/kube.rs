//! kube, whose client wraps the stack that it is given in a `tower::buffer`.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::time::Duration;

use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::{Body, ConfigExt, retry::RetryPolicy};
use kube::{Api, Client, Config, Error, api::ListParams};
use tower::retry::RetryLayer;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_retry_after::{Reason, RetryAfterBackoffLayer};
use tower_retry_after_interop::{Outcome, Server, Story, kubernetes};

/// kube's HTTP client with the layer around it.
fn http(
    layer: &RetryAfterBackoffLayer,
) -> impl Service<
    http::Request<Body>,
    Response = http::Response<hyper::body::Incoming>,
    Error = BoxError,
    Future: Send,
> + Clone
+ Send
+ 'static {
    ServiceBuilder::new()
        .map_err(BoxError::from)
        .layer(layer.clone())
        .service(HttpClient::builder(TokioExecutor::new()).build_http())
}

/// The layer stands inside of the base URI: before that, requests do not say
/// where they go.
fn client(server: &Server, layer: &RetryAfterBackoffLayer) -> Client {
    let config = Config::new(server.uri("/"));
    let service = ServiceBuilder::new().layer(config.base_uri_layer()).service(http(layer));
    Client::new(service, "default")
}

async fn list(client: &Client) -> Outcome {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    match maps.list(&ListParams::default()).await {
        Ok(list) => {
            assert_eq!(list.items.len(), 1);
            Outcome::Answered(200)
        }
        Err(Error::Api(status)) => Outcome::Answered(status.code),
        Err(error) => Outcome::of_error(&error),
    }
}

async fn get(client: &Client) -> Outcome {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    match maps.get("settings").await {
        Ok(map) => {
            assert_eq!(map.data.unwrap().get("colour").unwrap(), "blue");
            Outcome::Answered(200)
        }
        Err(error) => Outcome::of_error(&error),
    }
}

#[tokio::test]
async fn it_is_refused_held_back_probed_and_clear_again() {
    let server = Server::of(kubernetes::answer).await;
    server.says([kubernetes::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, &layer);

    story.is_told_by(|| list(&client), &Outcome::Answered(429), Outcome::Held).await;

    assert_eq!(get(&client).await, Outcome::Answered(200));
}
