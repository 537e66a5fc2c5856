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
mod window;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use tokio::time::Instant;

pub(crate) use self::queue::LATE;
use self::queue::{Queue, Slot, Standing, Wakers};
use self::window::Held;
pub(crate) use self::window::Right;
use super::{Cooldowns, Outlook};
use crate::ambient;
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
    pub(super) fn new() -> Self {
        Self { count: AtomicUsize::new(0), lines: Mutex::new(HashMap::new()) }
    }

    /// Returns whether nobody waits anywhere.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many lines there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns the line of an upstream, if there is one.
    pub(crate) fn find(&self, upstream: &Upstream) -> Option<Arc<Line>> {
        self.lines().get(upstream).cloned()
    }

    /// Tells the upstream's line that its state may have changed.
    #[inline]
    pub(super) fn changed(&self, upstream: &Upstream) {
        if !self.is_empty() {
            self.tell(upstream);
        }
    }

    #[cold]
    fn tell(&self, upstream: &Upstream) {
        if let Some(line) = self.find(upstream) {
            line.tell();
        }
    }

    /// Tells all lines that their upstream may have changed.
    pub(super) fn all_changed(&self) {
        let lines: Vec<Arc<Line>> = self.lines().values().cloned().collect();
        for line in lines {
            line.tell();
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

    /// Gives one that has just arrived a place, where nobody stands in line.
    pub(crate) fn let_in(
        self: &Arc<Self>,
        cooldowns: &Cooldowns,
        lapses: Instant,
    ) -> Option<Place> {
        let Outlook { generation, width, .. } = cooldowns.look(&self.upstream);
        let mut queue = self.queue();
        queue.window.learn(generation, width);
        let held = queue.let_in(lapses)?;
        Some(Place::new(cooldowns.clone(), Arc::clone(self), held))
    }

    fn tell(&self) {
        let now = ambient::now();
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

/// The right to stand in a line, from the call until it leaves or gives up.
///
/// Who has never come stands nowhere yet, and keeps nobody waiting.
pub(crate) struct Ticket {
    cooldowns: Cooldowns,
    line: Arc<Line>,
    number: u64,
}

impl Ticket {
    pub(super) fn new(cooldowns: &Cooldowns, upstream: &Upstream) -> Self {
        let (line, number) = cooldowns.lines().join(upstream);
        Self { cooldowns: cooldowns.clone(), line, number }
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.line.upstream
    }

    /// Comes to the line, for the first time or again.
    pub(crate) fn come(&self, waker: Waker, deadline: Instant, now: Instant) -> Standing {
        let slot = Slot::new(waker, deadline);
        self.line.change(|queue, wakers| queue.come(self.number, slot, now, wakers))
    }

    /// Stands aside, so that others may go.
    pub(crate) fn step_aside(&self, waker: Waker, deadline: Instant, now: Instant) {
        let slot = Slot::new(waker, deadline);
        self.line.change(|queue, wakers| queue.step_aside(self.number, slot, now, wakers));
    }

    /// Takes in what is known of the upstream. Returns when the line has room at
    /// the latest, nothing if it has now, and the places in the table of calls
    /// that have been out too long: they are free as well.
    pub(crate) fn learn(&self, outlook: &Outlook, now: Instant) -> (Option<Instant>, Vec<Right>) {
        let mut queue = self.line.queue();
        queue.window.learn(outlook.generation, outlook.width);
        let lapsed = queue.window.lapse(now);
        (queue.window.full_until(), lapsed)
    }

    /// Takes a place, if this is the first and there is room.
    pub(crate) fn let_go(&self, lapses: Instant) -> Option<Place> {
        let held = self.line.queue().let_go(self.number, lapses)?;
        Some(Place::new(self.cooldowns.clone(), Arc::clone(&self.line), held))
    }

    /// Takes in that the upstream is cooling until then.
    pub(crate) fn cooling(&self, until: Instant) {
        self.line.change(|queue, wakers| queue.cooling(until, wakers));
    }

    /// Notes when this one, if it is the first, will come again.
    pub(crate) fn expect(&self, at: Instant) {
        self.line.queue().expect(self.number, at);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = ambient::now();
        self.line.change(|queue, wakers| queue.leave(self.number, now, wakers));
        self.cooldowns.lines().close(&self.line);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("upstream", &self.line.upstream)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// One of the calls that a line has out.
///
/// It counts until the call ends, or has been out too long.
pub(crate) struct Place {
    cooldowns: Cooldowns,
    line: Arc<Line>,
    held: Held,
    retired: bool,
}

impl Place {
    fn new(cooldowns: Cooldowns, line: Arc<Line>, held: Held) -> Self {
        Self { cooldowns, line, held, retired: false }
    }

    /// Notes by what right the call left.
    pub(crate) fn admitted(&self, right: Right) {
        self.line.queue().window.admitted(self.held, right);
    }

    /// The call has ended; says whether its place had lapsed, and been given back.
    pub(crate) fn retire(&mut self) -> bool {
        let was_retired = std::mem::replace(&mut self.retired, true);
        !was_retired && self.line.queue().window.retire(self.held)
    }

    /// The call has succeeded: there is room for one more.
    pub(crate) fn succeeded(self) {
        self.line.queue().window.succeeded(self.held);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.retire();
        self.line.tell();
        self.cooldowns.lines().close(&self.line);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("upstream", &self.line.upstream)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
