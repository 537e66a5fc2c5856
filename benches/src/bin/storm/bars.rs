//! What the layer is held to, and whether it holds.
//!
//! Each form of the layer is held to every bar, each by itself. A peer is who is not
//! ours and was not told the limit beforehand.
//!
//! - [`Figure::Useful`], in every scenario: no fewer useful answers than any peer has,
//!   however many requests that one wastes.
//! - [`Figure::Wasted`], in every scenario: no more wasted requests than any peer has,
//!   however little that one gets done.
//! - [`Figure::Tenth`], where 64 call: at most a tenth of the wasted requests of the
//!   fixed pace, and of each peer who shares what it learns with no other call.
//! - [`Bar`]s, where a scenario has them.
//!
//! What is missed is argued in [`argued`], by how far at most and why, or the program
//! fails; and so it does where something is argued that is not missed any more.

pub(crate) mod argued;

use std::fmt;
use std::time::Duration;

use crate::callers::Callers;
use crate::runs::{Played, Run};
use crate::scenario::{ROUND_TRIP, Scenario};
use crate::strategy::Reach;

use argued::Argued;

/// A bar that holds in some scenarios.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bar {
    /// At least 95 % of the useful answers of the best of those who were told the
    /// limit: for fixed windows and a hint that is right.
    NearOracle,
    /// After each episode the first success comes within a round trip of the limit's
    /// lifting: for hints to the millisecond, and callers who come when they may.
    AtOnce,
    /// The fixed pace gets nothing at all, and the layer at least half of what the
    /// limit has to give.
    Recovers,
}

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Figure {
    /// Useful answers, beside each peer's.
    Useful,
    /// Wasted requests, beside each peer's.
    Wasted,
    /// Wasted requests, beside those of who goes by itself.
    Tenth,
    /// A bar of the scenario's own.
    Own(Bar),
}

/// A bar that a form of the layer missed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Miss {
    pub(crate) scenario: &'static str,
    pub(crate) strategy: &'static str,
    pub(crate) figure: Figure,
    /// How far it is from the bar, as a factor: what was wasted, or how late it was, over
    /// what may be; of useful answers, what should be over what was.
    pub(crate) times: f64,
    /// The figures.
    pub(crate) says: String,
}

/// What came of all bars.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// How many bars there were.
    pub(crate) bars: usize,
    /// What was missed, and why that is in order.
    pub(crate) argued: Vec<(Miss, &'static str)>,
    /// What was missed.
    pub(crate) missed: Vec<Miss>,
    /// What is argued of a scenario that was played, and not missed.
    pub(crate) idle: Vec<(&'static Argued, &'static str)>,
}

impl Judgement {
    /// Holds what was played to all bars; `argued` is what may be missed.
    pub(crate) fn new(all: &[Played], argued: &'static [Argued]) -> Self {
        let mut judgement = Self::default();
        for played in all {
            for ours in played.runs.iter().filter(|run| run.is_ours) {
                judgement.hold(played, ours, argued);
            }
        }
        for entry in argued {
            let is_missed = |name: &str| {
                let mut found = judgement.argued.iter();
                found.any(|(miss, _)| entry.is_about(miss) && miss.strategy == name)
            };
            let was_played = |name: &str| {
                let here =
                    all.iter().filter(|played| entry.scenarios.contains(&played.scenario.name));
                here.flat_map(|played| &played.runs).any(|run| run.strategy == name)
            };
            let idle = entry.strategies.iter().filter(|name| was_played(name) && !is_missed(name));
            let idle: Vec<_> = idle.map(|&name| (entry, name)).collect();
            judgement.idle.extend(idle);
        }
        judgement
    }

    /// Returns whether nothing is missed that is not argued, nor argued for nothing.
    pub(crate) fn holds(&self) -> bool {
        self.missed.is_empty() && self.idle.is_empty()
    }

