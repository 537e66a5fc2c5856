//! How many calls of a line may be out at once.
//!
//! Pure: no clock, no lock. It is to a line what Reopening is to the table, and
//! goes on where the table stops counting.
//!
//! *Why one behind the probe, where two may go?* A bucket that had room for the probe
//! alone refuses both, and those in line are there at once to be refused. So where none
//! but the probe got through the last time, one follows the next probe, and more only
//! once that one has got through.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::cooldown::Role;

/// By what right a call left the table: the generation and the role.
pub(crate) type Right = (u64, Role);

/// The name of a call's place: when it lapses, and its number.
pub(super) type Key = (Instant, u64);

/// How many may be out once the probe has succeeded, and nobody else yet.
const PROBED: u64 = 2;

/// The calls that a line has let go.
#[derive(Debug)]
pub(super) struct Window {
    /// How many may be out at once: one, and one more for each that succeeded.
    width: u64,
    /// When the width was last set back after a success, only the probe had succeeded,
    /// and no call has hung since.
    was_cut_short: bool,
    /// How often the width was set back; calls from before mean nothing now.
    epoch: u64,
    /// The upstream's generation in the table when somebody last looked.
    generation: u64,
    issued: u64,
    /// Those that are out, the one that lapses first in front.
    out: BTreeMap<Key, Option<Right>>,
}

/// A place that was given out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) key: Key,
    pub(super) epoch: u64,
    /// Whoever lets the place lapse knows what else the call holds.
    is_noted: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            width: 1,
            was_cut_short: false,
            epoch: 0,
            generation: 0,
            issued: 0,
            out: BTreeMap::new(),
        }
    }

    /// Returns whether no call is out.
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Returns whether more than that many calls may be out at once.
    pub(super) fn is_wider_than(&self, width: u32) -> bool {
        self.width > u64::from(width)
    }

    /// Returns when there is room at the latest; nothing if there is now.
    pub(super) fn full_until(&self) -> Option<Instant> {
        let (&(lapses, _), _) = self.out.first_key_value()?;
        let has_room = u64::try_from(self.out.len()).is_ok_and(|out| out < self.room());
        (!has_room).then_some(lapses)
    }

    /// Gives a place out, which lapses then.
    pub(super) fn take(&mut self, lapses: Instant) -> Held {
        let key = (lapses, self.issued);
        self.issued = self.issued.saturating_add(1);
        self.out.insert(key, None);
        Held { key, epoch: self.epoch, is_noted: false }
    }

    /// Notes by what right the call left, unless the place has lapsed meanwhile.
    pub(super) fn admitted(&mut self, held: &mut Held, right: Right) {
        if let Some(noted) = self.out.get_mut(&held.key) {
            *noted = Some(right);
            held.is_noted = true;
        }
    }

    /// Takes a place back; says whether it had lapsed, and the one in the table
    /// with it.
    pub(super) fn retire(&mut self, held: Held) -> bool {
        let is_out = self.out.remove(&held.key).is_some();
        !is_out && held.is_noted && held.epoch == self.epoch
    }

    /// Takes places back whose calls have been out too long; returns the places
    /// in the table that some of them hold as well.
    pub(super) fn lapse(&mut self, now: Instant) -> Vec<Right> {
        let mut rights = Vec::new();
        while let Some(first) = self.out.first_entry() {
            if first.key().0 > now {
                break;
            }
            rights.extend(first.remove().filter(|(_, role)| *role == Role::Place));
            // One that hangs tells nothing: the line goes on as it would without it.
            self.was_cut_short = false;
        }
        rights
    }

    /// Takes in that a call has succeeded; its place need not be its own any more.
    pub(super) fn succeeded(&mut self, held: Held) {
        if held.epoch == self.epoch {
            self.width = self.width.saturating_add(1);
        }
    }

    /// Takes in what the table knows: since when calls are current, and how many
    /// in flight have done well since.
    ///
    /// Whatever made calls stale in the table starts the window again.
    pub(super) fn learn(&mut self, generation: u64, width: u32) {
        if generation > self.generation {
            self.generation = generation;
            self.reset();
        }
        if generation == self.generation {
            self.width = self.width.max(u64::from(width));
        }
    }

    /// Returns how many may be out at once, of those in line.
    fn room(&self) -> u64 {
        if self.was_cut_short && self.width == PROBED { 1 } else { self.width }
    }

    /// Starts again with one; the calls that are out are nobody's business now.
    fn reset(&mut self) {
        // Where not even the probe succeeded, nothing is known that was not before.
        if self.width >= PROBED {
            self.was_cut_short = self.width == PROBED;
        }
        self.width = 1;
        self.epoch = self.epoch.saturating_add(1);
        self.out.clear();
    }
}
