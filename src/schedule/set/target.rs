//! What is told of a target: its id, its state, and each answer it gets.

use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use super::targets::Target;
use crate::ambient;
use crate::error::Error;
use crate::moment::Moment;
use crate::schedule::wall::Reading;
use crate::upstream::Upstream;

/// Names a target of a [`PollSet`](super::PollSet).
///
/// It is not used again: once the target is removed, its id finds nobody, whatever
/// is added since. An id means nothing to another set.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TargetId {
    pub(super) index: u32,
    pub(super) stamp: NonZeroU32,
}

/// An answer, and what follows from it.
#[derive(Debug)]
#[non_exhaustive]
pub struct PolledTarget<A> {
    /// Which target was called.
    pub id: TargetId,
    /// What the service answered.
    ///
    /// A call that outlived the policy's lease is an [`Error::Inner`].
    pub result: Result<A, Error>,
    /// How many calls in a row have failed, this one included.
    pub consecutive_failures: u32,
    /// When the target is due again.
    pub due_at: SystemTime,
}

/// The state of one target, as it was when it was looked at.
pub struct TargetInfo<'a, T> {
    pub(super) id: TargetId,
    pub(super) target: &'a Target<T>,
    pub(super) upstream: &'a Upstream,
    pub(super) due: Moment,
    pub(super) held_until: Moment,
    pub(super) is_in_flight: bool,
    pub(super) born: tokio::time::Instant,
    pub(super) reading: Reading,
}

impl<'a, T> TargetInfo<'a, T> {
    /// Returns the target's id.
    pub fn id(&self) -> TargetId {
        self.id
    }

    /// Returns what you put in.
    pub fn target(&self) -> &'a T {
        &self.target.data
    }

    /// Returns whose limits it is called under.
    pub fn upstream(&self) -> &'a Upstream {
        self.upstream
    }

    /// Returns when it is due: past if it is overdue. While it is called, when it
    /// was due for that.
    pub fn due_at(&self) -> SystemTime {
        self.time(self.due)
    }

    /// Returns until when its upstream is held back, together with all its
    /// targets, as far as the set knows.
    pub fn held_until(&self) -> Option<SystemTime> {
        let now = ambient::moment(self.born, self.reading.now);
        (self.held_until > now).then(|| self.time(self.held_until))
    }

    /// Returns when a call to it last went well.
    pub fn last_ok_at(&self) -> Option<SystemTime> {
        self.target.last_ok().map(|last| self.time(last))
    }

    /// Returns how many calls in a row have failed.
    pub fn consecutive_failures(&self) -> u32 {
        self.target.failures
    }

    /// Returns whether it is being called.
    pub fn is_in_flight(&self) -> bool {
        self.is_in_flight
    }

    /// Returns how long it is from a good answer to the next call.
    pub fn interval(&self) -> Duration {
        self.target.interval()
    }

    fn time(&self, moment: Moment) -> SystemTime {
        self.reading.time(ambient::instant(self.born, moment))
    }
}

impl<T: fmt::Debug> fmt::Debug for TargetInfo<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetInfo")
            .field("id", &self.id)
            .field("target", self.target())
            .field("upstream", self.upstream)
            .field("due_at", &self.due_at())
            .field("held_until", &self.held_until())
            .field("last_ok_at", &self.last_ok_at())
            .field("consecutive_failures", &self.consecutive_failures())
            .field("is_in_flight", &self.is_in_flight)
            .field("interval", &self.interval())
            .finish()
    }
}
