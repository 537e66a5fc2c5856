//! What those who wait share: the table, the lines and the queues, told of each
//! other's changes as `cooldowns.rs` does it. A call that waits goes in the steps of
//! `waiting/future.rs`, and one that is out ends in those of `waiting/outing.rs`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::ambient;
use crate::cooldown::{Cooldown, Ending, Phase, Role, Rules};
use crate::cooldowns::changes::Changes;
use crate::cooldowns::line::{Lines, Place, Ticket};
use crate::cooldowns::ready::{Outlook, Waiters};
use crate::cooldowns::table::{Admission, Table};
use crate::moment::Moment;
use crate::upstream::Upstream;
use crate::world;

/// How long a call may keep its place in a line.
const LEASE: Duration = Duration::from_secs(30);

/// A table, and those who wait for its upstreams.
#[derive(Clone)]
pub struct Cooldowns {
    // Not loom's: who shares them is not what is checked.
    shared: Arc<Shared>,
}

struct Shared {
    table: Table,
    waiters: Waiters,
    lines: Lines,
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
        Self::crowded(upstream, 8)
    }

    /// The same, with room for that many.
    pub fn crowded(upstream: &Upstream, max_upstreams: usize) -> Self {
        let table = Table::new(max_upstreams, Duration::from_secs(world::FORGET_AFTER));
        let shared = Shared { table, waiters: Waiters::new(), lines: Lines::new() };
        let cooldowns = Self { shared: Arc::new(shared) };
        cooldowns.cool(upstream);
        cooldowns
    }

    /// A table in which the upstream has been probed with success at the time zero.
    pub fn reopening(upstream: &Upstream) -> Self {
        let cooldowns = Self::cooling(upstream);
        let table = &cooldowns.shared.table;
        let probe = cooldowns.ask(upstream, minutes(1));
        let (at, rules) = (minutes(1), Rules::default());
        if let Some(probe) = probe {
            table.settle(upstream, probe, Ending::Succeeded, at, &rules, &mut untold());
        }
        cooldowns
    }

    /// Forgets an upstream by hand, and tells who waits.
    pub fn clear(&self, upstream: &Upstream) {
        self.change(upstream, |table| table.clear(upstream, Moment::START, &mut untold()));
    }

    /// Cools an upstream by hand, from zero on for a minute, and tells who waits.
    pub fn cool(&self, upstream: &Upstream) {
        let minute = Duration::from_secs(60);
        self.change(upstream, |table| table.cool(upstream, minute, Moment::START, &mut untold()));
    }

    /// Forgets what is over an hour after its time.
    pub fn sweep_late(&self) {
        self.shared.table.sweep(late(), &mut untold());
    }

    /// Joins the upstream's line.
    pub fn wait(&self, upstream: &Upstream) -> Waiter {
        Waiter { ticket: Ticket::new(self, upstream), told: Arc::default() }
    }

    /// Waits for a chance.
    pub fn ready(&self, upstream: &Upstream) -> Ready {
        let (cooldowns, upstream) = (self.clone(), upstream.clone());
        let future = async move {
            cooldowns.shared.waiters.wait(&cooldowns, &upstream).await;
        };
        Ready { future: Box::pin(future), told: Arc::default(), is_over: false }
    }

    /// Makes a call that arrives while there is a line, and does not wait.
    pub fn arrive(&self, upstream: &Upstream) -> Option<Out> {
        let line = self.shared.lines.find(upstream)?;
        let place = Place::let_in(self, &line, lapses())?;
        Some(Out { cooldowns: self.clone(), upstream: upstream.clone(), admitted: None, place })
    }

    /// Takes a place in a Reopening upstream, as a rejecting layer's call does.
    pub fn call(&self, upstream: &Upstream) -> Option<Rival> {
        let admitted = self.ask(upstream, minutes(1))?;
        self.shared.waiters.changed(upstream);
        Some(Rival { cooldowns: self.clone(), upstream: upstream.clone(), admitted })
    }

    /// Returns how many lines there are.
    pub fn lines_left(&self) -> usize {
        self.shared.lines.len()
    }

    /// Returns how many may be in flight in a Reopening upstream, and how many are.
    pub fn places(&self, upstream: &Upstream) -> Option<(u32, u32)> {
        match self.shared.table.get(upstream, minutes(1))?.phase {
            Phase::Reopening { width, in_flight } => Some((width, in_flight)),
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
        }
    }

    fn ask(&self, upstream: &Upstream, now: Moment) -> Option<(u64, Role)> {
        let table = &self.shared.table;
        let generation = table.enter().generation;
        match table.ask(upstream, generation, now, &Rules::default(), &mut untold()) {
            Admission::Admitted { generation, role } => Some((generation, role)),
            Admission::Rejected { .. } => None,
        }
    }

    fn settle(&self, upstream: &Upstream, admitted: (u64, Role), ending: Ending) {
        let rules = Rules::default();
        self.change(upstream, |table| {
            table.settle(upstream, admitted, ending, minutes(1), &rules, &mut untold());
        });
    }

    /// Changes the table, and tells who waits.
    fn change(&self, upstream: &Upstream, change: impl FnOnce(&Table)) {
        let Shared { table, waiters, lines } = &*self.shared;
        let displaced = table.displaced();
        change(table);
        waiters.changed(upstream);
        lines.changed(upstream, ambient::now);
        if table.displaced() != displaced {
            waiters.all_changed();
            lines.all_changed(ambient::now());
        }
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.shared.lines
    }

    pub(crate) fn get(&self, upstream: &Upstream) -> Option<Cooldown> {
        self.shared.table.get(upstream, Moment::START)
    }

    pub(crate) fn look(&self, upstream: &Upstream) -> Known {
        let Some(state) = self.shared.table.get(upstream, minutes(1)) else {
            return Known { generation: 0, width: 0 };
        };
        let width = match state.phase {
            Phase::Reopening { width, .. } => width,
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => 0,
        };
        Known { generation: state.generation, width }
    }

    pub(crate) fn outlook(&self, upstream: &Upstream) -> Outlook {
        match self.get(upstream) {
            None => Outlook::Clear,
            Some(state) if state.has_room(Moment::START) => Outlook::Room,
            Some(Cooldown { phase: Phase::Reopening { .. }, .. }) => Outlook::Full,
            Some(_) => Outlook::Held { until: lapses() },
        }
    }
}

