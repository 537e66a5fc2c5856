//! Who watches is told of calls; and in shadow mode, what would have been rejected
//! is sent, and counted.
//!
//! A call that is let pass holds nothing that could be given back, and no verdict
//! of it reaches the table.

use std::sync::Arc;

use super::{Destination, Permit, Right, Shared, answered_by_us};
use crate::classify::Verdict;
use crate::cooldown::{Ending, Refusal};
use crate::error::RateLimited;
use crate::message::Incoming;
use crate::observe::{Admitted, Event, Refused, ShadowOutcome, Shadowed, Watch};
use crate::upstream::Upstream;

impl Shared {
    /// Returns whether a rejection is more than that: it is told, or not meant.
    #[inline]
    pub(crate) fn hears_rejections(&self) -> bool {
        !self.is_silent || Watch::is_traced_finely()
    }

    /// Tells whoever watches that a call is rejected for good; or, in shadow mode,
    /// lets it pass.
    #[cold]
    pub(crate) fn turn_away(self: &Arc<Self>, limited: &RateLimited) -> Option<Permit> {
        let passing = self.let_pass(limited);
        if passing.is_none() {
            self.tell_rejected(limited);
        }
        passing
    }

    /// In shadow mode, lets a call pass that would have been rejected.
    pub(crate) fn let_pass(self: &Arc<Self>, limited: &RateLimited) -> Option<Permit> {
        Permit::instead_of(limited, self)
    }

    /// Tells whoever watches that a call is rejected for good.
    pub(crate) fn tell_rejected(&self, limited: &RateLimited) {
        let watch = self.cooldowns.watch();
        if watch.hears_rejections() {
            watch.tell(&Event::Rejected(limited));
        }
    }
}

impl Permit {
    /// Tells whoever watches that the call is about to be sent.
    #[inline]
    pub(crate) fn tell_admitted(&self) {
        if self.shared.is_observed {
            self.tell_observer();
        }
    }

    #[cold]
    fn tell_observer(&self) {
        if let Right::Admitted(role) = self.right {
            let admitted = Admitted::new(&self.destination, role);
            self.shared.cooldowns.watch().tell(&Event::Admitted(&admitted));
        }
    }

    /// Lets a call pass that would have been rejected, if its layer is in shadow mode.
    pub(super) fn instead_of(limited: &RateLimited, shared: &Arc<Shared>) -> Option<Self> {
        shared.shadow.as_ref()?.would_reject(limited.reason);
        let watch = shared.cooldowns.watch();
        if watch.hears_rejections() {
            watch.tell(&Event::WouldReject(limited));
        }
        Some(Self {
            shared: Arc::clone(shared),
            destination: Destination::Named(limited.upstream.clone()),
            generation: 0,
            right: Right::Shadowed,
        })
    }

    /// Returns whether the call holds nothing, and may end as it likes.
    pub(super) fn is_passing(&self) -> bool {
        self.right == Right::Shadowed
    }

    /// Counts the answer to a call that was let pass.
    pub(super) fn passed_with<R: Incoming>(&mut self, verdict: Verdict, response: &R) {
        self.passed(match verdict {
            _ if answered_by_us(response).is_some() => ShadowOutcome::Neutral,
            Verdict::Success | Verdict::Exhausted { .. } => ShadowOutcome::Answered,
            Verdict::RateLimited { .. } => ShadowOutcome::Refused,
            Verdict::Neutral => ShadowOutcome::Neutral,
        });
    }

    /// Tells whoever watches that a call was refused.
    pub(super) fn tell_refused(&self, upstream: &Upstream, ending: &Ending) {
        if let Ending::Refused { refusal, .. } = ending
            && self.shared.is_observed
        {
            let Refusal { status, hint } = *refusal;
            let refused = Refused { upstream: upstream.clone(), status, hint };
            self.shared.cooldowns.watch().tell(&Event::Refused(&refused));
        }
    }

    /// Counts how a call ended that was let pass; once.
    #[cold]
    pub(super) fn passed(&mut self, outcome: ShadowOutcome) {
        self.right = Right::FREE;
        if let Some(shadow) = &self.shared.shadow {
            shadow.ended(outcome);
        }
        if self.shared.is_observed {
            let upstream = self.destination.upstream();
            let shadowed = Shadowed { upstream, outcome };
            self.shared.cooldowns.watch().tell(&Event::Shadowed(&shadowed));
        }
    }
}
