//! `RefusalErrorLayer`: a refusal as an error, with the start of what it said.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests"
)]

mod support;

use std::collections::VecDeque;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use support::*;
use tokio::time::{Sleep, sleep, timeout};
use tower::{ServiceBuilder, ServiceExt};
use tower_retry_after::{Error, RateLimited, Reason, RefusalErrorLayer, RetryAfterBackoffLayer};

/// What a body does next.
#[derive(Clone)]
enum Step {
    Data(&'static [u8]),
    Trailers,
    Pause(Duration),
    Fail,
    Never,
}

/// A body that goes through its steps, and counts the frames it is asked for.
struct Steps {
    left: VecDeque<Step>,
    pause: Option<Pin<Box<Sleep>>>,
    frames: Arc<AtomicUsize>,
}

impl Body for Steps {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        self.frames.fetch_add(1, Ordering::Relaxed);
        match self.left.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data))))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
            Some(Step::Pause(pause)) => {
                self.pause = Some(Box::pin(sleep(pause)));
                self.poll_frame(cx)
            }
            Some(Step::Fail) => Poll::Ready(Some(Err(io::Error::other("reset")))),
            Some(Step::Never) => {
                self.left.push_front(Step::Never);
                Poll::Pending
            }
        }
    }
}

/// An upstream that answers once with that response and those steps.
struct Upstream {
    head: Response<()>,
    steps: Vec<Step>,
    frames: Arc<AtomicUsize>,
}

fn refusing(steps: impl IntoIterator<Item = Step>) -> Upstream {
    let head = Response::builder().status(429).header("retry-after", "120").body(()).unwrap();
    Upstream { head, steps: steps.into_iter().collect(), frames: Arc::default() }
}

impl Upstream {
    /// Calls it through both layers.
    async fn call(
        &self,
        configure: impl Fn(RefusalErrorLayer) -> RefusalErrorLayer,
    ) -> Result<Response<Steps>, Error> {
        let (head, frames) = (self.head.clone(), Arc::clone(&self.frames));
        let steps: VecDeque<Step> = self.steps.iter().cloned().collect();
        let inner = Strict::new(move |_: Request<()>| {
            let body = Steps { left: steps.clone(), pause: None, frames: Arc::clone(&frames) };
            ready(Ok::<_, io::Error>(head.clone().map(|()| body)))
        });
        let backoff = RetryAfterBackoffLayer::new();
        let client = ServiceBuilder::new()
            .layer(configure(RefusalErrorLayer::new(&backoff)))
            .layer(backoff)
            .service(inner);
        let call = client.oneshot(get("https://peer.example/feed"));
        timeout(secs(86_400), call).await.expect("an end")
    }

    async fn error(&self) -> RateLimited {
        match self.call(|layer| layer).await {
            Err(Error::RateLimited(limited)) => limited,
            Err(error) => panic!("{error}"),
            Ok(response) => panic!("{}", response.status()),
        }
    }