impl fmt::Debug for Cooldowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooldowns").field("lines", &self.shared.lines).finish_non_exhaustive()
    }
}

/// One that waits with a call in hand.
#[derive(Debug)]
pub struct Waiter {
    ticket: Ticket,
    told: Arc<Told>,
}

/// A call that is out, until it is dropped.
#[derive(Debug)]
pub struct Out {
    cooldowns: Cooldowns,
    upstream: Upstream,
    admitted: Option<(u64, Role)>,
    place: Place,
}

/// A call of a rejecting layer.
#[derive(Debug)]
pub struct Rival {
    cooldowns: Cooldowns,
    upstream: Upstream,
    admitted: (u64, Role),
}

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
        self.look_at(cooldowns, Moment::START)
    }

    /// The same, an hour after all is to be forgotten.
    pub fn look_late(&self, cooldowns: &Cooldowns) -> Look {
        self.look_at(cooldowns, late())
    }

    fn look_at(&self, cooldowns: &Cooldowns, now: Moment) -> Look {
        if !self.ticket.come(self.waker(), patience(), ambient::now()).is_first {
            return Look::Behind;
        }
        match cooldowns.shared.table.get(self.ticket.upstream(), now) {
            None => Look::Open,
            Some(_) => Look::Held,
        }
    }

    /// Lets others go first.
    pub fn step_aside(&self) {
        self.ticket.step_aside(self.waker(), patience(), ambient::now());
    }

    /// Takes a place in the line, if there is room.
    pub fn go(&self, cooldowns: &Cooldowns) -> Option<Out> {
        let place = self.ticket.let_go(lapses())?;
        let upstream = self.ticket.upstream().clone();
        Some(Out { cooldowns: cooldowns.clone(), upstream, admitted: None, place })
    }

    /// The same, and one in the table.
    pub fn go_and_ask(&self, cooldowns: &Cooldowns) -> Option<Out> {
        let mut out = self.go(cooldowns)?;
        let admitted = cooldowns.ask(self.ticket.upstream(), minutes(1))?;
        out.place.admitted(admitted);
        Some(Out { admitted: Some(admitted), ..out })
    }

    /// Learns what the table knows, when all that are out have been so too long;
    /// gives back what they hold. Says whether there is room.
    pub fn learn_late(&self, cooldowns: &Cooldowns) -> bool {
        let known = cooldowns.look(self.ticket.upstream());
        let (full_until, lapsed) = self.ticket.learn(&known, patience());
        for right in lapsed {
            cooldowns.settle(self.ticket.upstream(), right, Ending::Dropped);
        }
        full_until.is_none()
    }

    /// Returns a look at whether it was told.
    pub fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.told))
    }
}

impl Out {
    /// The upstream answers.
    pub fn succeeded(mut self) {
        let was_lapsed = self.place.retire();
        self.settle(was_lapsed, Ending::Succeeded);
        self.place.succeeded();
    }

    /// The caller gives up.
    pub fn dropped(mut self) {
        let was_lapsed = self.place.retire();
        self.settle(was_lapsed, Ending::Dropped);
    }

    fn settle(&self, was_lapsed: bool, ending: Ending) {
        if let Some((generation, role)) = self.admitted {
            let role = if was_lapsed && role == Role::Place { Role::Late } else { role };
            self.cooldowns.settle(&self.upstream, (generation, role), ending);
        }
    }
}

impl Rival {
    /// The upstream answers.
    pub fn succeeded(self) {
        self.cooldowns.settle(&self.upstream, self.admitted, Ending::Succeeded);
    }
}

/// One that waits for a chance, until it is dropped.
pub struct Ready {
    future: Pin<Box<dyn Future<Output = ()>>>,
    told: Arc<Told>,
    is_over: bool,
}

impl Ready {
    /// Is polled once. Says whether it has a chance.
    pub fn poll(&mut self) -> bool {
        self.told.0.store(0, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.told));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        self.is_over = polled == Poll::Ready(());
        self.is_over
    }

    /// Is polled as long as it is told. Says whether it has a chance.
    pub fn run(&mut self) -> bool {
        while !self.is_over && self.told.at_all() {
            self.poll();
        }
        self.is_over
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("is_over", &self.is_over).finish_non_exhaustive()
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

/// Nobody watches.
fn untold() -> Changes {
    Changes::kept(false)
}

fn minutes(minutes: u64) -> Moment {
    Moment::START.after(Duration::from_secs(minutes.saturating_mul(60)))
}

/// An hour after what was cooled for a minute is forgotten.
fn late() -> Moment {
    minutes(61).after(Duration::from_secs(world::FORGET_AFTER))
}

fn lapses() -> Instant {
    ambient::later(ambient::now(), LEASE)
}

fn patience() -> Instant {
    ambient::later(ambient::now(), Duration::from_secs(3600))
}
