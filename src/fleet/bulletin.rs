//! What the fleet tells of an upstream, as it is read.
//!
//! Whoever can write to Redis can write anything: what cannot be meant is garbage,
//! and no state.

use std::time::Duration;

use http::StatusCode;

use crate::cooldown::{Cause, News, Told};
use crate::moment::Moment;

/// The version of what is written.
pub(super) const VERSION: &str = "1";

/// Stands where there is nothing.
const NONE: &str = "-";

/// The longest cooldown that is believed: a year and a day.
pub(super) const LONGEST: u64 = 367 * 24 * 3600 * 1_000_000;

/// The last number of a change that the script counts to.
const LAST: u64 = 1 << 53;

/// How it stood with an upstream at one time of Redis's clock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Bulletin<'a> {
    /// Whose numbers these are: another one, and Redis has lost what it knew.
    pub(super) epoch: &'a str,
    /// The number of the upstream's last change.
    pub(super) number: u64,
    /// Redis's time, as all times here in microseconds.
    pub(super) now: u64,
    pub(super) phase: Phase,
    gate: u64,
    ends: u64,
    began: u64,
    pub(super) rung: u32,
    status: Option<StatusCode>,
    hint: Option<Duration>,
    by_hand: bool,
    pub(super) generation: u64,
    pub(super) width: u32,
    /// The process with the newest probe.
    pub(super) holder: &'a str,
    /// The places of the process that is told.
    pub(super) mine: u32,
    /// What brought the last change about.
    pub(super) by: &'a str,
    /// The process that has told of it.
    pub(super) from: &'a str,
    pub(super) name: &'a str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Cooling,
    Probing,
    Reopening,
    /// It has just become Clear.
    Clear,
    /// Nothing is known of it.
    None,
    /// Somebody wants a place, and there is none.
    Wanted,
    /// What stands there cannot be read.
    Bad,
}

impl<'a> Bulletin<'a> {
    /// Reads one; nothing where it is none.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut words = text.splitn(21, ' ');
        let mut next = || words.next();
        if next()? != VERSION {
            return None;
        }
        let epoch = next()?;
        let number = next()?.parse().ok()?;
        let now = next()?.parse().ok()?;
        let phase = match next()? {
            "cooling" => Phase::Cooling,
            "probing" => Phase::Probing,
            "reopening" => Phase::Reopening,
            "clear" => Phase::Clear,
            "none" => Phase::None,
            "wanted" => Phase::Wanted,
            "bad" => Phase::Bad,
            _ => return None,
        };
        let bulletin = Self {
            epoch,
            number,
            now,
            phase,
            gate: next()?.parse().ok()?,
            ends: next()?.parse().ok()?,
            began: next()?.parse().ok()?,
            rung: next()?.parse().ok()?,
            status: match next()? {
                NONE => None,
                status => Some(StatusCode::from_u16(status.parse().ok()?).ok()?),
            },
            hint: match next()? {
                NONE => None,
                hint => Some(Duration::from_micros(hint.parse().ok()?)),
            },
            by_hand: next()? == "1",
            generation: next()?.parse().ok()?,
            width: {
                // The number of the newest probe comes first.
                let _: u32 = next()?.parse().ok()?;
                next()?.parse().ok()?
            },
            holder: {
                let _in_flight: u32 = next()?.parse().ok()?;
                next()?
            },
            mine: next()?.parse().ok()?,
            by: next()?,
            from: next()?,
            name: next()?,
        };
        let latest = now.saturating_add(LONGEST);
        let is_near = [bulletin.gate, bulletin.ends, bulletin.began].iter().all(|&at| at <= latest);
        // A generation is the number of a change. One that the script cannot read would
        // make an error of all that is told of the upstream from here on.
        let is_counted = bulletin.number <= LAST && bulletin.generation <= LAST;
        (is_near && is_counted).then_some(bulletin)
    }

    /// Returns what this is to somebody who hears of it at `here`; nothing where it
    /// says nothing of the state.
    pub(super) fn news(&self, here: Moment, outdates: bool, is_echo: bool) -> Option<News> {
        let standing = match self.phase {
            Phase::Cooling => Told::Cooling { until: self.moment(self.gate, here) },
            Phase::Probing => Told::Probing { lease: self.moment(self.gate, here) },
            Phase::Reopening => Told::Reopening,
            Phase::Clear => Told::Clear { by_hand: self.by == "cleared" },
            Phase::None | Phase::Wanted | Phase::Bad => return None,
        };
        Some(News {
            standing,
            cause: Cause { rung: self.rung, status: self.status, hint: self.hint },
            began: self.moment(self.began, here),
            ends: self.moment(self.ends, here),
            by_hand: self.by_hand,
            outdates,
            is_echo,
        })
    }

    /// Returns when the cooldown ends, or ended, to somebody who hears of it at `here`.
    pub(super) fn ends(&self, here: Moment) -> Moment {
        self.moment(self.ends, here)
    }

    /// Returns the moment that is so far from `here` as `at` is from Redis's time. It
    /// is late by as long as the news took, and never early.
    fn moment(&self, at: u64, here: Moment) -> Moment {
        match at.checked_sub(self.now) {
            Some(ahead) => here.after(Duration::from_micros(ahead)),
            None => here.before(Duration::from_micros(self.now.saturating_sub(at))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLING: &str = "1 epoch 12 1000000 cooling 3000000 3000000 500000 2 429 - 0 11 3 0 0 \
                           - 0 refused other origin:https://a.example x";

    fn here() -> Moment {
        Moment::START.after(Duration::from_secs(3600))
    }

    #[test]
    fn a_bulletin_is_read_whole() {
        let bulletin = Bulletin::read(COOLING).unwrap();

        assert_eq!((bulletin.epoch, bulletin.number, bulletin.generation), ("epoch", 12, 11));
        assert_eq!((bulletin.by, bulletin.name), ("refused", "origin:https://a.example x"));
        assert_eq!(bulletin.holder, "-");
    }

    #[test]
    fn times_count_from_when_the_news_is_heard() {
        let news = Bulletin::read(COOLING).unwrap().news(here(), true, false).unwrap();

        assert_eq!(news.standing, Told::Cooling { until: here().after(Duration::from_secs(2)) });
        assert_eq!(news.began, here().before(Duration::from_millis(500)));
        assert!(news.outdates);
        assert_eq!(news.cause.rung, 2);
    }

    #[test]
    fn what_cannot_be_meant_is_garbage() {
        for (from, to) in [
            ("1 epoch", "2 epoch"),
            ("cooling", "open"),
            ("429", "42"),
            ("429", "70000"),
            ("1000000", "-1"),
            ("1000000", "nan"),
            ("12", "1e9"),
            ("12", "9007199254740993"),
            (" 11 ", " 9007199254740993 "),
            ("3000000 3000000", "3000000 99999999999999999"),
            ("3000000 3000000", "99999999999999999 3000000"),
            (" refused other origin:https://a.example x", ""),
        ] {
            let text = COOLING.replacen(from, to, 1);
            assert_eq!(Bulletin::read(&text), None, "{text}");
        }
        assert_eq!(Bulletin::read(""), None);
        assert_eq!(Bulletin::read("hello world"), None);
    }
}
