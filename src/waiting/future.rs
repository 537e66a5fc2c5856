//! The future of a call that may wait.
//!
//! One that waits is polled when it is told, when its time may have come, and at
//! its deadline. It goes in three steps that nothing comes between: the inner
//! service is ready, the upstream admits, the call is made. So nothing that was
//! admitted earlier is sent into a cooldown that began meanwhile.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::outing::Outing;
use crate::ambient;
use crate::cooldown::Ending;
use crate::cooldowns::{Entered, Prospect, Ticket};
use crate::error::{BoxError, Error, RateLimited};
use crate::message::Incoming;
use crate::permit::Shared;

pin_project! {
    /// The answer to a call through [`Waiting`](super::Waiting).
    ///
    /// It may be dropped at any time: its turn goes to the next in line, and a
    /// call that was out gives back what it held.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct WaitingFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R, S::Future>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, R, F> {
        // The call stands in line. There is a timer once it has been polled.
        Waiting { waiter: Option<Waiter<S, R>>, #[pin] timer: Option<Sleep> },
        // The request is out. An outing dropped unsettled gives back what it holds.
        Called { #[pin] call: F, outing: Outing },
        // The request never left.
        Rejected { error: Option<RateLimited> },
        // The answer has been given.
        Ended,
    }
}

impl<S: Service<R>, R> WaitingFuture<S, R> {
    #[inline]
    pub(super) fn called(call: S::Future, outing: Outing) -> Self {
        Self { state: State::Called { call, outing } }
    }

    pub(super) fn rejected(error: RateLimited) -> Self {
        Self { state: State::Rejected { error: Some(error) } }
    }

    pub(super) fn waiting(waiter: Waiter<S, R>) -> Self {
        Self { state: State::Waiting { waiter: Some(waiter), timer: None } }
    }
}

impl<S, R> Future for WaitingFuture<S, R>
where
    S: Service<R> + Clone,
    S::Response: Incoming,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let answer = match state.as_mut().project() {
                Projected::Called { call, outing } => match ready!(call.poll(cx)) {
                    Ok(response) => {
                        outing.answered(&response);
                        Ok(response)
                    }
                    Err(error) => {
                        outing.failed();
                        Err(Error::inner(error))
                    }
                },
                Projected::Waiting { waiter, timer } => {
                    match ready!(Waiter::poll(waiter, timer, cx)) {
                        Ok((call, outing)) => {
                            state.set(State::Called { call, outing });
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Projected::Rejected { error } => match error.take() {
                    Some(error) => Err(Error::RateLimited(error)),
                    None => return Poll::Pending,
                },
                // Polled again after the end, which nobody should.
                Projected::Ended => return Poll::Pending,
            };
            state.set(State::Ended);
            return Poll::Ready(answer);
        }
    }
}

/// A call that waits.
pub(super) struct Waiter<S, R> {
    inner: S,
    request: R,
    shared: Arc<Shared>,
    ticket: Ticket,
    deadline: Instant,
    manner: Manner,
}

/// How a call waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    /// In line, without a reservation in the inner service.
    InLine,
    /// In line, and the inner service is ready.
    Readied,
    /// Aside, for the inner service.
    Aside,
}

/// What comes of a look.
enum Step<E> {
    /// Nothing before then, unless the call is told.
    Sleep {
        until: Instant,
    },
    /// Something has changed meanwhile: look again.
    Again,
    Go(Outing),
    Reject(RateLimited),
    Fail(E),
}

impl<S, R> Waiter<S, R> {
    pub(super) fn new(
        inner: S,
        request: R,
        shared: Arc<Shared>,
        ticket: Ticket,
        deadline: Instant,
    ) -> Self {
        Self { inner, request, shared, ticket, deadline, manner: Manner::InLine }
    }
}

