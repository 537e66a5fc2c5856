//! One error path for callers who want it: a refusal becomes an error.
//!
//! By default the 429 itself reaches the caller untouched. This layer, stacked
//! outside of [`RetryAfterBackoffLayer`], turns it into [`Error::RateLimited`]
//! and keeps the start of its body, which often says what the status does not.
//! It learns nothing and holds nothing back.

use std::fmt::{self, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::header::CONTENT_ENCODING;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::ambient;
use crate::classify::Verdict;
use crate::cooldown::Refusal;
use crate::error::{BoxError, Error, RateLimited};
use crate::layer::RetryAfterBackoffLayer;
use crate::message::Outgoing;
use crate::permit::{Destination, Shared, answered_by_us};

/// Turns a refusal into [`Error::RateLimited`] with
/// [`Reason::Refused`](crate::Reason::Refused).
///
/// Stack it outside of the layer it is made from, whose key, classifier and
/// table it uses: it reports what that layer has learned. It is for clients that
/// answer with an [`http::Response`]; a poller on reqwest's own responses judges them
/// by `schedule::judge::responses_of` instead.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_retry_after::{RefusalErrorLayer, RetryAfterBackoffLayer};
///
/// async fn send(_: http::Request<()>) -> Result<http::Response<Full<&'static [u8]>>, std::io::Error> {
///     let response = http::Response::builder().status(429).header("retry-after", "120");
///     Ok(response.body(Full::new(&b"slow down"[..])).unwrap())
/// }
///
/// let backoff = RetryAfterBackoffLayer::new();
/// let client = ServiceBuilder::new()
///     .layer(RefusalErrorLayer::new(&backoff))
///     .layer(backoff)
///     .service(service_fn(send));
///
/// let request = http::Request::get("https://peer.example/").body(()).unwrap();
/// let error = client.oneshot(request).await.unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "HTTP 429 from https://peer.example (retry after 120s): slow down",
/// );
/// # }
/// ```
#[derive(Clone)]
pub struct RefusalErrorLayer {
    shared: Arc<Shared>,
    reading: Reading,
}

/// How much of a refusal's body is read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    most: usize,
    within: Duration,
}

/// The default of [`RefusalErrorLayer::body_bytes`]: three lines of a log.
const DEFAULT_BODY_BYTES: usize = 256;

/// The ceiling of [`RefusalErrorLayer::body_bytes`]: an error is no place for
/// more, and an upstream that never stops could fill the memory.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// The default of [`RefusalErrorLayer::body_timeout`].
///
/// The start of a body usually comes with the head; who has to wait longer for
/// it than for most answers wants the error instead.
const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_millis(500);

impl RefusalErrorLayer {
    /// Creates a layer that goes outside of `backoff`.
    pub fn new(backoff: &RetryAfterBackoffLayer) -> Self {
        let reading = Reading { most: DEFAULT_BODY_BYTES, within: DEFAULT_BODY_TIMEOUT };
        Self { shared: Arc::clone(backoff.shared()), reading }
    }

    /// Sets how many bytes of the body are kept at most; 256 by default, and never
    /// more than 64 KiB. With zero the body is not read at all.
    #[must_use]
    pub fn body_bytes(mut self, most: usize) -> Self {
        self.reading.most = most.min(MOST_BODY_BYTES);
        self
    }

    /// Sets how long those bytes are waited for at most; half a second by
    /// default. What came until then is kept.
    ///
    /// Waiting needs a tokio runtime with time, and panics without one, as every
    /// timer of tokio's does.
    #[must_use]
    pub fn body_timeout(mut self, within: Duration) -> Self {
        self.reading.within = within;
        self
    }
}

impl<S> Layer<S> for RefusalErrorLayer {
    type Service = RefusalError<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RefusalError { inner, shared: Arc::clone(&self.shared), reading: self.reading }
    }
}

impl fmt::Debug for RefusalErrorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalErrorLayer").field("reading", &self.reading).finish_non_exhaustive()
    }
}

/// The service made by [`RefusalErrorLayer`].
///
/// # Errors
///
/// Calls fail with [`Error::RateLimited`] where the upstream refused or the
/// layer beneath held the call back, and with [`Error::Inner`] where the inner
/// service failed.
#[derive(Clone)]
pub struct RefusalError<S> {
    inner: S,
    shared: Arc<Shared>,
    reading: Reading,
}

