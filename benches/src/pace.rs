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

/// For how much of a window all its threads must have run.
const TOGETHER: f64 = 0.9;

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

/// What was measured of one kind of work, window by window: throughputs, of a
/// nanosecond. Two threads have fewer windows, those in which both ran.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Windows {
    /// Returns the best of each.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let best = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
        Pace { one: best(&self.one), two: best(&self.two) }
    }

    /// Returns the nanoseconds that one takes on one thread, each window's.
    pub fn nanos(&self) -> impl Iterator<Item = f64> {
        self.one.iter().map(|throughput| 1.0 / throughput)
    }
}

/// Measures all kinds of work in turn; nothing if two threads never got two cores.
#[must_use]
pub fn measure(makers: &[Maker<'_>]) -> Option<Vec<Pace>> {
    let makers: Vec<_> = makers.iter().collect();
    let (measured, two_cores) = windows(&makers, WINDOWS);
    two_cores.then(|| measured.iter().map(Windows::pace).collect())
}

/// Measures all kinds of work in turn, in so many windows; and whether two threads
/// ever got two cores.
#[must_use]
pub fn windows(makers: &[&Maker<'_>], count: usize) -> (Vec<Windows>, bool) {
    let yardstick: Maker<'_> =
        Box::new(|| Box::new(|| assert!((0..BATCH).all(|n| black_box(n) < BATCH))));
    let mut all = vec![Windows::default(); makers.len() + 1];
    for _ in 0..count {
        for (maker, windows) in makers.iter().copied().chain([&yardstick]).zip(&mut all) {
            windows.one.extend(throughput(maker, 1));
            windows.two.extend(throughput(maker, 2));
        }
    }
    let two_cores = all.pop().is_some_and(|yardstick| yardstick.pace().scaling() >= TWO_CORES);
    (all, two_cores)
}

/// Returns how many are done in a nanosecond, on all threads together; nothing if
/// they did not run at the same time.
///
/// The time runs from the first thread's start to the last one's end. Threads that
/// take turns are no slower than one: what two of them slow down would look better
/// than it is by the windows in which they did.
fn throughput(maker: &Maker<'_>, threads: usize) -> Option<f64> {
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
    let (first, last) = (ran.iter().map(|run| run.0).min()?, ran.iter().map(|run| run.1).max()?);
    let (begun, ended) = (ran.iter().map(|run| run.0).max()?, ran.iter().map(|run| run.1).min()?);
    let (taken, together) = (last - first, ended.saturating_duration_since(begun));
    let throughput = ran.iter().map(|run| run.2).sum::<f64>() / taken.as_nanos() as f64;
    (together >= taken.mul_f64(TOGETHER)).then_some(throughput)
}
