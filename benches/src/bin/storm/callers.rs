//! Who calls: one poller, many at once, whoever comes, a crawler.
//!
//! The code is the same for every strategy; it never looks at what an answer says
//! but for what the strategy itself made of it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp, Zipf};

use crate::strategy::{Client, Kind, Outcome};
use crate::world::World;

/// How long one that arrives waits for its answer before it goes: as for a refusal.
///
/// Without an end those whom a strategy retries for ever would become ever more.
const PATIENCE: Duration = Duration::from_secs(60);

/// How calls come about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callers {
    /// So many loops, each calling the one upstream again after a rest of `pace`, or
    /// what its strategy makes of that. One of them is a poller.
    Loops { callers: usize, pace: Duration },
    /// A call now and then, `per_second` in the mean, whatever became of those before.
    ///
    /// Each is a caller of its own, who calls once and waits for [`PATIENCE`]: a call
    /// that is refused or held back is lost, and a strategy that remembers by caller
    /// remembers nothing.
    Arrivals { per_second: f64 },
    /// So many workers, each taking a page of one of `hosts` hosts after the other,
    /// with a rest of `pace` between.
    ///
    /// Host n is asked for as often as the first, divided by n. There are always more
    /// pages than can be had: a page that is refused or held back goes back to the
    /// others of its host, and the worker on to the next. A strategy that is a loop's
    /// own lets the worker sleep, whose only loop this is.
    Crawler { workers: usize, hosts: usize, pace: Duration },
}

impl Callers {
    /// Returns how many callers there are, where each calls more than once.
    pub(crate) fn number(&self) -> Option<usize> {
        match *self {
            Self::Loops { callers: number, .. } | Self::Crawler { workers: number, .. } => {
                Some(number)
            }
            Self::Arrivals { .. } => None,
        }
    }

    /// Returns what kind of client they are.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Loops { callers: 1, .. } | Self::Crawler { .. } => Kind::Polls,
            Self::Loops { .. } | Self::Arrivals { .. } => Kind::Api,
        }
    }

    /// Returns how many upstreams they call.
    pub(crate) fn upstreams(&self) -> usize {
        match *self {
            Self::Loops { .. } | Self::Arrivals { .. } => 1,
            Self::Crawler { hosts, .. } => hosts,
        }
    }
}

/// How one call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// When.
    pub(crate) at: Duration,
    /// For which caller.
    pub(crate) caller: usize,
    /// How.
    pub(crate) outcome: Outcome,
}

/// Lets them call for `length`; returns how the calls ended, in order.
pub(crate) async fn run(
    callers: Callers,
    client: Box<dyn Client>,
    world: &Arc<World>,
    length: Duration,
    seed: u64,
) -> Vec<Ended> {
    let book = Book { world: Arc::clone(world), ended: Arc::default() };
    let chance = |number: usize| StdRng::seed_from_u64(seed ^ ((number as u64 + 1) << 32));
    match callers {
        Callers::Loops { callers, pace } => {
            for number in 0..callers {
                let first = pace.mul_f64(number as f64 / callers as f64);
                tokio::spawn(poll(client.as_ref(), number, first, pace, book.clone()));
            }
        }
        Callers::Arrivals { per_second } => {
            tokio::spawn(arrive(client, per_second, chance(0), book.clone()));
        }
        Callers::Crawler { workers, hosts, pace } => {
            for number in 0..workers {
                let first = pace.mul_f64(number as f64 / workers as f64);
                let pages = Pages { hosts, pace, first, chance: chance(number) };
                tokio::spawn(crawl(client.as_ref(), number, pages, book.clone()));
            }
        }
    }
    tokio::time::sleep(length).await;
    book.close()
}

/// What has become of the calls.
#[derive(Clone)]
struct Book {
    world: Arc<World>,
    ended: Arc<Mutex<Vec<Ended>>>,
}

impl Book {
    /// Notes that a call has just ended.
    fn note(&self, caller: usize, outcome: Outcome) {
        let one = Ended { at: self.world.now(), caller, outcome };
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }

    /// Returns what has been noted.
    fn close(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A loop that calls the one upstream.
///
/// It begins at `first`: callers do not start in one instant.
fn poll(
    client: &dyn Client,
    number: usize,
    first: Duration,
    pace: Duration,
    book: Book,
) -> impl Future<Output = ()> + use<> {
    let mut caller = client.caller(number);
    async move {
        tokio::time::sleep(first).await;
        loop {
            let outcome = caller.call(0).await;
            book.note(number, outcome);
            tokio::time::sleep(caller.rest(outcome, pace)).await;
        }
    }
}

/// Calls that come when they come.
async fn arrive(client: Box<dyn Client>, per_second: f64, mut chance: StdRng, book: Book) {
    let between = Exp::new(per_second).expect("a rate above zero");
    let mut next = Duration::ZERO;
    for number in 0.. {
        next += Duration::from_secs_f64(between.sample(&mut chance));
        tokio::time::sleep(next.saturating_sub(book.world.now())).await;
        let mut caller = client.caller(number);
        let book = book.clone();
        tokio::spawn(async move {
            let outcome = tokio::time::timeout(PATIENCE, caller.call(0)).await;
            book.note(number, outcome.unwrap_or(Outcome::Refused));
        });
    }
}

/// What a worker of a crawler has before it.
struct Pages {
    hosts: usize,
    pace: Duration,
    first: Duration,
    chance: StdRng,
}

/// A worker that takes one page after the other.
fn crawl(
    client: &dyn Client,
    number: usize,
    pages: Pages,
    book: Book,
) -> impl Future<Output = ()> + use<> {
    let mut caller = client.caller(number);
    let Pages { hosts, pace, first, mut chance } = pages;
    let popularity = Zipf::new(hosts as f64, 1.0).expect("at least one host");
    async move {
        tokio::time::sleep(first).await;
        loop {
            #[expect(clippy::cast_sign_loss, reason = "from 1 on")]
            let host = popularity.sample(&mut chance) as usize - 1;
            let outcome = caller.call(host).await;
            book.note(number, outcome);
            tokio::time::sleep(caller.move_on(outcome, pace)).await;
        }
    }
}