impl<S, R> Waiter<S, R>
where
    S: Service<R> + Clone,
    S::Error: Into<BoxError>,
{
    /// Waits until the call can be made, and makes it.
    fn poll(
        this: &mut Option<Self>,
        mut timer: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(S::Future, Outing), Error>> {
        loop {
            // None where the inner service panicked when it was called.
            let Some(waiter) = this.as_mut() else {
                return Poll::Pending;
            };
            let step = waiter.step(cx);
            if let Step::Sleep { .. } | Step::Again = step {
                waiter.release();
            }
            match step {
                Step::Again => {}
                Step::Sleep { until } => ready!(sleep(timer.as_mut(), until, cx)),
                Step::Go(outing) => {
                    let Some(Self { mut inner, request, ticket, .. }) = this.take() else {
                        return Poll::Pending;
                    };
                    let call = inner.call(request);
                    // Only now, so that calls are made in the order of the line.
                    drop(ticket);
                    return Poll::Ready(Ok((call, outing)));
                }
                Step::Reject(error) => {
                    waiter.shared.tell_rejected(&error);
                    *this = None;
                    return Poll::Ready(Err(Error::RateLimited(error)));
                }
                Step::Fail(error) => {
                    *this = None;
                    return Poll::Ready(Err(Error::inner(error)));
                }
            }
        }
    }

    /// Looks what can be done now.
    fn step(&mut self, cx: &mut Context<'_>) -> Step<S::Error> {
        let now = ambient::now();
        if now > self.deadline {
            return self.reject();
        }
        if self.manner == Manner::Aside {
            match self.inner.poll_ready(cx) {
                Poll::Pending => return self.stay_aside(cx, now),
                Poll::Ready(Err(error)) => return Step::Fail(error),
                Poll::Ready(Ok(())) => self.manner = Manner::Readied,
            }
        }
        let standing = self.ticket.come(cx.waker().clone(), self.deadline, now);
        if !standing.is_first {
            let is_lost = standing.is_doomed && self.is_in_vain();
            return if is_lost { self.reject() } else { self.sleep(standing.look_at, now) };
        }
        let known = self.shared.cooldowns.look(self.ticket.upstream());
        let (full_until, lapsed) = self.ticket.learn(&known, now);
        let Shared { cooldowns, rules, .. } = &*self.shared;
        for right in lapsed {
            cooldowns.settle(self.ticket.upstream(), right, Ending::Dropped, rules);
        }
        if !matches!(known.prospect, Prospect::Cooling { .. }) {
            self.ticket.not_cooling();
        }
        let until = match known.prospect {
            Prospect::Open => match full_until {
                None => return self.go(cx, now),
                Some(until) => until,
            },
            Prospect::Cooling { until } => {
                self.ticket.expect(until.min(self.deadline));
                return self.cool(until, now);
            }
            Prospect::Probing { lease } => lease,
            // Others may hold the places, and are nobody's here to let lapse.
            Prospect::Full => {
                let look_at = ambient::later(now, cooldowns.look_again());
                full_until.map_or(look_at, |until| until.min(look_at))
            }
        };
        self.ticket.expect(until.min(self.deadline));
        self.sleep(until, now)
    }

    /// Goes, if both the inner service and the upstream say yes.
    fn go(&mut self, cx: &mut Context<'_>, now: Instant) -> Step<S::Error> {
        match self.inner.poll_ready(cx) {
            Poll::Pending => return self.stay_aside(cx, now),
            Poll::Ready(Err(error)) => return Step::Fail(error),
            Poll::Ready(Ok(())) => self.manner = Manner::Readied,
        }
        let Shared { cooldowns, rules, .. } = &*self.shared;
        let lapses = ambient::later(now, rules.probe_lease);
        let Some(place) = self.ticket.let_go(lapses) else {
            return Step::Again;
        };
        let Entered { generation, .. } = cooldowns.table().enter();
        match self.shared.admit_to(self.ticket.upstream().clone(), generation) {
            Ok(permit) => Step::Go(Outing::from_line(permit, place)),
            Err(_) => Step::Again,
        }
    }

    /// Waits for the inner service, and lets others go.
    fn stay_aside(&mut self, cx: &mut Context<'_>, now: Instant) -> Step<S::Error> {
        self.manner = Manner::Aside;
        self.ticket.step_aside(cx.waker().clone(), self.deadline, now);
        match self.shared.cooldowns.look(self.ticket.upstream()).prospect {
            Prospect::Cooling { until } => self.cool(until, now),
            Prospect::Open | Prospect::Probing { .. } | Prospect::Full => {
                self.sleep(self.deadline, now)
            }
        }
    }

    /// Sleeps until then, or until the deadline; past that there is nothing to
    /// wait for.
    fn sleep(&self, until: Instant, now: Instant) -> Step<S::Error> {
        if now >= self.deadline {
            return self.reject();
        }
        Step::Sleep { until: until.min(self.deadline) }
    }

    fn reject(&self) -> Step<S::Error> {
        Step::Reject(self.shared.cooldowns.waited_in_vain(self.ticket.upstream()))
    }

    /// Sleeps until the cooldown's end, if that is not too late, and tells the
    /// others.
    fn cool(&self, until: Instant, now: Instant) -> Step<S::Error> {
        self.ticket.cooling(until);
        if until > self.deadline { self.reject() } else { self.sleep(until, now) }
    }

    /// Returns whether the upstream's cooldown ends too late.
    fn is_in_vain(&self) -> bool {
        match self.shared.cooldowns.look(self.ticket.upstream()).prospect {
            Prospect::Cooling { until } => until > self.deadline,
            Prospect::Open | Prospect::Probing { .. } | Prospect::Full => false,
        }
    }

    /// Gives a reservation in the inner service back: nobody waits with one.
    fn release(&mut self) {
        if self.manner == Manner::Readied {
            self.manner = Manner::InLine;
            let fresh = self.inner.clone();
            drop(std::mem::replace(&mut self.inner, fresh));
        }
    }
}

/// Sleeps until then.
fn sleep(mut timer: Pin<&mut Option<Sleep>>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep_until(until)));
    }
    match timer.as_pin_mut() {
        None => Poll::Pending,
        Some(mut timer) => {
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            timer.poll(cx)
        }
    }
}

impl<S, R> fmt::Debug for WaitingFuture<S, R>
where
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "waiting",
            State::Called { .. } => "called",
            State::Rejected { .. } => "rejected",
            State::Ended => "ended",
        };
        f.debug_struct("WaitingFuture").field("state", &state).finish_non_exhaustive()
    }
}
