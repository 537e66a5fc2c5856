//! A rejection as other stacks know it: a response instead of an error.
//!
//! Retries and callers of other makers read statuses and headers, and know nothing
//! of our errors. This layer, stacked outside of the one that holds calls back,
//! answers in the upstream's place. It learns nothing and holds nothing back.

use std::fmt;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::classify;
use crate::error::{BoxError, Error, RateLimited};
use crate::message::{Outgoing, Synthetic};

/// Answers a call that met [`Error::RateLimited`] with a response, as the upstream
/// would have.
///
/// The response is a `429 Too Many Requests` with `Retry-After` in whole seconds,
/// rounded up, and an empty body. A gRPC call (by its `content-type`) is answered
/// with `RESOURCE_EXHAUSTED` instead, in headers alone, with
/// `grpc-retry-pushback-ms`. The [`RateLimited`] stands in the extensions; so the
/// other layers of this crate tell such a response from a refusal, and it never
/// counts as one. (Where a [`RefusalErrorLayer`](crate::RefusalErrorLayer) stands
/// inside, the refusals that it has turned into errors are answered alike.)
///
/// Stack it outside of [`RetryAfterBackoffLayer`](crate::RetryAfterBackoffLayer),
/// with whatever boxes errors in between, and inside of what is to understand the
/// response:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_retry_after::{RateLimited, RejectionResponseLayer, RetryAfterBackoffLayer};
///
/// async fn send(_: http::Request<()>) -> Result<http::Response<String>, std::io::Error> {
///     let response = http::Response::builder().status(503).header("retry-after", "120");
///     Ok(response.body("come back later".to_owned()).unwrap())
/// }
///
/// let client = ServiceBuilder::new()
///     .layer(RejectionResponseLayer::new())
///     .buffer(8)
///     .layer(RetryAfterBackoffLayer::new())
///     .service(service_fn(send));
/// let request = || http::Request::get("https://api.example/").body(()).unwrap();
///
/// let refused = client.clone().oneshot(request()).await.unwrap();
/// assert_eq!((refused.status().as_u16(), &refused.body()[..]), (503, "come back later"));
///
/// // Not sent.
/// let rejected = client.oneshot(request()).await.unwrap();
/// assert_eq!((rejected.status().as_u16(), &rejected.body()[..]), (429, ""));
/// assert_eq!(rejected.headers()["retry-after"], "120");
/// assert!(rejected.extensions().get::<RateLimited>().is_some());
/// # }
/// ```
///
/// Who gets such a response:
///
/// - Callers of `tonic`, stacked around its channel, see `Code::ResourceExhausted`
///   instead of `Code::Unknown`. tonic keeps no extensions, so that no
///   [`RateLimited`] can be found behind that status. Who wants both stacks, in this
///   layer's place, a `map_err` that makes the error a `tonic::Status` with the
///   [`RateLimited`] as its source: the interop member's example `tonic_client` does.
/// - `kube`'s retry policy reads the 429, and waits for the `Retry-After` where it
///   is told to heed servers.
/// - `octocrab`'s rate-limit handling waits for the `Retry-After`; an error it would
///   retry at once.
///
/// The body's type must have a default. `hyper`'s `Incoming` has none; so box the
/// body first:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Empty, combinators::BoxBody};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_retry_after::{RejectionResponseLayer, RetryAfterBackoffLayer, Upstream};
///
/// let backoff = RetryAfterBackoffLayer::new();
/// let cooldowns = backoff.cooldowns();
/// let client = ServiceBuilder::new()
///     .layer(RejectionResponseLayer::new())
///     .layer(backoff)
///     .map_response(|response: http::Response<hyper::body::Incoming>| response.map(BoxBody::new))
///     .service(Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>());
///
/// let uri = http::Uri::from_static("http://api.example/");
/// cooldowns.cool(&Upstream::from_uri(&uri), Duration::from_secs(90));
///
/// let request = http::Request::get(uri).body(Empty::new()).unwrap();
/// let rejected = client.oneshot(request).await.unwrap();
/// assert_eq!(rejected.status(), 429);
/// assert!(rejected.into_body().collect().await.unwrap().to_bytes().is_empty());
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RejectionResponseLayer(());

