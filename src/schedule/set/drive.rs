//! How calls go out and come back: the set as a stream.
//!
//! Everything is done in the task that polls, and nothing is waited for but the
//! service, the calls that are out, the next due time and the handles.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use super::PollSet;
use super::call::{Call, Ticket};
use super::queue::{Hold, Turn};
use super::target::PolledTarget;
use super::targets::Targets;
use crate::error::{BoxError, Error, RateLimited, Reason};
use crate::moment::Moment;
use crate::schedule::next::{LEAST, Next};

/// How long a hold that was read from the table of cooldowns is believed before
/// the table is read again.
///
/// It bounds how long a cooldown that somebody cleared by hand goes on being
/// heeded; a look every half minute costs nothing, for however many upstreams.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How many wishes of handles are heard in a row, so that a flood of them keeps nobody
/// from an answer.
pub(super) const COMMANDS: u32 = 16;

/// How much is done before the task's other business gets a turn: as much as
/// tokio lets a task do.
pub(super) const TURNS: u32 = 128;

impl<S, T, M, R> Stream for PollSet<S, T, M, R>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
    S::Response: 'static,
    M: FnMut(&T) -> R,
{
    type Item = PolledTarget<S::Response>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let set = self.get_mut();
        if let Some(left) = set.answers_left.checked_sub(1) {
            for _ in 0..TURNS {
                match set.step(cx) {
                    Step::Again => {}
                    Step::Answered(answer) => {
                        set.answers_left = left;
                        return Poll::Ready(Some(answer));
                    }
                    Step::Wait => {
                        set.answers_left = TURNS;
                        return Poll::Pending;
                    }
                    Step::Ended => return Poll::Ready(None),
                }
            }
        }
        // More is to be done at once; but others have a right to the thread.
        set.answers_left = TURNS;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What became of one step.
enum Step<A> {
    Answered(PolledTarget<A>),
    Again,
    Wait,
    Ended,
}

/// Whom to call.
enum Choice {
    Call(u32),
    /// Nobody, but that may be otherwise at once.
    Again,
    /// Nobody, until something happens.
    Wait,
}

impl<S, T, M, R> PollSet<S, T, M, R>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
    S::Response: 'static,
    M: FnMut(&T) -> R,
{
    /// Goes on until there is something to tell, or nothing to do.
    fn step(&mut self, cx: &mut Context<'_>) -> Step<S::Response> {
        if self.commands_left > 0
            && let Ok(command) = self.commands.try_recv()
        {
            self.commands_left = self.commands_left.saturating_sub(1);
            command(&mut self.targets);
            return Step::Again;
        }
        self.commands_left = COMMANDS;
        if std::mem::take(&mut self.asks_first)
            && let Some(step) = self.ask(cx)
        {
            return step;
        }
        match self.begin(cx) {
            Step::Wait => {}
            step => {
                self.asks_first = matches!(step, Step::Answered(_));
                return step;
            }
        }
        if let Some(step) = self.ask(cx) {
            return step;
        }
        // Nothing to do: whoever asks for something wakes the task from here on.
        match self.commands.poll_recv(cx) {
            Poll::Ready(Some(command)) => {
                command(&mut self.targets);
                Step::Again
            }
            Poll::Ready(None) | Poll::Pending
                if self.targets.is_ending && self.calls.is_empty() =>
            {
                self.commands.close();
                // Who asks from now on is told that the set is gone.
                while let Ok(command) = self.commands.try_recv() {
                    drop(command);
                }
                Step::Ended
            }
            Poll::Ready(None) | Poll::Pending => Step::Wait,
        }
    }

    /// Asks the calls that are out for an answer.
    fn ask(&mut self, cx: &mut Context<'_>) -> Option<Step<S::Response>> {
        if self.calls.is_empty() {
            return None;
        }
        match Pin::new(&mut self.calls).poll_next(cx) {
            Poll::Ready(Some((Some(ticket), result))) => Some(self.take(ticket, result)),
            Poll::Ready(_) | Poll::Pending => None,
        }
    }

    /// Begins a call, if one is due and may be.
    fn begin(&mut self, cx: &mut Context<'_>) -> Step<S::Response> {
        let (index, otherwise) = match self.choose(cx) {
            Choice::Call(index) => (Some(index), Step::Wait),
            Choice::Wait => (None, Step::Wait),
            Choice::Again => (None, Step::Again),
        };
        // Whoever was told to wait for readiness may have been given it since, and
        // would keep it from everybody else. So the call it was for is made, as one
        // that had begun before a pause or a cooldown; the layer rejects what must
        // not be sent, and gives it back.
        let promised = self.readying.filter(|&id| self.targets.waits(id)).map(|id| id.index);
        let Some(index) = index.or(promised) else {
            self.readying = None;
            return otherwise;
        };
        let Some((id, target)) = self.targets.at(index) else { return otherwise };
        // Whom to call is known, so what the service reserves is used at once.
        let readied = match self.service.poll_ready(cx) {
            Poll::Ready(readied) => readied,
            Poll::Pending => {
                self.readying.get_or_insert(id);
                return otherwise;
            }
        };
        self.readying = None;
        let ticket = Ticket { id, lane: self.targets.queue.lane(index), has_place: false };
        if let Err(error) = readied {
            return self.take(ticket, Err(Error::inner(error)));
        }
        let future = self.service.call((self.make_request)(target));
        self.send(future, ticket, cx)
    }

    /// Says whom to call now, or what to do instead.
    fn choose(&mut self, cx: &mut Context<'_>) -> Choice {
        let Targets { is_paused, is_ending, .. } = self.targets;
        if is_paused || is_ending {
            return Choice::Wait;
        }
        let index = match self.targets.next() {
            Turn::Call(index) => index,
            Turn::Until(wakes) => return self.sleep(self.targets.instant(wakes), cx),
            Turn::Idle => return Choice::Wait,
        };
        let lane = self.targets.queue.lane(index);
        if let Some(until) = self.held_until(lane) {
            let until = self.targets.moment(until).max(self.targets.now().after(LEAST));
            self.targets.queue.hold(lane, until, self.loose(until));
            return Choice::Again;
        }
        Choice::Call(index)
    }

    /// Asks a call for its answer once, and puts it with the others if it has none.
    fn send(
        &mut self,
        future: S::Future,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Step<S::Response> {
        let mut call = self.spare.take().unwrap_or_else(Call::empty);
        call.as_mut().set(future);
        match call.as_mut().ask(cx) {
            Poll::Ready(result) => {
                self.spare = Some(call);
                self.take(ticket, result)
            }
            Poll::Pending => {
                self.targets.queue.begin(ticket.id.index);
                call.as_mut().keep(Ticket { has_place: true, ..ticket }, self.run_lease);
                self.calls.push(call);
                Step::Again
            }
        }
    }

    /// Takes in an answer.
    fn take(&mut self, ticket: Ticket, result: Result<S::Response, Error>) -> Step<S::Response> {
        let Ticket { id, lane, .. } = ticket;
        if !self.targets.has(id) {
            self.targets.queue.finish(lane, None);
            return Step::Again;
        }
        let reading = self.targets.wall.read();
        let now = self.targets.moment(reading.now);
        let (next, least) = self.judging.judge(&result, reading.wall);
        let (next, hold) = self.weigh(lane, next, &result);
        let Some(outlook) = self.targets.answered(ticket, next, least, hold, now) else {
            return Step::Again;
        };
        Step::Answered(PolledTarget {
            id,
            result,
            consecutive_failures: outlook.failures,
            due_at: reading.time(self.targets.instant(outlook.due)),
        })
    }

    /// Says how sure it is that nothing can be sent, and until when.
    fn weigh(&self, lane: u32, next: Next, result: &Result<S::Response, Error>) -> (Next, Hold) {
        let Next::NotSent { until } = next else { return (next, Hold::Firm) };
        if let Some(until) = self.held_until(lane) {
            let hold = self.loose(self.targets.moment(until));
            return (Next::NotSent { until }, hold);
        }
        let limited = result.as_ref().err().and_then(|error| RateLimited::find(error));
        let hold = match limited.map(RateLimited::reason) {
            // Nobody knows how long these take.
            Some(Reason::Probing | Reason::Reopening) => {
                Hold::Loose { look_at: self.targets.moment(until) }
            }
            Some(Reason::Cooling | Reason::Refused) | None => Hold::Firm,
        };
        (Next::NotSent { until }, hold)
    }

    /// A hold that was read from the table, and is so again before long.
    fn loose(&self, until: Moment) -> Hold {
        Hold::Loose { look_at: until.min(self.targets.now().after(LOOK_AGAIN)) }
    }

    /// Returns until when the table of cooldowns holds a lane back.
    fn held_until(&self, lane: u32) -> Option<Instant> {
        self.cooldowns.as_ref()?.held_until(self.targets.queue.upstream(lane)?)
    }

    /// Waits until then.
    fn sleep(&mut self, until: Instant, cx: &mut Context<'_>) -> Choice {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Choice::Again,
            Poll::Pending => Choice::Wait,
        }
    }
}
