//! A call to a Clear upstream goes through as if the layer were not there, and
//! what the layer does say is told apart from what the inner service says.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::error::Error as StdError;
use std::fmt;
use std::future::ready;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use support::Outcome::Sent;
use support::*;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_retry_after::{Error, RateLimited, Reason, RetryAfterBackoffLayer, State};

/// A body, or an extension, that can neither be cloned nor mistaken.
struct Unique(Arc<()>);

/// An extension, which `http` wants `Clone`.
#[derive(Clone)]
struct Mark(Arc<()>);

/// Answers with what was asked, body and extensions and all.
async fn echo<B>(request: Request<B>) -> io::Result<Response<Request<B>>> {
    let mut response = Response::builder().status(418).header("x-inner", "kept");
    response.extensions_mut().unwrap().extend(request.extensions().clone());
    Ok(response.body(request).unwrap())
}

#[tokio::test(start_paused = true)]
async fn request_and_response_pass_through_as_they_are() {
    let quiet = RetryAfterBackoffLayer::new();
    let elsewhere = RetryAfterBackoffLayer::new();
    elsewhere.cooldowns().cool(&upstream(B), secs(60));
    for layer in [quiet, elsewhere] {
        let client = layer.layer(Strict::new(echo));
        let (body, mark) = (Arc::new(()), Arc::new(()));
        let request = Request::post("https://me:secret@a.example/path?query")
            .version(http::Version::HTTP_2)
            .header("x-outer", "kept")
            .extension(Mark(Arc::clone(&mark)))
            .body(Unique(Arc::clone(&body)))
            .unwrap();

        let response = client.oneshot(request).await.unwrap();

        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["x-inner"], "kept");
        assert!(Arc::ptr_eq(&response.extensions().get::<Mark>().unwrap().0, &mark));
        assert_eq!(response.extensions().len(), 1);
        let sent = response.into_body();
        assert_eq!(sent.method(), "POST");
        assert_eq!(sent.uri(), "https://me:secret@a.example/path?query");
        assert_eq!(sent.version(), http::Version::HTTP_2);
        assert_eq!(sent.headers().len(), 1);
        assert_eq!(sent.extensions().len(), 1);
        assert!(Arc::ptr_eq(&sent.body().0, &body));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_the_caller_untouched() {
    let body = Arc::new(());
    let said = Arc::clone(&body);
    let inner = Strict::new(move |_: Request<()>| {
        let response = Response::builder().status(429).header("retry-after", "120");
        ready(Ok::<_, io::Error>(response.body(Unique(Arc::clone(&said))).unwrap()))
    });
    let client = RetryAfterBackoffLayer::new().layer(inner.clone());

    let response = client.oneshot(get(A)).await.unwrap();

    assert_eq!(response.status(), 429);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["retry-after"], "120");
    assert!(response.extensions().is_empty());
    assert!(Arc::ptr_eq(&response.body().0, &body));
}

