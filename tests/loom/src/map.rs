//! A map that promises what the real one does, and no more.
//!
//! *What is promised?* One entry for an upstream at a time, and that whoever
//! finds an entry sees all that was written before it was inserted: release and
//! acquire on one word.
//!
//! *What is not?* Who finds nothing learns nothing: the miss may be an old one,
//! and even a miss after a removal says nothing of what its thread wrote before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cooldowns::table::Entry;
use crate::sync::{AtomicUsize, Ordering};
use crate::upstream::{Draft, Upstream};

/// The upstreams that a model may have.
const SLOTS: usize = 3;

/// What stands in the slot of an upstream without an entry.
const VACANT: usize = 0;

/// Entries by upstream.
pub(crate) struct Map {
    /// One for each upstream: the number of its entry.
    slots: [AtomicUsize; SLOTS],
    /// What the numbers and slots mean. The model checker does not see it, so
    /// that it orders nothing.
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    upstreams: Vec<Upstream>,
    /// All that ever were, from number 1 on.
    entries: Vec<Arc<Entry>>,
}

impl Map {
    pub(crate) fn new() -> Self {
        let slots = std::array::from_fn(|_| AtomicUsize::new(VACANT));
        Self { slots, ledger: Mutex::default() }
    }

    pub(crate) fn read<T>(&self, upstream: &Upstream, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.get(upstream).map(|entry| read(&entry))
    }

    pub(crate) fn get(&self, upstream: &Upstream) -> Option<Arc<Entry>> {
        let number = self.slot(upstream)?.load(Ordering::Acquire);
        self.ledger().entry(number)
    }

    pub(crate) fn find(&self, draft: &Draft) -> Option<Upstream> {
        self.get(&draft.upstream()).map(|entry| entry.upstream().clone())
    }

    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        if let Some(slot) = self.slot(entry.upstream()) {
            let number = self.ledger().note(entry);
            slot.store(number, Ordering::Release);
        }
    }

    pub(crate) fn remove(&self, upstream: &Upstream) {
        if let Some(slot) = self.slot(upstream) {
            slot.store(VACANT, Ordering::Relaxed);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.slots
            .iter()
            .filter_map(|slot| {
                let number = slot.load(Ordering::Acquire);
                self.ledger().entry(number)
            })
            .collect()
    }

    fn slot(&self, upstream: &Upstream) -> Option<&AtomicUsize> {
        let place = self.ledger().place(upstream);
        self.slots.get(place)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn place(&mut self, upstream: &Upstream) -> usize {
        if let Some(place) = self.upstreams.iter().position(|known| known == upstream) {
            return place;
        }
        self.upstreams.push(upstream.clone());
        self.upstreams.len().saturating_sub(1)
    }

    fn note(&mut self, entry: Arc<Entry>) -> usize {
        self.entries.push(entry);
        self.entries.len()
    }

    fn entry(&self, number: usize) -> Option<Arc<Entry>> {
        self.entries.get(number.checked_sub(1)?).cloned()
    }
}
