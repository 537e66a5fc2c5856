//! The layer as a middleware of `reqwest-middleware`; servers on loopback.
#![cfg(feature = "reqwest-middleware")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod support;

#[path = "reqwest/loopback.rs"]
mod loopback;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::Extensions;
use loopback::Server;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use support::{millis, poll_once, secs};
use tower_retry_after::observe::{self, Event};
use tower_retry_after::{
    Ladder, RateLimited, Reason, RetryAfterBackoffLayer, State, Upstream, key,
};

fn layer() -> RetryAfterBackoffLayer {
    let ladder = Ladder::new(millis(50), secs(60));
    RetryAfterBackoffLayer::builder().ladder(ladder).trust_hints(true).build()
}

fn client(backoff: &RetryAfterBackoffLayer) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new()).with(backoff.clone()).build()
}

async fn ask(client: &ClientWithMiddleware, server: &Server) -> std::result::Result<u16, Reason> {
    match client.get(server.url()).send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(RateLimited::find(&error).unwrap().reason()),
    }
}

/// Sends a refused request again, at once, and gives up on a middleware's error, as
/// `reqwest-retry` does by default; like it, it wraps the error at the end.
#[derive(Default)]
struct Again {
    attempts: Arc<AtomicUsize>,
}

/// An error that passes over what it wraps when it is asked for its source.
#[derive(Debug)]
struct Transparent(Error);

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Transparent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[async_trait]
impl Middleware for Again {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        loop {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            let request = request.try_clone().unwrap();
            match next.clone().run(request, extensions).await {
                Ok(response) if response.status() == 429 => {}
                answer => return answer.map_err(|error| Error::middleware(Transparent(error))),
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_left_alone_probed_and_clear_again() {
    let server = Server::refusing(1, "retry-after-ms", "2000").await;
    let backoff = layer();
    let client = client(&backoff);

    assert_eq!(ask(&client, &server).await, Ok(429));
    assert_eq!(ask(&client, &server).await, Err(Reason::Cooling));
    assert_eq!(server.requests(), 1);

    backoff.cooldowns().ready(&server.upstream()).await;
    for _ in 0..64 {
        assert_eq!(ask(&client, &server).await, Ok(200));
    }
    assert!(backoff.cooldowns().is_empty());
}

#[tokio::test]
async fn every_attempt_inside_a_retry_is_gated_and_a_rejection_ends_it() {
    let server = Server::refusing(9, "retry-after", "60").await;
    let again = Again::default();
    let attempts = Arc::clone(&again.attempts);
    let client = ClientBuilder::new(Client::new()).with(again).with(layer()).build();

    let error = client.get(server.url()).send().await.unwrap_err();

    assert_eq!((attempts.load(Ordering::SeqCst), server.requests()), (2, 1));
    let limited = RateLimited::find(&error).unwrap();
    assert_eq!((limited.reason(), limited.upstream()), (Reason::Cooling, &server.upstream()));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_says_how_long_and_holds_the_limit_in_every_way_there_is() {
    let backoff = layer();
    let url = "http://api.example/";
    backoff.cooldowns().cool(&Upstream::from_uri(&url.parse().unwrap()), secs(90));

    let error = client(&backoff).get(url).send().await.unwrap_err();

    assert_eq!(error.to_string(), "held back for 90s");
    let limited = RateLimited::find(&error).unwrap();
    assert_eq!(
        limited.to_string(),
        "not sent, http://api.example is cooling down (retry after 90s)",
    );
    let Error::Middleware(error) = &error else { panic!("{error}") };
    assert!(error.downcast_ref::<RateLimited>().is_some());
    assert!(RateLimited::find(error.as_ref()).is_some());
}

#[tokio::test]
async fn an_error_of_the_client_is_passed_on_and_is_no_refusal() {
    let backoff = layer();
    let unused = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };

    let error = client(&backoff).get(unused).send().await.unwrap_err();

    assert!(error.is_connect() && RateLimited::find(&error).is_none());
    assert!(backoff.cooldowns().is_empty());
}

#[tokio::test]
async fn a_refusal_after_a_redirect_is_charged_to_who_sent_it() {
    let b = Server::refusing(9, "retry-after", "60").await;
    let a = Server::redirecting_to(&b).await;
    let backoff = layer();
    let client = client(&backoff);

    assert_eq!(ask(&client, &a).await, Ok(429));

    assert!(backoff.cooldowns().get(&a.upstream()).is_none());
    assert_eq!(ask(&client, &b).await, Err(Reason::Cooling));
    assert_eq!(b.requests(), 1);
}

#[tokio::test]
async fn in_shadow_mode_every_request_passes_and_is_counted() {
    let server = Server::refusing(2, "retry-after", "60").await;
    let backoff = RetryAfterBackoffLayer::builder().shadow(true).build();
    let client = client(&backoff);

    for status in [429, 429, 200] {
        assert_eq!(ask(&client, &server).await, Ok(status));
    }

    let report = backoff.shadowed();
    assert_eq!((report.would_reject_for(Reason::Cooling), report.pending()), (2, 0));
    assert_eq!((report.answered(), report.refused()), (1, 1));
    let info = backoff.cooldowns().get(&server.upstream()).unwrap();
    assert_eq!((info.state(), info.consecutive_failures()), (State::Cooling, 1));
}

#[tokio::test]
async fn a_shadow_whose_request_is_dropped_or_fails_is_counted_once() {
    let backoff = RetryAfterBackoffLayer::builder().shadow(true).build();
    let unused = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    backoff.cooldowns().cool(&Upstream::from_uri(&unused.parse().unwrap()), secs(90));
    let stuck = ClientBuilder::new(Client::new()).with(backoff.clone()).with(Never).build();

    let mut out = Box::pin(stuck.get(&unused).send());
    assert!(poll_once(out.as_mut()).is_pending());
    assert_eq!(backoff.shadowed().pending(), 1);
    drop(out);
    assert!(client(&backoff).get(&unused).send().await.unwrap_err().is_connect());

    let report = backoff.shadowed();
    assert_eq!((report.would_reject(), report.pending()), (2, 0));
    assert_eq!((report.dropped(), report.failed()), (1, 1));
}

#[tokio::test]
async fn an_observer_is_told_of_each_request_once() {
    let b = Server::refusing(9, "retry-after", "60").await;
    let a = Server::redirecting_to(&b).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let backoff = RetryAfterBackoffLayer::builder()
        .observer(observe::from_fn(move |event| {
            let (what, upstream) = match event {
                Event::Admitted(call) => ("admitted", call.upstream()),
                Event::Refused(call) => ("refused", call.upstream().clone()),
                Event::Transition(change) => ("changed", change.upstream().clone()),
                Event::Rejected(limited) => ("rejected", limited.upstream().clone()),
                other => panic!("{other:?}"),
            };
            log.lock().unwrap().push((what, upstream));
        }))
        .build();
    let client = client(&backoff);

    assert_eq!(ask(&client, &a).await, Ok(429));
    assert_eq!(ask(&client, &b).await, Err(Reason::Cooling));
    assert_eq!(ask(&client, &a).await, Ok(429));

    let (a, b) = (a.upstream(), b.upstream());
    let expected = [
        ("admitted", &a),
        ("refused", &b),
        ("changed", &b),
        ("rejected", &b),
        ("admitted", &a),
        // B is cooling already, and nobody let the call go there: no rung.
        ("refused", &b),
    ];
    let told = told.lock().unwrap();
    assert_eq!(told.iter().map(|(what, upstream)| (*what, upstream)).collect::<Vec<_>>(), expected);
}

#[derive(Clone)]
struct Tenant(&'static str);

#[tokio::test]
async fn a_key_sees_the_extensions_of_the_call() {
    let server = Server::refusing(1, "retry-after", "60").await;
    let backoff = RetryAfterBackoffLayer::builder()
        .upstream_key(key::from_fn(|head| {
            let tenant = head.extensions().and_then(|extensions| extensions.get::<Tenant>());
            tenant.map_or_else(|| head.origin(), |Tenant(name)| Upstream::named(name))
        }))
        .build();
    let client = client(&backoff);
    let ask = async |tenant| {
        let call = client.get(server.url()).with_extension(Tenant(tenant));
        call.send().await.map(|response| response.status().as_u16()).ok()
    };

    assert_eq!(ask("a").await, Some(429));
    assert_eq!(ask("a").await, None);
    assert_eq!(ask("b").await, Some(200));
}

/// Never answers.
struct Never;

#[async_trait]
impl Middleware for Never {
    async fn handle(&self, _: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_back_the_probe() {
    let backoff = layer();
    let client = ClientBuilder::new(Client::new()).with(backoff.clone()).with(Never).build();
    let url = "http://api.example/";
    let upstream = Upstream::from_uri(&url.parse().unwrap());
    backoff.cooldowns().cool(&upstream, secs(90));
    support::pass(secs(90)).await;
    let state = || backoff.cooldowns().get(&upstream).unwrap().state();

    for _ in 0..2 {
        let mut probe = Box::pin(client.get(url).send());
        assert!(poll_once(probe.as_mut()).is_pending());
        assert_eq!(state(), State::Probing);
        drop(probe);
        assert_eq!(state(), State::Cooling);
    }
}
