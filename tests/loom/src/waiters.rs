//! What those who wait share: the table and the lines, told of each other's
//! changes as `cooldowns.rs` does it, and one that waits in the steps of
//! `waiting/future.rs`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::ambient;
use crate::cooldowns::changes::Changes;
use crate::cooldowns::line::{Lines, Place, Ticket};
use crate::cooldowns::table::Table;
use crate::moment::Moment;
use crate::upstream::Upstream;

/// A table, and the lines of those who wait for its upstreams.
#[derive(Clone)]
pub struct Cooldowns {
    // Not loom's: who shares them is not what is checked.
    shared: Arc<(Table, Lines)>,
}

/// What one that waits learns of its upstream.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) generation: u64,
    pub(crate) width: u32,
}

impl Cooldowns {
    /// A table in which the upstream is cooling at the time zero.
    pub fn cooling(upstream: &Upstream) -> Self {
        let cooldowns = Self { shared: Arc::new((Table::new(8, Duration::MAX), Lines::new())) };
        let mut changes = Changes::kept(false);
        let minute = Duration::from_secs(60);
        cooldowns.shared.0.cool(upstream, minute, Moment::START, &mut changes);
        cooldowns
    }

    /// Forgets an upstream by hand, and tells who waits.
    pub fn clear(&self, upstream: &Upstream) {
        let (table, lines) = &*self.shared;
        table.clear(upstream, Moment::START, &mut Changes::kept(false));
        lines.changed(upstream, ambient::now);
    }

    /// Joins the upstream's line.
    pub fn wait(&self, upstream: &Upstream) -> Waiter {
        Waiter { ticket: Ticket::new(self, upstream), told: Arc::default() }
    }

    /// Returns how many lines there are.
    pub fn lines_left(&self) -> usize {
        self.shared.1.len()
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.shared.1
    }

    #[expect(clippy::unused_self, reason = "called as the crate calls its own")]
    pub(crate) fn look(&self, _: &Upstream) -> Known {
        Known { generation: 0, width: 0 }
    }
}

impl fmt::Debug for Cooldowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooldowns").field("lines", &self.shared.1).finish_non_exhaustive()
    }
}

/// One that waits.
#[derive(Debug)]
pub struct Waiter {
    ticket: Ticket,
    told: Arc<Told>,
}

/// A call that is out, until it is dropped.
#[derive(Debug)]
pub struct Out(#[expect(dead_code, reason = "it is held")] Place);

/// How one that waits fares when it looks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Look {
    /// The upstream would take its call.
    Open,
    /// It sleeps until it is told.
    Held,
    /// Others come first; it sleeps until it is told.
    Behind,
}

impl Waiter {
    /// Comes to the line, and looks at the upstream if it is the first.
    pub fn look(&self, cooldowns: &Cooldowns) -> Look {
        let now = ambient::now();
        let deadline = ambient::later(now, Duration::from_secs(3600));
        let waker = Waker::from(Arc::clone(&self.told));
        if !self.ticket.come(waker, deadline, now).is_first {
            return Look::Behind;
        }
        match cooldowns.shared.0.get(self.ticket.upstream(), Moment::START) {
            None => Look::Open,
            Some(_) => Look::Held,
        }
    }

    /// Takes a place, if there is room.
    pub fn go(&self) -> Option<Out> {
        let lapses = ambient::later(ambient::now(), Duration::from_secs(30));
        self.ticket.let_go(lapses).map(Out)
    }

    /// Returns a look at whether it was told.
    pub fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }
}

/// Counts how often one was told.
#[derive(Debug, Default)]
pub struct Told(AtomicUsize);

impl Told {
    /// Returns whether it was told at all.
    pub fn at_all(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
