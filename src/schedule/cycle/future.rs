//! The future of a cycle: calls one peer after the other.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::report::{CycleReport, Synced};
use super::run::Run;
use super::shared::Place;
use crate::error::BoxError;
use crate::schedule::peers::Peer;

pin_project! {
    /// A cycle of a [`SyncCycle`](super::SyncCycle).
    ///
    /// It may be dropped at any time. What the peers said until then stays in the
    /// book, the state is as before the cycle, and the next one may begin.
    ///
    /// # Panics
    ///
    /// Needs a tokio runtime with time once it calls a peer, and panics without
    /// one, as every timer of tokio's does.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct CycleFuture<S>
    where
        S: Service<Peer>,
    {
        #[pin]
        step: Step<S, S::Future>,
        // Runs from the first call on.
        #[pin]
        lease: Option<Sleep>,
        // Never readied itself: each peer is called through a clone of its own, as
        // a service that has failed to become ready is not to be used again.
        service: S,
        run: Run,
    }
}

pin_project! {
    #[project = Projected]
    enum Step<S, F> {
        // The turn is taken, or has to be waited for if nobody has readied the
        // service.
        Starting { place: Place },
        // Somebody may be left to call.
        Choosing,
        // The clone that is to call a peer is being readied.
        Readying { service: S, peer: Option<Peer>, peer_url: String },
        // The peer has been called.
        Calling { #[pin] call: F, peer_url: String },
        Ended,
    }
}

impl<S: Service<Peer>> CycleFuture<S> {
    pub(super) fn new(service: S, place: Place, run: Run) -> Self {
        Self { step: Step::Starting { place }, lease: None, service, run }
    }
}

impl<S> Future for CycleFuture<S>
where
    S: Service<Peer, Response = Synced> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Result<CycleReport, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.step.as_mut().project() {
                Projected::Starting { place } => {
                    ready!(place.poll_turn(this.run.shared(), cx));
                    if let Place::Held(turn) = take(place) {
                        this.run.start(turn);
                    }
                    Step::Choosing
                }
                Projected::Choosing => {
                    let Some(peer) = this.run.next() else {
                        this.step.set(Step::Ended);
                        return Poll::Ready(Ok(this.run.finish()));
                    };
                    if this.lease.is_none() {
                        this.lease.set(Some(sleep(this.run.shared().policy.run_lease)));
                    }
                    let peer_url = peer.peer_url.clone();
                    Step::Readying { service: this.service.clone(), peer: Some(peer), peer_url }
                }
                Projected::Readying { service, peer, peer_url } => match service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => match peer.take() {
                        Some(peer) => {
                            Step::Calling { call: service.call(peer), peer_url: take(peer_url) }
                        }
                        None => Step::Choosing,
                    },
                    Poll::Ready(Err(error)) => {
                        this.run.answered(take(peer_url), Err(error.into()));
                        Step::Choosing
                    }
                    Poll::Pending => {
                        ready!(poll_lease(this.lease, cx));
                        this.run.outlived(take(peer_url));
                        Step::Choosing
                    }
                },
                Projected::Calling { call, peer_url } => {
                    if let Poll::Ready(answer) = call.poll(cx) {
                        this.run.answered(take(peer_url), answer.map_err(Into::into));
                    } else {
                        ready!(poll_lease(this.lease, cx));
                        this.run.outlived(take(peer_url));
                    }
                    Step::Choosing
                }
                // Polled again after the end, which nobody should.
                Projected::Ended => return Poll::Pending,
            };
            this.step.set(next);
        }
    }
}

/// Waits for the end of the lease.
fn poll_lease(lease: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    match lease.as_pin_mut() {
        Some(lease) => lease.poll(cx),
        None => Poll::Pending,
    }
}

impl<S: Service<Peer>> fmt::Debug for CycleFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Starting { .. } => "starting",
            Step::Choosing => "choosing",
            Step::Readying { .. } => "readying",
            Step::Calling { .. } => "calling",
            Step::Ended => "ended",
        };
        f.debug_struct("CycleFuture").field("step", &step).finish_non_exhaustive()
    }
}
