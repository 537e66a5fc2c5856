//! The judge: sees what arrives at the upstreams and when, and what callers get; knows
//! the rules, what people do by hand, and whom a full table has forgotten.
//!
//! Violations are collected: a panic in the midst of a call would be taken for the
//! user's own.
//!
//! Its book is much like that of the fuzz target `table`, which is kept by another crate:
//! both are written from the promises, and what both have read wrongly neither sees. What
//! depends on no reading is the wire: what arrives where, and who is served in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tower_retry_after::{RateLimited, Reason};

use super::chance::Transcript;
use super::wire::Ask;
use super::{HEALED, Rules, now};

const SECOND: Duration = Duration::from_secs(1);

/// From when on nobody cools any more: a refusal may have been on its way for a little
/// more than a minute when the upstreams became well, and then counts for two at most.
const HEALED_FOR_SURE: Duration = Duration::from_millis(HEALED + 200_000);

/// How a call ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Refused(Option<Duration>),
    Exhausted(Duration),
    Succeeded,
    Neutral,
    Dropped,
    /// A success that makes the user's classifier panic, where there is one.
    Panicked,
}

/// What must be so at an upstream in trouble.
#[derive(Clone, Debug)]
struct Known {
    phase: Phase,
    /// The refusals of this episode.
    rung: u32,
    began: Instant,
    ends: Instant,
    /// The event that made older calls stale.
    raised: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    Cooling {
        until: Instant,
    },
    Probing {
        lease: Instant,
        newest: u64,
    },
    /// The calls that are out, and until when they count for sure.
    Reopening {
        width: usize,
        out: Vec<(u64, Instant)>,
    },
}

/// What is seen of one upstream.
#[derive(Debug)]
struct Seen {
    known: Option<Known>,
    /// Who stands in line, of those that are always ready, by their tickets.
    waiting: BTreeSet<u64>,
    transcript: Transcript,
}

/// What happened, in numbers: a run in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) refused: u64,
    pub(crate) held: u64,
    pub(crate) dropped: u64,
    pub(crate) probes: u64,
    pub(crate) superseded: u64,
    pub(crate) reopened: u64,
    pub(crate) redirected: u64,
    pub(crate) exhausted: u64,
    pub(crate) panicked: u64,
    pub(crate) waited: u64,
    pub(crate) evicted: u64,
    pub(crate) displaced: u64,
    pub(crate) forgotten: u64,
    pub(crate) highest_rung: u32,
}

#[derive(Debug)]
pub(crate) struct Judge {
    start: Instant,
    forget_after: Duration,
    upstreams: Vec<Seen>,
    events: u64,
    tickets: u64,
    violation: Option<String>,
    pub(crate) tally: Tally,
}

impl Judge {
    pub(crate) fn new(start: Instant, upstreams: usize, forget_after: Duration) -> Self {
        let seen = || Seen { known: None, waiting: BTreeSet::new(), transcript: Transcript::EMPTY };
        Self {
            start,
            forget_after,
            upstreams: (0..upstreams).map(|_| seen()).collect(),
            events: 0,
            tickets: 0,
            violation: None,
            tally: Tally::default(),
        }
    }

    /// The first violation that was seen.
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(crate) fn expect(&mut self, is_so: bool, or: &str) {
        if !is_so {
            self.violated(or);
        }
    }

    pub(crate) fn violated(&mut self, what: &str) {
        let at = now() - self.start;
        self.violation.get_or_insert_with(|| format!("at {at:?}: {what}"));
    }

    pub(crate) fn transcript(&self) -> Transcript {
        let mut all = Transcript::EMPTY;
        for seen in &self.upstreams {
            all.note(&[seen.transcript.hash()]);
        }
        all
    }

    fn note(&mut self, of: usize, words: &[u64]) {
        let at = u64::try_from((now() - self.start).as_nanos()).unwrap();
        let transcript = &mut self.upstreams[of].transcript;
        transcript.note(&[at]);
        transcript.note(words);
    }

