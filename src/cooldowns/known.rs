//! What those who wait with a call in hand learn of their upstream.

use tokio::time::Instant;

use super::Cooldowns;
use super::cell::Notice;
use super::line::Ticket;
use crate::cooldown::{Cooldown, Phase, Reason};
use crate::error::RateLimited;
use crate::upstream::Upstream;

/// What is known of an upstream that calls wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) prospect: Prospect,
    /// Calls that left in an earlier generation are stale.
    pub(crate) generation: u64,
    /// How many in flight have done well, where the upstream is Reopening.
    pub(crate) width: u32,
}

/// What a call that waits would meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prospect {
    /// It would be sent.
    Open,
    /// It would be rejected until then.
    Cooling { until: Instant },
    /// It would be rejected until the probe's verdict, or then.
    Probing { lease: Instant },
    /// It would be rejected until others are answered.
    Full,
}

impl Cooldowns {
    /// Joins the line of those who wait for an upstream with a call in hand.
    pub(crate) fn join(&self, upstream: &Upstream) -> Ticket {
        Ticket::new(self, upstream)
    }

    /// Tells what a call that waits would meet now. It looks under the entry's
    /// lock, so that no change is missed.
    pub(crate) fn look(&self, upstream: &Upstream) -> Known {
        let now = self.now();
        let Some(state) = self.shared.table.get(upstream, now) else {
            return Known { prospect: Prospect::Open, generation: 0, width: 0 };
        };
        let width = match state.phase {
            Phase::Reopening { width, .. } => width,
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => 0,
        };
        let until = self.instant(state.gate(self.shared.table.forget_after()));
        let prospect = match state.phase {
            _ if state.has_room(now) => Prospect::Open,
            Phase::Cooling { .. } => Prospect::Cooling { until },
            Phase::Probing { .. } => Prospect::Probing { lease: until },
            Phase::Clear | Phase::Reopening { .. } => Prospect::Full,
        };
        #[cfg(feature = "redis")]
        if let Prospect::Full = prospect {
            self.want_place(upstream, now);
        }
        Known { prospect, generation: state.generation, width }
    }

    /// Tells a caller that has waited in vain why, with what is known now.
    pub(crate) fn waited_in_vain(&self, upstream: &Upstream) -> RateLimited {
        let now = self.now();
        let state = self.shared.table.get(upstream, now).unwrap_or(Cooldown::CLEAR);
        let gate = state.gate(self.shared.table.forget_after());
        let reason = match state.phase {
            Phase::Cooling { .. } if now < gate => Reason::Cooling,
            Phase::Probing { .. } if now < gate => Reason::Probing,
            // The upstream has no room, or others come first.
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => Reason::Reopening,
        };
        self.rejection(upstream.clone(), &Notice { gate, reason, cause: state.cause }, now)
    }
}
