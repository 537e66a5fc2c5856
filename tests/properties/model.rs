//! The promises as a plain model: a list of calls and a state for each upstream.
//!
//! Written from the promises, as slow and as simple as they read. Times are
//! since the start of the script.

use std::time::Duration;

use tower_retry_after::{Reason, State};

use crate::Answer;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) max_retry_after: Duration,
    pub(crate) trust_hints: bool,
    pub(crate) probe_lease: Duration,
    pub(crate) reopen_width: u32,
    pub(crate) forget_after: Duration,
}

impl Settings {
    fn ladder(&self, failures: u32) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        (self.base * 2_u32.pow((failures - 1).min(16))).min(self.cap)
    }

    /// What is left of a hint under the ceiling; zero is none.
    fn usable(&self, hint: Option<Duration>) -> Option<Duration> {
        hint.map(|hint| hint.min(self.max_retry_after)).filter(|hint| !hint.is_zero())
    }

    fn cooldown(&self, failures: u32, hint: Option<Duration>) -> Duration {
        let wait = match self.usable(hint) {
            None => self.ladder(failures),
            Some(hint) if self.trust_hints => hint.max(self.ladder(failures - 1)),
            Some(hint) => hint.max(self.ladder(failures)),
        };
        if wait.is_zero() { SECOND } else { wait }
    }
}

/// A call that is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) to: usize,
    /// How many events there had been when it left; no two calls have the same.
    left: u64,
    role: Role,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Free,
    Probe,
    Place,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Episode {
    phase: Phase,
    pub(crate) failures: u32,
    last_refusal: Duration,
    /// Until when the last refusal wanted calls to stay away.
    until: Duration,
    /// How many events there had been when calls last became stale.
    outdated: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Cooling { until: Duration },
    Probing { lease_ends: Duration, newest: u64 },
    Reopening { width: u32 },
}

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Admitted,
    Rejected { reason: Reason, at_least: Duration, at_most: Duration, failures: u32 },
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) now: Duration,
    events: u64,
    episodes: Vec<Option<Episode>>,
    pub(crate) calls: Vec<Call>,
}

impl Model {
    pub(crate) fn new(settings: Settings, upstreams: usize) -> Self {
        let episodes = vec![None; upstreams];
        Self { settings, now: Duration::ZERO, events: 0, episodes, calls: Vec::new() }
    }

    /// What is known of an upstream, if it is not Clear by now.
    pub(crate) fn episode(&self, of: usize) -> Option<Episode> {
        self.episodes[of].filter(|episode| self.now < self.forgotten(episode))
    }

    fn forgotten(&self, episode: &Episode) -> Duration {
        let last_word = match episode.phase {
            Phase::Cooling { .. } | Phase::Probing { .. } => episode.until,
            Phase::Reopening { .. } => episode.last_refusal,
        };
        last_word + self.settings.forget_after
    }

    /// Its state, and until when calls are held back.
    pub(crate) fn shown(&self, episode: &Episode) -> (State, Duration) {
        let (state, until) = match episode.phase {
            Phase::Cooling { until } => (State::Cooling, until),
            Phase::Probing { lease_ends, .. } => (State::Probing, lease_ends),
            Phase::Reopening { .. } => (State::Reopening, self.now),
        };
        (state, until.min(self.forgotten(episode)))
    }

    /// How long it is until the upstream changes by itself.
    pub(crate) fn next_change(&self, of: usize) -> Duration {
        self.episode(of).map_or(Duration::ZERO, |episode| {
            let until = match episode.phase {
                Phase::Cooling { until } if self.now < until => until,
                Phase::Probing { lease_ends, .. } if self.now < lease_ends => lease_ends,
                _ => self.forgotten(&episode),
            };
            until.min(self.forgotten(&episode)) - self.now
        })
    }

    /// How many calls hold a place in a Reopening upstream, and how many may.
    pub(crate) fn places(&self, of: usize) -> Option<(u32, u32)> {
        let episode = self.episode(of)?;
        let Phase::Reopening { width } = episode.phase else {
            return None;
        };
        let holds = |call: &&Call| {
            call.to == of && call.role == Role::Place && call.left >= episode.outdated
        };
        Some((u32::try_from(self.calls.iter().filter(holds).count()).unwrap(), width))
    }

    pub(crate) fn call(&mut self, to: usize) -> Outcome {
        self.events += 1;
        let role = match self.episode(to) {
            None => Role::Free,
            Some(mut episode) => match episode.phase {
                Phase::Cooling { until } if self.now < until => {
                    return self.rejected(&episode, Reason::Cooling, until);
                }
                Phase::Probing { lease_ends, .. } if self.now < lease_ends => {
                    return self.rejected(&episode, Reason::Probing, lease_ends);
                }
                Phase::Cooling { .. } | Phase::Probing { .. } => {
                    let lease_ends = self.now + self.settings.probe_lease;
                    episode.phase = Phase::Probing { lease_ends, newest: self.events };
                    self.episodes[to] = Some(episode);
                    Role::Probe
                }
                Phase::Reopening { .. } => match self.places(to) {
                    Some((taken, width)) if taken < width => Role::Place,
                    _ => return self.rejected(&episode, Reason::Reopening, self.now),
                },
            },
        };
        self.calls.push(Call { to, left: self.events, role });
        Outcome::Admitted
    }

