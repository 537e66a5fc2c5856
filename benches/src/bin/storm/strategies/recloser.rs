//! recloser: a circuit breaker for each upstream.
//!
//! As its docs have it: it opens when half of the last hundred calls failed, and
//! closes after ten calls of which no more than half did. It stays open for a minute,
//! twice its default, as the limits are a minute's. A 429 and a 503 count as failures.
//! The breakers are in a map of ours; a caller that is held back comes again at its
//! usual pace, as the error does not say when.
//!
//! Not in virtual time: how long it is open is measured on `std`'s clock (1.4.0,
//! `src/recloser.rs:10` and `:90`; another one is for its own tests alone, `:2`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use recloser::{AsyncRecloser, Error, Recloser};

use super::shared::{Calls, Shared, ask};
use crate::strategy::{Client, Limits, Outcome, Reach, Strategy};
use crate::world::Wire;

/// Breakers by recloser.
#[derive(Debug)]
pub(crate) struct Reclosers {
    /// How long a minute is.
    pub(crate) minute: Duration,
}

impl Strategy for Reclosers {
    fn name(&self) -> &'static str {
        "recloser"
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn client(&self, wire: Wire, _: Limits) -> Box<dyn Client> {
        Box::new(Shared(Broken { wire, open_wait: self.minute, breakers: Arc::default() }))
    }
}

/// The wire behind breakers.
#[derive(Clone, Debug)]
struct Broken {
    wire: Wire,
    open_wait: Duration,
    breakers: Arc<Mutex<HashMap<usize, AsyncRecloser>>>,
}

impl Broken {
    /// Returns an upstream's breaker.
    fn breaker(&self, upstream: usize) -> AsyncRecloser {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Recloser::custom().open_wait(self.open_wait).build().into();
        breakers.entry(upstream).or_insert_with(make).clone()
    }
}

impl Calls for Broken {
    async fn call(self, upstream: usize, sender: usize) -> Outcome {
        let breaker = self.breaker(upstream);
        match breaker.call(ask(self.wire, upstream, sender)).await {
            Ok(_) => Outcome::Served,
            Err(Error::Inner(_)) => Outcome::Refused,
            Err(Error::Rejected) => Outcome::HeldBack { wait: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::testing::{Stage, in_virtual_time};
    use crate::upstream::Telling;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Lets a breaker open: a hundred calls, and the one that makes it reckon.
    async fn open(stage: &mut Stage) {
        for _ in 0..101 {
            assert_eq!(stage.call(0).await, Outcome::Refused);
        }
    }

    #[test]
    fn it_opens_when_its_hundred_calls_have_failed_for_their_upstream_alone() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Reclosers { minute: MINUTE }, 0, Telling::Exact);

            open(&mut stage).await;

            assert_eq!(stage.call(0).await, Outcome::HeldBack { wait: None });
            assert_eq!(stage.call(1).await, Outcome::Refused);
        });
    }

    #[test]
    fn after_its_wait_calls_go_out() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Reclosers { minute: Duration::ZERO }, 0, Telling::Exact);

            open(&mut stage).await;

            assert_eq!(stage.call(0).await, Outcome::Refused);
        });
    }

    /// Why it is not in the table of virtual time: mend the table if this fails.
    #[test]
    fn no_virtual_time_passes_for_it() {
        in_virtual_time(async {
            let mut stage = Stage::new(&Reclosers { minute: MINUTE }, 0, Telling::Exact);
            open(&mut stage).await;

            tokio::time::sleep(60 * MINUTE).await;

            assert_eq!(stage.call(0).await, Outcome::HeldBack { wait: None });
        });
    }
}
