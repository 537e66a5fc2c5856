//! The layer around a `reqwest::Client` itself; servers on loopback, in real time.
#![cfg(feature = "reqwest")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod support;

#[path = "reqwest/loopback.rs"]
mod loopback;
#[path = "reqwest/names.rs"]
mod names;
#[path = "reqwest/synthetic.rs"]
mod synthetic;

use http::Method;
use loopback::{Server, reply};
use reqwest::{Client, Request};
use support::{millis, secs};
use tower::{Layer, ServiceExt};
use tower_retry_after::{
    Error, Ladder, RateLimited, Reason, RetryAfterBackoff, RetryAfterBackoffLayer, State,
};

fn layer() -> RetryAfterBackoffLayer {
    let ladder = Ladder::new(millis(50), secs(60));
    RetryAfterBackoffLayer::builder().ladder(ladder).trust_hints(true).build()
}

fn get(url: &str) -> Request {
    Request::new(Method::GET, url.parse().unwrap())
}

/// Asks a server; tells the status, or why the call was not sent.
async fn ask(client: &RetryAfterBackoff<Client>, server: &Server) -> Result<u16, Reason> {
    match client.clone().oneshot(get(&server.url())).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(Error::RateLimited(limited)) => Err(limited.reason()),
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_left_alone_probed_and_clear_again() {
    let server = Server::refusing(1, "retry-after-ms", "2000").await;
    let layer = layer();
    let client = layer.layer(Client::new());

    assert_eq!(ask(&client, &server).await, Ok(429));
    assert_eq!(ask(&client, &server).await, Err(Reason::Cooling));
    assert_eq!(server.requests(), 1);

    layer.cooldowns().ready(&server.upstream()).await;
    for _ in 0..64 {
        assert_eq!(ask(&client, &server).await, Ok(200));
    }
    assert!(layer.cooldowns().is_empty());
    assert_eq!(server.requests(), 65);
}

#[tokio::test]
async fn a_refusal_after_a_redirect_is_charged_to_who_sent_it() {
    let b = Server::refusing(9, "retry-after", "60").await;
    let a = Server::redirecting_to(&b).await;
    let layer = layer();
    let client = layer.layer(Client::new());

    assert_eq!(ask(&client, &a).await, Ok(429));
    assert_eq!((a.requests(), b.requests()), (1, 1));
    let cooldowns = layer.cooldowns();
    assert_eq!(cooldowns.get(&b.upstream()).unwrap().state(), State::Cooling);
    assert!(cooldowns.get(&a.upstream()).is_none());

    assert_eq!(ask(&client, &b).await, Err(Reason::Cooling));
    assert_eq!(b.requests(), 1);

    // What lies behind A is the client's own, and nobody stops it.
    assert_eq!(ask(&client, &a).await, Ok(429));
    assert_eq!((a.requests(), b.requests()), (2, 2));
    assert!(cooldowns.get(&a.upstream()).is_none());
}

#[tokio::test]
async fn a_probe_that_was_sent_on_and_refused_there_ends_the_episode_of_the_first() {
    let b = Server::refusing(9, "retry-after", "60").await;
    let location = b.url();
    let a = Server::start(move |request| match request {
        0 => reply(429, &[("retry-after-ms", "50")]),
        _ => reply(307, &[("location", &location)]),
    })
    .await;
    let layer = layer();
    let client = layer.layer(Client::new());
    assert_eq!(ask(&client, &a).await, Ok(429));
    layer.cooldowns().ready(&a.upstream()).await;

    assert_eq!(ask(&client, &a).await, Ok(429));

    let state = |server: &Server| layer.cooldowns().get(&server.upstream()).unwrap().state();
    assert_eq!((state(&a), state(&b)), (State::Reopening, State::Cooling));
}

#[tokio::test]
async fn an_error_of_the_client_is_passed_on_and_is_no_refusal() {
    let layer = layer();
    let client = layer.layer(Client::new());
    let unused = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };

    let error = client.oneshot(get(&unused)).await.unwrap_err();

    let Error::Inner(inner) = error else { panic!("{error}") };
    assert!(inner.downcast_ref::<reqwest::Error>().unwrap().is_connect());
    assert!(layer.cooldowns().is_empty());
}

#[cfg(feature = "retry")]
mod retry {
    use super::*;
    use http_body_util::Full;
    use reqwest::Body;
    use tower::retry::RetryLayer;
    use tower_retry_after::retry::RetryPolicy;

    async fn posted(body: Body) -> (u16, usize) {
        let server = Server::refusing(1, "retry-after-ms", "50").await;
        let backoff = layer();
        let client =
            RetryLayer::new(RetryPolicy::new(&backoff)).layer(backoff.layer(Client::new()));
        let mut request = Request::new(Method::POST, server.url().parse().unwrap());
        *request.body_mut() = Some(body);
        let response = client.oneshot(request).await.unwrap();
        (response.status().as_u16(), server.requests())
    }

    #[tokio::test]
    async fn a_request_is_sent_again_unless_its_body_is_a_stream() {
        assert_eq!(posted(Body::from("twice")).await, (200, 2));
        assert_eq!(posted(Body::wrap(Full::new(bytes::Bytes::from("once")))).await, (429, 1));
    }

    #[tokio::test]
    async fn the_requests_timeout_bounds_the_wait() {
        let server = Server::refusing(1, "retry-after", "60").await;
        let backoff = layer();
        let client =
            RetryLayer::new(RetryPolicy::new(&backoff)).layer(backoff.layer(Client::new()));
        let mut request = get(&server.url());
        *request.timeout_mut() = Some(secs(30));

        let response = client.oneshot(request).await.unwrap();

        assert_eq!((response.status().as_u16(), server.requests()), (429, 1));
    }
}

#[tokio::test]
async fn credentials_are_not_shown() {
    let server = Server::refusing(1, "retry-after", "60").await;
    let client = layer().layer(Client::new());
    let url = server.url().replace("http://", "http://me:secret@");
    assert_eq!(client.clone().oneshot(get(&url)).await.unwrap().status(), 429);

    let error = client.oneshot(get(&url)).await.unwrap_err();

    let limited = RateLimited::find(&error).unwrap();
    assert_eq!(limited.upstream(), &server.upstream());
    assert!(!format!("{error} {error:?} {limited:?}").contains("secret"));
}