    fn hold(&mut self, played: &Played, ours: &Run, argued: &'static [Argued]) {
        let scenario = &played.scenario;
        let mut figures = vec![Figure::Useful, Figure::Wasted];
        figures.extend(is_64(scenario).then_some(Figure::Tenth));
        figures.extend(scenario.bars.iter().copied().map(Figure::Own));
        for figure in figures {
            self.bars += 1;
            let Some((times, says)) = miss(played, ours, figure) else {
                continue;
            };
            let miss =
                Miss { scenario: scenario.name, strategy: ours.strategy, figure, times, says };
            match argued.iter().find(|entry| entry.is_about(&miss)) {
                Some(entry) if miss.times <= entry.at_most => self.argued.push((miss, entry.why)),
                _ => self.missed.push(miss),
            }
        }
    }
}

/// Returns how far a form of the layer is from a bar, and what it has to say for itself,
/// if it misses it.
fn miss(played: &Played, ours: &Run, figure: Figure) -> Option<(f64, String)> {
    let is_worse = |peer: &&Run| match figure {
        Figure::Useful => ours.tally.useful < peer.tally.useful,
        Figure::Wasted => ours.tally.wasted > peer.tally.wasted,
        Figure::Tenth => {
            matches!(peer.reach, Reach::Nobody | Reach::Call)
                && 10 * ours.tally.wasted > peer.tally.wasted
        }
        Figure::Own(_) => false,
    };
    match figure {
        Figure::Own(bar) => miss_own(played, ours, bar),
        Figure::Useful => {
            let better = peers(played).filter(is_worse);
            let best = better.max_by(|a, b| a.tally.useful.total_cmp(&b.tally.useful))?;
            Some((best.tally.useful / ours.tally.useful, beside(ours, best)))
        }
        Figure::Wasted | Figure::Tenth => {
            let best = peers(played).filter(is_worse).min_by_key(|peer| peer.tally.wasted)?;
            let share = if figure == Figure::Tenth { 10.0 } else { 1.0 };
            let times = share * ours.tally.wasted as f64 / best.tally.wasted as f64;
            Some((times, beside(ours, best)))
        }
    }
}

/// As [`miss`], for a bar of the scenario's own.
fn miss_own(played: &Played, ours: &Run, bar: Bar) -> Option<(f64, String)> {
    let useful = ours.tally.useful;
    match bar {
        Bar::NearOracle => {
            let told = played.runs.iter().filter(|run| run.is_told);
            let Some(best) = told.max_by(|a, b| a.tally.useful.total_cmp(&b.tally.useful)) else {
                return Some((f64::INFINITY, "nobody was told the limit".to_owned()));
            };
            let least = 0.95 * best.tally.useful;
            (useful < least).then(|| (least / useful, beside(ours, best)))
        }
        Bar::AtOnce => match ours.tally.recovery {
            None => Some((f64::INFINITY, "never recovered".to_owned())),
            Some(recovery) if recovery.worst > ROUND_TRIP => {
                let times = recovery.worst.as_secs_f64() / ROUND_TRIP.as_secs_f64();
                Some((times, format!("{:?} after the limit's lifting", recovery.worst)))
            }
            Some(_) => None,
        },
        Bar::Recovers => {
            let idle = played.runs.iter().filter(|run| run.reach == Reach::Nobody);
            let served = idle.map(|run| run.tally.useful).fold(0.0, f64::max);
            let limits = played.scenario.limits;
            let hour = Duration::from_secs(3600).as_secs_f64();
            let most = f64::from(limits.quota) * hour / limits.window.as_secs_f64();
            let is_held = served <= 0.0 && useful >= most / 2.0;
            let says = || format!("{useful:.0} useful of {most:.0}; fixed pace {served:.0}");
            (!is_held).then(|| (most / 2.0 / useful, says()))
        }
    }
}

/// Returns those who are not ours, and know no more than ours.
fn peers(played: &Played) -> impl Iterator<Item = &Run> {
    played.runs.iter().filter(|run| !run.is_ours && !run.is_told)
}

fn is_64(scenario: &Scenario) -> bool {
    matches!(scenario.callers, Callers::Loops { callers: 64, .. })
}

/// Sets one beside another.
fn beside(ours: &Run, other: &Run) -> String {
    let of = |run: &Run| {
        format!("{} {} wasted, {:.0} useful", run.strategy, run.tally.wasted, run.tally.useful)
    };
    format!("{}; {}", of(ours), of(other))
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}: {}", self.scenario, self.figure, self.says)
    }
}

#[cfg(test)]
mod tests;
