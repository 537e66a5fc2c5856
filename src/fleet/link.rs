//! Where a table and its fleet meet: what calls have to tell, and what they may do.
//!
//! Calls come here only where something changes: after a refusal, when a cooldown has
//! run out, while an upstream reopens. They leave an event and look whether a lease
//! has come; they never wait. The fleet's driver takes the events away, and brings
//! what it hears.
//!
//! *Which locks are there, and in what order?* An entry's, then this one. Nobody asks
//! for an entry's lock while holding this one, and nothing but moves happens under it.

mod asking;
mod hearing;
mod telling;

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;

pub(crate) use self::asking::PLACE_AGAIN;
use self::asking::{Bid, Claim};
pub(super) use self::asking::{Grant, Leased, TURN};
pub(super) use self::hearing::Hearing;
use super::event::Event;
use super::name;
use crate::moment::Moment;
use crate::sync::{Mutex, MutexGuard};
use crate::upstream::Upstream;

/// How many events may wait for the driver.
///
/// Far more than come about while it is at work; if it is stuck, memory has an end.
/// What is lost then is healed as after a lost connection: by reading all anew.
const OUTBOX: usize = 8192;

/// Where a table and its fleet meet.
#[derive(Debug, Default)]
pub(crate) struct Link {
    held: Mutex<Held>,
    driver: AtomicWaker,
}

#[derive(Debug, Default)]
struct Held {
    stage: Stage,
    /// Who has joined last: one that has left says nothing any more.
    member: Member,
    /// How long a call is held back at most while the fleet is asked for the lease.
    patience: Duration,
    outbox: VecDeque<Letter>,
    /// More was to be told than the outbox holds.
    overrun: bool,
    shares: HashMap<Upstream, Share>,
}

impl Drop for Link {
    /// The driver has nothing to do any more.
    fn drop(&mut self) {
        self.driver.wake();
    }
}

/// One that has joined.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Member(u64);

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
    /// When a place was asked for last, and how often in vain before.
    place_asked: Option<(Moment, u32)>,
    bid: Bid,
    /// How many events of this process are on their way.
    outstanding: usize,
    /// The generation whose episode a success has ended here, untold.
    ended: Option<u64>,
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
    /// It was asked for in vain, and others have been asked to yield theirs since.
    PlaceAgain,
    /// A place is taken that the table has given already.
    Taken,
}

impl Link {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins a fleet; nothing where one is joined already.
    pub(super) fn join(&self, patience: Duration) -> Option<Member> {
        let mut held = self.held();
        if held.stage != Stage::Apart {
            return None;
        }
        let member = Member(held.member.0.wrapping_add(1));
        *held = Held { stage: Stage::Away, member, patience, ..Held::default() };
        Some(member)
    }

    /// Leaves the fleet, unless that has been done.
    pub(super) fn leave(&self, member: Member) {
        let mut held = self.held();
        if held.member == member {
            *held = Held { member, ..Held::default() };
        }
    }

    /// Goes on to that stage. Away, all claims mean nothing.
    pub(super) fn enter(&self, member: Member, stage: Stage) {
        let mut held = self.held();
        if held.member != member || held.stage == Stage::Apart {
            return;
        }
        held.stage = stage;
        if stage == Stage::Away {
            held.outbox.clear();
            held.overrun = false;
            for share in held.shares.values_mut() {
                let Share { number, generation, ended, .. } = *share;
                *share = Share { number, generation, ended, ..Share::default() };
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

    /// Hands out the oldest event, if there is one.
    pub(super) fn next_letter(&self) -> Option<Letter> {
        self.held().outbox.pop_front()
    }

    /// Returns whether the table is in step with a fleet.
    pub(crate) fn is_in_step(&self) -> bool {
        self.held().stage == Stage::InStep
    }

    /// Returns whether events of this process are on their way. The entry's lock is held.
    pub(super) fn is_outstanding(&self, upstream: &Upstream) -> bool {
        self.held().shares.get(upstream).is_some_and(|share| share.outstanding > 0)
    }

    /// Notes an event that the driver itself sends.
    pub(super) fn sends(&self, upstream: &Upstream) {
        self.held().count(upstream);
    }

    /// Notes that so many events of this process have been answered.
    pub(super) fn answered(&self, upstream: &Upstream, events: usize) {
        if let Some(share) = self.held().shares.get_mut(upstream) {
            share.outstanding = share.outstanding.saturating_sub(events);
        }
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
            let is_done = |share: &Share| {
                share.outstanding == 0 && matches!(share.claim, Claim::None | Claim::Lapsed)
            };
            if held.shares.get(&upstream).is_some_and(is_done) {
                held.shares.remove(&upstream);
            }
        }
    }
}

/// How many Clear upstreams' numbers are kept, beside as many as are tracked: so that
/// news that come late are known to be old.
const LINGERING: usize = 1024;

/// Events were lost, as too many waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overrun;

impl Held {
    /// Returns whether the fleet is told what happens.
    fn is_told(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::InStep)
    }

    /// Counts an event that is on its way.
    fn count(&mut self, upstream: &Upstream) {
        let share = self.shares.entry(upstream.clone()).or_default();
        share.outstanding = share.outstanding.saturating_add(1);
    }

    fn post(&mut self, letter: Letter) {
        if !self.is_told() || !name::is_shared(&letter.upstream) {
            return;
        }
        if self.outbox.len() < OUTBOX {
            self.count(&letter.upstream);
            self.outbox.push_back(letter);
        } else {
            self.overrun = true;
        }
    }
}

#[cfg(test)]
mod tests;
