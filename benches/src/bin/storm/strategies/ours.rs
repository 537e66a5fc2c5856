//! The layer: rejecting, waiting, and with quota signals.

use tower::{Layer, ServiceExt};
use tower_retry_after::{Error, RetryAfterBackoff, RetryAfterBackoffLayer};

use std::time::Duration;

use crate::strategy::{Called, Caller, Client, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// The layer as it is; callers that are held back come again when it says.
#[derive(Debug)]
pub(crate) struct Rejecting;

impl Strategy for Rejecting {
    fn name(&self) -> &'static str {
        "ours, rejecting"
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        let layer = RetryAfterBackoffLayer::builder().trust_hints(true).build();
        Box::new(Layered(layer.layer(wire)))
    }
}

/// The wire in the layer.
struct Layered(RetryAfterBackoff<Wire>);

impl Client for Layered {
    fn caller(&self, number: usize) -> Box<dyn Caller> {
        Box::new(InLayer { service: self.0.clone(), number })
    }
}

/// A caller with its own clone of the service.
struct InLayer {
    service: RetryAfterBackoff<Wire>,
    number: usize,
}

impl Caller for InLayer {
    fn call(&mut self, upstream: usize) -> Called<'_> {
        let answer = self.service.clone().oneshot(World::request(upstream, self.number));
        Box::pin(async move {
            match answer.await {
                Ok(response) if response.status().is_success() => Outcome::Served,
                Ok(_) => Outcome::Refused,
                Err(Error::RateLimited(limited)) => {
                    Outcome::HeldBack { wait: Some(limited.retry_after()) }
                }
                Err(error) => panic!("the wire does not fail: {error}"),
            }
        })
    }

    fn rest(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        match outcome {
            Outcome::HeldBack { wait: Some(wait) } => wait,
            _ => usual,
        }
    }
}
