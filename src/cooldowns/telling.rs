//! What people are told: whoever watches, what has changed; a caller, why it was
//! held back.

use super::Cooldowns;
use super::cell::Notice;
use super::changes::{Change, Changes};
use super::info::State;
use crate::cooldown::{Cause, Cooldown, Phase, Reason, Refusal, Rules, told};
use crate::error::RateLimited;
use crate::moment::Moment;
use crate::observe::{Event, Transition, Watch};
use crate::upstream::Upstream;

impl Cooldowns {
    /// Returns who is told what happens here.
    #[inline]
    pub(crate) fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// Tells of changes; nobody may hold a lock.
    pub(super) fn tell(&self, changes: Changes) {
        for change in changes {
            let transition = self.transition(change);
            self.shared.watch.tell(&Event::Transition(&transition));
        }
    }

    fn transition(&self, change: Change) -> Transition {
        let Change { upstream, number, by, from, to, at } = change;
        let until = match to.phase {
            Phase::Clear | Phase::Reopening { .. } => None,
            Phase::Cooling { .. } | Phase::Probing { .. } => {
                Some(to.held_until(at, self.shared.table.forget_after()))
            }
        };
        Transition {
            upstream,
            number,
            from: State::of(from),
            to: State::of(to.phase),
            by,
            cause: to.cause,
            wait: until.map(|until| until.since(at)),
            until: until.map(|until| self.instant(until)),
        }
    }

    /// Tells a caller why it was rejected.
    #[inline]
    pub(crate) fn rejection(
        &self,
        upstream: Upstream,
        notice: &Notice,
        now: Moment,
    ) -> RateLimited {
        RateLimited {
            upstream,
            born: self.shared.born,
            met: now,
            until: told(notice.reason, notice.gate, now),
            cause: notice.cause,
            reason: notice.reason,
            said: None,
        }
    }

    /// Tells a caller that it was refused, with what is known now.
    pub(crate) fn refusal(
        &self,
        upstream: Upstream,
        refusal: Refusal,
        rules: &Rules,
    ) -> RateLimited {
        let Refusal { status, hint } = refusal;
        let now = self.now();
        let state = self.shared.table.get(&upstream, now).unwrap_or(Cooldown::CLEAR);
        let retry_after = state.told_refused(hint, now, rules);
        RateLimited {
            upstream,
            born: self.shared.born,
            met: now,
            until: now.after(retry_after),
            cause: Cause { rung: state.cause.rung, status: Some(status), hint },
            reason: Reason::Refused,
            said: None,
        }
    }
}
