//! A heap of numbers by time, in which each knows its place.
//!
//! Pure. Whoever owns the numbers keeps the places, so that one can be moved or
//! taken out from the middle at the cost of one at the top.

use crate::moment::Moment;

/// How many stand below each: with four the heap is half as high as with two,
/// and those four share a cache line.
const CHILDREN: usize = 4;

/// A heap is given memory back for once it is down to this share of its room.
const SPARSE: usize = 4;

/// The place of a number that is in no heap.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A number and its time; the earlier time comes first, then the lower number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Entry {
    pub(super) at: Moment,
    pub(super) index: u32,
}

/// Where each number stands in its heap.
pub(super) trait Places {
    /// Notes where a number stands now.
    fn put(&mut self, index: u32, place: u32);
}

/// Numbers by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Heap {
    entries: Vec<Entry>,
}

impl Heap {
    /// Returns the number with the earliest time.
    pub(super) fn first(&self) -> Option<Entry> {
        self.entries.first().copied()
    }

    /// Takes in a number that is in no heap.
    pub(super) fn insert(&mut self, entry: Entry, places: &mut impl Places) {
        let place = self.entries.len();
        self.entries.push(entry);
        self.rise(place, entry, places);
    }

    /// Gives the number that stands there another time.
    pub(super) fn change(&mut self, place: u32, at: Moment, places: &mut impl Places) {
        let place = place as usize;
        let Some(old) = self.entries.get(place).copied() else { return };
        self.settle(place, Entry { at, ..old }, at < old.at, places);
    }

    /// Takes out the number that stands there.
    pub(super) fn remove(&mut self, place: u32, places: &mut impl Places) {
        let place = place as usize;
        let Some(gone) = self.entries.get(place).copied() else { return };
        places.put(gone.index, NOWHERE);
        let Some(last) = self.entries.pop() else { return };
        if last != gone {
            self.settle(place, last, last < gone, places);
        }
        if self.entries.len() < self.entries.capacity() / SPARSE {
            self.entries.shrink_to(self.entries.len().saturating_mul(2));
        }
    }

    fn settle(&mut self, place: usize, entry: Entry, up: bool, places: &mut impl Places) {
        if up {
            self.rise(place, entry, places);
        } else {
            self.sink(place, entry, places);
        }
    }

    /// Puts an entry there or above, and what stood in its way below.
    fn rise(&mut self, mut place: usize, entry: Entry, places: &mut impl Places) {
        while let Some(above) = place.checked_sub(1).map(|before| before / CHILDREN) {
            match self.entries.get(above) {
                Some(&parent) if entry < parent => self.put(place, parent, places),
                Some(_) | None => break,
            }
            place = above;
        }
        self.put(place, entry, places);
    }

    /// Puts an entry there or below, and what stood in its way above.
    fn sink(&mut self, mut place: usize, entry: Entry, places: &mut impl Places) {
        loop {
            let first = place.saturating_mul(CHILDREN).saturating_add(1);
            let below = self.entries.iter().enumerate().skip(first).take(CHILDREN);
            match below.min_by(|left, right| left.1.cmp(right.1)) {
                Some((there, &child)) if child < entry => {
                    self.put(place, child, places);
                    place = there;
                }
                Some(_) | None => break,
            }
        }
        self.put(place, entry, places);
    }

    fn put(&mut self, place: usize, entry: Entry, places: &mut impl Places) {
        if let Some(there) = self.entries.get_mut(place) {
            *there = entry;
        }
        // Numbers are 32 bits long, so there are no more places than that.
        places.put(entry.index, u32::try_from(place).unwrap_or(NOWHERE));
    }
}
