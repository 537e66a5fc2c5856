//! Clients of which a caller has nothing of its own: all of them share one.

use std::future::Future;
use std::time::Duration;

use http::{Response, StatusCode};

use crate::strategy::{Called, Caller, Client, Outcome};
use crate::world::{Wire, World};

/// What all callers share.
pub(super) trait Calls: Clone + Send + Sync + 'static {
    /// Makes one call to an upstream.
    fn call(self, upstream: usize, sender: usize) -> impl Future<Output = Outcome> + Send;
}

/// The client of those who share it.
#[derive(Clone, Debug)]
pub(super) struct Shared<C>(pub(super) C);

impl<C: Calls> Client for Shared<C> {
    fn caller(&self, number: usize) -> Box<dyn Caller> {
        Box::new(Sharer { client: self.0.clone(), number })
    }
}

/// A caller, who is a number and no more.
struct Sharer<C> {
    client: C,
    number: usize,
}

impl<C: Calls> Caller for Sharer<C> {
    fn call(&mut self, upstream: usize) -> Called<'_> {
        Box::pin(self.client.clone().call(upstream, self.number))
    }

    fn rest(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        match outcome {
            Outcome::HeldBack { wait: Some(wait) } => wait,
            Outcome::HeldBack { wait: None } | Outcome::Refused | Outcome::Served => usual,
        }
    }
}

/// Sends a request to an upstream over the bare wire; a refusal is the error.
pub(super) async fn ask(
    wire: Wire,
    upstream: usize,
    sender: usize,
) -> Result<Response<()>, Response<()>> {
    let (head, ()) = World::request(upstream, sender).into_parts();
    let response = wire.send(head.uri, head.headers).await;
    if is_refusal(response.status()) { Err(response) } else { Ok(response) }
}

/// Returns what an answer is to its caller.
pub(super) fn outcome(status: StatusCode) -> Outcome {
    if is_refusal(status) { Outcome::Refused } else { Outcome::Served }
}

/// Returns whether a status says "not now".
pub(super) fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}
