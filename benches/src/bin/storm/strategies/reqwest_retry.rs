//! reqwest-retry: the middleware that tries transient failures again.
//!
//! As its README has it: `build_with_max_retries(3)`, and all else by default, which
//! is from one second to half an hour, full jitter, and 429 and all 5xx as transient.
//! It reads no `Retry-After`.
//!
//! The last middleware of the stack answers from the wire instead of calling the
//! next, so nothing goes to a network. Waits are reckoned on the system's clock and
//! slept on tokio's (0.9.1, `src/middleware.rs:165-178`): a wait goes from one to the
//! other within microseconds, and tokio rounds up to the millisecond, so they come out
//! right in virtual time; a test holds that. Its chance cannot be seeded
//! (retry-policies 0.5.2, `src/policies/exponential_backoff.rs:93`), so its figures
//! differ a little from run to run.

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

use super::shared::{Calls, Shared, outcome};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::{SENDER, Wire, World};

/// How often a call is tried again.
const RETRIES: u32 = 3;

/// Retries by reqwest-retry.
#[derive(Debug)]
pub(crate) struct ReqwestRetry;

impl Strategy for ReqwestRetry {
    fn name(&self) -> &'static str {
        "reqwest-retry"
    }

    fn reach(&self) -> Reach {
        Reach::Call
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        Box::new(Shared(client(
            wire,
            ExponentialBackoff::builder().build_with_max_retries(RETRIES),
        )))
    }
}

/// Creates a client that retries by that policy.
fn client(wire: Wire, policy: ExponentialBackoff) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .with(FromWire(wire))
        .build()
}

/// Answers from the wire.
struct FromWire(Wire);

#[async_trait]
impl Middleware for FromWire {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let uri = request.url().as_str().parse().expect("it was one");
        let response = self.0.clone().send(uri, request.headers().clone()).await;
        Ok(response.map(|()| "").into())
    }
}

impl Calls for ClientWithMiddleware {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        let request = self.get(World::uri(upstream).to_string()).header(SENDER, sender);
        outcome(request.send().await.expect("the wire does not fail").status())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest_retry::Jitter;

    use super::*;
    use crate::strategies::testing::{Stage, gaps, in_virtual_time};
    use crate::upstream::Telling;

    /// The same without jitter.
    struct Steady;

    impl Strategy for Steady {
        fn name(&self) -> &'static str {
            "steady"
        }

        fn reach(&self) -> Reach {
            Reach::Call
        }

        fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
            let steady = ExponentialBackoff::builder().jitter(Jitter::None);
            Box::new(Shared(client(wire, steady.build_with_max_retries(10))))
        }
    }

    #[test]
    fn a_refused_call_is_tried_again_three_times() {
        in_virtual_time(async {
            let mut stage = Stage::new(&ReqwestRetry, 0, Telling::Exact);

            assert_eq!(stage.call(0).await, Outcome::Refused);

            assert_eq!(stage.arrived().len(), 4);
            assert!(stage.now() <= Duration::from_secs(1 + 2 + 4), "{:?}", stage.now());
        });
    }

    #[test]
    fn waits_come_out_right_in_virtual_time() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Steady, 0, Telling::Exact);

            stage.call(0).await;

            let expected = (0..10).map(|number| 1000 << number);
            for (wait, expected) in gaps(&stage.arrived()).into_iter().zip(expected) {
                // Less by what a busy machine takes between two looks at the clock.
                assert!(expected / 2 < wait && wait <= expected, "{wait} is not {expected}");
            }
        });
    }

    #[test]
    fn a_call_that_is_served_is_sent_once() {
        in_virtual_time(async {
            let mut stage = Stage::new(&ReqwestRetry, 1, Telling::Exact);

            assert_eq!(stage.call(0).await, Outcome::Served);

            assert_eq!(stage.arrived().len(), 1);
        });
    }
}
