//! What must be so, reckoned from the promises: a line of a book for each upstream.

use std::time::Duration;

use tokio::time::Instant;
use tower_retry_after::{Cooldowns, RateLimited, Reason, State, Upstream};

use super::{Ending, Settings};
use crate::wire::now;

const SECOND: Duration = Duration::from_secs(1);

/// What is known of an upstream in trouble.
#[derive(Clone, Copy, Debug)]
struct Known {
    phase: Phase,
    failures: u32,
    /// When the last refusal was heard, or what stands for it.
    began: Instant,
    /// Until when it wanted calls to stay away.
    ends: Instant,
    /// The step that made older calls stale.
    raised: usize,
}

impl Known {
    /// A cooldown begins, no shorter than what runs; calls that are out are stale.
    fn begin(failures: u32, wait: Duration, running: Instant, step: usize) -> Self {
        let until = running.max(now() + wait);
        let phase = Phase::Cooling { until };
        Self { phase, failures, began: now(), ends: until, raised: step }
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Cooling {
        until: Instant,
    },
    /// `newest` was sent as the probe.
    Probing {
        lease: Instant,
        newest: usize,
    },
    Reopening {
        width: u32,
        since: usize,
        in_flight: u32,
    },
}

/// What becomes of a call that asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Sent,
    Held(Reason),
}

#[derive(Debug)]
pub(super) struct Judge {
    settings: Settings,
    known: Vec<Option<Known>>,
    /// An upstream that has come into trouble since somebody looked: another may have
    /// had to make room.
    newcomer: Option<usize>,
    evicted: u64,
}

impl Judge {
    pub(super) fn new(settings: Settings, upstreams: usize) -> Self {
        Self { settings, known: vec![None; upstreams], newcomer: None, evicted: 0 }
    }

    /// What is known of an upstream whose time has not come.
    fn known(&self, of: usize) -> Option<Known> {
        self.known[of].filter(|known| now() < self.forgotten(known))
    }

    fn forgotten(&self, known: &Known) -> Instant {
        let since = match known.phase {
            Phase::Cooling { .. } | Phase::Probing { .. } => known.ends,
            Phase::Reopening { .. } => known.began,
        };
        since + self.settings.forget_after
    }

    fn answer(&self, to: usize) -> Answer {
        match self.known(to).map(|known| known.phase) {
            Some(Phase::Cooling { until }) if now() < until => Answer::Held(Reason::Cooling),
            Some(Phase::Probing { lease, .. }) if now() < lease => Answer::Held(Reason::Probing),
            Some(Phase::Reopening { width, in_flight, .. }) if in_flight >= width => {
                Answer::Held(Reason::Reopening)
            }
            _ => Answer::Sent,
        }
    }

    /// A call has reached the wire.
    pub(super) fn sent(&mut self, to: usize, step: usize) {
        assert_eq!(self.answer(to), Answer::Sent, "sent to {to}, of whom {:?}", self.known(to));
        self.known[to] = self.known(to).map(|known| {
            let phase = match known.phase {
                Phase::Cooling { .. } | Phase::Probing { .. } => {
                    Phase::Probing { lease: now() + self.settings.probe_lease, newest: step }
                }
                Phase::Reopening { width, since, in_flight } => {
                    Phase::Reopening { width, since, in_flight: in_flight + 1 }
                }
            };
            Known { phase, ..known }
        });
    }

    /// A call was rejected.
    pub(super) fn held(&self, to: usize, limited: &RateLimited) {
        let expected = self.answer(to);
        assert_eq!(Answer::Held(limited.reason()), expected, "{to}: {:?}", self.known(to));
        let known = self.known(to).expect("it is held back");
        let least = Duration::from_millis(1);
        let told = limited.retry_after();
        match known.phase {
            Phase::Cooling { until } => {
                let until = until.min(self.forgotten(&known));
                assert_eq!(told, (until - now()).max(least), "{known:?}");
            }
            Phase::Probing { .. } | Phase::Reopening { .. } => {
                assert!((least..=SECOND).contains(&told), "{told:?} is not short");
            }
        }
        assert_eq!(limited.until(), now() + told);
        assert_eq!(limited.consecutive_failures(), known.failures);
        assert_eq!(limited.upstream().to_string(), format!("https://{to}.example"));
    }

