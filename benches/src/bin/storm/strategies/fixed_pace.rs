//! None at all: each caller goes on at its own pace, whatever it hears.

use http::StatusCode;

use crate::strategy::{Called, Caller, Client, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// No strategy.
#[derive(Debug)]
pub(crate) struct FixedPace;

impl Strategy for FixedPace {
    fn name(&self) -> &'static str {
        "fixed pace"
    }

    fn reach(&self) -> Reach {
        Reach::Nobody
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        Box::new(Bare(wire))
    }
}

/// The wire itself.
struct Bare(Wire);

impl Client for Bare {
    fn caller(&self, number: usize) -> Box<dyn Caller> {
        Box::new(OnItsOwn { wire: self.0.clone(), number })
    }
}

/// A caller that sends.
struct OnItsOwn {
    wire: Wire,
    number: usize,
}

impl Caller for OnItsOwn {
    fn call(&mut self, upstream: usize) -> Called<'_> {
        let (head, ()) = World::request(upstream, self.number).into_parts();
        let answer = self.wire.clone().send(head.uri, head.headers);
        Box::pin(async move {
            match answer.await.status() {
                StatusCode::OK => Outcome::Served,
                _ => Outcome::Refused,
            }
        })
    }
}
