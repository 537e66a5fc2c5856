//! What a fleet says to an upstream's state in one of its processes.
//!
//! A process decides by its own table, and tells the others what happened. What the
//! fleet makes of it comes back as one of these, and moves the state on as if it
//! had happened here:
//!
//! | | Clear | Cooling | Probing | Reopening |
//! |---|---|---|---|---|
//! | the lease is asked for | – | run out: **Probing** for as long as the answer may take | run out: the same anew | – |
//! | the lease is given | – | – | the next call is the probe | – |
//! | places are given, yielded | – | – | – | more places, none but those taken |
//! | a place is overdue | as a call asks | as a call asks | as a call asks | admitted |
//! | heard: Cooling | **Cooling** | the later end; its rung | **Cooling** | **Cooling** |
//! | heard: Probing | **Probing** | run out: **Probing** | until the end of that lease | **Probing** |
//! | heard: Reopening | **Reopening** | run out: **Reopening** | **Reopening** | – |
//! | heard: Clear | – | run out: **Clear** | **Clear** | **Clear** |
//! | heard: cleared by hand | – | **Clear** | **Clear** | **Clear** |
//!
//! Nobody shortens a running cooldown from afar either, but a human who clears. A
//! Reopening upstream has no places here until the fleet gives some, so that many
//! processes do not make many ramps. And what is Clear here, though the episode was
//! known, stays so unless a cooldown runs. What is old is not heard at all: whoever brings
//! the news sees to that.

use std::time::Duration;

use super::event::{Effect, Reason, Role};
use super::rules::Rules;
use super::{Cause, Cooldown, Event, Phase};
use crate::moment::Moment;

/// How much longer a wait may become by being written down and read.
const ROUNDED: Duration = Duration::from_micros(10);

/// How much later a cooldown may end by the fleet's clock and be taken to end so.
///
/// With a Redis near by it is a millisecond or so; to wait for that is better than to
/// ask for the lease a moment too early, and to be told to come again.
const QUICK: Duration = Duration::from_millis(20);

/// What the fleet says.
#[allow(dead_code, reason = "only a fleet speaks")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    /// A call asks, and the fleet is asked whether it may be the probe; the answer
    /// is waited for so long at most.
    Wanted(Duration),
    /// This process may send the probe.
    Given,
    /// This process may have so many more calls in flight.
    Room(u32),
    /// Places beyond so many, those that no call holds, are given to others.
    Yielded(u32),
    /// A call asks that may have a place, whether there is one or not: one was given for
    /// the call before it, and was yielded again since.
    Overdue,
    /// So it stands with the upstream.
    Heard(News),
}

/// How it stands with an upstream, as the fleet sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct News {
    pub(crate) standing: Told,
    pub(crate) cause: Cause,
    pub(crate) began: Moment,
    pub(crate) ends: Moment,
    pub(crate) by_hand: bool,
    /// The calls that are out here have become stale by it.
    pub(crate) outdates: bool,
    /// What happened here has brought it about.
    pub(crate) is_echo: bool,
}

/// The state that the fleet tells of.
#[allow(dead_code, reason = "only a fleet speaks")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    Cooling { until: Moment },
    Probing { lease: Moment },
    Reopening,
    Clear { by_hand: bool },
}

impl Cooldown {
    /// Takes in what the fleet says.
    pub(super) fn in_fleet(
        self,
        word: Word,
        now: Moment,
        rules: &Rules,
        forget: Duration,
    ) -> (Self, Effect) {
        match word {
            Word::Wanted(patience) => match self.phase {
                Phase::Cooling { until: gate } | Phase::Probing { lease: gate } if now >= gate => {
                    (self.probed_until(now.after(patience)), Effect::Reject(Reason::Probing))
                }
                Phase::Clear
                | Phase::Cooling { .. }
                | Phase::Probing { .. }
                | Phase::Reopening { .. } => self.on(Event::Asked, now, rules, forget),
            },
            Word::Given => match self.phase {
                Phase::Probing { .. } => (self.probed_until(now), Effect::Nothing),
                Phase::Clear | Phase::Cooling { .. } | Phase::Reopening { .. } => {
                    (self, Effect::Nothing)
                }
            },
            Word::Room(more) => match self.phase {
                Phase::Reopening { width, in_flight } => {
                    (self.places(width.saturating_add(more), in_flight), Effect::Nothing)
                }
                Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => {
                    (self, Effect::Nothing)
                }
            },
            Word::Overdue => match self.phase {
                Phase::Reopening { width, in_flight } => {
                    let taken = in_flight.saturating_add(1);
                    (self.places(width.max(taken), taken), Effect::Admit(Role::Place))
                }
                Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => {
                    self.on(Event::Asked, now, rules, forget)
                }
            },
            Word::Yielded(beyond) => match self.phase {
                Phase::Reopening { width, in_flight } => {
                    (self.places(width.min(in_flight.max(beyond)), in_flight), Effect::Nothing)
                }
                Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => {
                    (self, Effect::Nothing)
                }
            },
            Word::Heard(news) => self.hear(news, now, forget),
        }
    }

