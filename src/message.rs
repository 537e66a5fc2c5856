//! How the layer sees requests and responses.
//!
//! Two small traits, so that one `Service` implementation serves every client:
//! they are implemented for the types of `http`, and by features for the types
//! of clients that have their own. Bodies are never looked at. A third trait makes
//! up the response to a call that was not sent.

#[cfg(feature = "reqwest")]
mod reqwest;

mod deadline;

use std::borrow::Cow;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use tokio::time::Instant;

pub use self::deadline::Deadline;
use crate::upstream::Upstream;

/// A request, as far as the layer looks at it.
///
/// Implemented for [`http::Request`] and, with the feature `reqwest`, for
/// `reqwest::Request`. For a client with a request type of its own, implement it
/// for that type.
///
/// ```
/// use std::borrow::Cow;
///
/// use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_retry_after::RetryAfterBackoffLayer;
/// use tower_retry_after::message::{Incoming, Outgoing};
///
/// /// The client's own request: a name to be looked up.
/// struct Lookup {
///     uri: Uri,
///     headers: HeaderMap,
/// }
///
/// impl Outgoing for Lookup {
///     fn method(&self) -> &Method {
///         &Method::GET
///     }
///
///     fn scheme(&self) -> Option<&str> {
///         self.uri.scheme_str()
///     }
///
///     fn authority(&self) -> Option<&str> {
///         self.uri.authority().map(http::uri::Authority::as_str)
///     }
///
///     fn uri(&self) -> Cow<'_, Uri> {
///         Cow::Borrowed(&self.uri)
///     }
///
///     fn headers(&self) -> &HeaderMap {
///         &self.headers
///     }
///
///     fn extensions(&self) -> Option<&Extensions> {
///         None
///     }
/// }
///
/// /// And its own response.
/// struct Found {
///     status: StatusCode,
///     headers: HeaderMap,
/// }
///
/// impl Incoming for Found {
///     fn status(&self) -> StatusCode {
///         self.status
///     }
///
///     fn headers(&self) -> &HeaderMap {
///         &self.headers
///     }
///
///     fn extensions(&self) -> Option<&Extensions> {
///         None
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_retry_after::Error> {
/// async fn send(_: Lookup) -> Result<Found, std::io::Error> {
///     Ok(Found { status: StatusCode::TOO_MANY_REQUESTS, headers: HeaderMap::new() })
/// }
///
/// let client = ServiceBuilder::new().layer(RetryAfterBackoffLayer::new()).service(service_fn(send));
/// let lookup = || Lookup {
///     uri: Uri::from_static("https://names.example/tower"),
///     headers: HeaderMap::new(),
/// };
/// assert_eq!(client.clone().oneshot(lookup()).await?.status, 429);
/// assert!(client.oneshot(lookup()).await.is_err());
/// # Ok(())
/// # }
/// ```
pub trait Outgoing {
    /// Returns the method.
    fn method(&self) -> &Method;

    /// Returns the scheme, if the request tells one.
    fn scheme(&self) -> Option<&str>;

    /// Returns `host:port` as the request has it, credentials included.
    fn authority(&self) -> Option<&str>;

    /// Returns the URI, for keys of the user's own.
    fn uri(&self) -> Cow<'_, Uri>;

    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;

    /// Returns the extensions, where the request has them.
    fn extensions(&self) -> Option<&Extensions>;

    /// Returns until when the caller wants an answer, where the request says so
    /// and is sent at `now`.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }
}

/// A response, as far as the layer looks at it.
///
/// Implemented for [`http::Response`] and, with the feature `reqwest`, for
/// `reqwest::Response`. For a client with a response type of its own, implement it
/// for that type.
///
/// [`Outgoing`] has an example of both.
pub trait Incoming {
    /// Returns the status.
    fn status(&self) -> StatusCode;

    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;

    /// Returns the extensions, where the response has them.
    fn extensions(&self) -> Option<&Extensions>;

    /// Returns the origin that really answered, where the client follows
    /// redirects and knows.
    ///
    /// A refusal is charged to it instead of the origin that was asked.
    fn answered_by(&self) -> Option<Upstream> {
        None
    }
}

/// A response that can be made up, where no upstream was asked.
///
/// Implemented for [`http::Response`] of every body that has a default and, with
/// the feature `reqwest`, for `reqwest::Response`.
pub trait Synthetic {
    /// Makes up the response with that head, extensions included, and an empty
    /// body.
    fn synthetic(head: http::Response<()>) -> Self;
}

impl<B> Outgoing for http::Request<B> {
    #[inline]
    fn method(&self) -> &Method {
        self.method()
    }

    #[inline]
    fn scheme(&self) -> Option<&str> {
        self.uri().scheme_str()
    }

    #[inline]
    fn authority(&self) -> Option<&str> {
        self.uri().authority().map(http::uri::Authority::as_str)
    }

    #[inline]
    fn uri(&self) -> Cow<'_, Uri> {
        Cow::Borrowed(self.uri())
    }

    #[inline]
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    #[inline]
    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }

    /// The earlier of a [`Deadline`] among the extensions and what gRPC's
    /// `grpc-timeout` allows.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        deadline::of(self.headers(), Some(self.extensions()), now)
    }
}

impl<B> Incoming for http::Response<B> {
    #[inline]
    fn status(&self) -> StatusCode {
        self.status()
    }

    #[inline]
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    #[inline]
    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }
}

impl<B: Default> Synthetic for http::Response<B> {
    fn synthetic(head: http::Response<()>) -> Self {
        head.map(|()| B::default())
    }
}
