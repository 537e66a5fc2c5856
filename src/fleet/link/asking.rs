//! Who may be the probe, and who may have a place.

use std::time::Duration;

use super::super::event::{Event, Policy, What};
use super::super::name;
use super::{Held, Letter, Link, Purpose, Stage};
use crate::cooldown::{self, Cooldown, Phase, Word};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// How long a lease, once given, waits for the call that asked for it to come again.
///
/// As long as the next of those who wait stands back for the one before.
pub(in super::super) const TURN: Duration = Duration::from_secs(1);

/// How long after a place was asked for in vain it is asked for again, at first.
///
/// As long as a caller is told to wait that finds none.
pub(crate) const PLACE_AGAIN: Duration = Duration::from_millis(100);

/// How long after that it is asked for again at the latest.
///
/// An upstream takes its time to reopen, and thousands of processes may ask.
const PLACE_SELDOM: Duration = Duration::from_millis(1600);

/// How this process stands to the upstream's probe.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Claim {
    #[default]
    None,
    /// The fleet was asked for the lease; after that moment a call goes without it.
    Asked { deadline: Moment },
    /// The lease is here, and waits for a call. None: nobody in the fleet knows of the
    /// upstream, so that nobody else will send one.
    Given { until: Moment, probe: Option<u32> },
    /// No call came for it in time, and it was given back. The next call goes without
    /// waiting for one: whoever calls so seldom would never meet a lease.
    Lapsed,
    /// The probe with the table's number is out; with the lease, if it has one.
    Out { local: u32, probe: Option<u32> },
}

/// What has become of the place that a call of this process has asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Bid {
    #[default]
    None,
    /// It is here since then, and waits for a call, a turn long.
    Given { at: Moment },
    /// No call came for it before somebody else wanted one. The next call has a place
    /// for certain: where all call seldom, each would yield to the next for ever.
    Lapsed,
}

/// What the fleet says to a call that waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Grant {
    /// The probe of that number; None: nobody in the fleet knows of the upstream.
    Probe(Option<u32>),
    Denied,
}

/// What becomes of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Leased {
    /// It waits for a call, a turn long.
    Waits,
    /// Nobody waits for it.
    Unwanted { probe: u32 },
    /// There is nothing more to do.
    Used,
}

impl Link {
    /// Decides by what event a call asks: by itself, or so that the fleet is asked
    /// first. The entry's lock is held.
    pub(crate) fn asks(
        &self,
        upstream: &Upstream,
        state: &Cooldown,
        now: Moment,
        policy: Policy,
    ) -> cooldown::Event {
        let mut held = self.held();
        let is_forgotten = now >= state.forgotten_at(policy.forget);
        if held.stage != Stage::InStep || is_forgotten || !name::is_shared(upstream) {
            return cooldown::Event::Asked;
        }
        let wanted = match state.phase {
            Phase::Cooling { until: gate } | Phase::Probing { lease: gate } if now >= gate => {
                held.ask_for_lease(upstream, state, now)
            }
            Phase::Reopening { width, in_flight } if in_flight < width => {
                held.bids(upstream, Bid::None);
                None
            }
            Phase::Reopening { .. } if held.bid(upstream) == Bid::Lapsed => {
                held.bids(upstream, Bid::None);
                let event = Event { what: What::Asked, policy };
                let upstream = upstream.clone();
                held.post(Letter { upstream, event, purpose: Purpose::Taken });
                drop(held);
                self.driver.wake();
                return cooldown::Event::Fleet(Word::Overdue);
            }
            Phase::Reopening { .. } => {
                held.ask_for_place(upstream, now).then_some((Purpose::Place, None))
            }
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
        };
        let Some((purpose, patience)) = wanted else {
            return cooldown::Event::Asked;
        };
        if purpose != Purpose::Tell {
            let event = Event { what: What::Asked, policy };
            held.post(Letter { upstream: upstream.clone(), event, purpose });
        }
        drop(held);
        self.driver.wake();
        patience.map_or(cooldown::Event::Asked, |patience| {
            cooldown::Event::Fleet(Word::Wanted(patience))
        })
    }

    /// Asks for a place, for somebody who waits for one, unless that was done just now.
    pub(crate) fn wants_place(&self, upstream: &Upstream, now: Moment, policy: Policy) {
        let mut held = self.held();
        if held.stage == Stage::InStep
            && name::is_shared(upstream)
            && held.ask_for_place(upstream, now)
        {
            let event = Event { what: What::Asked, policy };
            held.post(Letter { upstream: upstream.clone(), event, purpose: Purpose::Place });
            drop(held);
            self.driver.wake();
        }
    }

    /// Notes that the fleet has given a place: the next may be asked for at once.
    pub(in super::super) fn placed(&self, upstream: &Upstream, now: Moment) {
        if let Some(share) = self.held().shares.get_mut(upstream) {
            share.place_asked = None;
            share.bid = Bid::Given { at: now };
        }
    }