    fn known(&self, of: usize) -> Option<&Known> {
        let known = self.upstreams[of].known.as_ref()?;
        (now() < self.forgotten(known)).then_some(known)
    }

    fn forgotten(&self, known: &Known) -> Instant {
        let since = match known.phase {
            Phase::Cooling { .. } | Phase::Probing { .. } => known.ends,
            Phase::Reopening { .. } => known.began,
        };
        since + self.forget_after
    }

    /// One that is always ready begins to wait, or to be sent at once.
    pub(crate) fn joins(&mut self, to: usize) -> u64 {
        self.tickets += 1;
        self.upstreams[to].waiting.insert(self.tickets);
        self.tickets
    }

    /// One waits no more: it has been answered, or has given up.
    pub(crate) fn leaves(&mut self, to: usize, ticket: u64) {
        self.upstreams[to].waiting.remove(&ticket);
    }

    /// A request has arrived; returns the number of that event.
    pub(crate) fn sent(&mut self, ask: Ask, caller: u64, rules: &Rules) -> u64 {
        let to = ask.to;
        self.events += 1;
        self.tally.sent += 1;
        let event = self.events;
        self.note(to, &[1, caller]);
        if let Some(ticket) = ask.ticket {
            let first = self.upstreams[to].waiting.first().copied();
            self.upstreams[to].waiting.remove(&ticket);
            if first.is_some_and(|first| first < ticket) {
                self.violated(&format!("{to}: {ticket} overtakes {first:?}"));
            }
        }
        let known = self.known(to).cloned();
        let Some(mut known) = known else {
            self.upstreams[to].known = None;
            return event;
        };
        match &mut known.phase {
            Phase::Cooling { until } if now() < *until => {
                let left = *until - now();
                self.violated(&format!("{to}: a request in a cooldown, {left:?} before its end"));
            }
            Phase::Probing { lease, .. } if now() < *lease => {
                self.violated(&format!("{to}: a request beside a probe"));
            }
            Phase::Cooling { .. } | Phase::Probing { .. } => {
                self.tally.probes += 1;
                self.tally.superseded += u64::from(matches!(known.phase, Phase::Probing { .. }));
                known.phase = Phase::Probing { lease: now() + rules.probe_lease, newest: event };
            }
            Phase::Reopening { width, out } => {
                let young = out.iter().filter(|(_, lapses)| now() < *lapses).count();
                if young >= *width {
                    let width = *width;
                    self.violated(&format!("{to}: {young} are out, of {width} at most"));
                }
                // The line lets those go that are out for longer; the table does not.
                let lapses = match ask.ticket {
                    Some(_) => now() + rules.probe_lease,
                    None if rules.waits => now() + rules.probe_lease,
                    None => now() + Duration::from_secs(100_000),
                };
                out.push((event, lapses));
            }
        }
        self.upstreams[to].known = Some(known);
        event
    }

    /// A caller of the rejecting layer was told that its call was not sent.
    pub(crate) fn held(&mut self, to: usize, limited: &RateLimited) {
        self.tally.held += 1;
        let told = limited.retry_after();
        let least = Duration::from_millis(1);
        self.expect(limited.until() == now() + told, "the two times that are told differ");
        let is_well = now() - self.start > HEALED_FOR_SURE;
        if is_well && limited.reason() == Reason::Cooling {
            self.violated(&format!("{to}: held back though all have long been well: {limited}"));
        }
        let Some(known) = self.known(to).cloned() else {
            return self.violated(&format!("{to}: held back while clear: {limited}"));
        };
        let gone = self.forgotten(&known);
        let is_right = match (&known.phase, limited.reason()) {
            (Phase::Cooling { until }, Reason::Cooling) => {
                let until = (*until).min(gone);
                now() < until && told == (until - now()).max(least)
            }
            (Phase::Probing { lease, .. }, Reason::Probing) => now() < *lease && told <= SECOND,
            (Phase::Reopening { width, out }, Reason::Reopening) => {
                told <= SECOND && out.len() >= *width
            }
            _ => false,
        };
        if !is_right || limited.consecutive_failures() != known.rung {
            let rung = limited.consecutive_failures();
            self.violated(&format!("{to}: told {told:?}, rung {rung}: {limited}; but {known:?}"));
        }
    }

