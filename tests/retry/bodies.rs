//! What cannot be cloned is never replayed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::retry::RetryLayer;
use tower::{Layer, ServiceExt};
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after::retry::{Replay, RetryPolicy};

use super::support::*;

#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

/// Sends a request to an upstream that refuses once, and returns what it was sent.
async fn sent<B, C>(
    policy: impl Fn(&RetryAfterBackoffLayer) -> RetryPolicy<C>,
    body: B,
) -> Vec<Request<B>>
where
    B: Send + 'static,
    C: Replay<Request<B>> + Clone,
{
    let backoff = RetryAfterBackoffLayer::for_api();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inner = Strict::new(move |request: Request<B>| {
        let mut log = log.lock().unwrap();
        log.push(request);
        let status = if log.len() == 1 { 429 } else { 200 };
        std::future::ready(Ok::<_, Infallible>(
            Response::builder().status(status).header("retry-after", "1").body(()).unwrap(),
        ))
    });
    let request = Request::put(format!("{A}items?id=1"))
        .version(http::Version::HTTP_2)
        .header("x-key", "7")
        .extension(Tenant("a"))
        .body(body)
        .unwrap();
    let client = RetryLayer::new(policy(&backoff)).layer(backoff.layer(inner));
    client.oneshot(request).await.unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

fn assert_same_head<B>(sent: &[Request<B>]) {
    assert_eq!(sent.len(), 2);
    let [first, second] = [&sent[0], &sent[1]];
    assert_eq!(first.method(), second.method());
    assert_eq!(first.uri(), second.uri());
    assert_eq!(first.version(), second.version());
    assert_eq!(first.headers(), second.headers());
    assert_eq!(second.extensions().get::<Tenant>(), Some(&Tenant("a")));
}

/// A body that is read once, like those of connections.
#[derive(Default)]
struct Stream(Option<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

fn stream() -> Stream {
    Stream(Some(Bytes::from_static(b"once")))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_can_be_cloned_is_sent_again_with_its_whole_head() {
    let body = Full::new(Bytes::from_static(b"twice"));

    let sent = sent(RetryPolicy::new, body).await;

    assert_same_head(&sent);
    for request in sent {
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_sent_once() {
    assert_eq!(sent(|backoff| RetryPolicy::new(backoff).empty_bodies(), stream()).await.len(), 1);
    let never = |_: &Request<Stream>| None;
    assert_eq!(
        sent(|backoff| RetryPolicy::new(backoff).clone_with(never), stream()).await.len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_that_is_not_clone_is_sent_again_with_its_whole_head() {
    let sent = sent(|backoff| RetryPolicy::new(backoff).empty_bodies(), Stream::default()).await;

    assert_same_head(&sent);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_held_back_fails_at_once() {
    let backoff = RetryAfterBackoffLayer::for_api();
    backoff.cooldowns().cool(&upstream(A), secs(10));
    let inner = Strict::new(|_: Request<Stream>| async { Ok::<_, Infallible>(Response::new(())) });
    let policy = RetryPolicy::new(&backoff).empty_bodies();
    let client = RetryLayer::new(policy).layer(backoff.layer(inner));
    let start = now();

    let error = client.oneshot(Request::post(A).body(stream()).unwrap()).await.unwrap_err();

    assert!(error.rate_limited().is_some());
    assert_eq!(now(), start);
}
