//! tower's `retry`, with its own exponential backoff.
//!
//! The policy is the caller's to write. This one tries a 429 or 503 again, five times
//! at most. The crate recommends no number, and its default backoff begins with
//! 50 ms, for services of one house; from one second to one minute is what the other
//! retriers take by default, wastes less against a public limit, and lets the crates
//! be compared and not their defaults. The jitter is its default, up to twice the
//! wait.
//!
//! What it cannot: hear from one call what the upstream told another, or read
//! `Retry-After` (a policy could, and hardly any does). Its jitter is no help to
//! callers who were refused together: each session starts the same sequence over
//! (tower 0.5.3, `src/retry/backoff.rs:128`), here with hash keys that are fixed, to
//! have every run alike.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use tower::ServiceExt;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::{Policy, Retry};
use tower::util::rng::HasherRng;

use super::shared::{Calls, Shared, is_refusal, outcome};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// How often a call is tried again.
const RETRIES: u32 = 5;
const MIN: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(60);

/// tower's own default.
const JITTER: f64 = 0.99;

/// Randomness that is the same in each run.
type Chance = HasherRng<BuildHasherDefault<DefaultHasher>>;

/// Retries by tower.
#[derive(Debug)]
pub(crate) struct TowerRetry;

impl Strategy for TowerRetry {
    fn name(&self) -> &'static str {
        "tower retry"
    }

    fn reach(&self) -> Reach {
        Reach::Call
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        let chance = Chance::with_hasher(BuildHasherDefault::default());
        let mut backoffs = ExponentialBackoffMaker::new(MIN, MAX, JITTER, chance)
            .expect("the minimum is below the maximum");
        let policy = RetryRefusals { left: RETRIES, backoff: backoffs.make_backoff() };
        Box::new(Shared(Retry::new(policy, wire)))
    }
}

/// Tries again what was refused. tower clones it for each call.
#[derive(Clone, Debug)]
struct RetryRefusals {
    left: u32,
    backoff: ExponentialBackoff<Chance>,
}

impl Policy<Request<()>, Response<()>, io::Error> for RetryRefusals {
    type Future = <ExponentialBackoff<Chance> as Backoff>::Future;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        result: &mut io::Result<Response<()>>,
    ) -> Option<Self::Future> {
        let refused = result.as_ref().is_ok_and(|response| is_refusal(response.status()));
        if !refused {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

impl Calls for Retry<RetryRefusals, Wire> {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        let answer = self.oneshot(World::request(upstream, sender)).await;
        outcome(answer.expect("the wire does not fail").status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, gaps, in_virtual_time};
    use crate::upstream::Telling;

    #[test]
    fn a_refused_call_is_tried_again_five_times_and_each_wait_is_longer() {
        in_virtual_time(async {
            let mut stage = Stage::new(&TowerRetry, 0, Telling::Exact);

            assert_eq!(stage.call(0).await, Outcome::Refused);

            let waits = gaps(&stage.arrived());
            assert_eq!(waits.len(), 5);
            for (number, wait) in waits.into_iter().enumerate() {
                let base = 1000 << number;
                assert!((base..=2 * base).contains(&wait), "wait {number} is {wait} ms");
            }
        });
    }

    #[test]
    fn what_one_call_was_told_no_other_hears() {
        in_virtual_time(async {
            let mut stage = Stage::new(&TowerRetry, 0, Telling::Exact);
            stage.call(0).await;
            let first = gaps(&stage.arrived());

            stage.call(0).await;

            assert_eq!(gaps(&stage.arrived()), first);
        });
    }
}
