//! The lane of an upstream: its targets in order, and what holds them back.

use slab::Slab;

use crate::moment::Moment;
use crate::schedule::set::heap::{Heap, NOWHERE, Places};
use crate::upstream::Upstream;

/// How sure a hold is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::schedule::set) enum Hold {
    /// Nothing but time ends it.
    Firm,
    /// A guess: a good answer from the upstream ends it as well, and so does a look
    /// at whoever knows.
    Loose {
        /// When to look.
        look_at: Moment,
    },
}

/// One upstream.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) upstream: Upstream,
    /// Its targets that are not called, and entries that are stale. The first is
    /// not.
    pub(super) waiting: Heap,
    pub(super) stale: usize,
    /// How many targets it has, those that are called included.
    pub(super) targets: u32,
    pub(super) in_flight: u32,
    /// Nothing is called before.
    pub(super) firm_until: Moment,
    /// Nothing will be called before, it seems; nothing is before it is time to look.
    pub(super) loose_until: Moment,
    pub(super) look_at: Moment,
    pub(super) stand: Stand,
    pub(super) place: u32,
    /// Its number among all lanes there ever were, and how many targets it was
    /// given: what spreads them.
    pub(super) number: u64,
    pub(super) added: u64,
}

/// All lanes, by number.
#[derive(Debug, Default)]
pub(super) struct Lanes(Slab<Lane>);

/// Where a lane stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stand {
    /// Among those that have something due, by that due time.
    Ready,
    /// Among those that will have, by when: the first is due, or a hold is over.
    Asleep,
    /// In neither heap: nothing waits, or no place is free.
    Parked,
}

impl Lane {
    /// The lane of an upstream, the `number`th of all.
    pub(super) fn new(upstream: Upstream, number: u64) -> Self {
        Self {
            upstream,
            waiting: Heap::default(),
            stale: 0,
            targets: 0,
            in_flight: 0,
            firm_until: Moment::START,
            loose_until: Moment::START,
            look_at: Moment::START,
            stand: Stand::Parked,
            place: NOWHERE,
            number,
            added: 0,
        }
    }
}

impl Lanes {
    pub(super) fn insert(&mut self, lane: Lane) -> u32 {
        // Memory ends before numbers do.
        u32::try_from(self.0.insert(lane)).unwrap_or(NOWHERE)
    }

    pub(super) fn remove(&mut self, lane: u32) -> Option<Lane> {
        self.0.try_remove(lane as usize)
    }

    pub(super) fn get(&self, lane: u32) -> Option<&Lane> {
        self.0.get(lane as usize)
    }

    pub(super) fn get_mut(&mut self, lane: u32) -> Option<&mut Lane> {
        self.0.get_mut(lane as usize)
    }
}

impl Places for Lanes {
    #[inline]
    fn put(&mut self, index: u32, place: u32) {
        if let Some(lane) = self.get_mut(index) {
            lane.place = place;
        }
    }
}