    /// Notes that the places go to others which no call holds here, and returns how many
    /// stay: the one that was given a moment ago, whose call is about to come. The
    /// entry's lock is held.
    pub(in super::super) fn yields(&self, upstream: &Upstream, now: Moment) -> u32 {
        let mut held = self.held();
        let Some(share) = held.shares.get_mut(upstream) else {
            return 0;
        };
        match share.bid {
            Bid::Given { at } if now < at.after(TURN) => 1,
            Bid::Given { .. } => {
                share.bid = Bid::Lapsed;
                0
            }
            Bid::None | Bid::Lapsed => 0,
        }
    }

    /// Notes the answer to a call that waits for the lease. Says whether there is
    /// anything to give to the next one; and hands a lease that nobody waits for back.
    pub(in super::super) fn leased(
        &self,
        upstream: &Upstream,
        grant: Grant,
        now: Moment,
    ) -> Leased {
        let mut held = self.held();
        let share = held.shares.entry(upstream.clone()).or_default();
        match (share.claim, grant) {
            (Claim::Asked { .. }, Grant::Probe(probe)) => {
                let until = now.after(TURN);
                share.claim = Claim::Given { until, probe };
                Leased::Waits
            }
            // It could not wait.
            (Claim::Out { local, probe: None }, Grant::Probe(probe)) => {
                share.claim = Claim::Out { local, probe };
                Leased::Used
            }
            (Claim::Asked { .. }, Grant::Denied) => {
                share.claim = Claim::None;
                Leased::Used
            }
            (_, Grant::Probe(Some(probe))) => Leased::Unwanted { probe },
            (_, Grant::Probe(None) | Grant::Denied) => Leased::Used,
        }
    }

    /// Returns whether the lease is here and waits for a call. The entry's lock is held.
    pub(in super::super) fn is_given(&self, upstream: &Upstream) -> bool {
        let held = self.held();
        held.shares.get(upstream).is_some_and(|share| matches!(share.claim, Claim::Given { .. }))
    }

    /// Takes a lease back that no call has come for; returns its number.
    pub(in super::super) fn lapse(&self, upstream: &Upstream, now: Moment) -> Option<u32> {
        let mut held = self.held();
        let share = held.shares.get_mut(upstream)?;
        match share.claim {
            Claim::Given { until, probe } if now >= until => {
                share.claim = Claim::Lapsed;
                probe
            }
            Claim::None
            | Claim::Asked { .. }
            | Claim::Given { .. }
            | Claim::Lapsed
            | Claim::Out { .. } => None,
        }
    }
}

impl Held {
    /// Returns for what the fleet is to be asked, and how long the answer is waited
    /// for; nothing where the call may go.
    fn ask_for_lease(
        &mut self,
        upstream: &Upstream,
        state: &Cooldown,
        now: Moment,
    ) -> Option<(Purpose, Option<Duration>)> {
        let patience = self.patience;
        let share = self.shares.entry(upstream.clone()).or_default();
        let local = state.probe().wrapping_add(1);
        match share.claim {
            Claim::Given { until, probe } if now < until => {
                share.claim = Claim::Out { local, probe };
                None
            }
            Claim::Asked { deadline } if now < deadline => {
                Some((Purpose::Tell, Some(deadline.since(now))))
            }
            Claim::Asked { .. } => {
                share.claim = Claim::Out { local, probe: None };
                None
            }
            // It goes at once; but the others are to know of it, as far as they can.
            Claim::Lapsed => {
                share.claim = Claim::Out { local, probe: None };
                Some((Purpose::Probe, None))
            }
            Claim::None | Claim::Given { .. } | Claim::Out { .. } => {
                share.claim = Claim::Asked { deadline: now.after(patience) };
                Some((Purpose::Probe, Some(patience)))
            }
        }
    }

    fn bid(&self, upstream: &Upstream) -> Bid {
        self.shares.get(upstream).map_or(Bid::None, |share| share.bid)
    }

    fn bids(&mut self, upstream: &Upstream, bid: Bid) {
        if let Some(share) = self.shares.get_mut(upstream) {
            share.bid = bid;
        }
    }

    /// Says whether the fleet is to be asked for a place.
    fn ask_for_place(&mut self, upstream: &Upstream, now: Moment) -> bool {
        let share = self.shares.entry(upstream.clone()).or_default();
        let row = match share.place_asked {
            None => 0,
            Some((at, row)) => {
                let doubled = PLACE_AGAIN.saturating_mul(2_u32.saturating_pow(row));
                if now < at.after(doubled.min(PLACE_SELDOM)) {
                    return false;
                }
                row.saturating_add(1)
            }
        };
        share.place_asked = Some((now, row));
        true
    }
}