    fn hear(self, news: News, now: Moment, forget: Duration) -> (Self, Effect) {
        match news.standing {
            Told::Cooling { until } => self.hear_cooling(until, news, now, forget),
            Told::Probing { lease } => match self.phase {
                Phase::Cooling { until } if now < until => (self, Effect::Nothing),
                Phase::Clear
                | Phase::Cooling { .. }
                | Phase::Probing { .. }
                | Phase::Reopening { .. } => {
                    self.take(news, now, forget, |state| state.probed_until(lease))
                }
            },
            Told::Reopening => match self.phase {
                Phase::Cooling { until } if now < until => (self, Effect::Nothing),
                Phase::Reopening { .. } => (self, Effect::Nothing),
                Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => {
                    self.take(news, now, forget, |state| state.places(0, 0))
                }
            },
            Told::Clear { by_hand } => match self.phase {
                Phase::Cooling { until } if now < until && !by_hand => (self, Effect::Nothing),
                Phase::Clear
                | Phase::Cooling { .. }
                | Phase::Probing { .. }
                | Phase::Reopening { .. } => (Self::CLEAR, Effect::Nothing),
            },
        }
    }

    fn hear_cooling(
        self,
        until: Moment,
        news: News,
        now: Moment,
        forget: Duration,
    ) -> (Self, Effect) {
        match self.phase {
            // What has run longer here is known better here.
            Phase::Cooling { until: running } if until < running && now < running => {
                let rung = self.cause.rung.max(news.cause.rung);
                let kept = Self { cause: Cause { rung, ..self.cause }, ..self };
                (kept, if news.outdates { Effect::Outdate } else { Effect::Nothing })
            }
            // The same cooldown, by the clock of one who has heard of it later.
            Phase::Cooling { until: running } if news.is_echo && self.lasts_as(until, news) => {
                let rung = news.cause.rung;
                let kept = Self { cause: Cause { rung, ..self.cause }, ..self.pause(running) };
                (kept, Effect::Nothing)
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => {
                let ends = self.running().max(news.ends);
                let news = News { ends, ..news };
                self.take(news, now, forget, |state| state.pause(until))
            }
        }
    }

    /// Returns whether the cooldown of the news is no longer than the one here, and yet
    /// would end a good deal later.
    fn lasts_as(&self, until: Moment, news: News) -> bool {
        let (theirs, ours) = (until.since(news.began), self.running().since(self.began));
        let is_same = !theirs.is_zero() && theirs <= ours.saturating_add(ROUNDED);
        is_same && until > self.running().after(QUICK)
    }

    /// Believes the news, unless they are so old that they are forgotten. Where
    /// nothing was known, whatever calls are out left before.
    fn take(
        self,
        news: News,
        now: Moment,
        forget: Duration,
        phase: impl FnOnce(Self) -> Self,
    ) -> (Self, Effect) {
        let News { cause, began, ends, by_hand, outdates, .. } = news;
        let was_clear = self.phase == Phase::Clear;
        let next = phase(Self { cause, began, ends, by_hand, stretch: 0.0, ..self });
        // What is Clear here though the fleet's episode was known has ended it here.
        let has_ended = was_clear && !outdates && !next.is_cooling(now);
        if has_ended || now >= next.forgotten_at(forget) {
            return (self, Effect::Nothing);
        }
        (next, if outdates || was_clear { Effect::Outdate } else { Effect::Nothing })
    }

    /// Probing until then, by a call of this process or of another.
    fn probed_until(self, lease: Moment) -> Self {
        let probe = self.probe.wrapping_add(1);
        Self { phase: Phase::Probing { lease }, probe, ..self }
    }
}

#[cfg(test)]
mod tests;
