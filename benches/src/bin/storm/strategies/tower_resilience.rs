//! tower-resilience's circuit breaker: one for each upstream.
//!
//! It opens after five failures in a row, which its docs have for clients that retry
//! against hosted models, and which is what a rate limit looks like; by default it
//! looks at a hundred calls before it decides anything, and wastes more. It stays open
//! for a minute, twice its default, as the limits are a minute's; then one call goes
//! out, which is its default. A 429 and a 503 count as failures. The breakers are in a
//! map of ours; a caller that is held back comes again at its usual pace, as the error
//! does not say when.
//!
//! Not in virtual time: how long it has been open is measured on `std`'s clock (0.14.0,
//! `src/circuit.rs:87`, `:406` and `:557`), and there is no way to give it another.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Response;
use tower::{Layer, ServiceExt};
use tower_resilience_circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, FnClassifier,
};

use super::shared::{Calls, Shared, is_refusal, outcome};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// Breakers by tower-resilience.
#[derive(Debug)]
pub(crate) struct TowerResilience {
    /// How long a minute is.
    pub(crate) minute: Duration,
}

impl Strategy for TowerResilience {
    fn name(&self) -> &'static str {
        "tower-resilience"
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        let layer = CircuitBreakerLayer::builder()
            .consecutive_failures(5)
            .wait_duration_in_open(self.minute)
            .failure_classifier(is_failure as IsFailure)
            .build()
            .expect("five failures are some");
        Box::new(Shared(Broken { wire, layer, breakers: Arc::default() }))
    }
}

type IsFailure = fn(&io::Result<Response<()>>) -> bool;

fn is_failure(result: &io::Result<Response<()>>) -> bool {
    result.as_ref().is_ok_and(|response| is_refusal(response.status()))
}

type Breaker = CircuitBreaker<Wire, FnClassifier<IsFailure>>;

/// The wire behind breakers.
#[derive(Clone)]
struct Broken {
    wire: Wire,
    layer: CircuitBreakerLayer<FnClassifier<IsFailure>>,
    breakers: Arc<Mutex<HashMap<usize, Breaker>>>,
}

impl Broken {
    /// Returns an upstream's breaker.
    fn breaker(&self, upstream: usize) -> Breaker {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || self.layer.layer(self.wire.clone());
        breakers.entry(upstream).or_insert_with(make).clone()
    }
}

impl Calls for Broken {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        let request = World::request(upstream, sender);
        match self.breaker(upstream).oneshot(request).await {
            Ok(response) => outcome(response.status()),
            Err(CircuitBreakerError::OpenCircuit) => Outcome::HeldBack { wait: None },
            Err(CircuitBreakerError::Inner(error)) => panic!("the wire does not fail: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, in_virtual_time};
    use crate::upstream::Telling;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn five_failures_in_a_row_open_it_for_its_upstream_alone() {
        in_virtual_time(async {
            let breaker = TowerResilience { minute: MINUTE };
            let mut stage = Stage::new(&breaker, 0, Telling::Exact);

            for _ in 0..5 {
                assert_eq!(stage.call(0).await, Outcome::Refused);
            }

            assert_eq!(stage.call(0).await, Outcome::HeldBack { wait: None });
            assert_eq!(stage.call(1).await, Outcome::Refused);
        });
    }

    #[test]
    fn after_its_wait_a_call_goes_out() {
        in_virtual_time(async {
            let breaker = TowerResilience { minute: Duration::ZERO };
            let mut stage = Stage::new(&breaker, 0, Telling::Exact);
            for _ in 0..5 {
                stage.call(0).await;
            }

            assert_eq!(stage.call(0).await, Outcome::Refused);
            assert_eq!(stage.arrived().len(), 6);
        });
    }

    /// Why it is not in the table of virtual time: mend the table if this fails.
    #[test]
    fn no_virtual_time_passes_for_it() {
        in_virtual_time(async {
            let breaker = TowerResilience { minute: MINUTE };
            let mut stage = Stage::new(&breaker, 0, Telling::Exact);
            for _ in 0..5 {
                stage.call(0).await;
            }

            tokio::time::sleep(60 * MINUTE).await;

            assert_eq!(stage.call(0).await, Outcome::HeldBack { wait: None });
        });
    }
}
