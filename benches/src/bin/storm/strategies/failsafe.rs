//! failsafe: a circuit breaker for each upstream.
//!
//! As `Config::new()` has it, which its README begins with: it opens after five
//! failures in a row, or at less than 80 % successes over 30 s, for 10 s first and up
//! to five minutes, with jitter. A 429 and a 503 count as failures. The breakers are
//! in a map of ours, one for each upstream; a caller that is held back comes again at
//! its usual pace, as nothing says when.
//!
//! It reads the system's clock, but through a module that its own tests freeze
//! (1.3.0, `src/clock.rs:26` and `:55`), which is public if undocumented. Each poll of
//! a call is made in a frozen moment that tokio's clock tells, and so it runs in
//! virtual time. Its chance cannot be seeded (`src/backoff.rs:8`), so its figures
//! differ a little from run to run.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use failsafe::backoff::EqualJittered;
use failsafe::failure_policy::{ConsecutiveFailures, OrElse, SuccessRateOverTimeWindow};
use failsafe::futures::CircuitBreaker;
use failsafe::{Config, Error, StateMachine, clock};

use super::shared::{Calls, Shared, ask};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::Wire;

/// Breakers by failsafe.
#[derive(Debug)]
pub(crate) struct Failsafe;

impl Strategy for Failsafe {
    fn name(&self) -> &'static str {
        "failsafe"
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        Box::new(Shared(Broken { wire, time: TokioTime::new(), breakers: Arc::default() }))
    }
}

/// What `Config::new()` builds.
type Breaker = StateMachine<
    OrElse<SuccessRateOverTimeWindow<EqualJittered>, ConsecutiveFailures<EqualJittered>>,
    (),
>;

/// The wire behind breakers.
#[derive(Clone, Debug)]
struct Broken {
    wire: Wire,
    time: TokioTime,
    breakers: Arc<Mutex<HashMap<usize, Breaker>>>,
}

impl Broken {
    /// Returns an upstream's breaker.
    fn breaker(&self, upstream: usize) -> Breaker {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || self.time.freeze(|| Config::new().build());
        breakers.entry(upstream).or_insert_with(make).clone()
    }
}

impl Calls for Broken {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        let breaker = self.breaker(upstream);
        let mut call = pin!(breaker.call(Box::pin(ask(self.wire, upstream, sender))));
        match poll_fn(|cx| self.time.freeze(|| call.as_mut().poll(cx))).await {
            Ok(_) => Outcome::Served,
            Err(Error::Inner(_)) => Outcome::Refused,
            Err(Error::Rejected) => Outcome::HeldBack { wait: None },
        }
    }
}

/// tokio's time, as moments of failsafe's clock.
#[derive(Clone, Copy, Debug)]
struct TokioTime {
    began: tokio::time::Instant,
    /// What failsafe's clock shows then.
    shown: std::time::Instant,
}

impl TokioTime {
    #[expect(clippy::disallowed_methods, reason = "tokio's clock, paused, and one to count from")]
    fn new() -> Self {
        // Its clock stops at the present and moves only forward. However long a run
        // takes, the moments that are shown are ahead of that.
        let ahead = Duration::from_secs(24 * 60 * 60);
        Self { began: tokio::time::Instant::now(), shown: std::time::Instant::now() + ahead }
    }

    /// Does something while failsafe's clock shows tokio's time.
    fn freeze<T>(&self, act: impl FnOnce() -> T) -> T {
        clock::freeze(|clock| {
            let moment = self.shown + self.began.elapsed();
            clock.advance(moment.saturating_duration_since(clock.now()));
            act()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, in_virtual_time};
    use crate::upstream::Telling;

    const HELD_BACK: Outcome = Outcome::HeldBack { wait: None };

    #[test]
    fn five_failures_in_a_row_open_it_for_its_upstream_alone() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Failsafe, 0, Telling::Exact);

            for _ in 0..5 {
                assert_eq!(stage.call(0).await, Outcome::Refused);
            }

            assert_eq!(stage.call(0).await, HELD_BACK);
            assert_eq!(stage.call(1).await, Outcome::Refused);
        });
    }

    #[test]
    fn it_opens_and_half_opens_in_virtual_time() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Failsafe, 0, Telling::Exact);
            for _ in 0..5 {
                stage.call(0).await;
            }

            tokio::time::sleep(Duration::from_millis(4_900)).await;
            assert_eq!(stage.call(0).await, HELD_BACK, "half of ten seconds at least");
            tokio::time::sleep(Duration::from_millis(5_200)).await;

            assert_eq!(stage.call(0).await, Outcome::Refused, "ten seconds at most");
            assert_eq!(stage.call(0).await, HELD_BACK, "and opened again");
        });
    }

    #[test]
    fn what_is_served_leaves_it_closed() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Failsafe, 50, Telling::Exact);

            for _ in 0..50 {
                assert_eq!(stage.call(0).await, Outcome::Served);
            }
        });
    }
}
