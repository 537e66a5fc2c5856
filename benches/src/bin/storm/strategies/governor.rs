//! governor, preset to the true limit: the oracle.
//!
//! It sends no more than the upstream serves, so it need not hear of refusals, and
//! reads none. Who does not know the limit cannot have it.
//!
//! One cell each window / quota and a burst of one, not of the quota: a bucket that
//! begins full and fills up meanwhile lets twice the quota into the first window, and
//! then into each after a lull. One cell at a time uses the limit to the last request,
//! and no window of that length has more, wherever it begins: in fixed windows,
//! sliding windows and buckets alike not one request is wasted. It costs the oracle
//! one bucket's fill, once. Keys are upstreams, each with the limit for itself.
//!
//! Where the cell is not there yet, one form waits for it in tokio's time (governor's
//! own `until_key_ready` sleeps on a thread's timer: 0.10.4,
//! `src/state/keyed/future.rs:52`), and in line: governor lets all who wait try again
//! at once, and one of them by chance. The other form says when to come again, for
//! callers who have something else to do meanwhile. Its clock is tokio's too.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::shared::{Calls, Shared, ask};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::Wire;

/// The limit, kept by governor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Governor {
    /// Calls wait for their cell.
    Waiting,
    /// Calls for which there is no cell are told when to come again.
    Checking,
}

impl Strategy for Governor {
    fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "oracle, waiting",
            Self::Checking => "oracle, checking",
        }
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn is_told(&self) -> bool {
        true
    }

    fn client(&self, wire: Wire, limits: Limits) -> Box<dyn Client> {
        let quota = Quota::with_period(limits.window / limits.quota.max(1))
            .expect("a window is no moment")
            .allow_burst(NonZeroU32::MIN);
        let limiter = Limiter::new(quota, DefaultKeyedStateStore::default(), TokioClock::new());
        let limiter = Arc::new(limiter);
        Box::new(Shared(Limited { wire, limiter, lines: Arc::default(), how: *self }))
    }
}

/// A limiter of each upstream.
type Limiter =
    RateLimiter<usize, DefaultKeyedStateStore<usize>, TokioClock, NoOpMiddleware<Duration>>;

/// The wire behind the limit.
#[derive(Clone)]
struct Limited {
    wire: Wire,
    limiter: Arc<Limiter>,
    lines: Arc<Mutex<HashMap<usize, Line>>>,
    how: Governor,
}

/// Who has it is the next to be served; the others have it in the order they came.
type Line = Arc<tokio::sync::Mutex<()>>;

impl Limited {
    /// Returns the line of those who wait for an upstream.
    fn line(&self, upstream: usize) -> Line {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.entry(upstream).or_default().clone()
    }

    /// Takes a cell of an upstream, or says how long until there is one.
    fn take(&self, upstream: usize) -> Result<(), Duration> {
        let now = || self.limiter.clock().now();
        self.limiter.check_key(&upstream).map_err(|not_until| not_until.wait_time_from(now()))
    }
}

impl Calls for Limited {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        match self.how {
            Governor::Waiting => {
                let line = self.line(upstream);
                let _first = line.lock().await;
                while let Err(wait) = self.take(upstream) {
                    tokio::time::sleep(wait).await;
                }
            }
            Governor::Checking => {
                if let Err(wait) = self.take(upstream) {
                    return Outcome::HeldBack { wait: Some(wait) };
                }
            }
        }
        match ask(self.wire, upstream, sender).await {
            Ok(_) => Outcome::Served,
            Err(_) => Outcome::Refused,
        }
    }
}

/// The time since the run's beginning, as tokio has it.
#[derive(Clone, Copy, Debug)]
struct TokioClock(Instant);

impl TokioClock {
    #[expect(clippy::disallowed_methods, reason = "tokio's clock, paused")]
    fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, WINDOW, gaps, in_virtual_time};
    use crate::upstream::Telling;

    #[test]
    fn calls_are_spaced_at_the_limit_and_none_is_refused() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Governor::Waiting, 60, Telling::Nothing);

            for _ in 0..200 {
                assert_eq!(stage.call(0).await, Outcome::Served);
            }

            assert!(gaps(&stage.arrived()).into_iter().all(|gap| gap == 1000));
        });
    }

    #[test]
    fn the_limit_is_used_to_the_last_request() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Governor::Waiting, 60, Telling::Nothing);

            while stage.now() < 10 * WINDOW {
                stage.call(0).await;
            }

            assert_eq!(stage.arrived().len(), 601, "the last is in the window after");
        });
    }

    #[test]
    fn each_upstream_has_the_limit_for_itself() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Governor::Waiting, 1, Telling::Nothing);

            stage.call(0).await;
            stage.call(1).await;

            assert_eq!(stage.now(), Duration::ZERO);
        });
    }

    #[test]
    fn checking_says_when_to_come_again() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Governor::Checking, 60, Telling::Nothing);
            stage.call(0).await;

            let outcome = stage.call(0).await;

            assert_eq!(outcome, Outcome::HeldBack { wait: Some(Duration::from_secs(1)) });
            assert_eq!(stage.now(), Duration::ZERO);
        });
    }
}
