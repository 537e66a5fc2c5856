//! The table: which upstreams are in trouble, and since which call.
//!
//! Sans-clock and sans-I/O: `now` and the rules come from outside.
//!
//! *Why does a burst never count twice?* A call reads the generation first and
//! asks for its upstream's entry second. A refusal does it the other way round:
//! it publishes the entry (or the entry's new state), and only then raises the
//! generation. So a call that reads the raised generation also sees the
//! cooldown and is held back; a call that slipped through read the old one, and
//! its own refusal is known to be stale.
//!
//! *Which locks are there, and in what order?* Each entry's own, and the one of
//! `order`. Who makes an entry holds that entry's lock, then takes `order`, then
//! an older entry's lock to forget it. Nobody asks for `order` while holding the
//! lock of an entry that stands in `order`.
//!
//! *Can a verdict meet an entry that was just forgotten?* Forgetting leaves the
//! state Clear and takes the entry out of the map before it lets go of the lock.
//! Who then finds a Clear state under the lock looks again.
//!
//! *Who is told of a change?* Nobody from here: each step notes its changes, with
//! numbers drawn under the entry's lock and before the change is written, and
//! its caller tells them when no lock is held.

mod forgetting;
mod note;
mod rank;
mod steps;

use std::collections::BinaryHeap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::rank::Rank;
use super::cell::{Cell, Locked, Notice};
use super::changes::Changes;
use super::map::Map;
use crate::cooldown::{Cooldown, Effect, Event, Phase, Role, Rules};
use crate::moment::Moment;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::upstream::{Draft, Upstream};

/// The upstreams in trouble.
pub(crate) struct Table {
    /// Raised by every event that makes calls stale.
    generation: AtomicU64,
    /// How many entries there are; the healthy path asks no more than this.
    tracked: AtomicUsize,
    /// How many were forgotten while still cooling, for want of room.
    evicted: AtomicU64,
    /// How many were forgotten for want of room, those past their cooldown included.
    displaced: AtomicU64,
    /// The number of the last change that was noted.
    changed: AtomicU64,
    max_upstreams: usize,
    forget_after: Duration,
    map: Map,
    /// Who is forgotten first.
    order: Mutex<BinaryHeap<Rank>>,
    /// How many ranks stand in the order, those of removed entries included.
    ranked: AtomicUsize,
}

/// One upstream in trouble.
#[derive(Debug)]
pub(crate) struct Entry {
    upstream: Upstream,
    cell: Cell,
}

/// What a call reads as it enters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entered {
    /// The call's verdict counts where nothing has made it stale since.
    pub(crate) generation: u64,
    /// No upstream at all is in trouble: the call may leave.
    pub(crate) is_quiet: bool,
}

/// The answer to a call that asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// The call may leave; its verdict counts from this generation on.
    Admitted { generation: u64, role: Role },
    /// The call may not leave.
    Rejected { notice: Notice, now: Moment },
}

impl Table {
    pub(crate) fn new(max_upstreams: usize, forget_after: Duration) -> Self {
        Self {
            generation: AtomicU64::new(0),
            tracked: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            max_upstreams: max_upstreams.max(1),
            forget_after,
            map: Map::new(),
            order: Mutex::new(BinaryHeap::new()),
            ranked: AtomicUsize::new(0),
        }
    }

    /// Reads what a call has to know before it asks anything else.
    #[inline]
    pub(crate) fn enter(&self) -> Entered {
        // In this order: who reads a raised generation must see the upstream
        // counted that it was raised for.
        let generation = self.generation();
        let is_quiet = self.tracked.load(Ordering::Relaxed) == 0;
        Entered { generation, is_quiet }
    }

    #[inline]
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns how many upstreams are in trouble.
    pub(crate) fn tracked(&self) -> usize {
        self.tracked.load(Ordering::Relaxed)
    }

    /// Returns how many upstreams were forgotten while still cooling.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Returns how many upstreams had to make room.
    pub(crate) fn displaced(&self) -> u64 {
        self.displaced.load(Ordering::Relaxed)
    }

    pub(crate) fn max_upstreams(&self) -> usize {
        self.max_upstreams
    }

    pub(crate) fn forget_after(&self) -> Duration {
        self.forget_after
    }

    /// Returns the upstream of that name, if it has an entry: else it is Clear.
    pub(crate) fn find(&self, draft: &Draft) -> Option<Upstream> {
        self.map.find(draft)
    }

    /// Decides whether a call that read `generation` may leave; by `ask` where that
    /// takes the entry's lock.
    #[inline]
    pub(crate) fn admit(
        &self,
        upstream: &Upstream,
        generation: u64,
        now: impl Fn() -> Moment,
        ask: impl FnOnce(Moment) -> Admission,
    ) -> Admission {
        match self.map.read(upstream, |entry| entry.cell.notice()) {
            None => Admission::Admitted { generation, role: Role::Free },
            Some(Some(notice)) => {
                let now = now();
                if now < notice.gate {
                    return Admission::Rejected { notice, now };
                }
                ask(now)
            }
            Some(None) => ask(now()),
        }
    }

    /// Decides under the entry's lock.
    #[allow(dead_code, reason = "a table in a fleet asks by more than itself")]
    pub(crate) fn ask(
        &self,
        upstream: &Upstream,
        generation: u64,
        now: Moment,
        rules: &Rules,
        changes: &mut Changes,
    ) -> Admission {
        self.ask_by(upstream, generation, now, rules, changes, |_| Event::Asked)
    }

