//! How runs begin and end: the poller as a stream.
//!
//! Everything is done in the task that polls, and nothing is waited for but the due
//! time, the service and the wishes of other tasks.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{Owner, Phase, Polled, Poller};
use crate::ambient;
use crate::error::{BoxError, Error};
use crate::schedule::judge;
use crate::schedule::next::{self, LEAST_AFTER_FAILURE, Next};
use crate::schedule::run::{self, RunExpired};
use crate::schedule::wall::Reading;

impl<S, M, R> Stream for Poller<S, M, R>
where
    S: Service<R, Error: Into<BoxError>>,
    S::Response: 'static,
    M: FnMut() -> R,
{
    type Item = Polled<S::Response>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poller = self.get_mut();
        // From here on no wish is missed.
        poller.remote.register(context.waker());
        loop {
            match mem::replace(&mut poller.phase, Phase::Away) {
                Phase::Ended => {
                    poller.phase = Phase::Ended;
                    return Poll::Ready(None);
                }
                Phase::Waiting => {
                    poller.phase = Phase::Waiting;
                    ready!(poller.poll_begin(context));
                }
                // Nothing was sent: there is nothing to wait for.
                Phase::Readying { wanted, .. }
                    if poller.remote.is_shut_down() || poller.remote.is_paused() =>
                {
                    poller.put_off(if wanted { ambient::now() } else { poller.due });
                }
                Phase::Readying { expires, wanted } => match poller.service.poll_ready(context) {
                    Poll::Ready(Ok(())) if !wanted && poller.has_been_overtaken() => {}
                    Poll::Ready(Ok(())) => {
                        let request = (poller.make_request)();
                        let call = Box::pin(poller.service.call(request));
                        poller.phase = Phase::Calling { call, expires };
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Some(poller.finish(Err(Error::inner(error)))));
                    }
                    Poll::Pending => {
                        poller.phase = Phase::Readying { expires, wanted };
                        ready!(poll_sleep(&mut poller.sleep, expires, context));
                        return Poll::Ready(Some(poller.finish(Err(RunExpired::error()))));
                    }
                },
                Phase::Calling { mut call, expires } => {
                    let result = match call.as_mut().poll(context) {
                        Poll::Ready(result) => result.map_err(Error::inner),
                        Poll::Pending => {
                            poller.phase = Phase::Calling { call, expires };
                            ready!(poll_sleep(&mut poller.sleep, expires, context));
                            Err(RunExpired::error())
                        }
                    };
                    return Poll::Ready(Some(poller.finish(result)));
                }
                // Somebody has caught the panic, and goes on. Not at once, though.
                Phase::Away => {
                    let later = ambient::later(ambient::now(), LEAST_AFTER_FAILURE);
                    poller.put_off(poller.due.max(later));
                }
            }
        }
    }
}

impl<S, M, R> Poller<S, M, R>
where
    S: Service<R, Error: Into<BoxError>>,
    S::Response: 'static,
    M: FnMut() -> R,
{
    /// Begins a run, unless it has to wait for that, or has been shut down.
    fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.remote.is_shut_down() {
            self.phase = Phase::Ended;
            return Poll::Ready(());
        }
        if self.remote.is_paused() {
            return Poll::Pending;
        }
        let wanted = self.remote.take_trigger();
        if !wanted {
            if let Some(Owner { due, .. }) = &self.owner {
                self.due = self.due.max(due(&self.service));
            }
            ready!(poll_sleep(&mut self.sleep, self.due, context));
        }
        let reading = self.read_clocks();
        self.state.begin("", "", reading.wall);
        self.remote.show(&self.state, reading);
        let expires = ambient::later(reading.now, self.policy.run_lease);
        self.phase = Phase::Readying { expires, wanted };
        Poll::Ready(())
    }

    /// Puts the run off if somebody else's has ended while it waited for its turn.
    fn has_been_overtaken(&mut self) -> bool {
        let Some(Owner { due, release }) = &self.owner else {
            return false;
        };
        let due = due(&self.service);
        let is_overtaken = due > ambient::now();
        if is_overtaken {
            release(&mut self.service);
            self.put_off(due);
        }
        is_overtaken
    }

    /// Takes in how a run ended. Until it is all known the phase stays: the judge
    /// and the errors are the user's, and may panic.
    fn finish(&mut self, result: Result<S::Response, Error>) -> Polled<S::Response> {
        self.phase = Phase::Away;
        let reading = self.read_clocks();
        let (next, floor) = self.judging.judge(&result, reading.wall);
        let due = self.take_in(next, &result, reading);
        self.due = due.max(ambient::later(reading.now, floor));
        self.state.next_sync_due_at = Some(reading.time(self.due));
        self.remote.show(&self.state, reading);
        self.phase = Phase::Waiting;
        Polled { result, state: self.state.clone() }
    }

    /// Notes what the judge says; returns when the next run is due.
    fn take_in(
        &mut self,
        next: Next,
        result: &Result<S::Response, Error>,
        reading: Reading,
    ) -> Instant {
        let Self { state, policy, .. } = self;
        let wall = reading.wall;
        let after = |wait: Duration| ambient::later(reading.now, wait);
        match (next, result) {
            (Next::Ok, _) => {
                state.finish_ok(policy, "", "", wall);
                after(policy.interval)
            }
            (Next::Failed { hint }, _) => {
                let failures = state.consecutive_failures.saturating_add(1);
                let hint = next::usable(policy.ladder, failures, hint);
                state.finish_err(policy, "", "", &run::told(result), hint, wall);
                after(policy.ladder.delay_with_hint(failures, hint))
            }
            (Next::NotSent { until: at }, _) | (Next::DueAt(at), Err(_)) => {
                state.put_off(wall, wall);
                at
            }
            (Next::DueAt(at), Ok(answer)) => {
                match judge::report(answer) {
                    // The cycle has a state of its own, and this is it.
                    Some(report) => state.clone_from(report.state()),
                    None => state.finish_ok(policy, "", "", wall),
                }
                at
            }
        }
    }

    /// Reads both clocks, and moves the state's deadlines along if the wall clock was
    /// stepped.
    fn read_clocks(&mut self) -> Reading {
        let reading = self.clock.read();
        self.state.shift(reading.step_since(&self.since));
        self.since = reading;
        reading
    }
}

impl<S, M, R> Poller<S, M, R>
where
    S: Service<R>,
{
    /// Ends the run that has begun, as if there had been none; the next is due then.
    pub(super) fn put_off(&mut self, due: Instant) {
        // Reckoned, not read: the user's clock is no business of a drop.
        let now = ambient::now();
        let reading = Reading { wall: self.since.time(now), now };
        self.due = due;
        self.state.put_off(reading.time(due), reading.wall);
        self.remote.show(&self.state, reading);
        self.phase = Phase::Waiting;
    }
}

impl<S, M, R> Drop for Poller<S, M, R>
where
    S: Service<R>,
{
    fn drop(&mut self) {
        match self.phase {
            Phase::Waiting | Phase::Ended => {}
            Phase::Readying { .. } | Phase::Calling { .. } | Phase::Away => self.put_off(self.due),
        }
    }
}

/// Waits for an instant with a timer that is made once and set anew.
fn poll_sleep(
    sleep: &mut Option<Pin<Box<Sleep>>>,
    until: Instant,
    context: &mut Context<'_>,
) -> Poll<()> {
    let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
    if sleep.deadline() != until {
        sleep.as_mut().reset(until);
    }
    sleep.as_mut().poll(context)
}
