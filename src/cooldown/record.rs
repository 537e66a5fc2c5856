//! What of an upstream in trouble outlives the process: written down at its end,
//! remembered at the next one's start.

use std::time::Duration;

use super::rules::LEAST;
use super::{Cause, Cooldown, Effect, Phase};
use crate::moment::Moment;

/// What is written down of an upstream in trouble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    /// When its cooldown ends, or ended.
    pub(crate) until: Moment,
    pub(crate) cause: Cause,
    /// That end is what somebody set by hand.
    pub(crate) by_hand: bool,
}

impl Cooldown {
    /// Returns what of this outlives the process: the cooldown, run out where the
    /// upstream was being probed or came back.
    ///
    /// A pause after a probe without news is not written down: nobody asked for it,
    /// and the memory counts from what was asked for.
    #[allow(dead_code, reason = "only snapshots write down")]
    pub(crate) fn record(&self) -> Record {
        Record { until: self.ends, cause: self.cause, by_hand: self.by_hand }
    }

    /// What was known before: the longer cooldown and the higher rung count.
    pub(super) fn remember(self, record: Record, now: Moment, forget: Duration) -> (Self, Effect) {
        let (matters, lasts) = match self.phase {
            Phase::Clear => (now < record.until.after(forget), true),
            Phase::Cooling { until } => (true, now.max(until) < record.until),
            Phase::Probing { .. } => (true, now < record.until),
            // Else the probe has shown since that the pause was long enough.
            Phase::Reopening { .. } => (now < record.until, true),
        };
        if !matters {
            return (self, Effect::Nothing);
        }
        let rung = self.cause.rung.max(record.cause.rung);
        if !lasts {
            return (Self { cause: Cause { rung, ..self.cause }, ..self }, Effect::Nothing);
        }
        // As in `cool` where somebody cooled it; a refusal was heard a least
        // cooldown before the end, or earlier.
        let began = if record.by_hand { record.until } else { now.min(record.until.before(LEAST)) };
        let said = if record.cause.is_silent() { self.cause } else { record.cause };
        let cause = Cause { rung, ..said };
        let by_hand = record.by_hand;
        (Self { cause, began, stretch: 0.0, by_hand, ..self.until(record.until) }, Effect::Outdate)
    }
}

impl Cause {
    /// Returns whether the upstream itself has said nothing.
    fn is_silent(&self) -> bool {
        self.status.is_none() && self.hint.is_none()
    }
}
