//! hyper-util's legacy client over HTTP/1, HTTP/2 and TLS.
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

use std::future::{Ready, ready};

use bytes::Bytes;
use http::{Request, Uri, Version};
use http_body_util::Empty;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::TokioExecutor;
use tokio::task::yield_now;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tower::retry::Policy;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_retry_after::retry::RetryPolicy;
use tower_retry_after::{RateLimited, Reason, RejectionResponseLayer};
use tower_retry_after_interop::{Answer, Outcome, Server, Story};

type Body = Empty<Bytes>;

fn builder() -> Builder {
    Client::builder(TokioExecutor::new())
}

fn http1() -> Client<HttpConnector, Body> {
    builder().build_http()
}

fn http2() -> Client<HttpConnector, Body> {
    builder().http2_only(true).build_http()
}

/// A client that believes nobody but the owner of that certificate.
fn https(certificate: CertificateDer<'static>) -> Client<HttpsConnector<HttpConnector>, Body> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_all_versions();
    builder().build(connector.build())
}

async fn ask<S, B>(client: &S, uri: Uri) -> Outcome
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: Into<BoxError>> + Clone,
{
    let request = Request::get(uri).body(Body::new()).unwrap();
    match client.clone().oneshot(request).await {
        Ok(response) => Outcome::Answered(response.status().as_u16()),
        Err(error) => Outcome::of_error(&*error.into()),
    }
}

async fn story_of<S, B>(client: S, server: &Server, version: Version)
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: Into<BoxError>> + Clone,
{
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = layer.layer(client);

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), Outcome::Held).await;

    assert!(server.log().heard().iter().all(|heard| heard.version == version));
}

#[tokio::test]
async fn over_http_1_it_is_refused_held_back_probed_and_clear_again() {
    story_of(http1(), &Server::start().await, Version::HTTP_11).await;
}

#[tokio::test]
async fn over_http_2_it_is_refused_held_back_probed_and_clear_again() {
    story_of(http2(), &Server::start().await, Version::HTTP_2).await;
}

#[tokio::test]
async fn over_tls_it_is_refused_held_back_probed_and_clear_again() {
    let (server, certificate) = Server::start_tls().await;

    story_of(https(certificate), &server, Version::HTTP_2).await;
}

/// A retry as people write it: at once, up to three times, whatever went wrong.
#[derive(Clone)]
struct Stubborn(u32);

impl<B, E> Policy<Request<Body>, http::Response<B>, E> for Stubborn {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        answer: &mut Result<http::Response<B>, E>,
    ) -> Option<Ready<()>> {
        if answer.as_ref().is_ok_and(|response| response.status().is_success()) {
            return None;
        }
        self.0 = self.0.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn of_a_stubborn_retry_outside_of_the_layer_the_server_hears_one_request() {
    let server = Server::start().await;
    server.says(std::iter::repeat_n(Answer::refused(), 8));
    let layer = Story::layer().build();
    let client = ServiceBuilder::new().retry(Stubborn(3)).layer(layer.clone()).service(http1());

    for _ in 0..5 {
        assert_eq!(ask(&client, server.uri("/")).await, Outcome::Held(Reason::Cooling));
    }

    assert_eq!(server.log().count(), 1);
}

#[tokio::test]
async fn of_a_stubborn_retry_inside_of_the_layer_the_server_hears_every_try_of_one_call() {
    let server = Server::start().await;
    server.says(std::iter::repeat_n(Answer::refused(), 8));
    let layer = Story::layer().build();
    let client = ServiceBuilder::new().layer(layer.clone()).retry(Stubborn(3)).service(http1());

    assert_eq!(ask(&client, server.uri("/")).await, Outcome::Answered(429));
    assert_eq!(ask(&client, server.uri("/")).await, Outcome::Held(Reason::Cooling));

    assert_eq!(server.log().count(), 4);
    let info = layer.cooldowns().get(&server.upstream()).unwrap();
    assert_eq!(info.consecutive_failures(), 1, "the layer saw the last try alone");
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
        // The body of an answer that nobody sent must come from somewhere.
        .map_response(|response: http::Response<Incoming>| response.map(BoxBody::new))
        .service(http1());

    let call = || ask(&client, server.uri("/"));
    story.is_told_by(call, &Outcome::Answered(429), |_| Outcome::Answered(429)).await;
}

#[tokio::test]
async fn the_crates_own_retry_waits_its_turn_and_all_its_callers_get_through() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client =
        ServiceBuilder::new().retry(RetryPolicy::new(&layer)).layer(layer).service(http1());
    let call = || ask(&client, server.uri("/"));

    // The first one is refused; the others come while its upstream cools.
    let first = async {
        assert_eq!(call().await, Outcome::Answered(200));
    };
    let others = async {
        while story.state().is_none() {
            yield_now().await;
        }
        let answers = tokio::join!(call(), call(), call(), call());
        assert_eq!(<[Outcome; 4]>::from(answers), [const { Outcome::Answered(200) }; 4]);
    };
    tokio::join!(first, others);

    assert_eq!(server.log().count(), 6);
    story.was_left_alone();
}

#[tokio::test]
async fn calls_may_be_spawned_behind_a_buffer_too() {
    let server = Server::start().await;
    server.says([Answer::refused()]);
    let client = ServiceBuilder::new().buffer(8).layer(Story::layer().build()).service(http1());
    let request = || Request::get(server.uri("/")).body(Body::new()).unwrap();
    let refused = tokio::spawn(client.clone().oneshot(request())).await.unwrap().unwrap();
    assert_eq!(refused.status(), 429);

    // The buffer boxes its errors: those are found as well, and it goes on.
    for _ in 0..3 {
        let held_back = tokio::spawn(client.clone().oneshot(request())).await.unwrap().unwrap_err();
        assert_eq!(RateLimited::find(&*held_back).unwrap().reason(), Reason::Cooling);
    }

    assert_eq!(server.log().count(), 1);
}