impl RejectionResponseLayer {
    /// Creates the layer. It works with any of our layers, whatever their settings.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for RejectionResponseLayer {
    type Service = RejectionResponse<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RejectionResponse { inner }
    }
}

/// A service that answers calls which were held back.
///
/// Made by [`RejectionResponseLayer`]. `poll_ready` is the inner service's alone.
///
/// # Errors
///
/// Calls fail with [`Error::Inner`] where the inner service failed for any other
/// reason than a rate limit.
#[derive(Clone, Copy, Debug)]
pub struct RejectionResponse<S> {
    inner: S,
}

impl<S, R> Service<R> for RejectionResponse<S>
where
    S: Service<R>,
    S::Response: Synthetic,
    S::Error: Into<BoxError>,
    R: Outgoing,
{
    type Response = S::Response;
    type Error = Error;
    type Future = RejectionResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(ready!(self.inner.poll_ready(cx)).map_err(Error::inner))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let grpc = grpc(request.headers()).cloned();
        RejectionResponseFuture { call: self.inner.call(request), grpc }
    }
}

pin_project! {
    /// The answer to a call through [`RejectionResponse`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RejectionResponseFuture<F> {
        #[pin]
        call: F,
        // The content type of a gRPC call; of another, none.
        grpc: Option<HeaderValue>,
    }
}

impl<F, R, E> Future for RejectionResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: Synthetic,
    E: Into<BoxError>,
{
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.call.poll(cx));
        Poll::Ready(answer.or_else(|error| {
            let limited = rate_limited(Error::inner(error))?;
            Ok(R::synthetic(match this.grpc.take() {
                Some(content_type) => resource_exhausted(limited, content_type),
                None => too_many_requests(limited),
            }))
        }))
    }
}

impl<F> fmt::Debug for RejectionResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectionResponseFuture").finish_non_exhaustive()
    }
}

/// Takes the rate limit out of an error, wherever it stands.
fn rate_limited(error: Error) -> Result<RateLimited, Error> {
    match error {
        Error::RateLimited(limited) => Ok(limited),
        Error::Inner(inner) => match RateLimited::find(&*inner) {
            Some(limited) => Ok(limited.clone()),
            None => Err(Error::Inner(inner)),
        },
    }
}

/// Returns the content type, if it is that of gRPC.
fn grpc(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(CONTENT_TYPE).filter(|content_type| classify::is_grpc(content_type))
}

/// The response to a call of plain HTTP.
fn too_many_requests(limited: RateLimited) -> Response<()> {
    let seconds = rounded_up(limited.retry_after(), NANOS_PER_SECOND).max(1);
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response.extensions_mut().insert(limited);
    response
}

/// The code of `RESOURCE_EXHAUSTED`.
const RESOURCE_EXHAUSTED: HeaderValue = HeaderValue::from_static("8");

/// The response to a gRPC call: "Trailers-Only", which stands in the headers.
fn resource_exhausted(limited: RateLimited, content_type: HeaderValue) -> Response<()> {
    // The protocol's number is a signed one of 32 bits.
    let most = i32::MAX.unsigned_abs().into();
    let millis = rounded_up(limited.retry_after(), NANOS_PER_MILLI).min(most);
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(HeaderName::from_static("grpc-status"), RESOURCE_EXHAUSTED);
    // What is percent-encoded is a header's value.
    if let Ok(message) = HeaderValue::try_from(percent_encoded(&limited.to_string())) {
        headers.insert(HeaderName::from_static("grpc-message"), message);
    }
    headers.insert(HeaderName::from_static("grpc-retry-pushback-ms"), HeaderValue::from(millis));
    response.extensions_mut().insert(limited);
    response
}

const NANOS_PER_MILLI: u128 = 1_000_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Counts the units that a wait takes, the last one begun included.
fn rounded_up(wait: Duration, nanos: u128) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(nanos)).unwrap_or(u64::MAX)
}

/// Writes text the way of `grpc-message`: printable ASCII as it is, but for `%`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
