//! What follows from Redis's answers to what was told.

use std::time::Duration;

use super::super::bulletin::{Bulletin, Phase as Heard};
use super::super::event::{self, Event, What};
use super::super::link::{Grant, Hearing, Leased, Purpose, TURN};
use super::super::server::{Answer, Failure};
use super::{End, Session};
use crate::ambient;
use crate::cooldown::{FIRST_PLACES, Phase, Rules, Word};
use crate::cooldowns::Cooldowns;
use crate::upstream::Upstream;

/// How long those who hold places take to say that they do not use them, at least
/// nearly always: they are told, and tell.
const YIELDED_WITHIN: Duration = Duration::from_millis(10);

/// How many places that the table does not have are given back at once: the answer to
/// that tells of more, and whatever number stands in Redis, memory has an end.
const GIVEN_BACK: u32 = 64;

/// What followed from an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Effect {
    /// The fleet knows nothing of the upstream: whoever asks may go.
    Free,
    Probe(u32),
    Place,
    /// Nothing that gives anything.
    Other,
}

impl Effect {
    fn read(text: &str) -> Self {
        match text {
            "admit free" => Self::Free,
            "admit place" => Self::Place,
            _ => text
                .strip_prefix("admit probe ")
                .and_then(|number| number.parse().ok())
                .map_or(Self::Other, Self::Probe),
        }
    }
}

