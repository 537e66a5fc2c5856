//! The steps that change an upstream's state, but for a call that asks.

use std::time::Duration;

use super::super::changes::Changes;
use super::super::trigger::Trigger;
use super::Table;
use crate::cooldown::{Cooldown, Ending, Event, Record, Role, Rules, Standing, Word};
use crate::moment::Moment;
use crate::upstream::Upstream;

impl Table {
    /// Takes in how a call ended that was admitted in that generation and role.
    #[allow(dead_code, reason = "a table in a fleet tells how it met the verdict")]
    pub(crate) fn settle(
        &self,
        upstream: &Upstream,
        admitted: (u64, Role),
        ending: Ending,
        now: Moment,
        rules: &Rules,
        changes: &mut Changes,
    ) {
        self.settle_before(upstream, admitted, ending, now, rules, changes, |_, _| {});
    }

    /// The same; tells how the verdict stands to the state that it meets.
    #[expect(clippy::too_many_arguments, reason = "a step, and who watches it")]
    pub(crate) fn settle_before(
        &self,
        upstream: &Upstream,
        admitted: (u64, Role),
        ending: Ending,
        now: Moment,
        rules: &Rules,
        changes: &mut Changes,
        mut meets: impl FnMut(&Cooldown, Standing),
    ) {
        let (generation, role) = admitted;
        self.apply(upstream, now, rules, changes, |state| {
            let standing = Standing { stale: generation < state.generation, role };
            meets(state, standing);
            Some(Event::Settled(standing, ending))
        });
    }

    /// Takes in what the fleet says, if it has anything to say to that state.
    #[allow(dead_code, reason = "only a fleet speaks")]
    pub(crate) fn hear(
        &self,
        upstream: &Upstream,
        now: Moment,
        changes: &mut Changes,
        word: impl FnMut(&Cooldown) -> Option<Word>,
    ) {
        let mut word = word;
        let rules = Rules::default();
        self.apply(upstream, now, &rules, changes, |state| word(state).map(Event::Fleet));
    }

    /// Cools an upstream by hand.
    pub(crate) fn cool(
        &self,
        upstream: &Upstream,
        wait: Duration,
        now: Moment,
        changes: &mut Changes,
    ) {
        self.apply(upstream, now, &Rules::default(), changes, |_| Some(Event::Cooled(wait)));
    }

    /// Remembers what was written down of an upstream.
    #[allow(dead_code, reason = "only snapshots remember")]
    pub(crate) fn restore(
        &self,
        upstream: &Upstream,
        record: Record,
        now: Moment,
        changes: &mut Changes,
    ) {
        self.apply(upstream, now, &Rules::default(), changes, |_| Some(Event::Restored(record)));
    }

    /// Forgets an upstream, whatever its state.
    pub(crate) fn clear(&self, upstream: &Upstream, now: Moment, changes: &mut Changes) {
        while let Some(entry) = self.map.get(upstream) {
            if let Some(mut locked) = entry.lock() {
                self.note_gone(changes, upstream, &locked.get(), Trigger::Cleared, now);
                self.forget(&entry, &mut locked);
                break;
            }
        }
        self.tidy();
    }
}
