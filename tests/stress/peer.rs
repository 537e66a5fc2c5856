//! The inner service: it does what the request says, and tells whoever polls what
//! has happened.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tower::Service;
use tower_retry_after::{Reason, State};

use crate::judge::Judge;

/// What a request is to meet.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) judge: Arc<Judge>,
    pub(crate) upstream: usize,
    pub(crate) answer: Answer,
    /// How often it is polled in vain.
    pub(crate) polls: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Good,
    Refusal {
        hint: Option<&'static str>,
    },
    LastOfQuota,
    Error,
    Failure,
    /// The service panics, before it answers or where it is called.
    Panic {
        when_called: bool,
    },
    Never,
}

thread_local! {
    /// What has happened to the call that this thread polls.
    pub(crate) static HAPPENED: Cell<Happened> = const { Cell::new(Happened::NOTHING) };
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Happened {
    /// It was sent.
    pub(crate) sent: bool,
    /// By what right, where somebody watches.
    pub(crate) state: Option<State>,
    /// Why it would have been rejected, in shadow mode.
    pub(crate) shadowed: Option<Reason>,
    /// It was answered or the service panicked, and its verdict goes into the table.
    pub(crate) answered: bool,
    /// The upstream's state has changed by that, where somebody watches.
    pub(crate) is_change: bool,
}

impl Happened {
    const NOTHING: Self =
        Self { sent: false, state: None, shadowed: None, answered: false, is_change: false };

    pub(crate) fn note(change: impl FnOnce(&mut Self)) {
        let mut happened = HAPPENED.get();
        change(&mut happened);
        HAPPENED.set(happened);
    }
}

/// The service. A clone is not ready, whatever its original.
pub(crate) struct Peer {
    ready: bool,
    /// How often it has to be asked, in turns.
    asked: u32,
    /// All answers are good, and come at once.
    calm: Arc<AtomicBool>,
}

impl Peer {
    pub(crate) fn new(calm: Arc<AtomicBool>) -> Self {
        Self { ready: false, asked: 0, calm }
    }
}

impl Clone for Peer {
    fn clone(&self) -> Self {
        Self { ready: false, asked: self.asked, calm: Arc::clone(&self.calm) }
    }
}

impl Service<Request<Plan>> for Peer {
    type Response = Response<()>;
    type Error = io::Error;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked = self.asked.wrapping_add(1);
        if !self.ready && self.asked.is_multiple_of(32) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Plan>) -> Reply {
        assert!(std::mem::replace(&mut self.ready, false), "called unready");
        Happened::note(|happened| happened.sent = true);
        let plan = request.body();
        if plan.answer == (Answer::Panic { when_called: true }) && !self.calm.load(SeqCst) {
            plan.panic();
        }
        Reply { plan: request.into_body(), calm: Arc::clone(&self.calm) }
    }
}

/// The answer, when it is due.
pub(crate) struct Reply {
    plan: Plan,
    calm: Arc<AtomicBool>,
}

impl Future for Reply {
    type Output = io::Result<Response<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let is_calm = self.calm.load(SeqCst);
        if !is_calm && self.plan.polls > 0 {
            self.plan.polls -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let answer = if is_calm { Answer::Good } else { self.plan.answer };
        if answer == Answer::Never {
            return Poll::Pending;
        }
        if let Answer::Panic { .. } = answer {
            self.plan.panic();
        }
        self.plan.answered();
        Poll::Ready(answer.response())
    }
}

impl Plan {
    /// What the verdict may end begins to end.
    fn answered(&self) {
        self.judge.of(self.upstream).verdicts.begin();
        Happened::note(|happened| happened.answered = true);
    }

    fn panic(&self) -> ! {
        self.answered();
        // The hook ends the process, and is not asked.
        resume_unwind(Box::new(Planned));
    }
}

/// The payload of a panic that was asked for.
struct Planned;

/// Does a step; nothing comes of it where the service panics as it was asked to.
pub(crate) fn unless_it_panics<T>(step: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(outcome) => Some(outcome),
        Err(payload) if payload.is::<Planned>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

impl Answer {
    fn response(self) -> io::Result<Response<()>> {
        let status = match self {
            Self::Good => 200,
            Self::Refusal { .. } => 429,
            Self::LastOfQuota => 203,
            Self::Error => 500,
            Self::Failure | Self::Panic { .. } | Self::Never => {
                return Err(io::Error::other("connection reset"));
            }
        };
        let mut response = Response::builder().status(status).body(()).unwrap();
        if let Self::Refusal { hint: Some(hint) } = self {
            response.headers_mut().insert("retry-after-ms", HeaderValue::from_static(hint));
        }
        Ok(response)
    }
}