impl Session<'_> {
    /// Takes in what Redis answers to a batch of ours.
    pub(super) fn answered(
        &mut self,
        table: &Cooldowns,
        upstream: &Upstream,
        answer: Answer,
    ) -> Result<(), End> {
        let Some(line) = self.lines.get_mut(upstream) else {
            return Ok(());
        };
        let batch = line.sent.take().unwrap_or_default();
        let is_idle = line.waiting.is_empty();
        table.link().answered(upstream, batch.len());
        if is_idle {
            self.lines.remove(upstream);
        } else {
            self.queue.push_back(upstream.clone());
        }
        let texts: Vec<String> = match answer {
            Ok(texts) => {
                texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
            }
            Err(Failure::Bad(what)) => {
                self.status.ignore(&format!("{what}, of {upstream}"));
                self.let_go(table, upstream, &batch);
                return Ok(());
            }
            Err(failure) => return Err(failure.into()),
        };
        let Some((Some(bulletin), effects)) =
            texts.split_first().map(|(head, effects)| (Bulletin::read(head), effects))
        else {
            self.status.ignore(&format!("garbage, of {upstream}"));
            self.let_go(table, upstream, &batch);
            return Ok(());
        };
        self.check_epoch(bulletin.epoch)?;
        self.server.hears(bulletin.now);
        if let Some(census) = &mut self.census {
            census.note(upstream, &bulletin, table.moment_now());
        }
        let heard = Hearing {
            me: &self.me,
            is_answer: true,
            outdated: effects.iter().any(|effect| effect == "outdate"),
        };
        table.hear(upstream, |state, now| {
            table.link().hear(upstream, state, &bulletin, &heard, now)
        });
        let is_reopening = bulletin.phase == Heard::Reopening;
        for ((event, purpose), effect) in batch.iter().zip(effects) {
            self.grant(table, upstream, *event, *purpose, Effect::read(effect), is_reopening);
        }
        if is_idle && is_reopening {
            self.square(table, upstream, bulletin.mine);
        }
        Ok(())
    }

    /// Does what follows from the answer to one event.
    fn grant(
        &mut self,
        table: &Cooldowns,
        upstream: &Upstream,
        event: Event,
        purpose: Purpose,
        effect: Effect,
        is_reopening: bool,
    ) {
        match (purpose, effect) {
            (Purpose::Probe, Effect::Probe(number)) => {
                self.lease(table, upstream, event, Grant::Probe(Some(number)));
            }
            (Purpose::Probe, Effect::Free) => {
                self.lease(table, upstream, event, Grant::Probe(None));
            }
            (Purpose::Probe, Effect::Other) => {
                self.lease(table, upstream, event, Grant::Denied);
                // Whoever wanted to be the probe wants a place.
                if is_reopening {
                    self.errand(table, upstream, event, Purpose::Place);
                }
            }
            // A place will do as well: the upstream is Reopening.
            (Purpose::Probe, Effect::Place) => {
                self.lease(table, upstream, event, Grant::Denied);
                give(table, upstream, 1);
            }
            (Purpose::Place | Purpose::PlaceAgain, Effect::Place) => {
                table.link().placed(upstream, table.moment_now());
                give(table, upstream, 1);
            }
            // Nobody in the fleet knows of it: what is left of its way back is ours.
            (Purpose::Place | Purpose::PlaceAgain, Effect::Free) => give_first(table, upstream),
            (Purpose::Place, Effect::Other) => self.ask_again(upstream, event),
            // The upstream has cooled meanwhile, and nobody here waits to be the probe.
            (Purpose::Place | Purpose::PlaceAgain | Purpose::Taken, Effect::Probe(number)) => {
                self.give_back(table, upstream, event, event::Role::Probe(number));
            }
            (Purpose::PlaceAgain, Effect::Other)
            | (Purpose::Taken, Effect::Free | Effect::Place | Effect::Other)
            | (Purpose::Tell, _) => {}
        }
    }

    /// Asks for a place once more, when those who have some will have been heard.
    fn ask_again(&mut self, upstream: &Upstream, event: Event) {
        let at = ambient::later(ambient::now(), YIELDED_WITHIN);
        self.again.push_back((at, upstream.clone(), event));
    }

    /// Hands a lease to whoever waits for it.
    fn lease(&mut self, table: &Cooldowns, upstream: &Upstream, event: Event, grant: Grant) {
        let link = table.link();
        match link.leased(upstream, grant, table.moment_now()) {
            Leased::Waits => {
                let until = ambient::later(ambient::now(), TURN);
                self.given.push_back((until, upstream.clone()));
                table.hear(upstream, |_, _| link.is_given(upstream).then_some(Word::Given));
            }
            Leased::Unwanted { probe } => {
                self.give_back(table, upstream, event, event::Role::Probe(probe));
            }
            Leased::Used => {}
        }
    }

    /// Gives a probe or a place back that nobody here has used.
    pub(super) fn give_back(
        &mut self,
        table: &Cooldowns,
        upstream: &Upstream,
        event: Event,
        role: event::Role,
    ) {
        let seen = table.link().seen(upstream);
        let from = event::Standing { seen, stale: false, role };
        let what = What::Dropped { from };
        self.errand(table, upstream, Event { what, ..event }, Purpose::Tell);
    }

    /// Brings the places that the table gives in line with those that it has, unless
    /// more has happened meanwhile than this answers.
    fn square(&mut self, table: &Cooldowns, upstream: &Upstream, mine: u32) {
        let mut surplus = 0;
        table.hear(upstream, |state, now| match state.phase {
            _ if table.link().is_outstanding(upstream) => None,
            Phase::Reopening { width, .. } if width < mine => {
                surplus = mine.saturating_sub(width);
                None
            }
            Phase::Reopening { width, in_flight } if width > mine && width > in_flight => {
                table.link().yields(upstream, now);
                Some(Word::Yielded(mine))
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => None,
        });
        let event = Event { what: What::Kept, policy: table.policy(&Rules::default()) };
        for _ in 0..surplus.min(GIVEN_BACK) {
            self.give_back(table, upstream, event, event::Role::Place);
        }
    }

    /// Lets a call go alone that waits for an answer which will not come.
    fn let_go(&mut self, table: &Cooldowns, upstream: &Upstream, batch: &[(Event, Purpose)]) {
        for (event, purpose) in batch {
            self.grant(table, upstream, *event, *purpose, Effect::Free, false);
        }
    }
}

/// Gives places to the table, if it still wants them.
fn give(table: &Cooldowns, upstream: &Upstream, places: u32) {
    table.hear(upstream, |_, _| Some(Word::Room(places)));
}

/// Gives the table as many places as a Reopening upstream has at first.
pub(in crate::fleet) fn give_first(table: &Cooldowns, upstream: &Upstream) {
    table.hear(upstream, |state, _| match state.phase {
        Phase::Reopening { width, .. } => Some(Word::Room(FIRST_PLACES.saturating_sub(width))),
        Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
    });
}
