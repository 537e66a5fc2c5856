//! What a step of the table changed, kept until nobody holds a lock any more.
//!
//! Where nobody watches, nothing is kept and nothing allocated. Who is told, and
//! how, stands in `observe.rs`.

use super::trigger::Trigger;
use crate::cooldown::{Cooldown, Phase};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// The changes of one step, in order; none are kept where nobody watches.
#[derive(Debug)]
pub(crate) struct Changes {
    kept: Option<Vec<Change>>,
}

/// A change of one upstream's state.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) upstream: Upstream,
    pub(crate) number: u64,
    pub(crate) by: Trigger,
    pub(crate) from: Phase,
    pub(crate) to: Cooldown,
    pub(crate) at: Moment,
}

impl Changes {
    /// Keeps changes if there is somebody to be told.
    #[inline]
    pub(crate) fn kept(is_watched: bool) -> Self {
        Self { kept: is_watched.then(Vec::new) }
    }

    /// Notes a change, if somebody is to be told.
    #[inline]
    pub(crate) fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(kept) = &mut self.kept {
            kept.push(change());
        }
    }

    /// Returns whether anybody is to be told.
    #[inline]
    pub(crate) fn are_kept(&self) -> bool {
        self.kept.is_some()
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.unwrap_or_default().into_iter()
    }
}
