//! The layer where a minute is shorter.

use std::time::Duration;

use tower::{Layer, ServiceExt};
use tower_retry_after::{Error, Ladder, RetryAfterBackoff, RetryAfterBackoffLayer, classify};

use super::ours::verdict;
use super::shared::{Calls, Shared, outcome};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// The layer as it is but for its ladder, of one minute to thirty by default, which
/// is of minutes that are as long as the others'. Hints are believed exactly.
#[derive(Debug)]
pub(crate) struct Scaled {
    /// How long a minute is.
    pub(crate) minute: Duration,
}

impl Strategy for Scaled {
    fn name(&self) -> &'static str {
        "ours, rejecting"
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        let layer = RetryAfterBackoffLayer::builder()
            .trust_hints(true)
            .classify(classify::from_fn(verdict))
            .ladder(Ladder::new(self.minute, 30 * self.minute))
            .build();
        Box::new(Shared(layer.layer(wire)))
    }
}

impl Calls for RetryAfterBackoff<Wire> {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        match self.oneshot(World::request(upstream, sender)).await {
            Ok(response) => outcome(response.status()),
            Err(Error::RateLimited(limited)) => {
                Outcome::HeldBack { wait: Some(limited.retry_after()) }
            }
            Err(error) => panic!("the wire does not fail: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, in_virtual_time};
    use crate::upstream::Telling;

    #[test]
    fn a_bare_refusal_cools_for_the_minute_that_it_was_given() {
        in_virtual_time(async {
            let minute = Duration::from_secs(4);
            let mut stage = Stage::new(&Scaled { minute }, 0, Telling::Nothing);
            assert_eq!(stage.call(0).await, Outcome::Refused);

            let outcome = stage.call(0).await;

            assert_eq!(outcome, Outcome::HeldBack { wait: Some(minute) });
        });
    }
}
