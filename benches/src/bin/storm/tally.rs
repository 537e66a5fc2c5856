//! What a run comes to.
//!
//! Upstreams count what arrived, callers what they got.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::callers::Ended;
use crate::strategy::Outcome;
use crate::world::Exchange;

/// The figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tally {
    /// Requests that arrived at an upstream.
    pub(crate) sent: usize,
    /// Those that were refused: wasted.
    pub(crate) wasted: usize,
    /// Calls that the strategy did not send.
    pub(crate) held_back: usize,
    /// Useful answers that reached a caller, an hour.
    pub(crate) useful: f64,
    /// How long after a limit's lifting the first request was served; none where no
    /// refusal was followed by a success.
    pub(crate) recovery: Option<Recovery>,
    /// The longest time without a useful answer; the run's beginning and end are
    /// as good as one.
    pub(crate) silence: Duration,
    /// How evenly useful answers went to the callers: Jain's index, 1 where all got
    /// the same and 1/n where one of n got all. None where nobody got any, and where
    /// each caller calls but once.
    pub(crate) fairness: Option<f64>,
}

/// How long it took from a limit's lifting to the first success, over all episodes:
/// from a first refusal to the next success of the same upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Recovery {
    /// How many episodes there were.
    pub(crate) episodes: usize,
    /// The middle one; of two in the middle the longer.
    pub(crate) median: Duration,
    /// The longest.
    pub(crate) worst: Duration,
}

impl Tally {
    /// Adds up what upstreams and callers saw in a run of `length`, both in order.
    ///
    /// `callers` is how many there were, or none where each call has a caller of its
    /// own.
    pub(crate) fn new(
        exchanges: &[Exchange],
        ended: &[Ended],
        length: Duration,
        callers: Option<usize>,
    ) -> Self {
        let served: Vec<&Ended> =
            ended.iter().filter(|one| one.outcome == Outcome::Served).collect();
        let is_held_back = |one: &&Ended| matches!(one.outcome, Outcome::HeldBack { .. });
        let hours = length.as_secs_f64() / 3600.0;
        Self {
            sent: exchanges.len(),
            wasted: exchanges.iter().filter(|one| !one.status.is_success()).count(),
            held_back: ended.iter().filter(is_held_back).count(),
            useful: served.len() as f64 / hours,
            recovery: recovery(exchanges),
            silence: silence(served.iter().map(|one| one.at), length),
            fairness: callers.and_then(|callers| {
                let mut each = vec![0_u32; callers];
                for one in &served {
                    each[one.caller] += 1;
                }
                jain(&each)
            }),
        }
    }
}

/// Returns how long each upstream's limit had been lifted when it served again.
fn recovery(exchanges: &[Exchange]) -> Option<Recovery> {
    // By the last refusal: whoever came too early may have moved the moment.
    let mut lifts_at = BTreeMap::new();
    let mut waits: Vec<Duration> = exchanges
        .iter()
        .filter_map(|one| {
            if one.status.is_success() {
                let lifted = lifts_at.remove(&one.upstream)?;
                Some(one.at.saturating_sub(lifted))
            } else {
                lifts_at.insert(one.upstream, one.lifts_at);
                None
            }
        })
        .collect();
    waits.sort_unstable();
    Some(Recovery {
        episodes: waits.len(),
        median: *waits.get(waits.len() / 2)?,
        worst: *waits.last()?,
    })
}

/// Returns the longest time between two of these, which come in order, beginning and
/// end included.
fn silence(answers: impl Iterator<Item = Duration>, length: Duration) -> Duration {
    let mut last = Duration::ZERO;
    let gaps = answers.chain([length]).map(|at| {
        let gap = at.saturating_sub(last);
        last = at;
        gap
    });
    gaps.max().unwrap_or(length)
}

