//! Who is forgotten first.

use std::cmp::Ordering as Order;
use std::sync::Arc;

use super::Entry;
use crate::moment::Moment;

/// An entry's rank: who ends soonest is forgotten first.
pub(super) struct Rank {
    /// A lower bound. Ends only move forward, so that it need not follow them:
    /// whoever is about to act on it looks, and puts the entry back if it is late.
    pub(super) ends: Moment,
    pub(super) entry: Arc<Entry>,
}

impl Ord for Rank {
    /// The soonest is the greatest, as the heap hands out the greatest first.
    fn cmp(&self, other: &Self) -> Order {
        other.ends.cmp(&self.ends)
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Rank {}
