//! What is heard from the fleet, and what of it is news.

use super::super::bulletin::{Bulletin, Phase as Heard};
use super::Link;
use super::asking::{Bid, Claim};
use crate::cooldown::{Cooldown, News, Phase, Told, Word};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// How news came.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Hearing<'a> {
    pub(in super::super) me: &'a str,
    /// They answer events of this process.
    pub(in super::super) is_answer: bool,
    /// One of those has made calls stale, here as well.
    pub(in super::super) outdated: bool,
}

impl Link {
    /// Returns what the fleet's news are to a state, if they are news to it and the
    /// table should know. Where events of this process are on their way, of which the
    /// fleet did not know as it told this, only what lengthens a cooldown is heard: the
    /// answer to those will tell the rest. The entry's lock is held.
    pub(in super::super) fn hear(
        &self,
        upstream: &Upstream,
        state: &Cooldown,
        bulletin: &Bulletin<'_>,
        heard: &Hearing<'_>,
        now: Moment,
    ) -> Option<Word> {
        let mut held = self.held();
        let share = held.shares.entry(upstream.clone()).or_default();
        // What is pushed has been heard where an answer told it first.
        let is_old =
            bulletin.number < share.number || bulletin.number == share.number && !heard.is_answer;
        if is_old {
            return None;
        }
        let outdates = bulletin.generation > share.generation && !heard.outdated;
        let news = bulletin.news(now, outdates, heard.outdated)?;
        let lengthens = matches!(news.standing, Told::Cooling { until } if until > now);
        if share.outstanding > 0 && !lengthens {
            return None;
        }
        share.number = bulletin.number;
        if bulletin.generation > share.generation {
            share.generation = bulletin.generation;
            share.ended = None;
        }
        if bulletin.phase != Heard::Reopening {
            share.place_asked = None;
            share.bid = Bid::None;
        }
        if bulletin.phase == Heard::Probing && bulletin.holder == heard.me {
            return None;
        }
        match share.claim {
            // The verdict of the probe that is out will tell more.
            Claim::Out { local, .. }
                if bulletin.phase == Heard::Cooling
                    && !lengthens
                    && matches!(state.phase, Phase::Probing { .. })
                    && state.probe() == local =>
            {
                return None;
            }
            // The answer will say the same.
            Claim::Asked { .. } if bulletin.phase == Heard::Probing && !heard.is_answer => {}
            // Nor does another's lease make its next call come any sooner.
            Claim::Lapsed if bulletin.phase == Heard::Probing => {}
            Claim::Lapsed if bulletin.phase == Heard::Cooling && !lengthens => {}
            Claim::Out { .. } => {}
            Claim::None | Claim::Asked { .. } | Claim::Given { .. } | Claim::Lapsed => {
                share.claim = Claim::None;
            }
        }
        Some(Word::Heard(news))
    }

    /// Returns whose news were heard, with the number of the newest.
    pub(in super::super) fn heard_of(&self) -> Vec<(Upstream, u64)> {
        let held = self.held();
        let heard = held.shares.iter().filter(|(_, share)| share.number > 0);
        heard.map(|(upstream, share)| (upstream.clone(), share.number)).collect()
    }

    /// Returns the fleet's generation of an upstream, as far as it was heard.
    pub(in super::super) fn seen(&self, upstream: &Upstream) -> u64 {
        self.held().shares.get(upstream).map_or(0, |share| share.generation)
    }

    /// Returns what it is to a table that the fleet has forgotten the upstream, of
    /// which it told that number last. The entry's lock is held.
    pub(in super::super) fn gone(
        &self,
        upstream: &Upstream,
        number: u64,
        now: Moment,
    ) -> Option<Word> {
        let mut held = self.held();
        let share = held.shares.get_mut(upstream)?;
        let is_out = matches!(share.claim, Claim::Out { .. });
        if share.outstanding > 0 || is_out || share.number != number {
            return None;
        }
        share.claim = Claim::None;
        let (cause, began, ends) = (Cooldown::CLEAR.cause, now, now);
        let standing = Told::Clear { by_hand: false };
        Some(Word::Heard(News {
            standing,
            cause,
            began,
            ends,
            by_hand: false,
            outdates: false,
            is_echo: false,
        }))
    }
}
