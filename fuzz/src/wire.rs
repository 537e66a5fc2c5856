//! What the targets that send calls have in common: an inner service that answers when
//! the script says so, and polling by hand.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, Request, StatusCode};
use tower_retry_after::Upstream;
use tower_retry_after::message::Incoming;
use tower_service::Service;

/// A response, as far as the layer looks at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) answered_by: Option<Upstream>,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.headers.insert(name, value.to_string().parse().expect("a value"));
        self
    }
}

impl Incoming for Response {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn extensions(&self) -> Option<&http::Extensions> {
        None
    }

    fn answered_by(&self) -> Option<Upstream> {
        self.answered_by.clone()
    }
}

/// What a call is answered; nothing is a broken connection.
pub(crate) type Reply = Option<Response>;

/// A request that is out, as the upstream sees it.
#[derive(Debug)]
pub(crate) struct Received {
    /// What the request carried.
    pub(crate) body: usize,
    reply: Rc<RefCell<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    reply: Option<Reply>,
    waker: Option<Waker>,
}

impl Received {
    pub(crate) fn answer(&self, reply: Reply) {
        let mut slot = self.reply.borrow_mut();
        slot.reply = Some(reply);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

/// An inner service that is always ready and keeps what it receives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) received: Rc<RefCell<VecDeque<Received>>>,
}

impl Service<Request<usize>> for Wire {
    type Response = Response;
    type Error = io::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<usize>) -> Answer {
        let reply = Rc::default();
        let received = Received { body: *request.body(), reply: Rc::clone(&reply) };
        self.received.borrow_mut().push_back(received);
        Answer(reply)
    }
}

/// The answer to come.
#[derive(Debug)]
pub(crate) struct Answer(Rc<RefCell<Slot>>);

impl Future for Answer {
    type Output = io::Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.borrow_mut();
        match slot.reply.take() {
            Some(Some(response)) => Poll::Ready(Ok(response)),
            Some(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Plays a part in virtual time.
pub(crate) fn in_virtual_time<T>(part: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(part)
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused; it is the script's own")]
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
