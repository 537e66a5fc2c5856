//! Who is forgotten, because its time has come or for want of room.

use std::collections::BinaryHeap;

use super::super::cell::Locked;
use super::super::changes::Changes;
use super::super::trigger::Trigger;
use super::rank::Rank;
use super::{Entry, Table};
use crate::cooldown::Cooldown;
use crate::moment::Moment;
use crate::sync::Ordering;

/// How many ranks a sweep looks at, at most.
///
/// More than one, so that sweeping outruns tracking; few, so that no call pays
/// for all the others.
const SWEPT_AT_ONCE: usize = 8;

/// How many removed entries may linger in the order before it is cleaned up,
/// beside as many as are tracked.
pub(super) const LINGERING: usize = 64;

/// What became of the first in order.
enum Popped {
    /// It had been forgotten already.
    Gone,
    /// It stands in order again: it ends later, or its time has not come.
    PutBack,
    Forgotten(Cooldown),
}

impl Table {
    /// Forgets some upstreams whose time has come, unless somebody is at it.
    pub(crate) fn sweep(&self, now: Moment, changes: &mut Changes) {
        if let Ok(mut order) = self.order.try_lock() {
            self.sweep_some(&mut order, now, changes);
            self.ranked.store(order.len(), Ordering::Relaxed);
        }
    }

    /// Takes the ranks of removed entries out, once they are the most; so each
    /// removal pays for one rank, and upstreams that are well again cost nothing.
    pub(super) fn tidy(&self) {
        let most = self.tracked().saturating_mul(2).saturating_add(LINGERING);
        if self.ranked.load(Ordering::Relaxed) <= most {
            return;
        }
        let mut order = self.order();
        // Somebody may have been quicker.
        if order.len() > most {
            order.retain(|rank| rank.entry.lock().is_some());
            order.shrink_to(most);
            self.ranked.store(order.len(), Ordering::Relaxed);
        }
    }

    pub(super) fn sweep_some(
        &self,
        order: &mut BinaryHeap<Rank>,
        now: Moment,
        changes: &mut Changes,
    ) {
        for _ in 0..SWEPT_AT_ONCE {
            let due = |first: &Rank| now >= first.ends.after(self.forget_after);
            if !order.peek().is_some_and(due) {
                return;
            }
            let ripe = |state: &Cooldown| now >= state.forgotten_at(self.forget_after);
            self.pop(order, ripe, now, changes);
        }
    }

    /// Forgets the first in order, though its time has not come, until there is
    /// room for one more.
    pub(super) fn make_room(
        &self,
        order: &mut BinaryHeap<Rank>,
        now: Moment,
        changes: &mut Changes,
    ) {
        // Asked anew each time: whoever was gone already has made room itself.
        while self.tracked() >= self.max_upstreams {
            match self.pop(order, |_| true, now, changes) {
                None => return,
                Some(Popped::Forgotten(state)) => {
                    self.displaced.fetch_add(1, Ordering::Relaxed);
                    if now < state.ends {
                        self.evicted.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Some(Popped::Gone | Popped::PutBack) => {}
            }
        }
    }

    /// Takes the first in order out, and forgets it if it is ripe.
    fn pop(
        &self,
        order: &mut BinaryHeap<Rank>,
        ripe: impl Fn(&Cooldown) -> bool,
        now: Moment,
        changes: &mut Changes,
    ) -> Option<Popped> {
        let Rank { ends, entry } = order.pop()?;
        let Some(mut locked) = entry.lock() else {
            return Some(Popped::Gone);
        };
        let state = locked.get();
        if state.ends > ends || !ripe(&state) {
            drop(locked);
            order.push(Rank { ends: state.ends, entry });
            return Some(Popped::PutBack);
        }
        let why = if now < state.ends { Trigger::Evicted } else { Trigger::Displaced };
        self.note_gone(changes, &entry.upstream, &state, why, now);
        self.forget(&entry, &mut locked);
        Some(Popped::Forgotten(state))
    }

    /// Takes an entry out; the order lets go of it later.
    pub(super) fn forget(&self, entry: &Entry, locked: &mut Locked<'_>) {
        locked.set(Cooldown::CLEAR, self.forget_after);
        self.map.remove(&entry.upstream);
        self.tracked.fetch_sub(1, Ordering::Relaxed);
    }
}
