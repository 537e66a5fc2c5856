//! Where a table and its fleet meet: what calls have to tell, and what they may do.
//!
//! Calls come here only where something changes: after a refusal, when a cooldown has
//! run out, while an upstream reopens. They leave an event and look whether a lease
//! has come; they never wait. The fleet's driver takes the events away, and brings
//! what it hears.
//!
//! *Which locks are there, and in what order?* An entry's, then this one. Nobody asks
//! for an entry's lock while holding this one, and nothing but moves happens under it.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::bulletin::{Bulletin, Phase as Heard};
use super::event::{self, Event, Known, Policy, What};
use super::name;
use crate::cooldown::{
    self, Cooldown, Ending, News, Phase, Record, Role, Rules, Standing, Told, Word,
};
use crate::moment::Moment;
use crate::sync::{Mutex, MutexGuard};
use crate::upstream::Upstream;

/// How many events may wait for the driver.
///
/// Far more than come about while it is at work; if it is stuck, memory has an end.
/// What is lost then is healed as after a lost connection: by reading all anew.
const OUTBOX: usize = 8192;

/// How long a lease, once given, waits for the call that asked for it to come again.
///
/// As long as the next of those who wait stands back for the one before.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// How long after a place was asked for in vain it is asked for again.
///
/// As long as a caller is told to wait that finds none.
const PLACE_AGAIN: Duration = Duration::from_millis(100);

/// Where a table and its fleet meet.
#[derive(Debug, Default)]
pub(crate) struct Link {
    held: Mutex<Held>,
    driver: AtomicWaker,
}

#[derive(Debug, Default)]
struct Held {
    stage: Stage,
    /// How long a call is held back at most while the fleet is asked for the lease.
    patience: Duration,
    outbox: VecDeque<Letter>,
    /// More was to be told than the outbox holds.
    overrun: bool,
    shares: HashMap<Upstream, Share>,
}

/// How far the table is in step with the fleet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Stage {
    /// No fleet is joined.
    #[default]
    Apart,
    /// A fleet is joined, and out of reach: the table goes on by itself.
    Away,
    /// All is being read; what happens meanwhile is kept to be told.
    Reading,
    InStep,
}

/// What a process has of an upstream that the fleet watches over.
#[derive(Debug, Default)]
struct Share {
    /// The number of the newest change that was heard of.
    number: u64,
    /// The fleet's generation of the upstream, as far as the table has taken it in.
    generation: u64,
    claim: Claim,
    place_asked: Option<Moment>,
}

/// How this process stands to the upstream's probe.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Claim {
    #[default]
    None,
    /// The fleet was asked for the lease; after that moment a call goes without it.
    Asked { deadline: Moment },
    /// The lease is here, and waits for a call. None: nobody in the fleet knows of the
    /// upstream, so that nobody else will send one.
    Given { until: Moment, probe: Option<u32> },
    /// The probe with the table's number is out; with the lease, if it has one.
    Out { local: u32, probe: Option<u32> },
}

/// An event on its way to the driver.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) upstream: Upstream,
    pub(super) event: Event,
    pub(super) purpose: Purpose,
}

/// What the answer to an event is to be used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// The event is news, and no more.
    Tell,
    /// A call waits for the probe's lease.
    Probe,
    /// A call waits for a place.
    Place,
    /// A place is taken that the table has given already.
    Taken,
}

/// How a verdict meets the state of its upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    from: event::Standing,
    /// The places that the table gives by it.
    gives: u32,
}

/// What the fleet says to a call that waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grant {
    /// The probe of that number; None: nobody in the fleet knows of the upstream.
    Probe(Option<u32>),
    Denied,
}

impl Link {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a fleet; says no where one is joined already.
    pub(super) fn join(&self, patience: Duration) -> bool {
        let mut held = self.held();
        if held.stage != Stage::Apart {
            return false;
        }
        *held = Held { stage: Stage::Away, patience, ..Held::default() };
        true
    }

    pub(super) fn leave(&self) {
        *self.held() = Held::default();
    }

    /// Goes on to that stage. Away, all claims mean nothing.
    pub(super) fn enter(&self, stage: Stage) {
        let mut held = self.held();
        held.stage = stage;
        if stage == Stage::Away {
            held.outbox.clear();
            held.overrun = false;
            for share in held.shares.values_mut() {
                *share = Share {
                    number: share.number,
                    generation: share.generation,
                    ..Share::default()
                };
            }
        }
    }

