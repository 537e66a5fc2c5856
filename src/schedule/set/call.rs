//! A call that is out, and how long it may be.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::target::TargetId;
use crate::ambient;
use crate::error::{BoxError, Error};
use crate::schedule::run::RunExpired;

/// What a call is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) id: TargetId,
    pub(super) lane: u32,
    /// Whether the call takes a place: one that is answered at once never does.
    pub(super) has_place: bool,
}

pin_project! {
    /// A call, in a box that serves one call after the other.
    ///
    /// Most calls of a fast service are answered when they are first polled: they
    /// need neither a timer nor a box of their own.
    pub(super) struct Call<F> {
        #[pin]
        future: Option<F>,
        #[pin]
        lease: Option<Sleep>,
        ticket: Option<Ticket>,
    }
}

impl<F> Call<F> {
    /// A box without a call.
    pub(super) fn empty() -> Pin<Box<Self>> {
        Box::pin(Self { future: None, lease: None, ticket: None })
    }

    /// Puts a call into a box that has none.
    pub(super) fn set(self: Pin<&mut Self>, future: F) {
        self.project().future.set(Some(future));
    }

    /// Notes what the call is for, and gives it that long from now on.
    pub(super) fn keep(self: Pin<&mut Self>, ticket: Ticket, lease: Duration) {
        let mut this = self.project();
        *this.ticket = Some(ticket);
        this.lease.set(Some(sleep_until(ambient::later(ambient::now(), lease))));
    }
}

impl<F, T, E> Call<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    /// Asks the call for its answer, whatever its lease.
    pub(super) fn ask(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(future.poll(cx)).map_err(Error::inner);
        this.future.set(None);
        Poll::Ready(result)
    }
}

impl<F, T, E> Future for Call<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = (Option<Ticket>, Result<T, Error>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.as_mut().ask(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                let mut this = self.as_mut().project();
                let Some(lease) = this.lease.as_mut().as_pin_mut() else { return Poll::Pending };
                ready!(lease.poll(cx));
                this.future.set(None);
                Err(RunExpired::error())
            }
        };
        Poll::Ready((*self.project().ticket, result))
    }
}
