//! octocrab, which wraps the stack that it is given in a `tower::buffer`.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::sync::Arc;

use http::header::{HeaderValue, USER_AGENT};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::{AuthState, Error, Octocrab, OctocrabBuilder};
use tower::Layer;
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after_interop::{Outcome, Server, Story, github};

/// The layer stands inside of the base URI: before that, requests do not say
/// where they go.
fn client(server: &Server, layer: &RetryAfterBackoffLayer) -> Octocrab {
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let agent = vec![(USER_AGENT, HeaderValue::from_static("interop"))];
    OctocrabBuilder::new_empty()
        .with_service(http)
        .with_layer(layer)
        .with_layer(&BaseUriLayer::new(server.uri("/")))
        .with_layer(&ExtraHeadersLayer::new(Arc::new(agent)))
        .with_auth(AuthState::None)
        .build()
        .unwrap()
}

async fn issues(client: &Octocrab) -> Outcome {
    match client.issues("octo", "cat").list().send().await {
        Ok(_) => Outcome::Answered(200),
        Err(Error::GitHub { source, .. }) => Outcome::Answered(source.status_code.as_u16()),
        Err(error) => Outcome::of_error(&error),
    }
}

#[tokio::test]
async fn it_is_refused_by_the_secondary_limit_held_back_probed_and_clear_again() {
    let server = Server::of(github::answer).await;
    server.says([github::secondary_limit()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, &layer);

    story.is_told_by(|| issues(&client), &Outcome::Answered(403), Outcome::Held).await;
}
