//! The wait before the next attempt.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::cooldowns::Cooldowns;
use crate::upstream::Upstream;

pin_project! {
    /// The wait before a call is sent again, by [`RetryPolicy`](super::RetryPolicy).
    ///
    /// It may be dropped at any time; who stands in the queue behind it moves up.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Wait {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = Projected]
    enum State {
        // Until a moment that nobody else knows of.
        Timer { #[pin] sleep: Sleep },
        // In the upstream's queue.
        Turn { ready: Pin<Box<dyn Future<Output = ()> + Send + Sync>> },
    }
}

impl Wait {
    pub(super) fn until(at: Instant) -> Self {
        Self { state: State::Timer { sleep: sleep_until(at) } }
    }

    /// Waits until a call to the upstream has a chance, or until the deadline.
    ///
    /// A wait has no way to say that it was in vain: the attempt is made, and the
    /// layer holds it back, which fails the call. Where the layer is outside, or
    /// another origin was asked than the one that is waited for, it is sent; but who
    /// waits here for others' refusals has no more than its attempts.
    pub(super) fn turn(
        cooldowns: Cooldowns,
        upstream: Upstream,
        deadline: Option<Instant>,
    ) -> Self {
        let ready = Box::pin(async move {
            let ready = cooldowns.ready(&upstream);
            match deadline {
                Some(deadline) => drop(timeout_at(deadline, ready).await),
                None => ready.await,
            }
        });
        Self { state: State::Turn { ready } }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().state.project() {
            Projected::Timer { sleep } => sleep.poll(cx),
            Projected::Turn { ready } => ready.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Timer { .. } => "timer",
            State::Turn { .. } => "turn",
        };
        f.debug_struct("Wait").field("state", &state).finish_non_exhaustive()
    }
}
