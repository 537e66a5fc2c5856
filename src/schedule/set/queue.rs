//! Who is next: targets by due time, in the lanes of their upstreams.
//!
//! Pure: no clock, no I/O; `now` is an argument. It knows targets by number alone;
//! what a target is and when it is due again, others know.
//!
//! A lane holds its upstream's targets, longest overdue first, and at most so many
//! of its calls are out at once. Lanes that have something due stand in one heap by
//! that due time; those that will have stand in another by when they wake; a lane
//! without a free place stands in neither. So holding an upstream back moves one
//! lane, whatever the number of its targets. Every operation costs the logarithm of a
//! number, on average: who leaves a heap from its midst leaves a stale entry, and now
//! and then somebody pays for clearing them all away.

mod lane;

use std::collections::HashMap;

pub(super) use self::lane::Hold;
use self::lane::{Lane, Lanes, Stand};
use super::heap::{Entry, Heap, NOWHERE, Unkept, growth};
use crate::moment::Moment;
use crate::upstream::Upstream;
use foldhash::fast::RandomState;

/// What there is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// This target is the longest overdue of those that may be called.
    Call(u32),
    /// Nothing before then.
    Until(Moment),
    /// Nothing, until a target is added or a call ends.
    Idle,
}

/// The targets of all upstreams, by number.
#[derive(Debug)]
pub(super) struct Queue {
    slots: Vec<Slot>,
    lanes: Lanes,
    names: HashMap<Upstream, u32, RandomState>,
    /// Lanes that have something due, by its due time.
    ready: Heap,
    /// Lanes that will have something to do, by when.
    asleep: Heap,
    /// The latest time heard of. Time does not go back.
    now: Moment,
    /// How many calls may be out at once: in all, and of each upstream.
    concurrency: usize,
    per_upstream: u32,
    in_flight: usize,
    /// How many lanes there ever were; spreads them.
    opened: u64,
}

/// What the queue knows of a target.
#[derive(Clone, Copy, Debug)]
struct Slot {
    due: Moment,
    lane: u32,
    /// Even while it waits in its lane's heap, odd while it is called or gone. An
    /// entry with another stamp is stale.
    stamp: u32,
}

impl Slot {
    fn waits(self) -> bool {
        self.stamp.is_multiple_of(2)
    }
}

/// A lane's heap is rid of its stale entries when they are this share of it, so
/// that they cost no more than the others do.
const STALE: usize = 2;

impl Queue {
    pub(super) fn new(concurrency: usize, per_upstream: u32) -> Self {
        Self {
            slots: Vec::new(),
            lanes: Lanes::default(),
            names: HashMap::default(),
            ready: Heap::default(),
            asleep: Heap::default(),
            now: Moment::START,
            concurrency: concurrency.max(1),
            per_upstream: per_upstream.max(1),
            in_flight: 0,
            opened: 0,
        }
    }

    /// Says what to do at `now`. It commits to nothing: until the call begins, the
    /// answer stays the same.
    pub(super) fn next(&mut self, now: Moment) -> Turn {
        self.pass(now);
        if self.in_flight >= self.concurrency {
            return Turn::Idle;
        }
        while let Some(lane) = self.asleep.first().filter(|first| first.at <= self.now) {
            self.stand(lane.index);
        }
        let longest = self.ready.first().and_then(|lane| self.lanes.get(lane.index));
        match (longest.and_then(|lane| lane.waiting.first()), self.asleep.first()) {
            (Some(target), _) => Turn::Call(target.index),
            (None, Some(lane)) => Turn::Until(lane.at),
            (None, None) => Turn::Idle,
        }
    }

    /// Notes that it is that late.
    pub(super) fn pass(&mut self, now: Moment) {
        self.now = self.now.max(now);
    }

    /// Returns when there is something to do next, as far as time alone decides: a
    /// time that is past where there is now.
    pub(super) fn wakes_at(&self) -> Option<Moment> {
        if self.in_flight >= self.concurrency {
            return None;
        }
        let (ready, asleep) = (self.ready.first(), self.asleep.first());
        ready.into_iter().chain(asleep).map(|lane| lane.at).min()
    }

