//! Between the callers and the upstreams: all that goes over it, the judge sees.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower::Service;
use tower_retry_after::message::Incoming;

use super::chance::Chance;
use super::judge::{Ending, Judge};
use super::upstreams::{Fate, Upstream};
use super::{Rules, now, uri};

/// A response, as far as the layer looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    status: StatusCode,
    headers: HeaderMap,
    answered_by: Option<tower_retry_after::Upstream>,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        Self { status, headers: HeaderMap::new(), answered_by: None }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.headers.insert(name, value.to_string().parse().unwrap());
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

    fn answered_by(&self) -> Option<tower_retry_after::Upstream> {
        self.answered_by.clone()
    }
}

/// What a request carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) to: usize,
    /// Its number in the line of those that wait; none for all others.
    pub(crate) ticket: Option<u64>,
}

/// All upstreams, and the one who watches.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) start: Instant,
    pub(crate) seed: u64,
    pub(crate) upstreams: Mutex<Vec<Upstream>>,
    pub(crate) judge: Mutex<Judge>,
}

impl Net {
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from((now() - self.start).as_millis()).unwrap()
    }

    pub(crate) fn judge<T>(&self, ask: impl FnOnce(&mut Judge) -> T) -> T {
        ask(&mut self.judge.lock().unwrap())
    }

    /// The fate of a request that arrives now.
    fn receive(&self, to: usize) -> Fate {
        let now = self.millis();
        let mut upstreams = self.upstreams.lock().unwrap();
        match upstreams[to].sends_on(now) {
            None => upstreams[to].answer(now),
            Some(other) => {
                let mut fate = upstreams[other].answer(now);
                // It comes back the way it went.
                fate.at = super::upstreams::aligned(fate.at, to);
                let by = Some(tower_retry_after::Upstream::from_uri(&uri(other)));
                match &mut fate.response {
                    Some(response) => response.answered_by = by,
                    None => fate.by = to,
                }
                fate
            }
        }
    }
}

/// The client under the layer: of one caller, and by the rules of one layer.
pub(crate) struct Client {
    pub(crate) net: Arc<Net>,
    pub(crate) rules: Rules,
    pub(crate) caller: u64,
    /// It is not always ready at once.
    pub(crate) is_slow: bool,
    ready: Readiness,
}

enum Readiness {
    Unasked,
    Waiting(Pin<Box<Sleep>>),
    Ready,
}

impl Client {
    pub(crate) fn new(net: &Arc<Net>, rules: Rules, caller: u64, is_slow: bool) -> Self {
        Self { net: Arc::clone(net), rules, caller, is_slow, ready: Readiness::Unasked }
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self::new(&self.net, self.rules, self.caller, self.is_slow)
    }
}

impl Service<Request<Ask>> for Client {
    type Response = Response;
    type Error = io::Error;
    type Future = Call;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Readiness::Unasked = self.ready {
            let mut chance = Chance::new(self.net.seed, &[2, self.caller, self.net.millis()]);
            self.ready = if self.is_slow && chance.percent(30) {
                let delay = Duration::from_millis(chance.within(20..3_000));
                Readiness::Waiting(Box::pin(sleep(delay)))
            } else {
                Readiness::Ready
            };
        }
        if let Readiness::Waiting(sleep) = &mut self.ready {
            ready!(sleep.as_mut().poll(cx));
            self.ready = Readiness::Ready;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Ask>) -> Call {
        let was_ready = matches!(self.ready, Readiness::Ready);
        self.ready = Readiness::Unasked;
        let ask = *request.body();
        let sent = self.net.judge(|judge| {
            judge.expect(was_ready, "called unready");
            judge.sent(ask, self.caller, &self.rules)
        });
        let fate = self.net.receive(ask.to);
        let at = self.net.start + Duration::from_millis(fate.at);
        let timer = Box::pin(sleep_until(at));
        Call { net: Arc::clone(&self.net), rules: self.rules, ask, sent, fate: Some(fate), timer }
    }
}

/// A request that is out.
pub(crate) struct Call {
    net: Arc<Net>,
    rules: Rules,
    ask: Ask,
    sent: u64,
    /// Gone when the answer has arrived.
    fate: Option<Fate>,
    timer: Pin<Box<Sleep>>,
}

impl Call {
    /// Tells the judge of the end just before the layer hears of it.
    fn ended(&self, by: usize, ending: Ending) {
        self.net.judge(|judge| judge.ended((self.ask.to, by), self.sent, ending, &self.rules));
    }
}

impl Future for Call {
    type Output = io::Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.timer.as_mut().poll(cx));
        let Some(Fate { response, by, says, .. }) = self.fate.take() else {
            return Poll::Pending;
        };
        self.ended(by, says);
        Poll::Ready(response.ok_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.fate.is_some() {
            self.ended(self.ask.to, Ending::Dropped);
        }
    }
}
