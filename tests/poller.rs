//! A poller asks when it is due: not early, not twice, and for ever.
#![cfg(feature = "schedule")]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::similar_names, reason = "what was polled comes from a poller")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod support;

#[path = "poller/cancellation.rs"]
mod cancellation;
#[path = "poller/clocks.rs"]
mod clocks;
#[path = "poller/floors.rs"]
mod floors;
#[path = "poller/model.rs"]
mod model;
#[path = "poller/panics.rs"]
mod panics;
#[path = "poller/remote.rs"]
mod remote;
#[path = "poller/restoring.rs"]
mod restoring;
#[path = "poller/rules.rs"]
mod rules;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use support::{Strict, now, secs};
use tokio::time::{Instant, sleep, timeout};
use tower::Service;
use tower_retry_after::schedule::{Polled, Poller, SyncPolicy};
use tower_retry_after::{Error, Ladder};

/// What a scripted call does, and how long it takes.
#[derive(Clone, Copy, Debug)]
enum Play {
    Answers,
    Fails,
    Hangs,
}

type Called = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// When the calls of a script were made, since its beginning.
#[derive(Clone)]
struct Script {
    plays: Arc<Mutex<VecDeque<(Play, Duration)>>>,
    began: Instant,
    calls: Arc<Mutex<Vec<Duration>>>,
}

impl Script {
    /// Plays these one after the other, and answers from then on.
    fn new(plays: impl IntoIterator<Item = Play>) -> Self {
        Self::lasting(plays.into_iter().map(|play| (play, Duration::ZERO)))
    }

    fn lasting(plays: impl IntoIterator<Item = (Play, Duration)>) -> Self {
        let plays = Arc::new(Mutex::new(plays.into_iter().collect()));
        Self { plays, began: now(), calls: Arc::default() }
    }

    fn service(&self) -> Strict<impl FnMut(()) -> Called + Clone + Send + use<>> {
        let script = self.clone();
        Strict::new(move |()| script.play())
    }

    fn play(&self) -> Called {
        self.calls.lock().unwrap().push(now() - self.began);
        let next = self.plays.lock().unwrap().pop_front();
        let (play, lasting) = next.unwrap_or((Play::Answers, Duration::ZERO));
        Box::pin(async move {
            sleep(lasting).await;
            match play {
                Play::Answers => Ok(()),
                Play::Fails => Err(io::Error::other("connection reset")),
                Play::Hangs => std::future::pending().await,
            }
        })
    }

    /// Returns when calls were made, in whole seconds.
    fn seconds(&self) -> Vec<u64> {
        self.calls.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    fn calls(&self) -> Vec<Duration> {
        self.calls.lock().unwrap().clone()
    }
}

/// Every minute; the ladder from ten seconds to two minutes.
fn policy() -> SyncPolicy {
    let ladder = Ladder::new(secs(10), secs(120));
    SyncPolicy { interval: secs(60), ladder, ..SyncPolicy::default() }
}

fn unit() {}

/// Polls that many times; whoever hangs for a year fails the test.
async fn polls<S, M, R>(poller: &mut Poller<S, M, R>, times: usize) -> Vec<Polled<S::Response>>
where
    S: Service<R>,
    S::Error: Into<tower::BoxError>,
    S::Response: 'static,
    M: FnMut() -> R,
{
    let mut all = Vec::new();
    for _ in 0..times {
        let next = timeout(secs(365 * 86_400), poller.next()).await.expect("it stalls");
        all.push(next.expect("it has not ended"));
    }
    all
}

fn error_of<T>(polled: &Polled<T>) -> &Error {
    polled.result.as_ref().err().expect("an error")
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(seconds)
}

/// A service that is ready when it is told so.
#[derive(Clone)]
struct Gate<S> {
    inner: S,
    is_open: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl<S> Gate<S> {
    fn new(inner: S) -> Self {
        Self { inner, is_open: Arc::default(), waker: Arc::default() }
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}

impl<S: Service<()>> Service<()> for Gate<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.is_open.load(Ordering::SeqCst) {
            return self.inner.poll_ready(context);
        }
        *self.waker.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, request: ()) -> S::Future {
        self.inner.call(request)
    }
}
