//! The original fix: after a refusal each loop sleeps by itself.
//!
//! For as long as its own ladder says, or the upstream, whichever is longer. No loop
//! hears of what another was told.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use tower_retry_after::Ladder;

use crate::strategy::{Called, Caller, Client, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// A ladder in each loop.
#[derive(Debug)]
pub(crate) struct PerLoop;

impl Strategy for PerLoop {
    fn name(&self) -> &'static str {
        "the original fix"
    }

    fn reach(&self) -> Reach {
        Reach::Caller
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        Box::new(Loops(wire))
    }
}

/// The wire itself.
struct Loops(Wire);

impl Client for Loops {
    fn caller(&self, number: usize) -> Box<dyn Caller> {
        let ladder = Ladder::new(Duration::from_secs(60), Duration::from_secs(1800));
        let wire = self.0.clone();
        Box::new(Loop { wire, number, ladder, failures: 0, retry_after: Duration::ZERO })
    }
}

/// One loop, and what it remembers.
struct Loop {
    wire: Wire,
    number: usize,
    ladder: Ladder,
    failures: u32,
    retry_after: Duration,
}

impl Caller for Loop {
    fn call(&mut self, upstream: usize) -> Called<'_> {
        let (head, ()) = World::request(upstream, self.number).into_parts();
        Box::pin(async move {
            let response = self.wire.clone().send(head.uri, head.headers).await;
            if response.status() == StatusCode::OK {
                self.failures = 0;
                return Outcome::Served;
            }
            self.failures += 1;
            let now = self.wire.wall_clock();
            self.retry_after = retry_after(response.headers(), now).unwrap_or_default();
            Outcome::Refused
        })
    }

    fn rest(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        match outcome {
            Outcome::Refused => self.ladder.delay_with_hint(self.failures, self.retry_after),
            Outcome::Served | Outcome::HeldBack { .. } => usual,
        }
    }

    fn move_on(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        self.rest(outcome, usual)
    }
}

/// Reads `Retry-After`, as most who read it do: in seconds, or as a date by the
/// caller's own clock.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}
