//! What follows from Redis's answers to what was told.

use super::super::bulletin::{Bulletin, Phase as Heard};
use super::super::event::{self, Event, What};
use super::super::link::{Grant, Hearing, Leased, Purpose, TURN};
use super::super::server::{Answer, Failure};
use super::{End, Session};
use crate::ambient;
use crate::cooldown::{FIRST_PLACES, Phase, Rules, Word};
use crate::cooldowns::Cooldowns;
use crate::upstream::Upstream;

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
        let ours = batch.iter().filter(|(_, purpose)| *purpose != Purpose::Errand).count();
        table.link().answered(upstream, ours);
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
        let heard = Hearing {
            me: &self.me,
            is_answer: true,
            outdated: effects.iter().any(|effect| effect == "outdate"),
        };
        table.hear(upstream, |state, now| {
            table.link().hear(upstream, state, &bulletin, &heard, now)
        });
        for ((event, purpose), effect) in batch.iter().zip(effects) {
            self.grant(table, upstream, *event, *purpose, effect);
        }
        if is_idle && bulletin.phase == Heard::Reopening {
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
        effect: &str,
    ) {
        let link = table.link();
        let word = match purpose {
            Purpose::Tell | Purpose::Taken | Purpose::Errand => return,
            Purpose::Probe => {
                let grant = match (effect, effect.strip_prefix("admit probe ")) {
                    (_, Some(number)) => {
                        number.parse().map_or(Grant::Denied, |number| Grant::Probe(Some(number)))
                    }
                    ("admit free", None) => Grant::Probe(None),
                    // A place will do as well: the upstream is Reopening.
                    ("admit place", None) => {
                        link.leased(upstream, Grant::Denied, table.moment_now());
                        give(table, upstream, 1);
                        return;
                    }
                    _ => Grant::Denied,
                };
                match link.leased(upstream, grant, table.moment_now()) {
                    Leased::Waits { .. } => {
                        let until = ambient::later(ambient::now(), TURN);
                        self.given.push_back((until, upstream.clone()));
                        Word::Given
                    }
                    Leased::Unwanted { probe } => {
                        self.give_back(table, upstream, event, event::Role::Probe(probe));
                        return;
                    }
                    Leased::Used => return,
                }
            }
            Purpose::Place => match effect {
                "admit place" => return give(table, upstream, 1),
                // Nobody in the fleet knows of it: what is left of its way back is ours.
                "admit free" => return give_first(table, upstream),
                _ => return,
            },
        };
        table.hear(upstream, |_, _| link.is_given(upstream).then_some(word));
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
        self.tell(upstream.clone(), Event { what, ..event }, Purpose::Errand);
    }

    /// Brings the places that the table gives in line with those that it has.
    fn square(&mut self, table: &Cooldowns, upstream: &Upstream, mine: u32) {
        let mut surplus = 0;
        table.hear(upstream, |state, _| match state.phase {
            Phase::Reopening { width, .. } if width < mine => {
                surplus = mine.saturating_sub(width);
                None
            }
            Phase::Reopening { width, in_flight } if width > mine && width > in_flight => {
                Some(Word::Yielded)
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => None,
        });
        let policy = table.policy(&Rules::default());
        for _ in 0..surplus {
            let event = Event { what: What::Kept, policy };
            self.give_back(table, upstream, event, event::Role::Place);
        }
    }

    /// Lets a call go alone that waits for an answer which will not come.
    fn let_go(&mut self, table: &Cooldowns, upstream: &Upstream, batch: &[(Event, Purpose)]) {
        for (event, purpose) in batch {
            self.grant(table, upstream, *event, *purpose, "admit free");
        }
    }
}

/// Gives places to the table, if it still wants them.
fn give(table: &Cooldowns, upstream: &Upstream, places: u32) {
    table.hear(upstream, |_, _| Some(Word::Room(places)));
}

/// Gives the table as many places as a Reopening upstream has at first.
fn give_first(table: &Cooldowns, upstream: &Upstream) {
    table.hear(upstream, |state, _| match state.phase {
        Phase::Reopening { width, .. } => Some(Word::Room(FIRST_PLACES.saturating_sub(width))),
        Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
    });
}