    /// A call has ended that was sent in that step; it asked the one and was answered by
    /// the other.
    pub(super) fn ended(&mut self, who: (usize, usize), sent: usize, end: Ending, step: usize) {
        let (asked, answered) = who;
        if asked == answered {
            return self.hear(asked, (sent, true), end, step);
        }
        // Nobody asked whether the call may go on to a cooling upstream.
        let is_cooling = self.answer(answered) == Answer::Held(Reason::Cooling);
        self.hear(asked, (sent, true), Ending::Succeeded, step);
        match end {
            Ending::Refused(_) | Ending::Exhausted(_) => {
                let sent = if is_cooling { 0 } else { sent };
                self.hear(answered, (sent, false), end, step);
            }
            Ending::Succeeded => self.hear(answered, (sent, false), end, step),
            Ending::Neutral | Ending::Dropped => {}
        }
    }

    /// What an ending says of an upstream. `own` calls may hold something there.
    fn hear(&mut self, of: usize, (sent, own): (usize, bool), end: Ending, step: usize) {
        let ignored = self.settings.max_retry_after.is_zero();
        let end = match end {
            Ending::Exhausted(_) if ignored => Ending::Succeeded,
            end => end,
        };
        let Some(known) = self.known(of) else {
            self.known[of] = match end {
                Ending::Refused(hint) => {
                    Some(Known::begin(1, self.settings.wait(1, hint), now(), step))
                }
                Ending::Exhausted(reset) => {
                    Some(Known::begin(0, reset.min(self.settings.max_retry_after), now(), step))
                }
                Ending::Succeeded | Ending::Neutral | Ending::Dropped => None,
            };
            self.newcomer = self.known[of].map(|_| of).or(self.newcomer);
            return;
        };
        self.known[of] = if sent < known.raised {
            Some(self.overhear(known, end))
        } else {
            self.heed(known, (sent, own), end, step)
        };
    }

    /// A stale call can only raise the end of a cooldown.
    fn overhear(&self, known: Known, end: Ending) -> Known {
        let hint = match end {
            Ending::Refused(hint) => hint,
            Ending::Exhausted(reset) => Some(reset),
            Ending::Succeeded | Ending::Neutral | Ending::Dropped => None,
        };
        match (known.phase, self.settings.usable(hint)) {
            (Phase::Cooling { until }, Some(hint)) if now() + hint > until => {
                let until = now() + hint;
                Known { phase: Phase::Cooling { until }, ends: until, ..known }
            }
            _ => known,
        }
    }

    fn heed(
        &self,
        known: Known,
        (sent, own): (usize, bool),
        end: Ending,
        step: usize,
    ) -> Option<Known> {
        let running = match known.phase {
            Phase::Cooling { until } => until,
            Phase::Probing { .. } | Phase::Reopening { .. } => now(),
        };
        let is_asked_for = matches!(known.phase, Phase::Cooling { .. }) && now() < known.ends;
        let is_probe =
            own && matches!(known.phase, Phase::Probing { newest, .. } if newest == sent);
        match end {
            Ending::Refused(hint) => {
                let failures = known.failures + 1;
                let wait = self.settings.wait(failures, hint);
                Some(Known::begin(failures, wait, running, step))
            }
            Ending::Exhausted(_) if is_asked_for => Some(self.overhear(known, end)),
            Ending::Exhausted(reset) => {
                Some(Known::begin(0, reset.min(self.settings.max_retry_after), running, step))
            }
            Ending::Succeeded if is_asked_for => Some(known),
            Ending::Succeeded => {
                let (width, since, in_flight) = match known.phase {
                    Phase::Reopening { width, since, in_flight } => {
                        (width + 1, since, in_flight - u32::from(own && sent > since))
                    }
                    Phase::Cooling { .. } | Phase::Probing { .. } => (2, step, 0),
                };
                let phase = Phase::Reopening { width, since, in_flight };
                (width <= self.settings.reopen_width).then_some(Known {
                    phase,
                    failures: 0,
                    ..known
                })
            }
            Ending::Neutral if is_probe => {
                let pause = match self.settings.ladder.base() {
                    Duration::ZERO => SECOND,
                    base => base.min(SECOND),
                };
                Some(Known { phase: Phase::Cooling { until: now() + pause }, ..known })
            }
            Ending::Dropped if is_probe => {
                Some(Known { phase: Phase::Cooling { until: now() }, ..known })
            }
            Ending::Neutral | Ending::Dropped => match known.phase {
                Phase::Reopening { width, since, in_flight } => {
                    let in_flight = in_flight - u32::from(own && sent > since);
                    Some(Known { phase: Phase::Reopening { width, since, in_flight }, ..known })
                }
                Phase::Cooling { .. } | Phase::Probing { .. } => Some(known),
            },
        }
    }