/// Returns Jain's index of fairness.
fn jain(each: &[u32]) -> Option<f64> {
    let sum: f64 = each.iter().copied().map(f64::from).sum();
    let squares: f64 = each.iter().copied().map(f64::from).map(|one| one * one).sum();
    (squares > 0.0).then(|| sum * sum / (squares * each.len() as f64))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// An upstream that answers `status` at `at`, and lifts its limit at `lifts`.
    fn exchange(at: u64, upstream: usize, status: u16, lifts: u64) -> Exchange {
        let status = StatusCode::from_u16(status).unwrap();
        Exchange { at: secs(at), upstream, sender: 0, status, lifts_at: secs(lifts) }
    }

    fn ended(at: u64, caller: usize, outcome: Outcome) -> Ended {
        Ended { at: secs(at), caller, outcome }
    }

    #[test]
    fn what_is_refused_is_wasted_and_what_is_served_is_useful() {
        let exchanges = [exchange(1, 0, 200, 1), exchange(2, 0, 429, 9), exchange(3, 0, 503, 9)];
        let ends = [
            ended(1, 0, Outcome::Served),
            ended(2, 0, Outcome::Refused),
            ended(3, 0, Outcome::Refused),
            ended(3, 0, Outcome::HeldBack { wait: None }),
        ];

        let tally = Tally::new(&exchanges, &ends, secs(1800), Some(1));

        assert_eq!((tally.sent, tally.wasted, tally.held_back), (3, 2, 1));
        assert_eq!(tally.useful.to_bits(), 2.0_f64.to_bits(), "of half an hour, twice in an hour");
    }

    #[test]
    fn recovery_counts_from_what_the_last_refusal_said() {
        let exchanges = [
            exchange(1, 0, 429, 10),
            exchange(2, 0, 429, 20),
            exchange(23, 0, 200, 23),
            exchange(24, 0, 200, 24), // not the first
            exchange(30, 0, 429, 40),
            exchange(41, 0, 200, 41),
            exchange(50, 0, 429, 60), // never served again
        ];

        let recovery = Tally::new(&exchanges, &[], secs(100), None).recovery;

        let expected = Recovery { episodes: 2, median: secs(3), worst: secs(3) };
        assert_eq!(recovery, Some(expected));
    }

    #[test]
    fn each_upstream_recovers_by_itself() {
        let exchanges = [exchange(1, 0, 429, 10), exchange(2, 1, 200, 2), exchange(15, 0, 200, 15)];

        let recovery = Tally::new(&exchanges, &[], secs(100), None).recovery;

        assert_eq!(recovery, Some(Recovery { episodes: 1, median: secs(5), worst: secs(5) }));
    }

    #[test]
    fn without_an_episode_there_is_no_recovery() {
        assert_eq!(Tally::new(&[exchange(1, 0, 200, 1)], &[], secs(9), None).recovery, None);
        assert_eq!(Tally::new(&[exchange(1, 0, 429, 2)], &[], secs(9), None).recovery, None);
    }

    #[test]
    fn silence_has_the_beginning_and_the_end() {
        let silence = |answers: &[u64]| {
            let ends: Vec<Ended> =
                answers.iter().map(|&at| ended(at, 0, Outcome::Served)).collect();
            Tally::new(&[], &ends, secs(100), None).silence
        };

        assert_eq!(silence(&[40, 50, 60]), secs(40));
        assert_eq!(silence(&[10, 60, 90]), secs(50));
        assert_eq!(silence(&[10, 20]), secs(80));
        assert_eq!(silence(&[]), secs(100));
    }

    #[test]
    fn fairness_counts_those_who_got_nothing() {
        let fairness = |callers: &[usize]| {
            let ends: Vec<Ended> =
                callers.iter().map(|&caller| ended(1, caller, Outcome::Served)).collect();
            Tally::new(&[], &ends, secs(100), Some(4)).fairness
        };

        assert_eq!(fairness(&[0, 1, 2, 3]), Some(1.0));
        assert_eq!(fairness(&[2, 2, 2]), Some(0.25));
        assert_eq!(fairness(&[0, 1]), Some(0.5));
        assert_eq!(fairness(&[]), None);
        assert_eq!(Tally::new(&[], &[ended(1, 0, Outcome::Served)], secs(9), None).fairness, None);
    }
}
