//! reqwest-retry-after: the middleware that sleeps until the time it was told.
//!
//! It has no settings. It never retries: the caller hears of the refusal, and the next
//! call to the same URL sleeps, whoever makes it; all who sleep go out together. It is
//! alone in its stack: its reqwest-middleware is 0.4, and a reqwest-retry that would
//! retry there (up to 0.7) is not the one that is compared. The last middleware answers
//! from the wire, so nothing goes to a network.
//!
//! Not in virtual time: it remembers a moment of the system's clock, and every call
//! until that moment sleeps for what is left by that clock, which does not pass while
//! tokio's runs ahead (0.2.1, `src/lib.rs:58` and `:77`).

use async_trait::async_trait;
use http::Extensions;
use reqwest_012::{Client as Reqwest, Request, Response};
use reqwest_middleware_04::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry_after::RetryAfterMiddleware;

use super::shared::{Calls, Shared, outcome};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::{SENDER, Wire, World};

/// Sleeps by reqwest-retry-after.
#[derive(Debug)]
pub(crate) struct ReqwestRetryAfter;

impl Strategy for ReqwestRetryAfter {
    fn name(&self) -> &'static str {
        "reqwest-retry-after"
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        let client = ClientBuilder::new(Reqwest::new())
            .with(RetryAfterMiddleware::new())
            .with(FromWire(wire))
            .build();
        Box::new(Shared(client))
    }
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
    ) -> reqwest_middleware_04::Result<Response> {
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

    use super::*;
    use crate::strategies::testing::{Stage, WINDOW, in_virtual_time};
    use crate::upstream::Telling;

    #[test]
    fn the_call_after_a_refusal_sleeps_as_long_as_that_said() {
        in_virtual_time(async {
            let mut stage = Stage::new(&ReqwestRetryAfter, 1, Telling::Exact);
            stage.call(0).await;

            assert_eq!(stage.call(0).await, Outcome::Refused);
            assert_eq!(stage.now(), Duration::ZERO);

            stage.call(0).await;
            let slept = stage.now();
            assert!(WINDOW / 2 < slept && slept <= WINDOW, "{slept:?}");
        });
    }

    #[test]
    fn another_upstream_is_called_meanwhile() {
        in_virtual_time(async {
            let mut stage = Stage::new(&ReqwestRetryAfter, 0, Telling::Exact);
            stage.call(0).await;

            stage.call(1).await;

            assert_eq!(stage.now(), Duration::ZERO);
        });
    }

    /// Why it is not in the table of virtual time: mend the table if this fails.
    #[test]
    fn no_virtual_time_passes_for_it() {
        in_virtual_time(async {
            let mut stage = Stage::new(&ReqwestRetryAfter, 0, Telling::Exact);
            stage.call(0).await;

            tokio::time::sleep(60 * WINDOW).await;
            let woke = stage.now();
            stage.call(0).await;

            assert!(stage.now() > woke + WINDOW / 2, "asleep in spite of the hour");
        });
    }
}
