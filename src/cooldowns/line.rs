//! Who waits with a call in hand: one line for each upstream, first come first
//! served.
//!
//! A line exists as long as somebody has a ticket, or a call is out that it has
//! let go. It decides who asks the table next, and how many calls may be out;
//! whether one may leave is the table's to say.
//!
//! *Can a change be missed?* Who is first leaves its waker here before it looks
//! at the table, and looks under the entry's lock; who changes the table does so
//! under that lock before it tells the line. So one of the two sees the other.
//!
//! *Which locks are there, and in what order?* That of all lines, then a line's
//! own. Nothing of anybody else's runs under either.

mod queue;
mod ticket;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::time::Instant;

pub(crate) use self::queue::LATE;
use self::queue::{Queue, Wakers};
pub(crate) use self::ticket::{Place, Ticket};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::upstream::Upstream;

/// The lines of all upstreams.
#[derive(Debug)]
pub(crate) struct Lines {
    /// How many there are, so that calls and changes cost nothing while there
    /// is none.
    count: AtomicUsize,
    lines: Mutex<HashMap<Upstream, Arc<Line>>>,
}

/// The line of one upstream.
#[derive(Debug)]
pub(crate) struct Line {
    upstream: Upstream,
    queue: Mutex<Queue>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { count: AtomicUsize::new(0), lines: Mutex::new(HashMap::new()) }
    }

    /// Returns whether nobody waits anywhere.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many lines there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns the line of an upstream, if there is one.
    pub(crate) fn find(&self, upstream: &Upstream) -> Option<Arc<Line>> {
        self.lines().get(upstream).cloned()
    }

    /// Tells the upstream's line that its state may have changed.
    #[inline]
    pub(crate) fn changed(&self, upstream: &Upstream, now: impl Fn() -> Instant) {
        if !self.is_empty() {
            self.tell(upstream, now());
        }
    }

    #[cold]
    fn tell(&self, upstream: &Upstream, now: Instant) {
        if let Some(line) = self.find(upstream) {
            line.tell(now);
        }
    }

    /// Tells all lines that their upstream may have changed.
    pub(crate) fn all_changed(&self, now: Instant) {
        let lines: Vec<Arc<Line>> = self.lines().values().cloned().collect();
        for line in lines {
            line.tell(now);
        }
    }

    /// Joins the line of an upstream, which is made where there is none.
    fn join(&self, upstream: &Upstream) -> (Arc<Line>, u64) {
        let mut lines = self.lines();
        let line = lines.entry(upstream.clone()).or_insert_with(|| Arc::new(Line::new(upstream)));
        let line = Arc::clone(line);
        let ticket = line.queue().join();
        self.count.store(lines.len(), Ordering::Release);
        (line, ticket)
    }

    /// Takes a line out that is over.
    fn close(&self, line: &Arc<Line>) {
        if !line.queue().is_over() {
            return;
        }
        let mut lines = self.lines();
        // Somebody may have joined, or have been quicker.
        let is_known = lines.get(&line.upstream).is_some_and(|known| Arc::ptr_eq(known, line));
        if is_known && line.queue().is_over() {
            lines.remove(&line.upstream);
            self.count.store(lines.len(), Ordering::Release);
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Upstream, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(upstream: &Upstream) -> Self {
        Self { upstream: upstream.clone(), queue: Mutex::new(Queue::new()) }
    }

    /// Returns whether those who arrive need no place: nobody waits, and the line
    /// has gone on for as long as an upstream reopens.
    ///
    /// Else it would never be over while calls overlap, and all callers of all
    /// upstreams would look for their lines.
    pub(crate) fn is_idle(&self, reopen_width: u32) -> bool {
        self.queue().is_idle(reopen_width)
    }

    fn tell(&self, now: Instant) {
        self.change(|queue, wakers| queue.tell(now, wakers));
    }

    /// Changes the queue, and wakes whom that concerns when the lock is let go.
    fn change<T>(&self, change: impl FnOnce(&mut Queue, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::default();
        let result = change(&mut self.queue(), &mut wakers);
        wakers.wake();
        result
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
