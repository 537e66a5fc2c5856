//! What the strategies' tests have in common.

use std::sync::Arc;
use std::time::Duration;

use crate::strategy::{Caller, Client, Limits, Outcome, Strategy};
use crate::upstream::{FixedWindow, Telling, Upstream};
use crate::world::{Exchange, Wire, World};

/// The window of the stage's upstreams, and so the wait that a refusal in the very
/// beginning asks for.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// A strategy with two upstreams of the same limit, and no way between.
pub(super) struct Stage {
    world: Arc<World>,
    client: Box<dyn Client>,
    callers: Vec<Box<dyn Caller>>,
}

impl Stage {
    /// Sets up two upstreams that serve `quota` calls in each window.
    pub(super) fn new(strategy: &dyn Strategy, quota: u32, telling: Telling) -> Self {
        let upstream = || Upstream::new(FixedWindow::new(quota, WINDOW), telling);
        let world = World::new(vec![upstream(), upstream()], Duration::ZERO);
        let limits = Limits { quota, window: WINDOW };
        let client = strategy.client(Wire::new(world.clone()), limits);
        Self { world, client, callers: Vec::new() }
    }

    /// Lets a caller who has never called before call an upstream.
    pub(super) async fn call(&mut self, upstream: usize) -> Outcome {
        let mut caller = self.client.caller(self.callers.len());
        let outcome = caller.call(upstream).await;
        self.callers.push(caller);
        outcome
    }

    /// Returns the time since the stage was set up.
    pub(super) fn now(&self) -> Duration {
        self.world.now()
    }

    /// Returns what has arrived since the last time, and where.
    pub(super) fn arrived(&self) -> Vec<Exchange> {
        self.world.take_log()
    }
}

/// Runs a test in virtual time.
pub(super) fn in_virtual_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(test)
}

/// Returns the times between arrivals, in milliseconds.
pub(super) fn gaps(exchanges: &[Exchange]) -> Vec<u128> {
    exchanges.windows(2).map(|two| two[1].at.abs_diff(two[0].at).as_millis()).collect()
}
