//! The concurrent map from upstreams to their entries.
//!
//! A papaya set: look-ups take no lock and write nothing shared. The choice was
//! measured (`benches`); only this file names it, and the model checker puts a
//! map of its own in its place.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::table::Entry;
use crate::upstream::{Draft, Upstream};

/// Entries by upstream.
pub(crate) struct Map {
    // Hashing is seeded for each table, so that hostile names cannot be chosen
    // to collide.
    entries: papaya::HashMap<Key, (), RandomState>,
}

impl Map {
    pub(crate) fn new() -> Self {
        Self { entries: papaya::HashMap::with_hasher(RandomState::default()) }
    }

    /// Reads an entry in place.
    #[inline]
    pub(crate) fn read<T>(&self, upstream: &Upstream, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        let guard = self.entries.guard();
        let (key, ()) = self.entries.get_key_value(upstream, &guard)?;
        Some(read(&key.0))
    }

    /// Returns an entry to keep.
    pub(crate) fn get(&self, upstream: &Upstream) -> Option<Arc<Entry>> {
        let guard = self.entries.guard();
        let (key, ()) = self.entries.get_key_value(upstream, &guard)?;
        Some(Arc::clone(&key.0))
    }

    /// Returns the upstream of that name, if it has an entry.
    pub(crate) fn find(&self, draft: &Draft) -> Option<Upstream> {
        let guard = self.entries.guard();
        let (key, ()) = self.entries.get_key_value(draft, &guard)?;
        Some(key.0.upstream().clone())
    }

    /// Publishes the entry of an upstream that has none.
    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        self.entries.pin().insert(Key(entry), ());
    }

    pub(crate) fn remove(&self, upstream: &Upstream) {
        self.entries.pin().remove(upstream);
    }

    /// Returns all entries, as far as they stand still meanwhile.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.pin().keys().map(|key| Arc::clone(&key.0)).collect()
    }
}

/// An entry, found by its upstream.
struct Key(Arc<Entry>);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.upstream().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.upstream() == other.0.upstream()
    }
}

impl Eq for Key {}

impl papaya::Equivalent<Key> for Draft {
    fn equivalent(&self, key: &Key) -> bool {
        key.0.upstream().is(self)
    }
}

impl papaya::Equivalent<Key> for Upstream {
    fn equivalent(&self, key: &Key) -> bool {
        self == key.0.upstream()
    }
}