    pub(super) fn cooled(&mut self, to: usize, wait: Duration, step: usize) {
        if wait.is_zero() {
            return;
        }
        let known = self.known(to);
        let (failures, running) = match known {
            None => (0, now()),
            Some(Known { phase: Phase::Cooling { until }, failures, .. }) => (failures, until),
            Some(Known { failures, .. }) => (failures, now()),
        };
        let begun = Known::begin(failures, wait, running, step);
        // Nobody refused: the memory counts from the end.
        self.known[to] = Some(Known { began: begun.ends, ..begun });
        if known.is_none() {
            self.newcomer = Some(to);
        }
    }

    pub(super) fn cleared(&mut self, to: usize) {
        self.known[to] = None;
    }

    /// Compares the book with what the table shows.
    pub(super) fn compare(&mut self, cooldowns: &Cooldowns, upstreams: &[Upstream]) {
        self.make_room(cooldowns, upstreams);
        for (of, upstream) in upstreams.iter().enumerate() {
            let shown = cooldowns.get(upstream).map(|info| {
                let until = (info.state() != State::Reopening).then_some(info.until());
                (info.state(), until, info.consecutive_failures())
            });
            let expected = self.known(of).map(|known| {
                let gone = self.forgotten(&known);
                let (state, until) = match known.phase {
                    Phase::Cooling { until } => (State::Cooling, Some(until.min(gone))),
                    Phase::Probing { lease, .. } => (State::Probing, Some(lease.min(gone))),
                    Phase::Reopening { width, in_flight, .. } => {
                        assert!(in_flight <= width && width <= self.settings.reopen_width);
                        (State::Reopening, None)
                    }
                };
                (state, until, known.failures)
            });
            assert_eq!(shown, expected, "upstream {of}: {:?}", self.known[of]);
        }
        assert_eq!(cooldowns.evicted(), self.evicted, "evictions");
    }

    /// Where the table is full, the one whose cooldown ended or ends first has made room
    /// for a newcomer.
    fn make_room(&mut self, cooldowns: &Cooldowns, upstreams: &[Upstream]) {
        let Some(newcomer) = self.newcomer.take() else {
            return;
        };
        let others = (0..self.known.len()).filter(|of| *of != newcomer);
        let others: Vec<usize> = others.filter(|of| self.known(*of).is_some()).collect();
        let ends = |of: usize| self.known[of].map(|known| known.ends);
        let gone = others.iter().copied().find(|of| cooldowns.get(&upstreams[*of]).is_none());
        assert!(gone.is_some() || others.len() < self.settings.max_upstreams, "there was no room");
        let Some(gone) = gone else {
            return;
        };
        let first = others.iter().filter_map(|of| ends(*of)).min();
        assert_eq!(ends(gone), first, "{gone} made room before its turn");
        self.evicted += u64::from(first.is_some_and(|first| now() < first));
        self.known[gone] = None;
    }
}
