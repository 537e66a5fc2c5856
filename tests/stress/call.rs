//! Whatever a thread has out: a call, or one that waits for a chance.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};

use http::Response;
use tower_retry_after::{Error, RateLimited, Reason, ResponseFuture, State, WaitingFuture};

use crate::judge::{Before, add};
use crate::peer::{HAPPENED, Happened, Peer, Plan, Reply, unless_it_panics};
use crate::worker::Ground;

type Request = http::Request<Plan>;

/// A future on its way, judged at each step.
pub(crate) struct Flight {
    ground: Arc<Ground>,
    table: usize,
    upstream: usize,
    way: Option<Way>,
    woken: Arc<Woken>,
    has_waited: bool,
    is_sent: bool,
    /// Why it would have been rejected, in shadow mode: then it moves nothing.
    shadowed: Option<Reason>,
    /// What was known before it was sent as the probe.
    probe: Option<Before>,
}

pub(crate) enum Way {
    Rejecting(Pin<Box<ResponseFuture<Reply>>>),
    Waiting(Pin<Box<WaitingFuture<Peer, Request>>>),
    Ready(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(u16),
    Rejected(RateLimited),
    Failed,
    /// The service has panicked; the call was dropped.
    Panicked,
    /// It waited for a chance, and has one.
    Ready,
}

/// Whether it was told since it was polled last.
pub(crate) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Flight {
    /// Starts something; as that is a call, it may be sent at once.
    pub(crate) fn start(
        ground: &Arc<Ground>,
        (table, upstream): (usize, usize),
        start: impl FnOnce() -> Way,
    ) -> Self {
        let mut flight = Self {
            ground: Arc::clone(ground),
            table,
            upstream,
            way: None,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            has_waited: false,
            is_sent: false,
            shadowed: None,
            probe: None,
        };
        flight.way = flight.judged(|_| start());
        flight
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.is_sent
    }

    pub(crate) fn shadowed(&self) -> Option<Reason> {
        self.shadowed
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst)
    }

    pub(crate) fn is_call(&self) -> bool {
        !matches!(self.way, Some(Way::Ready(_)))
    }

    /// Polls it by hand.
    pub(crate) fn step(&mut self) -> Option<Outcome> {
        self.woken.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        match Pin::new(self).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    /// Does a step, and judges what it did. Where the service panics, it is given up.
    fn judged<T>(&mut self, step: impl FnOnce(&mut Option<Way>) -> T) -> Option<T> {
        let ground = Arc::clone(&self.ground);
        let judge = &ground.tables[self.table].judge;
        let before = judge.before(self.upstream);
        HAPPENED.set(Happened::default());
        let outcome = unless_it_panics(|| step(&mut self.way));
        if outcome.is_none() {
            self.way = None;
            add(&judge.counts.panicked);
        }
        let happened = HAPPENED.get();
        if happened.sent {
            self.is_sent = true;
            self.shadowed = happened.shadowed;
            judge.sent(self.upstream, &before, happened, &ground.clock);
            self.probe = Some(before).filter(|_| happened.state == Some(State::Probing));
        }
        if happened.answered {
            self.moves_nothing_in_a_shadow(happened);
            if let Some(before) = self.probe.take() {
                judge.probe_answered(self.upstream, &before, happened);
            }
            judge.of(self.upstream).verdicts.end();
        }
        outcome
    }

    fn moves_nothing_in_a_shadow(&self, happened: Happened) {
        let is_meant = self.shadowed.is_none() || !happened.is_change;
        assert!(is_meant, "a call that would have been rejected, {:?}, counts", self.shadowed);
    }

    fn ended(&mut self, outcome: &Outcome) {
        let table = &self.ground.tables[self.table];
        let counts = &table.judge.counts;
        match outcome {
            Outcome::Answered(429 | 203) if self.shadowed.is_none() => {
                add(&counts.refused);
                let name = &table.upstreams[self.upstream].1;
                table.judge.learn(self.upstream, name, &table.cooldowns(), &self.ground.clock);
            }
            Outcome::Rejected(limited) => {
                assert!(!self.is_sent, "rejected, though it was sent");
                assert!(!limited.retry_after().is_zero(), "whoever is told zero spins");
                add(&counts.rejected);
            }
            Outcome::Answered(_) | Outcome::Failed | Outcome::Panicked | Outcome::Ready => {}
        }
        if self.has_waited {
            add(&counts.waited);
        }
    }
}

impl Future for Flight {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let flight = self.get_mut();
        let polled = flight.judged(|way| match way {
            Some(Way::Rejecting(call)) => call.as_mut().poll(cx).map(Outcome::of),
            Some(Way::Waiting(call)) => call.as_mut().poll(cx).map(Outcome::of),
            Some(Way::Ready(ready)) => ready.as_mut().poll(cx).map(|()| Outcome::Ready),
            None => Poll::Ready(Outcome::Panicked),
        });
        let polled = polled.unwrap_or(Poll::Ready(Outcome::Panicked));
        match &polled {
            Poll::Pending => flight.has_waited |= !flight.is_sent,
            Poll::Ready(outcome) => {
                flight.way = None;
                flight.ended(outcome);
            }
        }
        polled
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(way) = self.way.take() else {
            return;
        };
        if self.is_sent {
            // What the call holds is given back.
            let judge = &self.ground.tables[self.table].judge;
            HAPPENED.set(Happened::default());
            judge.of(self.upstream).verdicts.during(|| drop(way));
            self.moves_nothing_in_a_shadow(HAPPENED.get());
        }
    }
}

impl Outcome {
    fn of(result: Result<Response<()>, Error>) -> Self {
        match result {
            Ok(response) => Self::Answered(response.status().as_u16()),
            Err(Error::RateLimited(limited)) => Self::Rejected(limited),
            Err(_) => Self::Failed,
        }
    }
}
