//! What the tests of the shell share.
//!
//! Every inner service here holds its callers to Tower's contract: called
//! without having been readied, it panics, and each clone starts unready. What
//! it reserves when it is readied is counted, so that nothing stays reserved
//! unseen.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::arithmetic_side_effects, clippy::panic, reason = "for tests")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "for tests")]

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Request, Response, Uri};
use tokio::time::{Instant, advance, sleep, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::{
    CooldownInfo, Cooldowns, Error, RateLimited, Reason, RetryAfterBackoff, RetryAfterBackoffLayer,
    State, Upstream,
};

/// Two upstreams.
pub(crate) const A: &str = "https://a.example/";
pub(crate) const B: &str = "https://b.example/";

/// A service made of a function, which insists on being readied before each call.
pub(crate) struct Strict<F> {
    answer: F,
    ready: bool,
    reserved: Arc<AtomicUsize>,
}

impl<F> Strict<F> {
    pub(crate) fn new(answer: F) -> Self {
        Self { answer, ready: false, reserved: Arc::default() }
    }

    fn release(&mut self) -> bool {
        let was_ready = std::mem::replace(&mut self.ready, false);
        self.reserved.fetch_sub(usize::from(was_ready), Ordering::SeqCst);
        was_ready
    }
}

impl<F, R, Fut, T, E> Service<R> for Strict<F>
where
    F: FnMut(R) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        if !self.ready {
            self.ready = true;
            self.reserved.fetch_add(1, Ordering::SeqCst);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Fut {
        assert!(self.release(), "called unready");
        (self.answer)(request)
    }
}

impl<F: Clone> Clone for Strict<F> {
    fn clone(&self) -> Self {
        Self { answer: self.answer.clone(), ready: false, reserved: Arc::clone(&self.reserved) }
    }
}

impl<F> fmt::Debug for Strict<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strict").field("ready", &self.ready).finish_non_exhaustive()
    }
}

impl<F> Drop for Strict<F> {
    fn drop(&mut self) {
        self.release();
    }
}

/// What a scripted upstream answers, and when.
#[derive(Clone)]
pub(crate) struct Answer {
    reply: Reply,
    after: Duration,
}

#[derive(Clone)]
enum Reply {
    Head { status: u16, headers: HeaderMap },
    Fail,
    Never,
    PanicInCall,
    PanicInFuture,
}

impl Answer {
    fn new(reply: Reply) -> Self {
        Self { reply, after: Duration::ZERO }
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let Reply::Head { headers, .. } = &mut self.reply else {
            panic!("only a response has headers");
        };
        headers.append(name, value.parse().unwrap());
        self
    }
}

pub(crate) fn status(status: u16) -> Answer {
    Answer::new(Reply::Head { status, headers: HeaderMap::new() })
}

pub(crate) fn ok() -> Answer {
    status(200)
}

pub(crate) fn refused() -> Answer {
    status(429)
}

pub(crate) fn refused_for(seconds: u64) -> Answer {
    refused().header("retry-after", &seconds.to_string())
}

pub(crate) fn fails() -> Answer {
    Answer::new(Reply::Fail)
}

pub(crate) fn never() -> Answer {
    Answer::new(Reply::Never)
}

pub(crate) fn panics_in_call() -> Answer {
    Answer::new(Reply::PanicInCall)
}

pub(crate) fn panics_in_future() -> Answer {
    Answer::new(Reply::PanicInFuture)
}

/// An upstream, or several, that answer from a script and count who asked.
#[derive(Clone)]
pub(crate) struct Peer {
    script: Arc<dyn Fn(&Uri) -> Answer + Send + Sync>,
    calls: Arc<Mutex<HashMap<String, usize>>>,
    reserved: Arc<AtomicUsize>,
}

pub(crate) type Replied = Pin<Box<dyn Future<Output = io::Result<Response<()>>> + Send>>;

