//! What one has of a line: a ticket while it waits, a place while its call is out.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use super::Line;
use super::queue::{Slot, Standing};
use super::window::{Held, Right};
use crate::ambient;
use crate::cooldowns::{Cooldowns, Known};
use crate::upstream::Upstream;

/// The right to stand in a line, from the call until it leaves or gives up.
///
/// Who has never come stands nowhere yet, and keeps nobody waiting.
pub(crate) struct Ticket {
    cooldowns: Cooldowns,
    line: Arc<Line>,
    number: u64,
}

impl Ticket {
    pub(crate) fn new(cooldowns: &Cooldowns, upstream: &Upstream) -> Self {
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
    pub(crate) fn learn(&self, known: &Known, now: Instant) -> (Option<Instant>, Vec<Right>) {
        let mut queue = self.line.queue();
        queue.window.learn(known.generation, known.width);
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

    /// Takes in that the upstream is not cooling.
    pub(crate) fn not_cooling(&self) {
        self.line.queue().not_cooling();
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

    /// Gives one that has just arrived a place, where nobody stands in line.
    pub(crate) fn let_in(cooldowns: &Cooldowns, line: &Arc<Line>, lapses: Instant) -> Option<Self> {
        let Known { generation, width, .. } = cooldowns.look(&line.upstream);
        let mut queue = line.queue();
        queue.window.learn(generation, width);
        let held = queue.let_in(lapses)?;
        Some(Self::new(cooldowns.clone(), Arc::clone(line), held))
    }

    /// Notes by what right the call left.
    pub(crate) fn admitted(&mut self, right: Right) {
        self.line.queue().window.admitted(&mut self.held, right);
    }

    /// The call has ended; says whether its place had lapsed, and what it held
    /// in the table had been given back.
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
        self.line.tell(ambient::now());
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