    async fn said(&self) -> String {
        self.error().await.said().unwrap().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_reads_who_refused_until_when_and_why() {
    let limited = refusing([Step::Data(b"slow down")]).error().await;

    assert_eq!(
        limited.to_string(),
        "HTTP 429 from https://peer.example (retry after 120s): slow down",
    );
    assert_eq!(limited.reason(), Reason::Refused);
    assert_eq!(limited.retry_after(), secs(120));
    assert_eq!(limited.hint(), Some(secs(120)));
    assert_eq!(limited.status().unwrap(), 429);
    assert_eq!(limited.consecutive_failures(), 1);
    assert_eq!(limited.until(), now() + secs(120));
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_the_wait_is_the_ladders_and_without_a_body_nothing_is_quoted() {
    let mut upstream = refusing([]);
    upstream.head.headers_mut().clear();

    let limited = upstream.error().await;

    assert_eq!(limited.to_string(), "HTTP 429 from https://peer.example (retry after 60s)");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_cut_after_so_many_bytes_and_a_symbol_that_is_cut_is_left_out() {
    let long = refusing(vec![Step::Data(b"0123456789abcdef"); 1000]);
    assert_eq!(long.said().await, "0123456789abcdef".repeat(16));
    assert!(long.frames.load(Ordering::Relaxed) <= 17, "the rest is not read");

    let snow = refusing([Step::Data("ab❄❄".as_bytes())]);
    for (bytes, said) in [(4, "ab"), (5, "ab❄"), (7, "ab❄"), (8, "ab❄❄")] {
        let Err(Error::RateLimited(limited)) = snow.call(|layer| layer.body_bytes(bytes)).await
        else {
            panic!("not refused");
        };
        assert_eq!(limited.said(), Some(said));
    }
}

#[tokio::test(start_paused = true)]
async fn with_no_bytes_wanted_the_body_is_not_read() {
    let upstream = refusing([Step::Data(b"slow down")]);

    let error = upstream.call(|layer| layer.body_bytes(0)).await.err().unwrap();

    assert_eq!(error.rate_limited().unwrap().said(), None);
    assert_eq!(upstream.frames.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_waited_for_so_long_and_what_came_is_kept() {
    let start = now();
    let limited = refusing([Step::Data(b"slow "), Step::Never]).error().await;

    assert_eq!(start.elapsed(), millis(500));
    assert_eq!(limited.said(), Some("slow"));
    assert_eq!(limited.retry_after(), millis(119_500), "as of the failure");

    let start = now();
    let stalled = refusing([Step::Never]);
    let error = stalled.call(|layer| layer.body_timeout(secs(2))).await.err().unwrap();
    assert_eq!(start.elapsed(), secs(2));
    assert!(error.rate_limited().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_for_ever_is_bounded_in_time_as_a_whole() {
    let trickle = [Step::Data(b"z"), Step::Pause(millis(100))];
    let start = now();

    let said = refusing(trickle.into_iter().cycle().take(2000)).said().await;

    assert_eq!(start.elapsed(), millis(500));
    assert!((4..=6).contains(&said.len()), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_endless_empty_frames_does_not_hold_the_thread() {
    for step in [Step::Data(b""), Step::Trailers] {
        let endless = refusing(vec![step; 1_000_000]);

        endless.error().await;

        let frames = endless.frames.load(Ordering::Relaxed);
        assert!(frames < 100_000, "{frames} frames were read");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_leaves_what_came() {
    assert_eq!(refusing([Step::Data(b"slow d"), Step::Fail]).said().await, "slow d");
    assert_eq!(refusing([Step::Fail]).said().await, "");
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_says_stays_on_one_line_and_harmless() {
    let hostile =
        refusing([Step::Data(b" a\r\nERROR b\t\x1b[31m\0\xff\x80 'q' \"d\" \\ \xe2\x80\xae ")]);

    let limited = hostile.error().await;

    let (said, shown) = (limited.said().unwrap(), limited.to_string());
    for text in [said, &shown] {
        assert!(!text.chars().any(|symbol| symbol.is_control() || symbol == '\u{202e}'), "{text}");
    }
    assert_eq!(said, "a\\r\\nERROR b\\t\\u{1b}[31m\\0\\xff\\x80 'q' \"d\" \\\\ \\u{202e}");
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_not_read() {
    let mut upstream = refusing([Step::Data(b"\x1f\x8b")]);
    upstream.head.headers_mut().insert("content-encoding", "gzip".parse().unwrap());

    let limited = upstream.error().await;

    assert_eq!(limited.to_string(), "HTTP 429 from https://peer.example (retry after 120s)");
    assert_eq!(upstream.frames.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn other_answers_pass_with_their_bodies_unread() {
    for status in [200, 403, 404, 500, 503] {
        let mut upstream =
            refusing([Step::Data(b"all "), Step::Pause(secs(9)), Step::Data(b"of it")]);
        *upstream.head.status_mut() = status.try_into().unwrap();
        upstream.head.headers_mut().clear();
        let start = now();

        let response = upstream.call(|layer| layer).await.unwrap();

        assert_eq!((start.elapsed(), upstream.frames.load(Ordering::Relaxed)), (secs(0), 0));
        assert_eq!(response.status(), status);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "all of it");
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_and_inner_errors_pass_as_they_are() {
    let backoff = RetryAfterBackoffLayer::new();
    backoff.cooldowns().cool(&upstream(A), secs(77));
    let inner =
        Strict::new(|_: Request<()>| ready(Err::<Response<String>, _>(io::Error::other("reset"))));
    let client =
        ServiceBuilder::new().layer(RefusalErrorLayer::new(&backoff)).layer(backoff).service(inner);

    let error = client.clone().oneshot(get(A)).await.unwrap_err();
    assert_eq!(error.rate_limited().unwrap().reason(), Reason::Cooling);
    assert_eq!(error.rate_limited().unwrap().retry_after(), secs(77));

    let Error::Inner(error) = client.oneshot(get(B)).await.unwrap_err() else {
        panic!("not the inner error");
    };
    assert!(error.is::<io::Error>(), "wrapped twice");
}

#[tokio::test(start_paused = true)]
async fn an_answer_made_up_by_one_of_our_layers_becomes_the_error_it_carries() {
    let stopped = RetryAfterBackoffLayer::new();
    stopped.cooldowns().cool(&upstream(A), secs(77));
    let limited = held(&client(&stopped, &Peer::always(ok())), A).await;
    let mut made_up = refusing([Step::Never]);
    made_up.head.extensions_mut().insert(limited);

    let limited = made_up.error().await;

    assert_eq!(limited.reason(), Reason::Cooling);
    assert_eq!(limited.upstream(), &upstream(A));
    assert_eq!(limited.retry_after(), secs(77));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_its_body_is_read_has_been_learned_from() {
    let backoff = RetryAfterBackoffLayer::new();
    let inner = Strict::new(|_: Request<()>| {
        let body = Steps { left: [Step::Never].into(), pause: None, frames: Arc::default() };
        ready(Ok::<_, io::Error>(Response::builder().status(429).body(body).unwrap()))
    });
    let client = ServiceBuilder::new()
        .layer(RefusalErrorLayer::new(&backoff))
        .layer(backoff.clone())
        .service(inner);
    let mut call = Box::pin(client.oneshot(get(A)));
    assert!(poll_once(call.as_mut()).is_pending());

    drop(call);

    assert_eq!(info(&backoff.cooldowns(), A).retry_after(), secs(60));
}
