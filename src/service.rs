//! The service around the client.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_service::Service;

use crate::cooldowns::{Admission, Cooldowns, Entered};
use crate::error::{BoxError, Error, RateLimited};
use crate::future::ResponseFuture;
use crate::message::{Incoming, Outgoing};
use crate::permit::{Destination, Permit, Shared};

/// A service that holds calls back while their upstream is cooling down.
///
/// Made by [`RetryAfterBackoffLayer`](crate::RetryAfterBackoffLayer). A call to
/// a Cooling upstream never reaches the inner service and fails at once with
/// [`Error::RateLimited`]; so does one that comes while a probe is out, or finds
/// no room in a Reopening upstream. Every other call is passed on as it is.
///
/// `poll_ready` is the inner service's alone: it never fails with a rate limit
/// and never waits for one. That is why the inner service must be `Clone`: it is
/// readied before anybody knows where the call will go, and if the call is then
/// rejected, the readied service is exchanged for a clone, so that what it had
/// reserved (a place in a `ConcurrencyLimit` or a `Buffer`) is free again.
///
/// # Errors
///
/// Calls fail with [`Error::RateLimited`] where the upstream is held back, and
/// with [`Error::Inner`] where the inner service failed.
///
/// An inner service whose error is already a boxed error, called inside a
/// spawned async block, can trip the compiler's "implementation is not general
/// enough", as it does under `tower::timeout`. Box the service before spawning:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower::util::BoxCloneService;
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
/// use tower_retry_after::{Error, RetryAfterBackoffLayer};
///
/// async fn send(_: http::Request<()>) -> Result<http::Response<()>, BoxError> {
///     Ok(http::Response::new(()))
/// }
///
/// let client: BoxCloneService<http::Request<()>, http::Response<()>, Error> =
///     ServiceBuilder::new()
///         .boxed_clone()
///         .layer(RetryAfterBackoffLayer::new())
///         .service(service_fn(send));
///
/// let call = tokio::spawn(async move {
///     let request = http::Request::get("https://api.example/").body(()).unwrap();
///     client.oneshot(request).await
/// });
/// assert!(call.await.unwrap().is_ok());
/// # }
/// ```
pub struct RetryAfterBackoff<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> RetryAfterBackoff<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// Returns a handle on the table of upstreams.
    pub fn cooldowns(&self) -> Cooldowns {
        self.shared.cooldowns.clone()
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the inner service out.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Somebody is in trouble: look whether it is this call's upstream.
    #[inline]
    fn call_with_care<R>(&mut self, generation: u64, request: R) -> ResponseFuture<S::Future>
    where
        S: Service<R> + Clone,
        R: Outgoing,
    {
        let upstream = match self.shared.name(&request) {
            Ok(upstream) => upstream,
            Err(destination) => return self.call_free(generation, request, destination),
        };
        let Shared { cooldowns, rules, .. } = &*self.shared;
        match cooldowns.admit(&upstream, generation, rules) {
            Admission::Admitted { generation, role } => {
                // Should the inner service panic, a place or the probe is given back.
                let permit = Permit::new(&self.shared, upstream, (generation, role));
                permit.tell_admitted();
                ResponseFuture::called(self.inner.call(request), permit)
            }
            Admission::Rejected { notice, now } => {
                let rejected = cooldowns.rejection(upstream, &notice, now);
                if self.shared.hears_rejections() {
                    return self.turn_away(request, rejected);
                }
                self.give_up();
                ResponseFuture::rejected(rejected)
            }
        }
    }

    /// The call is to be rejected, and that is told; or, in shadow mode, it passes.
    #[cold]
    fn turn_away<R>(&mut self, request: R, rejected: RateLimited) -> ResponseFuture<S::Future>
    where
        S: Service<R> + Clone,
    {
        if let Some(passing) = self.shared.turn_away(&rejected) {
            return ResponseFuture::called(self.inner.call(request), passing);
        }
        self.give_up();
        ResponseFuture::rejected(rejected)
    }

    /// Gives a readied inner service up; the one place where that is done.
    #[inline]
    fn give_up(&mut self)
    where
        S: Clone,
    {
        let fresh = self.inner.clone();
        drop(std::mem::replace(&mut self.inner, fresh));
    }

    /// Nobody is in trouble; but where the call goes is not quickly noted, or
    /// somebody watches.
    #[cold]
    fn call_with_a_look<R>(&mut self, generation: u64, request: R) -> ResponseFuture<S::Future>
    where
        S: Service<R>,
        R: Outgoing,
    {
        let destination = self.shared.note(&request);
        self.call_free(generation, request, destination)
    }

    /// Calls an upstream that is Clear.
    #[cold]
    fn call_free<R>(
        &mut self,
        generation: u64,
        request: R,
        destination: Destination,
    ) -> ResponseFuture<S::Future>
    where
        S: Service<R>,
    {
        let permit = Permit::free(&self.shared, destination, generation);
        permit.tell_admitted();
        ResponseFuture::called(self.inner.call(request), permit)
    }
}

impl<S, R> Service<R> for RetryAfterBackoff<S>
where
    S: Service<R> + Clone,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
    R: Outgoing,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(ready!(self.inner.poll_ready(cx)).map_err(Error::inner))
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let Entered { generation, is_quiet } = self.shared.cooldowns.table().enter();
        if is_quiet {
            // The permit is made after the call: moved about less, it is cheaper,
            // and should the inner service panic, it would hold nothing.
            let Some(destination) = self.shared.note_plain(&request) else {
                return self.call_with_a_look(generation, request);
            };
            let call = self.inner.call(request);
            let permit = Permit::free(&self.shared, destination, generation);
            return ResponseFuture::called(call, permit);
        }
        self.call_with_care(generation, request)
    }
}

impl<S: Clone> Clone for RetryAfterBackoff<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug> fmt::Debug for RetryAfterBackoff<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryAfterBackoff")
            .field("inner", &self.inner)
            .field("cooldowns", &self.shared.cooldowns)
            .finish_non_exhaustive()
    }
}
