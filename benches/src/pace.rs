//! How fast work goes, on one thread and on two.
//!
//! Made for machines that others use as well: windows of less than a millisecond,
//! all kinds of work in turn, and the best window of each. What others do only
//! ever slows work down, so that the best of many windows is what repeats. A
//! yardstick, which shares nothing, tells whether two threads got two cores.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::now;

/// How often a piece of work does its thing each time it is called, so that
/// neither the clock nor the dynamic call shows.
pub const BATCH: usize = 64;

/// Long enough for thousands of calls, short enough to fall between what
/// others do.
const WINDOW: Duration = Duration::from_micros(500);

/// How many windows each kind of work has with each number of threads.
const WINDOWS: usize = 1_000;

/// How much the yardstick must gain by the second thread.
const TWO_CORES: f64 = 1.7;

/// A piece of work, made anew for each thread by a maker.
pub type Work<'a> = Box<dyn FnMut() + 'a>;

/// Makes a piece of work.
pub type Maker<'a> = Box<dyn Fn() -> Work<'a> + Sync + 'a>;

/// What was measured of one kind of work: its best throughputs, of a nanosecond.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    one: f64,
    two: f64,
}

impl Pace {
    /// Returns the nanoseconds that one takes on one thread.
    #[must_use]
    pub fn nanos(self) -> f64 {
        1.0 / self.one
    }

    /// Returns the throughput of two threads as a multiple of that of one.
    #[must_use]
    pub fn scaling(self) -> f64 {
        self.two / self.one
    }
}

/// Measures all kinds of work in turn; nothing if two threads never got two cores.
#[must_use]
pub fn measure(makers: &[Maker<'_>]) -> Option<Vec<Pace>> {
    let yardstick: Maker<'_> =
        Box::new(|| Box::new(|| assert!((0..BATCH).all(|n| black_box(n) < BATCH))));
    let mut paces = vec![Pace::default(); makers.len() + 1];
    for _ in 0..WINDOWS {
        for (maker, pace) in makers.iter().chain([&yardstick]).zip(&mut paces) {
            pace.one = pace.one.max(throughput(maker, 1));
            pace.two = pace.two.max(throughput(maker, 2));
        }
    }
    let yardstick = paces.pop()?;
    (yardstick.scaling() >= TWO_CORES).then_some(paces)
}

/// Returns how many are done in a nanosecond, on all threads together.
///
/// The time runs from the first thread's start to the last one's end: threads
/// that did not run at the same time look slow, not fast.
fn throughput(maker: &Maker<'_>, threads: usize) -> f64 {
    let arrived = AtomicUsize::new(0);
    let run = || {
        let mut work = maker();
        work();
        arrived.fetch_add(1, Ordering::Relaxed);
        while arrived.load(Ordering::Relaxed) < threads {
            spin_loop();
        }
        let (start, mut end, mut done) = (now(), now(), 0.0);
        while end - start < WINDOW {
            work();
            done += BATCH as f64;
            end = now();
        }
        (start, end, done)
    };
    let ran: Vec<(Instant, Instant, f64)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let (first, last) = (ran.iter().map(|run| run.0).min(), ran.iter().map(|run| run.1).max());
    let taken = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
    ran.iter().map(|run| run.2).sum::<f64>() / taken.as_nanos() as f64
}
