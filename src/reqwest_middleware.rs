//! The layer as a middleware of `reqwest-middleware`.
//!
//! A chain of middlewares is no Tower stack: each runs what is behind it as often
//! as it likes. Added behind a retrying one, this gates every attempt. It waits
//! for nothing and retries nothing.

use std::borrow::Cow;

use async_trait::async_trait;
use http::{Extensions, HeaderMap, Method, Uri};
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tokio::time::Instant;

use crate::error::{RateLimited, Rounded};
use crate::layer::RetryAfterBackoffLayer;
use crate::message::Outgoing;

/// Gates every request that comes by, and learns from its response.
///
/// Add it last, behind the middlewares that send a request several times, such as
/// `reqwest-retry`'s: then every attempt is gated, and what one attempt has
/// learned the next one heeds. Keys see the extensions of the call.
///
/// # Errors
///
/// A call that is held back fails with [`reqwest_middleware::Error::Middleware`], in
/// whose chain [`RateLimited::find`] finds the [`RateLimited`]; every other error is
/// passed on as it is. To `reqwest-retry`'s default strategy an error from a
/// middleware is fatal: after a refusal it tries again, finds the upstream cooling,
/// and ends with that error, instead of being refused time and again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use reqwest_middleware::ClientBuilder;
/// use tower_retry_after::{RateLimited, RetryAfterBackoffLayer, Upstream};
///
/// let backoff = RetryAfterBackoffLayer::new();
/// let cooldowns = backoff.cooldowns();
/// let client = ClientBuilder::new(reqwest::Client::new())
///     // .with(a retrying middleware)
///     .with(backoff)
///     .build();
///
/// let uri = http::Uri::from_static("http://api.example/items");
/// cooldowns.cool(&Upstream::from_uri(&uri), Duration::from_secs(90));
///
/// let error = client.get(uri.to_string()).send().await.unwrap_err();
/// assert!(RateLimited::find(&error).unwrap().retry_after() > Duration::from_secs(89));
/// # }
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-middleware")))]
#[async_trait]
impl Middleware for RetryAfterBackoffLayer {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let call = Call { request: &request, extensions };
        let mut permit = self.shared().enter(&call).map_err(held_back)?;
        // Should nobody wait for the answer any longer, the permit is dropped.
        let answer = next.run(request, extensions).await;
        match &answer {
            Ok(response) => {
                permit.answered(response);
            }
            Err(_) => permit.failed(),
        }
        answer
    }
}

/// A request with the extensions that it has here, where its own are hidden.
struct Call<'a> {
    request: &'a Request,
    extensions: &'a Extensions,
}

impl Outgoing for Call<'_> {
    fn method(&self) -> &Method {
        Outgoing::method(self.request)
    }

    fn scheme(&self) -> Option<&str> {
        self.request.scheme()
    }

    fn authority(&self) -> Option<&str> {
        self.request.authority()
    }

    fn uri(&self) -> Cow<'_, Uri> {
        self.request.uri()
    }

    fn headers(&self) -> &HeaderMap {
        Outgoing::headers(self.request)
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions)
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        self.request.deadline(now)
    }
}

/// The error of a call that was not sent.
///
/// Asked for its source, `reqwest_middleware`'s error passes over what it wraps;
/// so the rate limit stands one step further down.
fn held_back(limited: RateLimited) -> Error {
    let summary = format!("held back for {}", Rounded(limited.retry_after()));
    match Error::middleware(limited) {
        Error::Middleware(error) => Error::Middleware(error.context(summary)),
        other @ Error::Reqwest(_) => other,
    }
}