    /// A call has ended: the upstream that was asked, and who answered.
    pub(crate) fn ended(
        &mut self,
        (asked, by): (usize, usize),
        sent: u64,
        ending: Ending,
        rules: &Rules,
    ) {
        self.events += 1;
        self.note(asked, &[2, by as u64, kind(ending)]);
        let ending = match ending {
            Ending::Panicked if rules.panics => {
                self.tally.panicked += 1;
                // The call is dropped with the panic, whoever has answered.
                return self.hear(asked, (sent, true), Ending::Dropped, rules);
            }
            Ending::Panicked => Ending::Succeeded,
            Ending::Exhausted(_) if !rules.heeds_quotas => Ending::Succeeded,
            ending => ending,
        };
        match ending {
            Ending::Refused(_) => self.tally.refused += 1,
            Ending::Dropped => self.tally.dropped += 1,
            Ending::Exhausted(_) => self.tally.exhausted += 1,
            Ending::Succeeded | Ending::Neutral | Ending::Panicked => {}
        }
        if asked == by {
            return self.hear(asked, (sent, true), ending, rules);
        }
        self.tally.redirected += 1;
        let cools =
            |known: &Known| matches!(known.phase, Phase::Cooling { until } if now() < until);
        let is_cooling = self.known(by).is_some_and(cools);
        self.hear(asked, (sent, true), Ending::Succeeded, rules);
        match ending {
            // Nobody asked whether the call may go on to a cooling upstream.
            Ending::Refused(_) | Ending::Exhausted(_) if is_cooling => {
                self.hear(by, (0, false), ending, rules);
            }
            Ending::Refused(_) | Ending::Exhausted(_) | Ending::Succeeded => {
                self.hear(by, (sent, false), ending, rules);
            }
            Ending::Neutral | Ending::Dropped | Ending::Panicked => {}
        }
    }

    /// What an ending says of an upstream. `own` calls may hold something there.
    fn hear(&mut self, of: usize, (sent, own): (u64, bool), ending: Ending, rules: &Rules) {
        let next = match self.known(of).cloned() {
            None => match ending {
                Ending::Refused(hint) => Some(self.begin(1, rules.wait(1, hint), now())),
                Ending::Exhausted(reset) => {
                    Some(self.begin(0, reset.min(rules.max_retry_after), now()))
                }
                Ending::Succeeded | Ending::Neutral | Ending::Dropped | Ending::Panicked => None,
            },
            Some(known) if sent < known.raised => Some(overhear(known, ending, rules)),
            Some(known) => self.heed(known, (sent, own), ending, rules),
        };
        let rung = next.as_ref().map_or(0, |known| known.rung);
        self.tally.highest_rung = self.tally.highest_rung.max(rung);
        self.upstreams[of].known = next;
    }

