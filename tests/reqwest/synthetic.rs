//! Responses that no server has sent.

use http::StatusCode;
use reqwest::{Body, Client, Response};
use tower::{Layer, ServiceExt};
use tower_retry_after::message::{Incoming, Synthetic};
use tower_retry_after::{
    RateLimited, RejectionResponseLayer, RetryAfterBackoffLayer, Upstream, key,
};

use crate::get;
use crate::support::secs;

const URL: &str = "https://api.example/items";

#[tokio::test(start_paused = true)]
async fn a_rejection_is_a_response_with_its_limit_and_the_origin_that_was_not_asked() {
    let backoff = RetryAfterBackoffLayer::new();
    let upstream = Upstream::from_uri(&URL.parse().unwrap());
    backoff.cooldowns().cool(&upstream, secs(90));
    let client = RejectionResponseLayer::new().layer(backoff.layer(Client::new()));

    let response = client.oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "90");
    assert_eq!(response.extensions().get::<RateLimited>().unwrap().upstream(), &upstream);
    assert_eq!(response.url().as_str(), "https://api.example/");
    assert_eq!(response.answered_by(), Some(upstream));
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_no_origin_has_no_url() {
    let name = "https://not.example";
    let backoff = RetryAfterBackoffLayer::builder()
        .upstream_key(key::from_fn(move |_| Upstream::named(name)))
        .build();
    backoff.cooldowns().cool(&Upstream::named(name), secs(90));
    let client = RejectionResponseLayer::new().layer(backoff.layer(Client::new()));

    let response = client.oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_ne!(response.url().host_str(), Some("not.example"));
    assert_eq!(response.answered_by(), None);
}

#[tokio::test(start_paused = true)]
async fn to_another_layer_of_ours_a_made_up_response_is_no_refusal() {
    let (outer, inner) = (RetryAfterBackoffLayer::new(), RetryAfterBackoffLayer::new());
    inner.cooldowns().cool(&Upstream::from_uri(&URL.parse().unwrap()), secs(90));
    let client = outer.layer(RejectionResponseLayer::new().layer(inner.layer(Client::new())));

    assert_eq!(client.oneshot(get(URL)).await.unwrap().status(), 429);

    assert!(outer.cooldowns().is_empty());
}

#[test]
fn a_response_that_somebody_else_made_up_is_charged_to_who_was_asked() {
    let response = Response::from(http::Response::new(Body::default()));
    assert_eq!(response.answered_by(), None);

    let made_up = Response::synthetic(http::Response::new(()));
    assert_eq!(made_up.answered_by(), None);
}
