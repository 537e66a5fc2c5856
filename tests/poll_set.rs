//! Many targets through one service, in virtual time.
#![cfg(feature = "schedule")]
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used, reason = "for tests")]
#![allow(clippy::unchecked_time_subtraction, clippy::indexing_slicing, reason = "for tests")]

mod support;

#[path = "poll_set/cooling.rs"]
mod cooling;
#[path = "poll_set/handle.rs"]
mod handle;
#[path = "poll_set/properties.rs"]
mod properties;
#[path = "poll_set/scale.rs"]
mod scale;
#[path = "poll_set/schedule.rs"]
mod schedule;
#[path = "poll_set/service.rs"]
mod service;
#[path = "poll_set/waiting.rs"]
mod waiting;

use std::io;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tower::Service;
use tower_retry_after::Ladder;
use tower_retry_after::schedule::{PollSet, PolledTarget, SyncPolicy};

use crate::support::*;

/// A target of the tests is where it is.
pub(crate) type Target = &'static str;

/// Makes a target's request.
pub(crate) fn request(target: &Target) -> Request<()> {
    get(target)
}

/// A wall clock that shows a fixed time and goes with the virtual one.
pub(crate) fn wall_clock() -> impl Fn() -> SystemTime + Send + Sync + 'static {
    let born = now();
    move || noon() + (now() - born)
}

pub(crate) fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(1_800_000_000)
}

/// Every ten minutes, and a ladder of 60, 120, 240 ... seconds.
pub(crate) fn policy() -> SyncPolicy {
    SyncPolicy { interval: secs(600), ladder: Ladder::default(), run_lease: secs(1800) }
}

/// Polls the set until then; returns the answers, each with when it came.
pub(crate) async fn poll_until<S, T, M, R>(
    set: &mut PollSet<S, T, M, R>,
    end: Instant,
) -> Vec<(Instant, PolledTarget<S::Response>)>
where
    S: Service<R>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Response: 'static,
    M: FnMut(&T) -> R,
{
    let mut answers = Vec::new();
    while let Ok(Some(answer)) = timeout_at(end, set.next()).await {
        answers.push((now(), answer));
    }
    answers
}

/// The whole seconds at which answers came, counted from `start`.
pub(crate) fn seconds<A>(start: Instant, answers: &[(Instant, A)]) -> Vec<u64> {
    answers.iter().map(|(at, _)| (*at - start).as_secs()).collect()
}

/// What the tests' plain upstreams answer.
pub(crate) type Answered = io::Result<Response<()>>;

#[test]
fn a_set_can_be_moved_to_another_task() {
    fn check<T: Send + Unpin>(_: &T) {}

    check(&PollSet::new(Peer::always(ok()).service(), request));
}

/// Reads like a clock.
pub(crate) const fn hours(hours: u64) -> Duration {
    secs(3600 * hours)
}