impl<S, R, B> Service<R> for RefusalError<S>
where
    S: Service<R, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    R: Outgoing,
    B: Body,
{
    type Response = http::Response<B>;
    type Error = Error;
    type Future = RefusalErrorFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(ready!(self.inner.poll_ready(cx)).map_err(Error::inner))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let destination = self.shared.note(&request);
        let call = self.inner.call(request);
        let reading = self.reading;
        RefusalErrorFuture {
            state: State::Called { call, shared: Arc::clone(&self.shared), destination, reading },
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for RefusalError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalError")
            .field("inner", &self.inner)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer to a call through [`RefusalError`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RefusalErrorFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F, B> {
        // The request is out.
        Called { #[pin] call: F, shared: Arc<Shared>, destination: Destination, reading: Reading },
        // The upstream refused; what it has to say is on its way.
        Refused {
            #[pin] body: B,
            #[pin] timer: Option<Sleep>,
            reading: Reading,
            start: Start,
            limited: Option<RateLimited>,
        },
    }
}

impl<F, B, E> Future for RefusalErrorFuture<F, B>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    B: Body,
    E: Into<BoxError>,
{
    type Output = Result<http::Response<B>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let refused = match self.as_mut().project().state.project() {
                Projected::Called { call, shared, destination, reading } => {
                    let response = ready!(call.poll(cx)).map_err(Error::inner)?;
                    if let Some(limited) = answered_by_us(&response) {
                        return Poll::Ready(Err(limited.clone().into()));
                    }
                    let Verdict::RateLimited { hint } = shared.classify(&response) else {
                        return Poll::Ready(Ok(response));
                    };
                    let refusal = Refusal { status: response.status(), hint };
                    let limited =
                        shared.cooldowns.refusal(destination.upstream(), refusal, &shared.rules);
                    // Nobody could read a compressed start.
                    if reading.most == 0 || response.headers().contains_key(CONTENT_ENCODING) {
                        return Poll::Ready(Err(limited.into()));
                    }
                    State::Refused {
                        body: response.into_body(),
                        timer: None,
                        reading: *reading,
                        start: Start::default(),
                        limited: Some(limited),
                    }
                }
                Projected::Refused { body, mut timer, reading, start, limited } => {
                    if start.poll_read(body, reading.most, cx).is_pending() {
                        // Most starts come with the head, and need no timer.
                        if timer.is_none() {
                            timer.set(Some(sleep(reading.within)));
                        }
                        if timer.as_pin_mut().is_some_and(|timer| timer.poll(cx).is_pending()) {
                            return Poll::Pending;
                        }
                    }
                    return match limited.take() {
                        Some(limited) => Poll::Ready(Err(start.complete(limited).into())),
                        // Polled again after the end, which nobody should.
                        None => Poll::Pending,
                    };
                }
            };
            self.as_mut().project().state.set(refused);
        }
    }
}

impl<F, B> fmt::Debug for RefusalErrorFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { .. } => "called",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("RefusalErrorFuture").field("state", &state).finish_non_exhaustive()
    }
}

/// How many frames without data are read before a body counts as ended.
///
/// Some servers send one or two; one that sends them without end would hold the
/// thread, for they are ready at once.
const EMPTY_FRAMES: usize = 16;

/// The start of a body.
#[derive(Debug, Default)]
struct Start {
    bytes: Vec<u8>,
    empty_frames: usize,
}

impl Start {
    /// Reads until there is enough, or the body ends, well or badly.
    fn poll_read<B: Body>(
        &mut self,
        mut body: Pin<&mut B>,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while self.bytes.len() < most && self.empty_frames < EMPTY_FRAMES {
            let Some(Ok(frame)) = ready!(body.as_mut().poll_frame(cx)) else {
                break;
            };
            // What is no data are trailers, and they end the body.
            let Ok(data) = frame.into_data() else {
                break;
            };
            self.empty_frames =
                self.empty_frames.saturating_add(usize::from(!data.has_remaining()));
            let mut data = data.take(most.saturating_sub(self.bytes.len()));
            while data.has_remaining() {
                let chunk = data.chunk();
                let length = chunk.len();
                self.bytes.extend_from_slice(chunk);
                data.advance(length);
            }
        }
        Poll::Ready(())
    }

    /// Completes the error, whose wait is told as of now.
    fn complete(&self, mut limited: RateLimited) -> RateLimited {
        limited.meet(ambient::now());
        limited.said = Some(escaped(&self.bytes).into());
        limited
    }
}

/// Makes text from an upstream fit for a log: on one line, and what is not
/// printable or not UTF-8 shown as an escape. A symbol that was cut is left out.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut chunks = bytes.trim_ascii().utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        for symbol in chunk.valid().chars() {
            match symbol {
                '"' | '\'' => text.push(symbol),
                _ => text.extend(symbol.escape_debug()),
            }
        }
        let is_cut = chunks.peek().is_none()
            && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
        for byte in chunk.invalid().iter().filter(|_| !is_cut) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