    fn heed(
        &mut self,
        mut known: Known,
        (sent, own): (u64, bool),
        ending: Ending,
        rules: &Rules,
    ) -> Option<Known> {
        let running = match known.phase {
            Phase::Cooling { until } => until,
            Phase::Probing { .. } | Phase::Reopening { .. } => now(),
        };
        let is_asked_for = matches!(known.phase, Phase::Cooling { .. }) && now() < known.ends;
        let is_probe =
            own && matches!(known.phase, Phase::Probing { newest, .. } if newest == sent);
        if let Phase::Reopening { out, .. } = &mut known.phase {
            out.retain(|(event, _)| !own || *event != sent);
        }
        match ending {
            Ending::Refused(hint) => {
                let rung = known.rung + 1;
                Some(self.begin(rung, rules.wait(rung, hint), running))
            }
            Ending::Exhausted(_) if is_asked_for => Some(overhear(known, ending, rules)),
            Ending::Exhausted(reset) => {
                Some(self.begin(0, reset.min(rules.max_retry_after), running))
            }
            Ending::Succeeded | Ending::Panicked if is_asked_for => Some(known),
            Ending::Succeeded | Ending::Panicked => {
                let (width, out) = match known.phase {
                    Phase::Reopening { width, out } => (width + 1, out),
                    Phase::Cooling { .. } | Phase::Probing { .. } => (2, Vec::new()),
                };
                let is_clear = width > rules.reopen_width;
                self.tally.reopened += u64::from(is_clear);
                let phase = Phase::Reopening { width, out };
                (!is_clear).then_some(Known { phase, rung: 0, ..known })
            }
            Ending::Neutral if is_probe => {
                let until = now() + rules.base.min(SECOND);
                Some(Known { phase: Phase::Cooling { until }, ..known })
            }
            Ending::Dropped if is_probe => {
                Some(Known { phase: Phase::Cooling { until: now() }, ..known })
            }
            Ending::Neutral | Ending::Dropped => Some(known),
        }
    }

    /// Somebody cools an upstream by hand.
    pub(crate) fn cooled(&mut self, of: usize, wait: Duration) {
        self.events += 1;
        let (rung, running) = match self.known(of) {
            None => (0, now()),
            Some(Known { phase: Phase::Cooling { until }, rung, .. }) => (*rung, *until),
            Some(Known { rung, .. }) => (*rung, now()),
        };
        let begun = self.begin(rung, wait, running);
        self.upstreams[of].known = Some(Known { began: begun.ends, ..begun });
    }

    pub(crate) fn cleared(&mut self, of: usize) {
        self.events += 1;
        self.upstreams[of].known = None;
    }

    /// A full table has forgotten an upstream, before the end of its cooldown or after.
    pub(crate) fn evicted(&mut self, of: usize, early: bool) {
        let count = if early { &mut self.tally.evicted } else { &mut self.tally.displaced };
        *count += 1;
        self.note(of, &[3]);
        if let Some(known) = self.upstreams[of].known.take()
            && (now() < known.ends) != early
        {
            self.violated(&format!("{of}: evicted, or displaced, is wrong: {known:?}"));
        }
    }

    /// The table says that the time of an upstream had come.
    pub(crate) fn said_forgotten(&mut self, of: usize) {
        self.tally.forgotten += 1;
        // What begins with this very event comes after what it finds forgotten.
        if let Some(known) = self.known(of).filter(|known| known.raised < self.events) {
            let what = format!("{of}: forgotten too early: {known:?}");
            self.violated(&what);
        }
    }

    /// A cooldown begins, no shorter than what runs; calls that are out are stale.
    fn begin(&self, rung: u32, wait: Duration, running: Instant) -> Known {
        let until = running.max(now() + wait);
        let phase = Phase::Cooling { until };
        Known { phase, rung, began: now(), ends: until, raised: self.events }
    }
}

/// A stale call can only raise the end of a cooldown.
fn overhear(known: Known, ending: Ending, rules: &Rules) -> Known {
    let hint = match ending {
        Ending::Refused(hint) => hint,
        Ending::Exhausted(reset) => Some(reset),
        Ending::Succeeded | Ending::Neutral | Ending::Dropped | Ending::Panicked => None,
    };
    match (&known.phase, rules.usable(hint)) {
        (Phase::Cooling { until }, Some(hint)) if now() + hint > *until => {
            let until = now() + hint;
            Known { phase: Phase::Cooling { until }, ends: until, ..known }
        }
        _ => known,
    }
}

fn kind(ending: Ending) -> u64 {
    match ending {
        Ending::Refused(hint) => 10 + hint.map_or(0, |hint| hint.as_secs()),
        Ending::Exhausted(_) => 1,
        Ending::Succeeded => 2,
        Ending::Neutral => 3,
        Ending::Dropped => 4,
        Ending::Panicked => 5,
    }
}
