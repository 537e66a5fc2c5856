//! The future of a call through the layer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::error::{BoxError, Error, RateLimited};
use crate::message::Incoming;
use crate::permit::Permit;

pin_project! {
    /// The answer to a call through [`RetryAfterBackoff`](crate::RetryAfterBackoff).
    ///
    /// It may be dropped at any time: a call that was out as the probe, or that
    /// held a place in a reopening upstream, gives it back.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F> {
        // The upstream is being left alone; the request never left.
        Rejected { error: Option<RateLimited> },
        // The request is out. A permit dropped unsettled gives back what it holds.
        Called { #[pin] call: F, permit: Permit },
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn called(call: F, permit: Permit) -> Self {
        Self { state: State::Called { call, permit } }
    }

    #[inline]
    pub(crate) fn rejected(error: RateLimited) -> Self {
        Self { state: State::Rejected { error: Some(error) } }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: Incoming,
    E: Into<BoxError>,
{
    type Output = Result<R, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Called { call, permit } => match ready!(call.poll(cx)) {
                Ok(response) if permit.is_settled_by(&response) => Poll::Ready(Ok(response)),
                Ok(response) => answered(permit, response),
                Err(error) => {
                    permit.failed();
                    Poll::Ready(Err(Error::inner(error)))
                }
            },
            Projected::Rejected { error } => match error.take() {
                Some(error) => Poll::Ready(Err(Error::RateLimited(error))),
                // Polled again after the end, which nobody should.
                None => Poll::Pending,
            },
        }
    }
}

/// Everything but the success of a free call; kept apart so that the healthy
/// path stays short.
#[cold]
fn answered<R: Incoming>(permit: &mut Permit, response: R) -> Poll<Result<R, Error>> {
    let _ = permit.answered(&response);
    Poll::Ready(Ok(response))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Rejected { .. } => "rejected",
            State::Called { .. } => "called",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