    /// Takes in a target under a number that is free.
    pub(super) fn add(
        &mut self,
        index: u32,
        upstream: Upstream,
        due: impl FnOnce(u64, u64) -> Moment,
    ) {
        let lane = match self.names.get(&upstream) {
            Some(&lane) => lane,
            None => self.open(upstream),
        };
        let Some(known) = self.lanes.get_mut(lane) else { return };
        let due = due(known.number, known.added);
        known.added = known.added.saturating_add(1);
        known.targets = known.targets.saturating_add(1);
        // Numbers are dealt out without gaps: at most one is missing.
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.lane = lane;
        } else {
            if self.slots.len() == self.slots.capacity() {
                self.slots.reserve_exact(growth(self.slots.len()));
            }
            self.slots.push(Slot { due, lane, stamp: 1 });
        }
        self.wait(index, due);
    }

    /// Takes a target out. A call to it keeps its place until it ends.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let Some(lane) = self.lanes.get_mut(slot.lane) else { return };
        if slot.waits() {
            slot.stamp = slot.stamp.wrapping_add(1);
            lane.stale = lane.stale.saturating_add(1);
        }
        lane.targets = lane.targets.saturating_sub(1);
        let lane = slot.lane;
        self.tidy(lane);
        self.stand(lane);
    }

    /// Makes a target due then, unless it is being called.
    pub(super) fn reschedule(&mut self, index: u32, due: Moment) {
        let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| slot.waits()) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(slot.lane) else { return };
        slot.due = due;
        if lane.waiting.first().is_some_and(|first| first.index == index) {
            lane.waiting.change(0, due, &mut Unkept);
        } else {
            slot.stamp = slot.stamp.wrapping_add(2);
            lane.stale = lane.stale.saturating_add(1);
            lane.waiting.insert(Entry { at: due, index, stamp: slot.stamp }, &mut Unkept);
        }
        let lane = slot.lane;
        self.tidy(lane);
        self.stand(lane);
    }

    /// Begins a call to the target that is next and will take time; returns its lane,
    /// which is to be told of the end. For a call that is answered at once,
    /// [`reschedule`](Self::reschedule) says it all.
    pub(super) fn begin(&mut self, index: u32) -> u32 {
        let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| slot.waits()) else {
            return NOWHERE;
        };
        let Some(lane) = self.lanes.get_mut(slot.lane) else { return NOWHERE };
        slot.stamp = slot.stamp.wrapping_add(1);
        if lane.waiting.first().is_some_and(|first| first.index == index) {
            lane.waiting.remove(0, &mut Unkept);
        } else {
            lane.stale = lane.stale.saturating_add(1);
        }
        lane.in_flight = lane.in_flight.saturating_add(1);
        self.in_flight = self.in_flight.saturating_add(1);
        let lane = slot.lane;
        self.tidy(lane);
        self.stand(lane);
        lane
    }

    /// Ends a call: its place is free, and the target, if it is still there, is due
    /// again then.
    pub(super) fn finish(&mut self, lane: u32, again: Option<(u32, Moment)>) {
        let Some(known) = self.lanes.get_mut(lane) else { return };
        known.in_flight = known.in_flight.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_sub(1);
        match again {
            Some((index, due)) => self.wait(index, due),
            None => self.stand(lane),
        }
    }

    /// Holds a lane back until then; what is firm stays as firm as it is.
    pub(super) fn hold(&mut self, lane: u32, until: Moment, hold: Hold) {
        let Some(known) = self.lanes.get_mut(lane) else { return };
        match hold {
            Hold::Firm => known.firm_until = known.firm_until.max(until),
            Hold::Loose { look_at } => (known.loose_until, known.look_at) = (until, look_at),
        }
        self.stand(lane);
    }

    /// Ends a hold that was a guess.
    pub(super) fn loosen(&mut self, lane: u32) {
        if let Some(known) = self.lanes.get_mut(lane).filter(|known| known.look_at > self.now) {
            (known.loose_until, known.look_at) = (Moment::START, Moment::START);
            self.stand(lane);
        }
    }

    /// Returns when a target is due.
    pub(super) fn due(&self, index: u32) -> Moment {
        self.slots.get(index as usize).map_or(Moment::START, |slot| slot.due)
    }

    /// Returns whether a target is being called.
    pub(super) fn is_called(&self, index: u32) -> bool {
        self.slots.get(index as usize).is_some_and(|slot| !slot.waits())
    }

    /// Returns the lane of a target.
    pub(super) fn lane(&self, index: u32) -> u32 {
        self.slots.get(index as usize).map_or(NOWHERE, |slot| slot.lane)
    }

    /// Returns whose lane it is.
    pub(super) fn upstream(&self, lane: u32) -> Option<&Upstream> {
        self.lanes.get(lane).map(|lane| &lane.upstream)
    }

    /// Returns until when a lane is held back, or was last.
    pub(super) fn held_until(&self, lane: u32) -> Moment {
        self.lanes.get(lane).map_or(Moment::START, |lane| lane.firm_until.max(lane.loose_until))
    }

    /// Returns how many calls are out.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns how many upstreams have targets, or calls that are out.
    pub(super) fn upstreams(&self) -> usize {
        self.names.len()
    }

    /// Puts a target that does not wait into its lane's heap.
    fn wait(&mut self, index: u32, due: Moment) {
        let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| !slot.waits()) else {
            return;
        };
        slot.due = due;
        slot.stamp = slot.stamp.wrapping_add(1);
        let Slot { lane, stamp, .. } = *slot;
        if let Some(known) = self.lanes.get_mut(lane) {
            known.waiting.insert(Entry { at: due, index, stamp }, &mut Unkept);
            self.stand(lane);
        }
    }

    /// Rids a lane's heap of stale entries, where they are first or too many.
    fn tidy(&mut self, lane: u32) {
        let Some(lane) = self.lanes.get_mut(lane).filter(|lane| lane.stale > 0) else { return };
        let is_fresh = |entry: &Entry| {
            let slot = self.slots.get(entry.index as usize);
            slot.is_some_and(|slot| slot.stamp == entry.stamp)
        };
        if lane.stale > lane.waiting.len() / STALE {
            lane.waiting.retain(is_fresh);
            lane.stale = 0;
        }
        while lane.waiting.first().is_some_and(|first| !is_fresh(&first)) {
            lane.waiting.remove(0, &mut Unkept);
            lane.stale = lane.stale.saturating_sub(1);
        }
    }

    /// Opens the lane of an upstream that has none.
    fn open(&mut self, upstream: Upstream) -> u32 {
        let lane = self.lanes.insert(Lane::new(upstream.clone(), self.opened));
        self.opened = self.opened.wrapping_add(1);
        self.names.insert(upstream, lane);
        lane
    }

    /// Puts a lane where it belongs now; one that nobody needs is dropped.
    fn stand(&mut self, lane: u32) {
        let Some(known) = self.lanes.get(lane) else { return };
        let (was, place) = (known.stand, known.place);
        let (stand, at) = match known.waiting.first() {
            Some(head) if known.in_flight < self.per_upstream => {
                match head.at.max(known.firm_until).max(known.look_at) {
                    wakes if wakes > self.now => (Stand::Asleep, wakes),
                    _ => (Stand::Ready, head.at),
                }
            }
            Some(_) | None => (Stand::Parked, Moment::START),
        };
        let is_needed = known.targets > 0 || known.in_flight > 0;
        if stand == was {
            match stand {
                Stand::Ready => self.ready.change(place, at, &mut self.lanes),
                Stand::Asleep => self.asleep.change(place, at, &mut self.lanes),
                Stand::Parked => {}
            }
        } else {
            match was {
                Stand::Ready => self.ready.remove(place, &mut self.lanes),
                Stand::Asleep => self.asleep.remove(place, &mut self.lanes),
                Stand::Parked => {}
            }
            match stand {
                Stand::Ready => {
                    self.ready.insert(Entry { at, index: lane, stamp: 0 }, &mut self.lanes);
                }
                Stand::Asleep => {
                    self.asleep.insert(Entry { at, index: lane, stamp: 0 }, &mut self.lanes);
                }
                Stand::Parked => {}
            }
            if let Some(known) = self.lanes.get_mut(lane) {
                known.stand = stand;
            }
        }
        if !is_needed && let Some(gone) = self.lanes.remove(lane) {
            self.names.remove(&gone.upstream);
        }
    }
}

#[cfg(test)]
mod tests;