impl Peer {
    /// Answers by what was asked.
    pub(crate) fn by(script: impl Fn(&Uri) -> Answer + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), calls: Arc::default(), reserved: Arc::default() }
    }

    /// Gives these answers one after the other, and 200 from then on.
    pub(crate) fn says(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Mutex<VecDeque<Answer>> = Mutex::new(answers.into_iter().collect());
        Self::by(move |_| answers.lock().unwrap().pop_front().unwrap_or_else(ok))
    }

    /// Gives the same answer always.
    pub(crate) fn always(answer: Answer) -> Self {
        Self::by(move |_| answer.clone())
    }

    pub(crate) fn service(
        &self,
    ) -> Strict<impl FnMut(Request<()>) -> Replied + Clone + Send + use<>> {
        let peer = self.clone();
        let reserved = Arc::clone(&self.reserved);
        let answer = move |request: Request<()>| peer.reply(request.uri());
        Strict { answer, ready: false, reserved }
    }

    /// Returns how many calls were sent, to whomever.
    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().unwrap().values().sum()
    }

    /// Returns how many calls were sent there.
    pub(crate) fn calls_to(&self, uri: &str) -> usize {
        let host = uri.parse::<Uri>().unwrap().host().unwrap().to_owned();
        self.calls.lock().unwrap().get(&host).copied().unwrap_or_default()
    }

    /// Returns how many services are readied and have not been called.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::SeqCst)
    }

    fn reply(&self, uri: &Uri) -> Replied {
        let host = uri.host().unwrap_or_default().to_owned();
        *self.calls.lock().unwrap().entry(host).or_default() += 1;
        let Answer { reply, after } = (self.script)(uri);
        assert!(!matches!(reply, Reply::PanicInCall), "as scripted");
        Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            match reply {
                Reply::Head { status, headers } => {
                    let mut response = Response::builder().status(status).body(()).unwrap();
                    *response.headers_mut() = headers;
                    Ok(response)
                }
                Reply::Fail => Err(io::Error::other("connection reset")),
                Reply::Never => std::future::pending().await,
                Reply::PanicInCall | Reply::PanicInFuture => panic!("as scripted"),
            }
        })
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It was sent, and answered with this status.
    Sent(u16),
    /// It was not sent.
    Held(Reason),
    /// It was sent, and failed.
    Failed,
}

pub(crate) const COOLING: Outcome = Outcome::Held(Reason::Cooling);
pub(crate) const PROBING: Outcome = Outcome::Held(Reason::Probing);
pub(crate) const REOPENING: Outcome = Outcome::Held(Reason::Reopening);

impl Outcome {
    pub(crate) fn of<T>(result: &Result<Response<T>, Error>) -> Self {
        match result {
            Ok(response) => Self::Sent(response.status().as_u16()),
            Err(Error::RateLimited(limited)) => Self::Held(limited.reason()),
            Err(_) => Self::Failed,
        }
    }
}

/// A client service, as the tests use it.
pub(crate) trait Client:
    Service<Request<()>, Response = Response<()>, Error = Error> + Clone
{
}

impl<S> Client for S where S: Service<Request<()>, Response = Response<()>, Error = Error> + Clone {}

pub(crate) fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

/// Sends one request through a clone; whoever hangs for a day fails the test.
pub(crate) async fn send(client: &impl Client, uri: &str) -> Result<Response<()>, Error> {
    let call = client.clone().oneshot(get(uri));
    timeout(secs(86_400), call).await.expect("an answer")
}

/// Sends one request, and tells what became of it.
pub(crate) async fn ask(client: &impl Client, uri: &str) -> Outcome {
    Outcome::of(&send(client, uri).await)
}

/// Sends one request that must be held back, and returns the error.
pub(crate) async fn held(client: &impl Client, uri: &str) -> RateLimited {
    match send(client, uri).await {
        Err(Error::RateLimited(limited)) => limited,
        other => panic!("not held back: {other:?}"),
    }
}

/// Readies a clone and calls it; the future has not been polled.
pub(crate) fn call<S: Client>(client: &S, uri: &str) -> S::Future {
    let mut client = client.clone();
    let readied = client.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(readied, Poll::Ready(Ok(()))), "not ready");
    client.call(get(uri))
}

/// Starts a call that is polled once and hangs in the inner service.
pub(crate) fn hang<S: Client>(client: &S, uri: &str) -> Pin<Box<S::Future>> {
    let mut call = Box::pin(call(client, uri));
    assert!(poll_once(call.as_mut()).is_pending(), "not sent, or answered");
    call
}

pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the output of a future that must not wait.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match poll_once(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// A client on that peer, behind that layer.
pub(crate) fn client(
    layer: &RetryAfterBackoffLayer,
    peer: &Peer,
) -> RetryAfterBackoff<Strict<impl FnMut(Request<()>) -> Replied + Clone + Send + use<>>> {
    layer.layer(peer.service())
}

pub(crate) fn upstream(uri: &str) -> Upstream {
    Upstream::from_uri(&uri.parse().unwrap())
}

/// Returns what is known of an upstream that must not be Clear.
pub(crate) fn info(cooldowns: &Cooldowns, uri: &str) -> CooldownInfo {
    cooldowns.get(&upstream(uri)).unwrap_or_else(|| panic!("{uri} is clear"))
}

/// Returns the state of an upstream; none is Clear.
pub(crate) fn state(cooldowns: &Cooldowns, uri: &str) -> Option<State> {
    cooldowns.get(&upstream(uri)).map(|info| info.state())
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets exactly that much virtual time pass.
pub(crate) async fn pass(time: Duration) {
    advance(time).await;
}

/// Reads the clock, which the tests pause.
#[expect(clippy::disallowed_methods, reason = "a test's stopwatch, in virtual time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
