//! A quota that others use up as well.

use std::time::Duration;

use http::StatusCode;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp};

use super::Limit;

/// A limit to which others send requests too, whenever chance lets them.
///
/// They neither hear nor heed what it says.
#[derive(Clone, Debug)]
pub(crate) struct Shared<L> {
    limit: L,
    chance: StdRng,
    between: Exp<f64>,
    next: Duration,
}

impl<L: Limit> Shared<L> {
    /// Creates a limit with others who send so many requests a second in the mean.
    pub(crate) fn new(limit: L, per_second: f64, seed: u64) -> Self {
        let between = Exp::new(per_second).expect("a rate above zero");
        let mut chance = StdRng::seed_from_u64(seed);
        let next = Duration::from_secs_f64(between.sample(&mut chance));
        Self { limit, chance, between, next }
    }
}

impl<L: Limit> Limit for Shared<L> {
    fn admit(&mut self, at: Duration) -> bool {
        while self.next <= at {
            self.limit.admit(self.next);
            self.next += Duration::from_secs_f64(self.between.sample(&mut self.chance));
        }
        self.limit.admit(at)
    }

    // As of the last request, as every limit: what others do later nobody knows.
    fn lifts_at(&self, at: Duration) -> Duration {
        self.limit.lifts_at(at)
    }

    fn remaining(&self, at: Duration) -> u32 {
        self.limit.remaining(at)
    }

    fn refusal(&self) -> StatusCode {
        self.limit.refusal()
    }
}
