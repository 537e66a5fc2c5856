//! A heap of numbers by time.
//!
//! Pure. Whoever owns the numbers may keep their places, to move one or take it out
//! from the middle; or spare the writing, and tell entries that no longer mean
//! anything by their stamps.

use crate::moment::Moment;

/// How many stand below each: with four the heap is half as high as with two,
/// and those four share a cache line.
const CHILDREN: usize = 4;

/// A heap is given memory back for once it is down to this share of its room.
const SPARSE: usize = 4;

/// A heap with that much room at most keeps it: one that is empty now and then would
/// allocate each time.
const SMALL: usize = 16;

/// Returns how much room to add where so many have filled it: a quarter, where doubling
/// would leave half of the memory of a million unused.
pub(super) fn growth(filled: usize) -> usize {
    (filled / 4).saturating_add(4)
}

/// The place of a number that is in no heap.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A number and its time. Of equal times any may come first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) at: Moment,
    pub(super) index: u32,
    /// Tells this entry from others of its number.
    pub(super) stamp: u32,
}

/// Where each number stands in its heap.
pub(super) trait Places {
    /// Notes where a number stands now.
    fn put(&mut self, index: u32, place: u32);
}

/// For numbers whose places nobody keeps.
pub(super) struct Unkept;

impl Places for Unkept {
    #[inline]
    fn put(&mut self, _: u32, _: u32) {}
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

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in a number that is in no heap.
    pub(super) fn insert(&mut self, entry: Entry, places: &mut impl Places) {
        let place = self.entries.len();
        if place == self.entries.capacity() {
            self.entries.reserve_exact(growth(place));
        }
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
            self.settle(place, last, last.at < gone.at, places);
        }
        if self.entries.capacity() > SMALL && self.entries.len() < self.entries.capacity() / SPARSE
        {
            self.shrink();
        }
    }

    /// Drops entries whose places nobody keeps.
    pub(super) fn retain(&mut self, is_kept: impl FnMut(&Entry) -> bool) {
        self.entries.retain(is_kept);
        // In order it is a heap as well.
        self.entries.sort_unstable_by_key(|entry| entry.at);
        self.shrink();
    }

    fn shrink(&mut self) {
        let entries = self.entries.len();
        self.entries.shrink_to(entries.saturating_add(growth(entries)));
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
                Some(&parent) if entry.at < parent.at => self.put(place, parent, places),
                Some(_) | None => break,
            }
            place = above;
        }
        self.put(place, entry, places);
    }

    /// Puts an entry there or below, and what stood in its way above.
    fn sink(&mut self, mut place: usize, entry: Entry, places: &mut impl Places) {
        while let Some(there) = self.first_below(place)
            && let Some(&child) = self.entries.get(there)
            && child.at < entry.at
        {
            self.put(place, child, places);
            place = there;
        }
        self.put(place, entry, places);
    }

    /// Returns the place of the first of those that stand below a place.
    #[inline]
    fn first_below(&self, place: usize) -> Option<usize> {
        let start = place.saturating_mul(CHILDREN).saturating_add(1);
        let below = self.entries.get(start..)?;
        let first = match below.first_chunk::<CHILDREN>() {
            // Two by two: whoever is first, nobody could have foreseen, so there
            // had better be no branch.
            Some([a, b, c, d]) => {
                let left = if b.at < a.at { (1, b.at) } else { (0, a.at) };
                let right = if d.at < c.at { (3, d.at) } else { (2, c.at) };
                if right.1 < left.1 { right.0 } else { left.0 }
            }
            None => below.iter().enumerate().min_by_key(|(_, child)| child.at)?.0,
        };
        Some(start.saturating_add(first))
    }

    fn put(&mut self, place: usize, entry: Entry, places: &mut impl Places) {
        if let Some(there) = self.entries.get_mut(place) {
            *there = entry;
        }
        // Numbers are 32 bits long, so there are no more places than that.
        places.put(entry.index, u32::try_from(place).unwrap_or(NOWHERE));
    }
}

#[cfg(test)]
mod tests;
