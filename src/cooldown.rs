//! What we know about one upstream, and how each event changes it.
//!
//! Pure: no clock, no lock, no randomness, no I/O. `now`, the rules and the
//! jitter's sample are arguments; [`Cooldown::on`] is the whole of it.
//!
//! # The transition table
//!
//! A column is a state, a row an event. *Stale* events come from calls that
//! left before the upstream's last counted refusal. `n` is the rung, `m` the one
//! that was written down, "–" means that nothing changes.
//!
//! | | Clear | Cooling | Probing | Reopening |
//! |---|---|---|---|---|
//! | a call asks | admitted | before `until` rejected, then the probe: **Probing** n | before the lease ends rejected, then the next probe | admitted to a free place, else rejected |
//! | refused | **Cooling** 1 | **Cooling** n + 1, never shorter | **Cooling** n + 1 | **Cooling** 1 |
//! | refused, stale | as refused | `until` is raised to the hint | – | – |
//! | succeeded | – | – before its `ends`, then as in Probing | **Reopening** | one place more; past `reopen_width`: **Clear** |
//! | succeeded, stale | – | – | – | – |
//! | exhausted | **Cooling** 0 | before its `ends`, `until` is raised to the reset, then **Cooling** 0 | **Cooling** 0 | **Cooling** 0 |
//! | exhausted, stale | as exhausted | `until` is raised to the reset | – | – |
//! | neutral | – | – | the newest probe: **Cooling** n for min(base, 1 s), with a base of zero 1 s | its place is free again |
//! | dropped | – | – | the newest probe: **Cooling** n, run out | its place is free again |
//! | cooled by hand | **Cooling** 0 | **Cooling** n, never shorter | **Cooling** n | **Cooling** 0 |
//! | restored, ends later | **Cooling** m | **Cooling**, never shorter, the higher of n and m | **Cooling**, the higher of n and m | **Cooling** m |
//! | restored, run out | **Cooling** m, run out; where it is forgotten: – | the higher of n and m | the higher of n and m | – |
//!
//! What a fleet of processes says has a table of its own, in `cooldown/fleet.rs`.
//!
//! An exhausted quota that no wait follows, as its reset or the ceiling is zero, is
//! taken for the success that it is. In every state: `forget_after` past the end of
//! the last cooldown the episode is forgotten, and the upstream is Clear; a Reopening
//! one already `forget_after` past the beginning of that cooldown.
//!
//! # Why nothing is lost or doubled
//!
//! *Which steps make the calls that are out stale?* Every one into Cooling that
//! is not a probe's end without news: refused, exhausted, cooled by hand,
//! restored. So a place in a Reopening upstream is never given back to a later episode, and a
//! probe's number need only be unique between two such steps.
//!
//! *What of a probe that outlives its lease?* Its success or refusal counts, for
//! it is current; its being neutral or dropped does not, for a newer probe is
//! out and will tell. If the newer one has ended neutral meanwhile, the upstream
//! is Cooling again; but nobody asked for that short pause (`ends`, until when
//! somebody did, is past), so the success still ends the episode.

mod course;
mod event;
mod fleet;
mod record;
mod rules;

use std::time::Duration;

use http::StatusCode;

pub(crate) use self::course::Course;
pub use self::event::Reason;
pub(crate) use self::event::{Effect, Ending, Event, Refusal, Role, Standing};
#[allow(unused_imports, reason = "only a fleet speaks")]
pub(crate) use self::fleet::{News, Told, Word};
pub(crate) use self::record::Record;
use self::rules::{LEAST, stretched};
pub(crate) use self::rules::{LEAST_WAIT, Rules, told};
use crate::moment::Moment;

/// The calls that a Reopening upstream admits at first.
///
/// The least number that still grows by itself while each call holds a place.
pub(crate) const FIRST_PLACES: u32 = 2;

/// The state of an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// No refusal is in force; every call is admitted.
    Clear,
    /// Nothing is admitted before `until`; then one call is, as the probe.
    Cooling { until: Moment },
    /// One call is out to learn whether the pause was long enough.
    ///
    /// The lease bounds the wait, so a lost probe cannot wedge the upstream.
    Probing { lease: Moment },
    /// The probe succeeded; up to `width` calls may be in flight.
    Reopening { width: u32, in_flight: u32 },
}