    /// Decides under the entry's lock, by the event that asking is in that state.
    pub(crate) fn ask_by(
        &self,
        upstream: &Upstream,
        generation: u64,
        now: Moment,
        rules: &Rules,
        changes: &mut Changes,
        asks: impl Fn(&Cooldown) -> Event,
    ) -> Admission {
        let free = Admission::Admitted { generation, role: Role::Free };
        while let Some(entry) = self.map.get(upstream) {
            let Some(mut locked) = entry.lock() else {
                continue;
            };
            let state = locked.get();
            let event = asks(&state);
            let (next, effect) = state.on(event, now, rules, self.forget_after);
            self.note(changes, upstream, state, (&event, next, effect), now);
            self.write(&entry, &mut locked, next);
            match effect {
                Effect::Admit(role @ (Role::Probe(_) | Role::Place)) => {
                    // The generation is read anew: since the call read it, it may
                    // have been raised by the very refusal that is now probed.
                    return Admission::Admitted { generation: self.generation(), role };
                }
                Effect::Reject(reason) => {
                    let gate = next.gate(self.forget_after);
                    let notice = Notice { gate, reason, cause: next.cause };
                    return Admission::Rejected { notice, now };
                }
                Effect::Admit(Role::Free | Role::Late) | Effect::Outdate | Effect::Nothing => {}
            }
            drop(locked);
            self.tidy();
            return free;
        }
        free
    }

    /// Returns what is known of an upstream, if it is in trouble.
    pub(crate) fn get(&self, upstream: &Upstream, now: Moment) -> Option<Cooldown> {
        let entry = self.map.get(upstream)?;
        self.known(&entry, now)
    }

    /// Returns what is known of all upstreams in trouble.
    pub(crate) fn all(&self, now: Moment) -> Vec<(Upstream, Cooldown)> {
        let entries = self.map.all();
        entries
            .iter()
            .filter_map(|entry| Some((entry.upstream.clone(), self.known(entry, now)?)))
            .collect()
    }

    fn known(&self, entry: &Entry, now: Moment) -> Option<Cooldown> {
        let state = entry.lock()?.get();
        (now < state.forgotten_at(self.forget_after)).then_some(state)
    }

    /// Counts the upstreams in trouble whose time has not come.
    pub(crate) fn count(&self, now: Moment) -> usize {
        let entries = self.map.all();
        entries.iter().filter(|entry| self.known(entry, now).is_some()).count()
    }

    fn apply(
        &self,
        upstream: &Upstream,
        now: Moment,
        rules: &Rules,
        changes: &mut Changes,
        mut event: impl FnMut(&Cooldown) -> Option<Event>,
    ) {
        loop {
            let Some(entry) = self.map.get(upstream) else {
                // Nothing is stale where nothing is known.
                let Some(event) = event(&Cooldown::CLEAR) else {
                    return;
                };
                let (next, effect) = Cooldown::CLEAR.on(event, now, rules, self.forget_after);
                if effect != Effect::Outdate || self.track(upstream, event, next, now, changes) {
                    return;
                }
                continue;
            };
            let Some(mut locked) = entry.lock() else {
                continue;
            };
            let state = locked.get();
            let Some(event) = event(&state) else {
                return;
            };
            let (next, effect) = state.on(event, now, rules, self.forget_after);
            self.note(changes, upstream, state, (&event, next, effect), now);
            self.write(&entry, &mut locked, next);
            if effect == Effect::Outdate {
                locked.set_generation(self.raise());
            }
            drop(locked);
            return self.tidy();
        }
    }

    /// Publishes an upstream that was Clear; says no if another was quicker.
    fn track(
        &self,
        upstream: &Upstream,
        event: Event,
        state: Cooldown,
        now: Moment,
        changes: &mut Changes,
    ) -> bool {
        let cell = Cell::new(state, self.forget_after);
        let entry = Arc::new(Entry { upstream: upstream.clone(), cell });
        // Nobody else has the entry yet; who finds it from here on waits.
        let mut locked = entry.cell.lock();
        if !self.publish(&entry, state.ends, now, changes) {
            return false;
        }
        let came = (&event, state, Effect::Outdate);
        self.note(changes, upstream, Cooldown::CLEAR, came, now);
        locked.set_generation(self.raise());
        true
    }

    /// Makes room for an entry, counts it, puts it in order and into the map; one
    /// at a time, so that nobody makes room in vain.
    fn publish(
        &self,
        entry: &Arc<Entry>,
        ends: Moment,
        now: Moment,
        changes: &mut Changes,
    ) -> bool {
        let mut order = self.order();
        if self.map.get(&entry.upstream).is_some() {
            return false;
        }
        self.sweep_some(&mut order, now, changes);
        self.make_room(&mut order, now, changes);
        self.tracked.fetch_add(1, Ordering::Relaxed);
        order.push(Rank { ends, entry: Arc::clone(entry) });
        self.ranked.store(order.len(), Ordering::Relaxed);
        self.map.insert(Arc::clone(entry));
        true
    }

    fn write(&self, entry: &Entry, locked: &mut Locked<'_>, next: Cooldown) {
        match next.phase {
            Phase::Clear => self.forget(entry, locked),
            Phase::Cooling { .. } | Phase::Probing { .. } | Phase::Reopening { .. } => {
                locked.set(next, self.forget_after);
            }
        }
    }

    /// Makes all calls stale that are out, for the entry whose lock is held.
    fn raise(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    fn order(&self) -> MutexGuard<'_, BinaryHeap<Rank>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Takes the lock, unless the entry has been forgotten.
    fn lock(&self) -> Option<Locked<'_>> {
        let locked = self.cell.lock();
        match locked.get().phase {
            Phase::Clear => None,
            Phase::Cooling { .. } | Phase::Probing { .. } | Phase::Reopening { .. } => Some(locked),
        }
    }
}

#[cfg(test)]
mod tests;