    /// Forgets all numbers: they were those of a Redis that has lost them.
    pub(super) fn begin_anew(&self) {
        self.held().shares.clear();
    }

    /// Hands out the oldest event, or waits for one. Says so where some were lost.
    pub(super) fn poll_letter(&self, cx: &mut Context<'_>) -> Poll<Result<Letter, Overrun>> {
        self.driver.register(cx.waker());
        let mut held = self.held();
        if held.overrun {
            return Poll::Ready(Err(Overrun));
        }
        held.outbox.pop_front().map_or(Poll::Pending, |letter| Poll::Ready(Ok(letter)))
    }

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
            Phase::Reopening { width, in_flight } if in_flight >= width => {
                held.ask_for_place(upstream, now).then_some((Purpose::Place, None))
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => None,
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
        if !held.is_told() || !name::is_shared(upstream) {
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
                Claim::None | Claim::Asked { .. } | Claim::Given { .. } | Claim::Out { .. } => {
                    event::Role::Free
                }
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

    fn tell(&self, upstream: &Upstream, what: What, policy: Policy) {
        let letter = Letter {
            upstream: upstream.clone(),
            event: Event { what, policy },
            purpose: Purpose::Tell,
        };
        self.held().post(letter);
        self.driver.wake();
    }

    /// Returns what the fleet's news are to a state, if they are news to it and the
    /// table should know. `outstanding`: events of this process are on their way,
    /// which the fleet did not know of as it told this; then only what lengthens a
    /// cooldown is heard, for the answer to those will tell the rest. The entry's lock
    /// is held.
    pub(super) fn hear(
        &self,
        upstream: &Upstream,
        state: &Cooldown,
        bulletin: &Bulletin<'_>,
        heard: &Hearing<'_>,
        now: Moment,
    ) -> Option<Word> {
        let mut held = self.held();
        let share = held.shares.entry(upstream.clone()).or_default();
        let is_old = match heard.is_answer {
            true => bulletin.number < share.number,
            false => bulletin.number <= share.number,
        };
        if is_old {
            return None;
        }
        let outdates = bulletin.generation > share.generation && !heard.outdated;
        let news = bulletin.news(now, outdates)?;
        let lengthens = matches!(news.standing, Told::Cooling { until } if until > now);
        if heard.outstanding && !lengthens {
            return None;
        }
        share.number = bulletin.number;
        share.generation = share.generation.max(bulletin.generation);
        let is_ours = bulletin.phase == Heard::Probing && bulletin.holder == heard.me;
        match share.claim {
            // Its verdict will tell.
            Claim::Out { .. } if is_ours => return None,
            Claim::Out { local, .. } => {
                let is_out = matches!(state.phase, Phase::Probing { .. }) && state.probe() == local;
                if is_out && bulletin.phase == Heard::Cooling && !lengthens {
                    return None;
                }
            }
            Claim::Asked { .. } | Claim::Given { .. } if is_ours => return None,
            Claim::None if is_ours => return None,
            Claim::Asked { .. } if !heard.is_answer && bulletin.phase == Heard::Probing => {}
            Claim::None | Claim::Asked { .. } | Claim::Given { .. } => share.claim = Claim::None,
        }
        Some(Word::Heard(news))
    }

    /// Notes the answer to a call that waits for the lease. Says whether there is
    /// anything to give to the next one; and hands a lease that nobody waits for back.
    pub(super) fn leased(&self, upstream: &Upstream, grant: Grant, now: Moment) -> Leased {
        let mut held = self.held();
        let share = held.shares.entry(upstream.clone()).or_default();
        match (share.claim, grant) {
            (Claim::Asked { .. }, Grant::Probe(probe)) => {
                let until = now.after(TURN);
                share.claim = Claim::Given { until, probe };
                Leased::Waits { probe }
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
    pub(super) fn is_given(&self, upstream: &Upstream) -> bool {
        let held = self.held();
        held.shares.get(upstream).is_some_and(|share| matches!(share.claim, Claim::Given { .. }))
    }

    /// Takes a lease back that no call has come for; returns its number.
    pub(super) fn lapse(&self, upstream: &Upstream, now: Moment) -> Option<u32> {
        let mut held = self.held();
        let share = held.shares.get_mut(upstream)?;
        match share.claim {
            Claim::Given { until, probe } if now >= until => {
                share.claim = Claim::None;
                probe
            }
            Claim::None | Claim::Asked { .. } | Claim::Given { .. } | Claim::Out { .. } => None,
        }
    }

    /// Returns whose news were heard, with the number of the newest.
    pub(super) fn heard_of(&self) -> Vec<(Upstream, u64)> {
        let held = self.held();
        let heard = held.shares.iter().filter(|(_, share)| share.number > 0);
        heard.map(|(upstream, share)| (upstream.clone(), share.number)).collect()
    }

    /// Returns the fleet's generation of an upstream, as far as it was heard.
    pub(super) fn seen(&self, upstream: &Upstream) -> u64 {
        self.held().shares.get(upstream).map_or(0, |share| share.generation)
    }

    /// Returns what it is to a state that the fleet has forgotten the upstream, of
    /// which it told that number last. The entry's lock is held.
    pub(super) fn gone(
        &self,
        upstream: &Upstream,
        state: &Cooldown,
        number: u64,
        outstanding: bool,
        now: Moment,
    ) -> Option<Word> {
        let mut held = self.held();
        let share = held.shares.get_mut(upstream)?;
        let is_ours = matches!(share.claim, Claim::Out { .. });
        if outstanding || is_ours || share.number != number {
            return None;
        }
        share.claim = Claim::None;
        let (cause, began, ends) = (state.cause, now, now);
        let standing = Told::Clear { by_hand: false };
        Some(Word::Heard(News { standing, cause, began, ends, by_hand: false, outdates: false }))
    }

    /// Forgets what was heard of upstreams that are Clear, once those are the most.
    pub(super) fn tidy(&self, tracked: usize, is_tracked: impl Fn(&Upstream) -> bool) {
        let most = tracked.saturating_mul(2).saturating_add(LINGERING);
        if self.held().shares.len() <= most {
            return;
        }
        // Asked without the lock: to look takes an entry's.
        let names: Vec<Upstream> = self.held().shares.keys().cloned().collect();
        let gone: Vec<Upstream> = names.into_iter().filter(|name| !is_tracked(name)).collect();
        let mut held = self.held();
        for upstream in gone {
            held.shares.remove(&upstream);
        }
    }
}

/// How many Clear upstreams' numbers are kept, beside as many as are tracked: so that
/// news that come late are known to be old.
const LINGERING: usize = 1024;

/// How news came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing<'a> {
    pub(super) me: &'a str,
    /// They answer events of this process.
    pub(super) is_answer: bool,
    /// One of those has made calls stale, here as well.
    pub(super) outdated: bool,
    pub(super) outstanding: bool,
}

/// What becomes of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leased {
    /// It waits for a call, a turn long.
    Waits { probe: Option<u32> },
    /// Nobody waits for it.
    Unwanted { probe: u32 },
    /// There is nothing more to do.
    Used,
}

/// Events were lost, as too many waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overrun;

impl Held {
    /// Returns whether the fleet is told what happens.
    fn is_told(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::InStep)
    }

    fn post(&mut self, letter: Letter) {
        if !self.is_told() || !name::is_shared(&letter.upstream) {
            return;
        }
        if self.outbox.len() < OUTBOX {
            self.outbox.push_back(letter);
        } else {
            self.overrun = true;
        }
    }

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
            Claim::None | Claim::Given { .. } | Claim::Out { .. } => {
                share.claim = Claim::Asked { deadline: now.after(patience) };
                Some((Purpose::Probe, Some(patience)))
            }
        }
    }

    /// Says whether the fleet is to be asked for a place.
    fn ask_for_place(&mut self, upstream: &Upstream, now: Moment) -> bool {
        let share = self.shares.entry(upstream.clone()).or_default();
        let is_due = share.place_asked.is_none_or(|at| now >= at.after(PLACE_AGAIN));
        if is_due {
            share.place_asked = Some(now);
        }
        is_due
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
    let ends_episode = match phase {
        Phase::Probing { .. } => true,
        Phase::Cooling { .. } => now >= ends,
        Phase::Clear | Phase::Reopening { .. } => false,
    };
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

/// Returns what is known, as it is told at `now`.
pub(super) fn known(record: Record, now: Moment) -> Known {
    let lasts = match record.until.since(now) {
        Duration::ZERO => Err(now.since(record.until)),
        wait => Ok(wait),
    };
    let cooldown::Cause { rung, status, hint } = record.cause;
    Known { lasts, rung, status, hint, by_hand: record.by_hand }
}

#[cfg(test)]
mod tests;
