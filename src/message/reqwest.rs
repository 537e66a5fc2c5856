//! Requests and responses as `reqwest` has them.
//!
//! Its URLs name the same upstreams as those of `http`: both are normalised. What
//! it keeps to itself, the extensions of a request, keys do not see.

use std::borrow::Cow;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use reqwest::{Body, Request, Response, ResponseBuilderExt, Url};
use tokio::time::Instant;

use super::{Incoming, Outgoing, Synthetic};
use crate::error::RateLimited;
use crate::upstream::Upstream;

/// The layer goes around a `reqwest::Client` itself:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_retry_after::{RetryAfterBackoffLayer, Upstream};
///
/// let backoff = RetryAfterBackoffLayer::new();
/// let cooldowns = backoff.cooldowns();
/// let client = ServiceBuilder::new().layer(backoff).service(reqwest::Client::new());
///
/// let uri = http::Uri::from_static("http://api.example/items");
/// cooldowns.cool(&Upstream::from_uri(&uri), Duration::from_secs(90));
///
/// let request = reqwest::Request::new(http::Method::GET, uri.to_string().parse().unwrap());
/// let error = client.oneshot(request).await.unwrap_err();
/// assert!(error.rate_limited().is_some());
/// # }
/// ```
///
/// Around `tower-reqwest`'s `HttpClientService` it goes as well, without this feature:
/// that takes an [`http::Request`]. Stack it outside of that one's layer, and know
/// that a refusal after a redirect is then charged to the origin that was asked, for
/// the conversion loses the URL.
///
/// Credentials in a URL are cut before anything is kept; extensions are not to be
/// seen from outside; the deadline is the request's own timeout.
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
impl Outgoing for Request {
    fn method(&self) -> &Method {
        self.method()
    }

    fn scheme(&self) -> Option<&str> {
        Some(self.url().scheme())
    }

    /// Returns host and port alone: credentials are cut.
    fn authority(&self) -> Option<&str> {
        Some(authority(self.url())).filter(|authority| !authority.is_empty())
    }

    fn uri(&self) -> Cow<'_, Uri> {
        Cow::Owned(uri(self.url()))
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions(&self) -> Option<&Extensions> {
        None
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        now.checked_add(*self.timeout()?)
    }
}

/// The host of responses that were made of an [`http::Response`] without a URL.
const NOBODY: &str = "no.url.provided.local";

/// The client follows redirects by itself, so that the answer may come from another
/// origin than was asked. A refusal is charged to that one, and the one that was
/// asked has answered. Calls to it go on, and are sent on, for the hops inside of a
/// client are its own; who wants to be held back before them asks where it ends up.
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
impl Incoming for Response {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }

    fn answered_by(&self) -> Option<Upstream> {
        let url = self.url();
        let authority = authority(url);
        let is_known = !authority.is_empty() && authority != NOBODY;
        is_known.then(|| Upstream::origin(Some(url.scheme()), authority))
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
impl Synthetic for Response {
    /// Makes up the response; its URL is the origin that was not asked.
    fn synthetic(mut head: http::Response<()>) -> Self {
        let limited = head.extensions().get::<RateLimited>();
        let origin = limited.map(RateLimited::upstream).filter(|asked| asked.host().is_some());
        let url = origin.and_then(|origin| Url::parse(&origin.to_string()).ok());
        if let Some(url) = url
            && let Ok(with_url) = http::Response::builder().url(url).body(())
        {
            head.extensions_mut().extend(with_url.into_parts().0.extensions);
        }
        Self::from(head.map(|()| Body::default()))
    }
}

/// Returns the host and, where it is not the scheme's, the port.
fn authority(url: &Url) -> &str {
    let authority = url.authority();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Returns what `http` makes of a URL; the origin alone, where it cannot read the
/// rest, which no client could send then.
fn uri(url: &Url) -> Uri {
    let origin = || format!("{}://{}/", url.scheme(), authority(url)).parse();
    url.as_str().parse().or_else(|_| origin()).unwrap_or_default()
}
