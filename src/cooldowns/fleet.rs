//! A table whose process is one of a fleet: what happens here is told, and what
//! happens elsewhere is heard. Who carries it stands in `fleet.rs`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Admission, Changes, Cooldowns, Shared};
use crate::cooldown::{Cooldown, Ending, Event, Record, Role, Rules, Word};
use crate::fleet::{Link, Policy};
use crate::moment::Moment;
use crate::upstream::Upstream;

impl Cooldowns {
    /// Returns where the table meets its fleet.
    pub(crate) fn link(&self) -> &Link {
        &self.shared.fleet
    }

    /// Returns a handle that does not keep the table alive.
    pub(crate) fn downgrade(&self) -> WeakCooldowns {
        WeakCooldowns { shared: Arc::downgrade(&self.shared) }
    }

    /// Returns the moment that it is.
    pub(crate) fn moment_now(&self) -> Moment {
        self.now()
    }

    /// Returns what stands in the table, to be told to others.
    pub(crate) fn known(&self, now: Moment) -> Vec<(Upstream, Cooldown)> {
        self.shared.table.all(now)
    }

    /// Returns whether the table knows anything of the upstream.
    pub(crate) fn is_tracked(&self, upstream: &Upstream) -> bool {
        self.shared.table.get(upstream, self.now()).is_some()
    }

    /// Returns how many upstreams the table tracks.
    pub(crate) fn tracked(&self) -> usize {
        self.shared.table.tracked()
    }

    /// Returns the numbers that stand for what is done by hand.
    pub(crate) fn policy(&self, rules: &Rules) -> Policy {
        Policy { rules: *rules, forget: self.shared.table.forget_after() }
    }

    /// Takes in what the fleet says, if it has anything to say to the state there is.
    pub(crate) fn hear(
        &self,
        upstream: &Upstream,
        mut word: impl FnMut(&Cooldown, Moment) -> Option<Word>,
    ) {
        self.change(upstream, |table, now, changes| {
            table.hear(upstream, now, changes, |state| word(state, now));
        });
    }

    /// Decides under the entry's lock, by what the fleet has said.
    pub(super) fn ask_fleet(
        &self,
        upstream: &Upstream,
        generation: u64,
        now: Moment,
        rules: &Rules,
        changes: &mut Changes,
    ) -> Admission {
        let policy = self.policy(rules);
        let asks = |state: &Cooldown| -> Event { self.link().asks(upstream, state, now, policy) };
        self.shared.table.ask_by(upstream, generation, now, rules, changes, asks)
    }

    /// Asks the fleet for a place, for somebody who waits for one.
    pub(super) fn want_place(&self, upstream: &Upstream, now: Moment) {
        self.link().wants_place(upstream, now, self.policy(&Rules::default()));
    }

    /// Takes in how a call ended, and tells the fleet.
    pub(super) fn settle_in_fleet(
        &self,
        upstream: &Upstream,
        admitted: (u64, Role),
        ending: Ending,
        rules: &Rules,
    ) {
        let policy = self.policy(rules);
        let mut met = None;
        self.change(upstream, |table, now, changes| {
            table.settle_before(
                upstream,
                admitted,
                ending,
                now,
                rules,
                changes,
                |state, standing| {
                    met = self.link().meets(upstream, state, standing, ending, now, &policy);
                },
            );
        });
        if let Some(met) = met {
            self.link().settled(upstream, met, ending, policy);
        }
    }

    pub(super) fn tell_cooled(&self, upstream: &Upstream, wait: Duration) {
        if !wait.is_zero() {
            self.link().cooled(upstream, wait, self.policy(&Rules::default()));
        }
    }

    pub(super) fn tell_cleared(&self, upstream: &Upstream) {
        self.link().cleared(upstream, self.policy(&Rules::default()));
    }

    #[cfg(feature = "serde")]
    pub(super) fn tell_restored(&self, upstream: &Upstream, record: Record) {
        self.tell_known(upstream, record);
    }

    /// Tells the fleet what is known here of an upstream.
    pub(crate) fn tell_known(&self, upstream: &Upstream, record: Record) {
        self.link().knows(upstream, record, self.now(), self.policy(&Rules::default()));
    }
}

/// A handle on a table that does not keep it alive.
#[derive(Clone)]
pub(crate) struct WeakCooldowns {
    shared: Weak<Shared>,
}

impl WeakCooldowns {
    /// Returns the table, if anybody else still holds it.
    pub(crate) fn upgrade(&self) -> Option<Cooldowns> {
        self.shared.upgrade().map(|shared| Cooldowns { shared })
    }
}

impl std::fmt::Debug for WeakCooldowns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakCooldowns").finish_non_exhaustive()
    }
}
