//! What the fleet is told.

use std::time::Duration;

use super::super::event::{self, Event, Known, Policy, What};
use super::super::name;
use super::asking::Claim;
use super::{Letter, Link, Purpose};
use crate::cooldown::{self, Cooldown, Ending, Phase, Record, Role, Rules, Standing};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// How a verdict meets the state of its upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    from: event::Standing,
    /// The places that the table gives by it.
    gives: u32,
}

impl Link {
    /// Notes how a verdict meets the state of its upstream; nothing where the fleet
    /// need not hear of it. The entry's lock is held.
    pub(crate) fn meets(
        &self,
        upstream: &Upstream,
        state: &Cooldown,
        standing: Standing,
        ending: Ending,
        now: Moment,
        policy: &Policy,
    ) -> Option<Met> {
        let mut held = self.held();
        if !held.is_told() {
            let ends = ends_episode(state.phase, state.ends, now) && !standing.stale;
            if ends
                && ending == Ending::Succeeded
                && let Some(share) = held.shares.get_mut(upstream)
            {
                share.ended = Some(share.generation);
            }
            return None;
        }
        if !name::is_shared(upstream) {
            return None;
        }
        let share = held.shares.get_mut(upstream);
        let seen = share.as_ref().map_or(0, |share| share.generation);
        let role = match (standing.role, share) {
            (Role::Probe(number), Some(share)) => match share.claim {
                Claim::Out { local, probe } if local == number => {
                    share.claim = Claim::None;
                    probe.map_or(event::Role::Free, event::Role::Probe)
                }
                Claim::None
                | Claim::Asked { .. }
                | Claim::Given { .. }
                | Claim::Lapsed
                | Claim::Out { .. } => event::Role::Free,
            },
            (Role::Place, _) => event::Role::Place,
            (Role::Free | Role::Late | Role::Probe(_), _) => event::Role::Free,
        };
        let phase =
            if now >= state.forgotten_at(policy.forget) { Phase::Clear } else { state.phase };
        let gives = gives(phase, state.ends, standing, ending, role, now, &policy.rules)?;
        Some(Met { from: event::Standing { seen, stale: standing.stale, role }, gives })
    }

    /// Tells the fleet of a verdict.
    pub(crate) fn settled(&self, upstream: &Upstream, met: Met, ending: Ending, policy: Policy) {
        let Met { from, gives } = met;
        let rules = &policy.rules;
        let what = match ending {
            Ending::Refused { refusal, sample } => What::Refused {
                from,
                status: refusal.status,
                hint: refusal.hint,
                stretch: rules.stretch(sample),
            },
            Ending::Exhausted { reset, sample } => {
                What::Exhausted { from, reset, stretch: rules.stretch(sample) }
            }
            Ending::Succeeded => What::Succeeded { from },
            Ending::Neutral => What::Neutral { from },
            Ending::Dropped => What::Dropped { from },
        };
        let mut held = self.held();
        let letter = |what, purpose| {
            let upstream = upstream.clone();
            Letter { upstream, event: Event { what, policy }, purpose }
        };
        held.post(letter(what, Purpose::Tell));
        for _ in 0..gives {
            held.post(letter(What::Asked, Purpose::Taken));
        }
        drop(held);
        self.driver.wake();
    }

    /// Tells the fleet that somebody cooled an upstream.
    pub(crate) fn cooled(&self, upstream: &Upstream, wait: Duration, policy: Policy) {
        self.tell(upstream, What::Cooled { wait }, policy);
    }

    /// Tells the fleet that somebody cleared an upstream.
    pub(crate) fn cleared(&self, upstream: &Upstream, policy: Policy) {
        self.tell(upstream, What::Cleared, policy);
    }

    /// Tells the fleet what is known here of an upstream.
    pub(crate) fn knows(&self, upstream: &Upstream, record: Record, now: Moment, policy: Policy) {
        self.tell(upstream, What::Restored(known(record, now)), policy);
    }

    /// Tells the fleet of the episodes that ended here while it was out of reach.
    pub(in super::super) fn tell_ended(&self, policy: Policy) {
        let mut held = self.held();
        let ended: Vec<(Upstream, u64)> = held
            .shares
            .iter_mut()
            .filter_map(|(upstream, share)| Some((upstream.clone(), share.ended.take()?)))
            .collect();
        for (upstream, seen) in ended {
            let from = event::Standing { seen, stale: false, role: event::Role::Free };
            let event = Event { what: What::Succeeded { from }, policy };
            held.post(Letter { upstream, event, purpose: Purpose::Tell });
        }
        drop(held);
        self.driver.wake();
    }

    fn tell(&self, upstream: &Upstream, what: What, policy: Policy) {
        let letter = Letter {
            upstream: upstream.clone(),
            event: Event { what, policy },
            purpose: Purpose::Tell,
        };
        self.held().post(letter);
        self.driver.wake();
    }
}

/// Returns how many places the table gives by a verdict; nothing where the verdict is
/// none of the fleet's business.
fn gives(
    phase: Phase,
    ends: Moment,
    standing: Standing,
    ending: Ending,
    role: event::Role,
    now: Moment,
    rules: &Rules,
) -> Option<u32> {
    let is_success = match ending {
        Ending::Succeeded => true,
        // An exhausted quota that no wait follows.
        Ending::Exhausted { reset, .. } => rules.usable(Some(reset)).is_none(),
        Ending::Refused { .. } | Ending::Neutral | Ending::Dropped => false,
    };
    let ends_episode = ends_episode(phase, ends, now);
    match ending {
        _ if is_success => match phase {
            _ if standing.stale => None,
            _ if ends_episode => Some(cooldown::FIRST_PLACES),
            // Its own place anew, and one more.
            Phase::Reopening { .. } if role == event::Role::Place => Some(2),
            Phase::Reopening { .. } => Some(1),
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
        },
        Ending::Refused { .. } | Ending::Exhausted { .. } => {
            let hint = match ending {
                Ending::Refused { refusal, .. } => refusal.hint,
                Ending::Exhausted { reset, .. } => Some(reset),
                Ending::Succeeded | Ending::Neutral | Ending::Dropped => None,
            };
            let is_overheard =
                matches!(phase, Phase::Cooling { .. }) && rules.usable(hint).is_some();
            (!standing.stale || is_overheard).then_some(0)
        }
        // A place that comes back stays with this process, until somebody wants it.
        Ending::Neutral | Ending::Dropped => {
            matches!((phase, role), (Phase::Probing { .. }, event::Role::Probe(_))).then_some(0)
        }
        Ending::Succeeded => None,
    }
}

/// Returns whether a success that is current ends the episode.
fn ends_episode(phase: Phase, ends: Moment, now: Moment) -> bool {
    match phase {
        Phase::Probing { .. } => true,
        Phase::Cooling { .. } => now >= ends,
        Phase::Clear | Phase::Reopening { .. } => false,
    }
}

/// Returns what is known, as it is told at `now`.
fn known(record: Record, now: Moment) -> Known {
    let lasts = match record.until.since(now) {
        Duration::ZERO => Err(now.since(record.until)),
        wait => Ok(wait),
    };
    let cooldown::Cause { rung, status, hint } = record.cause;
    Known { lasts, rung, status, hint, by_hand: record.by_hand }
}
