//! backon: retries around any function; alone, and reading `Retry-After`.
//!
//! Alone it is its default, of one, two and four seconds, for refusals.
//!
//! Reading `Retry-After` it follows the example in its docs, which waits as long as
//! it is told, and by its own backoff otherwise. In two things it is better than the
//! example: it gives up after three retries, where the example goes on for as long as
//! it is told anything; and what it cannot read, such as a date, is no hint, where the
//! example takes it for zero and tries again without a pause.
//!
//! What it cannot: hear from one call what the upstream told another.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use http::Response;

use super::shared::{Calls, Shared, ask};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::Wire;

/// Retries by backon.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backon {
    /// By its own backoff.
    Alone,
    /// As long as `Retry-After` says, where there is one.
    Told,
}

impl Strategy for Backon {
    fn name(&self) -> &'static str {
        match self {
            Self::Alone => "backon",
            Self::Told => "backon, Retry-After",
        }
    }

    fn reach(&self) -> Reach {
        Reach::Call
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        Box::new(Shared(Retrying { wire, how: *self }))
    }
}

/// The wire, and how to retry.
#[derive(Clone, Debug)]
struct Retrying {
    wire: Wire,
    how: Backon,
}

impl Calls for Retrying {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        let adjust = |refused: &Response<()>, own: Option<Duration>| match self.how {
            Backon::Alone => own,
            Backon::Told => own.map(|own| retry_after(refused).unwrap_or(own)),
        };
        let once = || ask(self.wire.clone(), upstream, sender);
        match once.retry(ExponentialBuilder::default()).adjust(adjust).await {
            Ok(_) => Outcome::Served,
            Err(_) => Outcome::Refused,
        }
    }
}

/// Reads `Retry-After` in seconds.
fn retry_after(response: &Response<()>) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, WINDOW, gaps, in_virtual_time};
    use crate::upstream::Telling;

    #[test]
    fn alone_it_tries_again_after_one_two_and_four_seconds() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Backon::Alone, 0, Telling::Exact);

            assert_eq!(stage.call(0).await, Outcome::Refused);

            assert_eq!(gaps(&stage.arrived()), [1000, 2000, 4000]);
        });
    }

    #[test]
    fn told_how_long_it_waits_as_long() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Backon::Told, 1, Telling::Exact);
            stage.call(0).await;

            assert_eq!(stage.call(0).await, Outcome::Served);

            assert_eq!(stage.now(), WINDOW);
            assert_eq!(stage.arrived().len(), 3);
        });
    }

    #[test]
    fn told_again_and_again_it_gives_up() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Backon::Told, 0, Telling::Exact);

            assert_eq!(stage.call(0).await, Outcome::Refused);

            assert_eq!(stage.arrived().len(), 4);
        });
    }

    #[test]
    fn told_nothing_it_goes_by_its_own_backoff() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Backon::Told, 0, Telling::Nothing);

            assert_eq!(stage.call(0).await, Outcome::Refused);

            assert_eq!(gaps(&stage.arrived()), [1000, 2000, 4000]);
        });
    }

    #[test]
    fn a_date_is_no_hint_and_no_hot_loop() {
        let date = "Mon, 15 Jun 2026 12:00:00 GMT";

        let response = Response::builder().header("retry-after", date).body(()).unwrap();

        assert_eq!(retry_after(&response), None);
    }
}
