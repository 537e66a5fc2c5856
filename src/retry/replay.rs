//! How a request is sent a second time: not at all, if its body cannot be had
//! again.

use std::fmt;

use http::Request;
use http_body::Body;

/// Makes the request that is sent if the first one has to be sent again.
///
/// It is asked before each attempt, for sending takes the request. Users pass a
/// function to [`RetryPolicy::clone_with`](super::RetryPolicy::clone_with).
pub trait Replay<R> {
    /// Returns the same request once more, or nothing if it can be sent only once.
    fn replay(&self, request: &R) -> Option<R>;
}

/// Clones the request, extensions and all: the default.
///
/// For an [`http::Request`] whose body is `Clone` and, with the feature `reqwest`,
/// for a `reqwest::Request` whose body is no stream.
#[derive(Clone, Copy, Debug)]
pub struct ByClone(pub(super) ());

impl<B: Clone> Replay<Request<B>> for ByClone {
    fn replay(&self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
impl Replay<reqwest::Request> for ByClone {
    fn replay(&self, request: &reqwest::Request) -> Option<reqwest::Request> {
        request.try_clone()
    }
}

/// Copies the head of a request whose body is at its end, and gives it the
/// default body: made by [`RetryPolicy::empty_bodies`](super::RetryPolicy::empty_bodies).
#[derive(Clone, Copy, Debug)]
pub struct IfEmpty(pub(super) ());

impl<B: Body + Default> Replay<Request<B>> for IfEmpty {
    fn replay(&self, request: &Request<B>) -> Option<Request<B>> {
        if !request.body().is_end_stream() {
            return None;
        }
        let mut copy = Request::new(B::default());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

/// Clones by a function: made by
/// [`RetryPolicy::clone_with`](super::RetryPolicy::clone_with).
#[derive(Clone, Copy)]
pub struct FromFn<F>(pub(super) F);

impl<R, F: Fn(&R) -> Option<R>> Replay<R> for FromFn<F> {
    fn replay(&self, request: &R) -> Option<R> {
        (self.0)(request)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}
