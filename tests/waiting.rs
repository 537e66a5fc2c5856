//! Waiting instead of rejecting, in virtual time: first come, first served, no
//! longer than worth it, and never as a herd.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used, reason = "for tests")]
#![allow(clippy::unchecked_time_subtraction, clippy::indexing_slicing, reason = "for tests")]

mod support;

#[path = "waiting/cancellation.rs"]
mod cancellation;
#[path = "waiting/deadlines.rs"]
mod deadlines;
#[path = "waiting/hanging.rs"]
mod hanging;
#[path = "waiting/herd.rs"]
mod herd;
#[path = "waiting/line.rs"]
mod line;
#[path = "waiting/properties.rs"]
mod properties;
#[path = "waiting/readiness.rs"]
mod readiness;
#[path = "waiting/threads.rs"]
mod threads;
#[path = "waiting/watching.rs"]
mod watching;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tower::Layer;
use tower_retry_after::{RetryAfterBackoffLayer, Waiting};

use crate::support::*;

/// A client of that peer whose calls wait, for an hour at most.
pub(crate) fn patient(
    layer: &RetryAfterBackoffLayer,
    peer: &Peer,
) -> Waiting<Strict<impl FnMut(http::Request<()>) -> Replied + Clone + Send + use<>>> {
    waits(layer, peer, secs(3600))
}

/// A client of that peer whose calls wait that long.
pub(crate) fn waits(
    layer: &RetryAfterBackoffLayer,
    peer: &Peer,
    most: Duration,
) -> Waiting<Strict<impl FnMut(http::Request<()>) -> Replied + Clone + Send + use<>>> {
    layer.waiting(most).layer(peer.service())
}

/// A layer whose upstream A is cooling for that many seconds.
pub(crate) fn cooling(seconds: u64) -> RetryAfterBackoffLayer {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(A), secs(seconds));
    layer
}

/// Starts a call that is polled once, and waits.
pub(crate) fn wait<S: Client>(client: &S) -> Pin<Box<S::Future>> {
    hang(client, A)
}

/// Lets the tasks run that can, and at most that much time pass.
pub(crate) async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What became of which call when, in milliseconds since the beginning.
#[derive(Clone)]
pub(crate) struct Log {
    start: tokio::time::Instant,
    ended: Arc<Mutex<Vec<(u32, u128, Outcome)>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { start: now(), ended: Arc::default() }
    }

    /// Makes a call in a task of its own.
    pub(crate) async fn call<S>(&self, client: &S, who: u32) -> JoinHandle<()>
    where
        S: Client + Send + 'static,
        S::Future: Send,
    {
        let (log, call) = (self.clone(), call(client, A));
        let task = tokio::spawn(async move {
            let outcome = Outcome::of(&call.await);
            let at = log.start.elapsed().as_millis();
            log.ended.lock().unwrap().push((who, at, outcome));
        });
        tokio::task::yield_now().await;
        task
    }

    pub(crate) fn entries(&self) -> Vec<(u32, u128, Outcome)> {
        self.ended.lock().unwrap().clone()
    }
}
