//! Who calls: one poller, many at once, whoever comes, a crawler.
//!
//! The code is the same for every strategy; it never looks at what an answer says
//! but for what the strategy itself made of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::strategy::{Client, Outcome};
use crate::world::World;

/// How calls come about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callers {
    /// So many loops, each calling the one upstream again after a rest of `pace`.
    Loops { callers: usize, pace: Duration },
}

/// How one call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// When.
    pub(crate) at: Duration,
    /// For which caller.
    pub(crate) caller: usize,
    /// Which upstream was called.
    pub(crate) upstream: usize,
    /// How.
    pub(crate) outcome: Outcome,
}

/// Lets them call for `length`; returns how the calls ended, in order.
pub(crate) async fn run(
    callers: Callers,
    client: Box<dyn Client>,
    world: &Arc<World>,
    length: Duration,
) -> Vec<Ended> {
    let ended = Arc::new(Mutex::new(Vec::new()));
    match callers {
        Callers::Loops { callers, pace } => {
            for number in 0..callers {
                let mut caller = client.caller(number);
                let (world, ended) = (Arc::clone(world), Arc::clone(&ended));
                // Spread over the first pace: callers do not start in one instant.
                let first = pace * number as u32 / callers as u32;
                tokio::spawn(async move {
                    tokio::time::sleep(first).await;
                    loop {
                        let outcome = caller.call(0).await;
                        let at = world.now();
                        let one = Ended { at, caller: number, upstream: 0, outcome };
                        ended.lock().expect("nobody panics").push(one);
                        tokio::time::sleep(caller.rest(outcome, pace)).await;
                    }
                });
            }
        }
    }
    tokio::time::sleep(length).await;
    let mut ended = ended.lock().expect("nobody panics");
    std::mem::take(&mut *ended)
}
