//! What of the table's steps is a change that people are told of.

use super::super::changes::{Change, Changes};
use super::super::trigger::Trigger;
use super::Table;
use crate::cooldown::{Cooldown, Effect, Event, Phase};
use crate::moment::Moment;
use crate::sync::Ordering;
use crate::upstream::Upstream;

impl Table {
    /// Notes what an event changes, before it is written: whoever then finds the
    /// upstream in another state draws a higher number. The caller holds the lock.
    pub(super) fn note(
        &self,
        changes: &mut Changes,
        upstream: &Upstream,
        mut state: Cooldown,
        (event, next, effect): (&Event, Cooldown, Effect),
        now: Moment,
    ) {
        if !changes.are_kept() {
            return;
        }
        if state.phase != Phase::Clear && now >= state.forgotten_at(self.forget_after) {
            // The event met an upstream that was Clear again.
            let clear = Cooldown::CLEAR;
            changes.note(|| self.change(upstream, &state, clear, Trigger::Forgotten, now));
            state = clear;
        }
        if is_change(&state, &next, effect) {
            let by = Trigger::of(event, effect);
            changes.note(|| self.change(upstream, &state, next, by, now));
        }
    }

    /// Notes that an upstream is taken out: because its time has come or, where it
    /// has not, for that reason. The caller holds the lock.
    pub(super) fn note_gone(
        &self,
        changes: &mut Changes,
        upstream: &Upstream,
        state: &Cooldown,
        otherwise: Trigger,
        now: Moment,
    ) {
        let by = if now < state.forgotten_at(self.forget_after) {
            otherwise
        } else {
            Trigger::Forgotten
        };
        changes.note(|| self.change(upstream, state, Cooldown::CLEAR, by, now));
    }

    fn change(
        &self,
        upstream: &Upstream,
        from: &Cooldown,
        to: Cooldown,
        by: Trigger,
        at: Moment,
    ) -> Change {
        // Neither what was found before nor what is written after passes it by, be it
        // the entry's way into the map or out of it.
        let number = self.changed.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        Change { upstream: upstream.clone(), number, by, from: from.phase, to, at }
    }
}

/// Returns whether people call that a change: another state, another rung, or a
/// cooldown that begins. A place more or less, or a late hint, is none.
fn is_change(from: &Cooldown, to: &Cooldown, effect: Effect) -> bool {
    let same_state = match (from.phase, to.phase) {
        (Phase::Clear, Phase::Clear)
        | (Phase::Cooling { .. }, Phase::Cooling { .. })
        | (Phase::Probing { .. }, Phase::Probing { .. })
        | (Phase::Reopening { .. }, Phase::Reopening { .. }) => true,
        (
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } | Phase::Reopening { .. },
            _,
        ) => false,
    };
    effect == Effect::Outdate || !same_state || from.cause.rung != to.cause.rung
}