    fn rejected(&self, episode: &Episode, reason: Reason, until: Duration) -> Outcome {
        let rest = until.min(self.forgotten(episode)).saturating_sub(self.now);
        let least = Duration::from_millis(1);
        let (at_least, at_most) = match reason {
            Reason::Probing => (rest.min(SECOND).max(least), rest.min(SECOND).max(least)),
            Reason::Reopening => (least, SECOND),
            _ => (rest.max(least), rest.max(least)),
        };
        Outcome::Rejected { reason, at_least, at_most, failures: episode.failures }
    }

    /// A call has ended; without an answer it was dropped.
    pub(crate) fn ended(&mut self, index: usize, answer: Option<Answer>) {
        self.events += 1;
        let call = self.calls.remove(index);
        let answer = match answer {
            // The last answer before no wait at all is an answer like any other.
            Some(Answer::Exhausted(reset)) if self.settings.usable(Some(reset)).is_none() => {
                Some(Answer::Succeeded)
            }
            other => other,
        };
        let Some(episode) = self.episode(call.to) else {
            return self.ended_while_clear(call.to, answer);
        };
        let next = if call.left < episode.outdated {
            Some(self.heard_late(episode, answer))
        } else {
            self.heard(call, episode, answer)
        };
        self.episodes[call.to] = next;
    }

    fn ended_while_clear(&mut self, to: usize, answer: Option<Answer>) {
        self.episodes[to] = match answer {
            Some(Answer::Refused(hint)) => Some(self.begin(1, self.settings.cooldown(1, hint))),
            Some(Answer::Exhausted(reset)) => {
                Some(self.begin(0, reset.min(self.settings.max_retry_after)))
            }
            Some(Answer::Succeeded | Answer::Neutral | Answer::Failed) | None => None,
        };
    }

    /// A stale call can only raise a cooldown.
    fn heard_late(&self, episode: Episode, answer: Option<Answer>) -> Episode {
        let hint = match answer {
            Some(Answer::Refused(hint)) => hint,
            Some(Answer::Exhausted(reset)) => Some(reset),
            Some(Answer::Succeeded | Answer::Neutral | Answer::Failed) | None => None,
        };
        match (episode.phase, self.settings.usable(hint)) {
            (Phase::Cooling { until }, Some(hint)) if self.now + hint > until => {
                let until = self.now + hint;
                Episode { phase: Phase::Cooling { until }, until, ..episode }
            }
            _ => episode,
        }
    }

    fn heard(&self, call: Call, episode: Episode, answer: Option<Answer>) -> Option<Episode> {
        let runs_until = match episode.phase {
            Phase::Cooling { until } => until,
            Phase::Probing { .. } | Phase::Reopening { .. } => Duration::ZERO,
        };
        // A pause after a probe without news is nothing that anybody asked for.
        let asked_until = match episode.phase {
            Phase::Cooling { .. } => episode.until,
            Phase::Probing { .. } | Phase::Reopening { .. } => Duration::ZERO,
        };
        let is_newest_probe =
            matches!(episode.phase, Phase::Probing { newest, .. } if newest == call.left);
        match answer {
            Some(Answer::Refused(hint)) => {
                let failures = episode.failures + 1;
                let wait = self.settings.cooldown(failures, hint);
                Some(self.begin(failures, wait.max(runs_until.saturating_sub(self.now))))
            }
            Some(Answer::Exhausted(_)) if self.now < asked_until => {
                Some(self.heard_late(episode, answer))
            }
            Some(Answer::Exhausted(reset)) => {
                let wait = reset.min(self.settings.max_retry_after);
                Some(self.begin(0, wait.max(runs_until.saturating_sub(self.now))))
            }
            Some(Answer::Succeeded) if self.now < asked_until => Some(episode),
            Some(Answer::Succeeded) => {
                let width = match episode.phase {
                    Phase::Reopening { width } => width + 1,
                    Phase::Cooling { .. } | Phase::Probing { .. } => 2,
                };
                let phase = Phase::Reopening { width };
                let is_clear = width > self.settings.reopen_width;
                (!is_clear).then_some(Episode { phase, failures: 0, ..episode })
            }
            Some(Answer::Neutral | Answer::Failed) if is_newest_probe => {
                let pause = match self.settings.base {
                    Duration::ZERO => SECOND,
                    base => base.min(SECOND),
                };
                let until = self.now + pause;
                Some(Episode { phase: Phase::Cooling { until }, ..episode })
            }
            None if is_newest_probe => {
                Some(Episode { phase: Phase::Cooling { until: self.now }, ..episode })
            }
            Some(Answer::Neutral | Answer::Failed) | None => Some(episode),
        }
    }

    pub(crate) fn cool(&mut self, to: usize, wait: Duration) {
        self.events += 1;
        if wait.is_zero() {
            return;
        }
        let (failures, left) = match self.episode(to) {
            None => (0, Duration::ZERO),
            Some(Episode { phase: Phase::Cooling { until }, failures, .. }) => {
                (failures, until.saturating_sub(self.now))
            }
            Some(Episode { failures, .. }) => (failures, Duration::ZERO),
        };
        // Nobody refused: the memory counts from the end.
        let begun = self.begin(failures, wait.max(left));
        self.episodes[to] = Some(Episode { last_refusal: begun.until, ..begun });
    }

    pub(crate) fn clear(&mut self, to: usize) {
        self.events += 1;
        self.episodes[to] = None;
    }

    /// A cooldown begins; the calls that are out are stale.
    fn begin(&self, failures: u32, wait: Duration) -> Episode {
        let until = self.now + wait;
        let phase = Phase::Cooling { until };
        Episode { phase, failures, last_refusal: self.now, until, outdated: self.events }
    }
}
