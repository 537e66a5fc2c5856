//! What the fleet tells by itself.

use redis::{PushInfo, PushKind, Value};

use super::super::bulletin::{Bulletin, Phase as Heard};
use super::super::event::{self, Event, What};
use super::super::link::{Hearing, Purpose};
use super::super::name;
use super::{End, Session, disconnected};
use crate::ambient;
use crate::cooldown::{Phase, Rules, Word};
use crate::cooldowns::Cooldowns;

impl Session<'_> {
    /// Takes in what comes by itself.
    pub(super) fn pushed(&mut self, table: &Cooldowns, push: &PushInfo) -> Result<(), End> {
        match push.kind {
            PushKind::Disconnection => return Err(disconnected()),
            PushKind::Message => {}
            _ => return Ok(()),
        }
        let text = match push.data.last() {
            Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes),
            _ => return Ok(()),
        };
        let Some(bulletin) = Bulletin::read(&text) else {
            self.status.ignore("garbage among the news");
            return Ok(());
        };
        self.check_epoch(bulletin.epoch)?;
        let is_ours = bulletin.from == &*self.me;
        if bulletin.phase == Heard::Wanted {
            if !is_ours {
                self.wanted(table, &bulletin);
            }
            return Ok(());
        }
        self.numbers.came(bulletin.number, ambient::now());
        self.known.number = self.known.number.max(bulletin.number);
        // What is told here is heard by its answer, which says more.
        if !is_ours {
            self.hear(table, &bulletin);
        }
        Ok(())
    }

    /// Takes in how it stands with an upstream.
    pub(super) fn hear(&mut self, table: &Cooldowns, bulletin: &Bulletin<'_>) {
        let Some(upstream) = name::read(bulletin.name) else {
            self.status.ignore(&format!("no name of an upstream: {}", bulletin.name));
            return;
        };
        if let Some(census) = &mut self.census {
            census.note(&upstream, bulletin, table.moment_now());
        }
        let heard = Hearing { me: &self.me, is_answer: false, outdated: false };
        table.hear(&upstream, |state, now| {
            table.link().hear(&upstream, state, bulletin, &heard, now)
        });
    }

    /// Yields the places that no call here holds: somebody wants one.
    fn wanted(&mut self, table: &Cooldowns, bulletin: &Bulletin<'_>) {
        let Some(upstream) = name::read(bulletin.name) else {
            return;
        };
        let mut held = None;
        table.hear(&upstream, |state, now| match state.phase {
            Phase::Reopening { width, in_flight } if in_flight < width => {
                let stay = table.link().yields(&upstream, now).saturating_add(in_flight);
                held = Some(width.saturating_sub(stay));
                Some(Word::Yielded(stay))
            }
            Phase::Reopening { width, .. } if width > 0 => {
                held = Some(0);
                None
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => {
                held = None;
                None
            }
        });
        let Some(spare) = held else {
            return;
        };
        let event = Event { what: What::Kept, policy: table.policy(&Rules::default()) };
        self.errand(table, &upstream, event, Purpose::Tell);
        for _ in 0..spare {
            self.give_back(table, &upstream, event, event::Role::Place);
        }
    }
}