#[tokio::test(start_paused = true)]
async fn futures_and_bodies_need_be_neither_send_nor_sync() {
    let inner = Strict::new(|request: Request<Rc<str>>| async move {
        tokio::task::yield_now().await;
        Ok::<_, io::Error>(Response::new(Rc::clone(request.body())))
    });
    let client = RetryAfterBackoffLayer::new().layer(inner);

    let body: Rc<str> = "not for other threads".into();
    let response = client.oneshot(Request::new(Rc::clone(&body))).await.unwrap();

    assert!(Rc::ptr_eq(response.body(), &body));
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_cooling_upstream_never_reaches_the_inner_service_and_fails_at_once() {
    let peer = Peer::says([refused_for(90)]);
    let client = client(&RetryAfterBackoffLayer::new(), &peer);
    ask(&client, A).await;

    for _ in 0..100 {
        let Err(Error::RateLimited(limited)) = at_once(send(&client, A)) else {
            panic!("not held back");
        };
        assert_eq!(limited.upstream(), &upstream(A));
        assert_eq!(limited.reason(), Reason::Cooling);
        assert_eq!(limited.retry_after(), secs(90));
        assert_eq!(limited.until(), now() + secs(90));
        assert_eq!(limited.consecutive_failures(), 1);
        assert_eq!(limited.status(), Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(limited.hint(), Some(secs(90)));
    }

    assert_eq!((peer.calls(), peer.reserved()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_inner_error_is_the_source_and_is_not_repeated() {
    let client = client(&RetryAfterBackoffLayer::new(), &Peer::always(fails()));

    let error = send(&client, A).await.unwrap_err();

    assert!(matches!(error, Error::Inner(_)));
    let source = error.source().unwrap();
    assert!(source.is::<io::Error>());
    assert!(!error.to_string().contains(&source.to_string()), "{error}");
    assert!(error.rate_limited().is_none());
    assert!(RateLimited::find(&error).is_none());
}

#[tokio::test(start_paused = true)]
async fn errors_are_not_wrapped_twice() {
    let inner = RetryAfterBackoffLayer::new();
    inner.cooldowns().cool(&upstream(B), secs(60));
    let client = ServiceBuilder::new()
        .layer(RetryAfterBackoffLayer::new())
        .layer(inner)
        .service(Peer::always(fails()).service());

    let error = send(&client, A).await.unwrap_err();
    assert!(error.source().unwrap().is::<io::Error>());

    let error = send(&client, B).await.unwrap_err();
    assert_eq!(error.rate_limited().unwrap().upstream(), &upstream(B));
}

/// What other layers make of an error.
#[derive(Debug)]
struct Wrapped(Box<dyn StdError>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call failed")
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_found_through_other_layers_errors() {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(A), secs(60));
    let client = ServiceBuilder::new()
        .map_err(|error| Wrapped(Box::new(io::Error::other(error))))
        .layer(layer)
        .service(Peer::always(ok()).service());

    let error = client.oneshot(get(A)).await.unwrap_err();

    assert_eq!(RateLimited::find(&error).unwrap().retry_after(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn an_answer_made_up_by_one_of_our_layers_is_no_refusal_by_the_upstream() {
    let stopped = RetryAfterBackoffLayer::new();
    stopped.cooldowns().cool(&upstream(A), secs(60));
    let limited = held(&client(&stopped, &Peer::always(ok())), A).await;
    let inner = Strict::new(move |_: Request<()>| {
        let response = Response::builder().status(429).header("retry-after", "120");
        ready(Ok::<_, io::Error>(response.extension(limited.clone()).body(()).unwrap()))
    });
    let layer = RetryAfterBackoffLayer::new();
    let (cooldowns, client) = (layer.cooldowns(), layer.layer(inner.clone()));

    assert_eq!(ask(&client, A).await, Sent(429));
    assert!(cooldowns.is_empty());

    cooldowns.cool(&upstream(A), secs(5));
    pass(secs(5)).await;
    assert_eq!(ask(&client, A).await, Sent(429), "as the probe");
    assert_eq!(state(&cooldowns, A), Some(State::Cooling));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 0);
    assert_eq!(info(&cooldowns, A).retry_after(), secs(1), "it learned nothing");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_a_layer_beneath_is_no_news_for_the_one_above() {
    let (above, below) = (RetryAfterBackoffLayer::new(), RetryAfterBackoffLayer::new());
    below.cooldowns().cool(&upstream(A), secs(60));
    let client = ServiceBuilder::new()
        .layer(above.clone())
        .layer(below)
        .service(Peer::always(ok()).service());

    assert_eq!(ask(&client, A).await, COOLING);
    assert!(above.cooldowns().is_empty());

    above.cooldowns().cool(&upstream(A), secs(5));
    pass(secs(5)).await;
    assert_eq!(ask(&client, A).await, COOLING, "by the one beneath");
    assert_eq!(info(&above.cooldowns(), A).retry_after(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn credentials_are_shown_nowhere() {
    let peer = Peer::always(refused());
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &peer);
    let uri = "https://me:hunter2@a.example/";

    let call = call(&client, uri);
    let out = format!("{call:?}");
    call.await.unwrap();
    let limited = held(&client, uri).await;

    let known = format!("{:?}", layer.cooldowns().snapshot());
    for text in [out, known, format!("{limited:?} {limited}"), format!("{client:?} {layer:?}")] {
        assert!(!text.contains("hunter2") && !text.contains("me:"), "{text}");
    }
    assert_eq!(limited.upstream().to_string(), "https://a.example");
}
