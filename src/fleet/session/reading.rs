//! All that the fleet knows, read at once.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::bulletin::{Bulletin, Phase as Heard};
use super::super::name;
use super::super::pace::Trouble;
use super::{End, Session};
use crate::ambient;
use crate::cooldown::Rules;
use crate::cooldowns::Cooldowns;
use crate::moment::Moment;
use crate::upstream::Upstream;

/// How much later a cooldown must end here than in the fleet to be told of.
///
/// What is heard ends here as much later as it took to come.
const LATER: Duration = Duration::from_millis(10);

/// How long what only one table knows is kept back at most, for another to tell it.
///
/// Where all come back at once, nearly all know the same: whoever draws the shortest
/// time tells it, and the others hear of it.
const TOLD_WITHIN: Duration = Duration::from_millis(200);

/// What the fleet knows, as far as a full read and the news since have told.
#[derive(Debug)]
pub(super) struct Census {
    /// When what is missing in it is told.
    pub(super) due: Instant,
    /// The rungs, and the ends of the cooldowns.
    told: Told,
}

type Told = HashMap<Upstream, (u32, Moment)>;

impl Session<'_> {
    /// Reads all that the fleet knows, and tells it what only this table knows.
    pub(super) async fn read_all(&mut self, table: &Cooldowns) -> Result<(), End> {
        let mut before = table.link().heard_of();
        let mut told = Told::new();
        let mut cursor = 0;
        let mut first: Option<(String, u64)> = None;
        loop {
            let page = self.server.read(cursor).await?;
            let (epoch, _) = first.get_or_insert_with(|| (page.epoch.clone(), page.number));
            if *epoch != page.epoch {
                return Err(End::Trouble(Trouble::Lost, "redis has lost what it knew".to_owned()));
            }
            // A replica that has taken over may not have heard of all: it will use numbers
            // again that were heard before.
            if self.known.epoch != page.epoch || page.number < self.known.number {
                self.known.epoch.clone_from(&page.epoch);
                table.link().begin_anew();
                // What another Redis knew is not forgotten because this one does not.
                before.clear();
            }
            self.known.number = page.number;
            for text in &page.bulletins {
                match Bulletin::read(text) {
                    Some(bulletin) if bulletin.phase == Heard::Bad => {
                        let upstream = name::read(bulletin.name)
                            .map_or_else(|| bulletin.name.to_owned(), |name| name.to_string());
                        // In the words in which it is told when something happens to it.
                        let what = bulletin.by.replace('-', " ");
                        self.status.ignore(&format!("{what} in the entry, of {upstream}"));
                    }
                    Some(bulletin) => {
                        self.hear(table, &bulletin);
                        if let Some(upstream) = name::read(bulletin.name) {
                            let ends = bulletin.ends(table.moment_now());
                            told.insert(upstream, (bulletin.rung, ends));
                        }
                    }
                    None => self.status.ignore("garbage where an upstream should be"),
                }
            }
            cursor = page.next;
            if cursor == 0 {
                break;
            }
        }
        let number = first.map_or(0, |(_, number)| number);
        self.numbers.all_up_to(number);
        forget_gone(table, before, &told, number);
        let wait = TOLD_WITHIN.mul_f64(ambient::sample());
        self.census = Some(Census { due: ambient::later(ambient::now(), wait), told });
        Ok(())
    }
}

/// Forgets what the fleet has forgotten: what was heard of before, and was not
/// there any more.
fn forget_gone(table: &Cooldowns, before: Vec<(Upstream, u64)>, told: &Told, number: u64) {
    for (upstream, heard) in before {
        if heard <= number && !told.contains_key(&upstream) {
            table.hear(&upstream, |_, now| table.link().gone(&upstream, heard, now));
        }
    }
}

impl Census {
    /// Notes what the fleet has told since.
    pub(super) fn note(&mut self, upstream: &Upstream, bulletin: &Bulletin<'_>, here: Moment) {
        match bulletin.phase {
            Heard::Cooling | Heard::Probing | Heard::Reopening => {
                self.told.insert(upstream.clone(), (bulletin.rung, bulletin.ends(here)));
            }
            Heard::Clear | Heard::None | Heard::Wanted | Heard::Bad => {}
        }
    }

    /// Tells the fleet of cooldowns that end later here, and of higher rungs.
    pub(super) fn tell_rest(self, table: &Cooldowns) {
        let now = table.moment_now();
        table.link().tell_ended(table.policy(&Rules::default()));
        for (upstream, state) in table.known(now) {
            let is_news = match self.told.get(&upstream) {
                // It is being told.
                _ if table.link().is_outstanding(&upstream) => false,
                None => state.is_cooling(now) || state.cause.rung > 0,
                Some(&(rung, ends)) => {
                    let ends_later = state.is_cooling(now) && state.ends > ends.after(LATER);
                    ends_later || state.cause.rung > rung
                }
            };
            if is_news {
                table.tell_known(&upstream, state.record());
            }
        }
    }
}