/// What a rejected caller is told of the refusal behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cause {
    /// The counted refusals of this episode.
    pub(crate) rung: u32,
    pub(crate) status: Option<StatusCode>,
    /// As sent, before the ceiling.
    pub(crate) hint: Option<Duration>,
}

/// What we know about one upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cooldown {
    pub(crate) phase: Phase,
    pub(crate) cause: Cause,
    /// The table's generation when calls last became stale.
    pub(crate) generation: u64,
    /// When the last refusal, or what stands for it, was heard.
    began: Moment,
    /// Until when that one asked us to stay away, whatever probes did since.
    pub(crate) ends: Moment,
    /// The jitter drawn for this cooldown: the share added to each wait.
    stretch: f32,
    /// The number of the newest probe.
    probe: u32,
    /// The cooldown's end is what somebody set by hand.
    by_hand: bool,
}

impl Cooldown {
    /// An upstream of which no refusal is known.
    pub(crate) const CLEAR: Self = Self {
        phase: Phase::Clear,
        cause: Cause { rung: 0, status: None, hint: None },
        generation: 0,
        began: Moment::START,
        ends: Moment::START,
        stretch: 0.0,
        probe: 0,
        by_hand: false,
    };

    /// Takes in an event at `now`; returns what is known then, and what follows.
    pub(crate) fn on(
        self,
        event: Event,
        now: Moment,
        rules: &Rules,
        forget: Duration,
    ) -> (Self, Effect) {
        let event = event.within(rules);
        if now >= self.forgotten_at(forget) && self.phase != Phase::Clear {
            return Self::CLEAR.on(event, now, rules, forget);
        }
        match self.phase {
            Phase::Clear => match event {
                Event::Asked => (self, Effect::Admit(Role::Free)),
                Event::Settled(_, Ending::Refused { refusal, sample }) => {
                    (self.climb(refusal, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(_, Ending::Exhausted { reset, sample }) => {
                    (self.drain(reset, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(_, Ending::Succeeded | Ending::Neutral | Ending::Dropped) => {
                    (self, Effect::Nothing)
                }
                Event::Cooled(wait) => self.cool(wait, now),
                Event::Restored(record) => self.remember(record, now, forget),
                Event::Fleet(word) => self.in_fleet(word, now, rules, forget),
            },
            Phase::Cooling { until } => match event {
                Event::Asked if now < until => (self, Effect::Reject(Reason::Cooling)),
                Event::Asked => self.send_probe(now, rules),
                Event::Settled(from, Ending::Refused { refusal, .. }) if from.stale => {
                    (self.overhear(Some(refusal.status), refusal.hint, now, rules), Effect::Nothing)
                }
                Event::Settled(_, Ending::Refused { refusal, sample }) => {
                    (self.climb(refusal, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(from, Ending::Exhausted { reset, .. })
                    if from.stale || now < self.ends =>
                {
                    (self.overhear(None, Some(reset), now, rules), Effect::Nothing)
                }
                Event::Settled(_, Ending::Exhausted { reset, sample }) => {
                    (self.drain(reset, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(from, Ending::Succeeded) if !from.stale && now >= self.ends => {
                    (self.reopen(now, rules, forget), Effect::Nothing)
                }
                Event::Settled(_, Ending::Succeeded | Ending::Neutral | Ending::Dropped) => {
                    (self, Effect::Nothing)
                }
                Event::Cooled(wait) => self.cool(wait, now),
                Event::Restored(record) => self.remember(record, now, forget),
                Event::Fleet(word) => self.in_fleet(word, now, rules, forget),
            },
            Phase::Probing { lease } => match event {
                Event::Asked if now < lease => (self, Effect::Reject(Reason::Probing)),
                Event::Asked => self.send_probe(now, rules),
                Event::Settled(from, _) if from.stale => (self, Effect::Nothing),
                Event::Settled(_, Ending::Refused { refusal, sample }) => {
                    (self.climb(refusal, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(_, Ending::Succeeded) => {
                    (self.reopen(now, rules, forget), Effect::Nothing)
                }
                Event::Settled(_, Ending::Exhausted { reset, sample }) => {
                    (self.drain(reset, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(from, _) if from.role != Role::Probe(self.probe) => {
                    (self, Effect::Nothing)
                }
                Event::Settled(_, Ending::Neutral) => {
                    (self.pause(now.after(rules.neutral_pause())), Effect::Nothing)
                }
                Event::Settled(_, Ending::Dropped) => (self.pause(now), Effect::Nothing),
                Event::Cooled(wait) => self.cool(wait, now),
                Event::Restored(record) => self.remember(record, now, forget),
                Event::Fleet(word) => self.in_fleet(word, now, rules, forget),
            },
            Phase::Reopening { width, in_flight } => match event {
                Event::Asked if in_flight < width => {
                    let taken = self.places(width, in_flight.saturating_add(1));
                    (taken, Effect::Admit(Role::Place))
                }
                Event::Asked => (self, Effect::Reject(Reason::Reopening)),
                Event::Settled(from, _) if from.stale => (self, Effect::Nothing),
                Event::Settled(_, Ending::Refused { refusal, sample }) => {
                    (self.climb(refusal, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(_, Ending::Exhausted { reset, sample }) => {
                    (self.drain(reset, sample, now, rules), Effect::Outdate)
                }
                Event::Settled(from, Ending::Succeeded) => {
                    let left = in_flight.saturating_sub(from.role.places());
                    let wider = self.places(width.saturating_add(1), left);
                    (wider.clear_if_wide(rules), Effect::Nothing)
                }
                Event::Settled(from, Ending::Neutral | Ending::Dropped) => {
                    let left = in_flight.saturating_sub(from.role.places());
                    (self.places(width, left), Effect::Nothing)
                }
                Event::Cooled(wait) => self.cool(wait, now),
                Event::Restored(record) => self.remember(record, now, forget),
                Event::Fleet(word) => self.in_fleet(word, now, rules, forget),
            },
        }
    }

    /// Returns when a rejection has to be thought over: until then, the answer
    /// is no. A Reopening upstream is thought over each time.
    pub(crate) fn gate(&self, forget: Duration) -> Moment {
        match self.phase {
            Phase::Clear | Phase::Reopening { .. } => Moment::START,
            Phase::Cooling { until: gate } | Phase::Probing { lease: gate } => {
                gate.min(self.forgotten_at(forget))
            }
        }
    }

    /// Returns until when nothing is admitted; `now` if that is for want of room.
    pub(crate) fn held_until(&self, now: Moment, forget: Duration) -> Moment {
        match self.phase {
            Phase::Clear | Phase::Reopening { .. } => now,
            Phase::Cooling { .. } | Phase::Probing { .. } => self.gate(forget),
        }
    }

    /// Returns whether a cooldown is in force that has not run out.
    pub(crate) fn is_cooling(&self, now: Moment) -> bool {
        match self.phase {
            Phase::Cooling { until } => now < until,
            Phase::Clear | Phase::Probing { .. } | Phase::Reopening { .. } => false,
        }
    }

    /// Returns the number of the newest probe.
    #[allow(dead_code, reason = "only a fleet asks")]
    pub(crate) fn probe(&self) -> u32 {
        self.probe
    }

    /// Returns whether a call that asked now would be admitted.
    pub(crate) fn has_room(&self, now: Moment) -> bool {
        match self.phase {
            Phase::Clear => true,
            Phase::Cooling { until: gate } | Phase::Probing { lease: gate } => now >= gate,
            Phase::Reopening { width, in_flight } => in_flight < width,
        }
    }

    /// Returns what a caller that was refused is told to wait: the cooldown, or
    /// where none runs, because the refusal was an old one, what it asked for.
    pub(crate) fn told_refused(
        &self,
        hint: Option<Duration>,
        now: Moment,
        rules: &Rules,
    ) -> Duration {
        match self.running().since(now) {
            Duration::ZERO => rules.usable(hint).unwrap_or(LEAST),
            wait => wait,
        }
        .max(LEAST_WAIT)
    }

    /// Returns when the episode is forgotten.
    pub(crate) fn forgotten_at(&self, forget: Duration) -> Moment {
        match self.phase {
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => self.ends.after(forget),
            // It has shown already that it answers; so the time counts from the
            // refusal, and not from the end of the cooldown.
            Phase::Reopening { .. } => self.began.after(forget),
        }
    }

    /// One rung up, and the wait of that rung; never shorter than what runs.
    fn climb(self, refusal: Refusal, sample: f64, now: Moment, rules: &Rules) -> Self {
        let rung = self.cause.rung.saturating_add(1);
        let stretch = rules.stretch(sample);
        let wait = stretched(rules.wait(rung, refusal.hint), stretch);
        let until = self.running().max(now.after(wait));
        let cause = Cause { rung, status: Some(refusal.status), hint: refusal.hint };
        Self { cause, began: now, stretch, by_hand: false, ..self.until(until) }
    }

    /// A cooldown without a rung, for an upstream that has given its last.
    fn drain(self, reset: Duration, sample: f64, now: Moment, rules: &Rules) -> Self {
        let stretch = rules.stretch(sample);
        let wait = stretched(reset.min(rules.max_retry_after), stretch);
        let cause = Cause { rung: 0, status: None, hint: Some(reset) };
        let until = self.running().max(now.after(wait));
        Self { cause, began: now, stretch, by_hand: false, ..self.until(until) }
    }

    /// What a stale call still has to say: how long to stay away, at least.
    fn overhear(
        self,
        status: Option<StatusCode>,
        hint: Option<Duration>,
        now: Moment,
        rules: &Rules,
    ) -> Self {
        let Some(wait) = rules.usable(hint) else {
            return self;
        };
        let until = now.after(stretched(wait, self.stretch));
        if until <= self.running() {
            return self;
        }
        let status = status.or(self.cause.status);
        let cause = Cause { status, hint, ..self.cause };
        Self { cause, by_hand: false, ..self.until(until) }
    }

    /// A cooldown by hand: the same rung, and never shorter than what runs.
    fn cool(self, wait: Duration, now: Moment) -> (Self, Effect) {
        if wait.is_zero() {
            return (self, Effect::Nothing);
        }
        let until = now.after(wait);
        // Where a longer one runs, its end is not this one's.
        let (until, by_hand) = match self.running() {
            running if running < until => (until, true),
            running => (running, self.by_hand),
        };
        // Nobody refused: where that counts, it is as if somebody did at the end.
        (Self { began: until, by_hand, ..self.until(until) }, Effect::Outdate)
    }

    /// One call may find out.
    fn send_probe(self, now: Moment, rules: &Rules) -> (Self, Effect) {
        let probe = self.probe.wrapping_add(1);
        let lease = now.after(rules.probe_lease);
        let probing = Self { phase: Phase::Probing { lease }, probe, ..self };
        (probing, Effect::Admit(Role::Probe(probe)))
    }

    /// The episode is over: the rung is forgotten, and calls come back by and by.
    fn reopen(self, now: Moment, rules: &Rules, forget: Duration) -> Self {
        let cause = Cause { rung: 0, ..self.cause };
        let reopened = Self { cause, ..self }.places(FIRST_PLACES, 0);
        if now >= reopened.forgotten_at(forget) {
            return Self::CLEAR;
        }
        reopened.clear_if_wide(rules)
    }

    /// Reopening, with that many places.
    fn places(self, width: u32, in_flight: u32) -> Self {
        Self { phase: Phase::Reopening { width, in_flight }, ..self }
    }

    /// Clear, once a success has made a Reopening upstream wide enough.
    fn clear_if_wide(self, rules: &Rules) -> Self {
        match self.phase {
            Phase::Reopening { width, .. } if width > rules.reopen_width => Self::CLEAR,
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => self,
        }
    }

    /// Cooling until then because of what was heard just now.
    fn until(self, until: Moment) -> Self {
        Self { ends: until, ..self.pause(until) }
    }

    /// Cooling until then, with nothing new heard.
    fn pause(self, until: Moment) -> Self {
        Self { phase: Phase::Cooling { until }, ..self }
    }

    /// Returns the end of the cooldown that is in force, if one is.
    fn running(&self) -> Moment {
        match self.phase {
            Phase::Cooling { until } => until,
            Phase::Clear | Phase::Probing { .. } | Phase::Reopening { .. } => Moment::START,
        }
    }
}

#[cfg(test)]
#[allow(dead_code, reason = "only where there is another machine")]
impl Cooldown {
    /// When the last refusal was heard, the share added to each wait, and the newest
    /// probe, for the suite that holds another machine to this one.
    pub(crate) fn inner(&self) -> (Moment, f32, u32) {
        (self.began, self.stretch, self.probe)
    }
}

#[cfg(test)]
mod tests;
