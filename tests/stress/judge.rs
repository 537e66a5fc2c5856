//! What the threads know for certain of each upstream, and what contradicts it.
//!
//! *What can be known?* Only what was over before a call began. So whatever may end
//! a cooldown or a probe is counted before it begins and after it is done; what
//! overlaps with such is not judged.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tower_retry_after::observe::{Event, Transition, Trigger};
use tower_retry_after::{Cooldowns, State, Upstream};

use crate::clock::{Clock, Nanos, nanos};
use crate::peer::Happened;

/// How long a probe that learned nothing keeps the next one waiting.
pub(crate) const NEUTRAL_PAUSE: Duration = Duration::from_millis(20);

/// What is known of the upstreams of a table.
pub(crate) struct Judge {
    name: &'static str,
    /// The upstreams go when their time has come, and for no want of room.
    has_room: bool,
    lease: Nanos,
    known: Vec<Known>,
    /// Whatever looked wrong, unless it turns out that the upstream was forgotten, or
    /// had to make room.
    suspects: Mutex<Vec<Suspect>>,
    told: Mutex<Vec<Told>>,
    /// The number of the last change that was judged.
    judged: AtomicU64,
    pub(crate) counts: Counts,
}

/// What is known of one upstream.
#[derive(Default)]
pub(crate) struct Known {
    /// Hands that clear it.
    pub(crate) clears: Span,
    /// Verdicts, and whatever else may end a probe's time.
    pub(crate) verdicts: Span,
    hold: Mutex<Hold>,
    probes: Mutex<Vec<Probe>>,
    probed: AtomicU64,
    /// How often it was forgotten or had to make room, as far as that was told.
    displaced: AtomicU64,
}

/// Counts what begins and what is done.
#[derive(Default)]
pub(crate) struct Span {
    begun: AtomicU64,
    done: AtomicU64,
}

/// Nothing is sent before `until`, unless it was cleared since.
#[derive(Clone, Copy, Default)]
struct Hold {
    until: Nanos,
    clears: u64,
    displaced: u64,
}

/// A probe was sent at that time, by its thread's clock.
struct Probe {
    at: Nanos,
    /// What had begun before it asked; and all of that was done.
    verdicts: u64,
}

struct Suspect {
    upstream: usize,
    displaced: u64,
    what: String,
}

#[derive(Clone, Copy)]
struct Told {
    number: u64,
    upstream: usize,
    from: State,
    to: State,
    by: Trigger,
}

/// What was known before a call did anything.
pub(crate) struct Before {
    hold: Hold,
    verdicts: Option<u64>,
    displaced: u64,
}

/// How often what happened.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) probes: AtomicU64,
    pub(crate) places: AtomicU64,
    pub(crate) rejected: AtomicU64,
    /// Sent, though they would have been rejected.
    pub(crate) shadowed: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) holds: AtomicU64,
    pub(crate) paired: AtomicU64,
    pub(crate) displaced: AtomicU64,
    pub(crate) widths: AtomicU64,
    pub(crate) forgotten: AtomicU64,
}

impl Span {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    pub(crate) fn end(&self) {
        self.done.fetch_add(1, SeqCst);
    }

    pub(crate) fn during<T>(&self, action: impl FnOnce() -> T) -> T {
        self.begin();
        let outcome = action();
        self.end();
        outcome
    }

    /// Returns how many have begun, if all of them are done.
    fn quiet(&self) -> Option<u64> {
        let done = self.done.load(SeqCst);
        (self.begun.load(SeqCst) == done).then_some(done)
    }

    fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }
}

impl Judge {
    pub(crate) fn new(
        name: &'static str,
        upstreams: usize,
        has_room: bool,
        lease: Duration,
    ) -> Self {
        Self {
            name,
            has_room,
            lease: nanos(lease),
            known: (0..upstreams).map(|_| Known::default()).collect(),
            suspects: Mutex::default(),
            told: Mutex::default(),
            judged: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    pub(crate) fn of(&self, upstream: usize) -> &Known {
        &self.known[upstream]
    }

    /// Looks before a call does anything.
    pub(crate) fn before(&self, upstream: usize) -> Before {
        let known = self.of(upstream);
        let displaced = known.displaced.load(SeqCst);
        Before { hold: *lock(&known.hold), verdicts: known.verdicts.quiet(), displaced }
    }

    /// Judges a call that was sent.
    pub(crate) fn sent(&self, upstream: usize, before: &Before, happened: Happened, clock: &Clock) {
        if happened.shadowed.is_some() {
            return add(&self.counts.shadowed);
        }
        let known = self.of(upstream);
        let Hold { until, clears, displaced } = before.hold;
        let latest = clock.latest();
        if latest < until && known.clears.begun() == clears {
            let left = Duration::from_nanos(until - latest);
            let what = format!("a call was sent in a cooldown, {left:?} before its end");
            self.suspect(upstream, displaced, what);
        }
        add(&self.counts.sent);
        match happened.state {
            Some(State::Probing) => self.probe_sent(upstream, before, clock),
            Some(State::Reopening) => add(&self.counts.places),
            _ => {}
        }
    }

    fn probe_sent(&self, upstream: usize, before: &Before, clock: &Clock) {
        add(&self.counts.probes);
        let known = self.of(upstream);
        known.probed.fetch_add(1, SeqCst);
        let Some(verdicts) = before.verdicts else {
            return;
        };
        let at = clock.here();
        let mut probes = lock(&known.probes);
        let begun = known.verdicts.begun();
        probes.retain(|probe| probe.verdicts == begun);
        if let Some(other) = probes.iter().find(|other| {
            // Which of the two came first is not known here, but that nothing has
            // ended it.
            begun == other.verdicts.min(verdicts) && at.abs_diff(other.at) < self.lease
        }) {
            let apart = Duration::from_nanos(at.abs_diff(other.at));
            let what = format!("two probes were sent {apart:?} apart");
            self.suspect(upstream, before.displaced, what);
        }
        add(&self.counts.paired);
        probes.push(Probe { at, verdicts });
    }

    /// Judges the answer to a probe that nothing else can have ended, be it the next:
    /// it counts, whatever it is.
    pub(crate) fn probe_answered(&self, upstream: usize, before: &Before, happened: Happened) {
        let is_undisturbed = before
            .verdicts
            .is_some_and(|verdicts| self.of(upstream).verdicts.begun() == verdicts + 1);
        if self.lease >= LONG && is_undisturbed && !happened.is_change {
            // It may have been forgotten, as its time has come: that is told by another.
            let (displaced, what) = (before.displaced, "a probe's verdict was lost".into());
            lock(&self.suspects).push(Suspect { upstream, displaced, what });
        }
    }

    /// Looks for a cooldown that nothing but a clearing hand can end.
    pub(crate) fn learn(
        &self,
        number: usize,
        upstream: &Upstream,
        table: &Cooldowns,
        clock: &Clock,
    ) {
        let known = self.of(number);
        let Some(clears) = known.clears.quiet() else {
            return;
        };
        let displaced = known.displaced.load(SeqCst);
        let Some(info) = table.get(upstream) else {
            return;
        };
        let until = clock.at(info.until());
        // Else it may be the pause after a probe, which a late success ends.
        let is_certain = until > clock.latest() + nanos(NEUTRAL_PAUSE);
        if info.state() == State::Cooling && is_certain {
            let mut hold = lock(&known.hold);
            if until > hold.until || clears > hold.clears {
                add(&self.counts.holds);
                *hold = Hold { until, clears, displaced };
            }
        }
    }

    fn suspect(&self, upstream: usize, displaced: u64, what: String) {
        assert!(!self.has_room, "{self}, upstream {upstream}: {what}");
        lock(&self.suspects).push(Suspect { upstream, displaced, what });
    }

    /// Hears what the table tells.
    pub(crate) fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Transition(transition) => {
                Happened::note(|happened| happened.is_change = true);
                self.note(transition);
            }
            Event::Admitted(admitted) => {
                let state = admitted.state();
                Happened::note(|happened| happened.state = Some(state));
            }
            Event::WouldReject(limited) => {
                let reason = limited.reason();
                Happened::note(|happened| happened.shadowed = Some(reason));
            }
            _ => {}
        }
    }

    fn note(&self, transition: &Transition) {
        let name = transition.upstream().to_string();
        let upstream = number_of(&name);
        let (from, to, by) = (transition.from(), transition.to(), transition.by());
        if let Trigger::Evicted | Trigger::Displaced | Trigger::Forgotten = by {
            self.of(upstream).displaced.fetch_add(1, SeqCst);
            add(&self.counts.displaced);
        }
        lock(&self.told).push(Told { number: transition.number(), upstream, from, to, by });
    }

    /// Judges what has gathered; nobody may be at the table.
    pub(crate) fn sum_up(&self, is_watched: bool) {
        for Suspect { upstream, displaced, what } in std::mem::take(&mut *lock(&self.suspects)) {
            let is_excused = !is_watched || self.of(upstream).displaced.load(SeqCst) > displaced;
            assert!(is_excused, "{self}, upstream {upstream}: {what}, and it was not forgotten");
        }
        let mut told = std::mem::take(&mut *lock(&self.told));
        told.sort_unstable_by_key(|told| told.number);
        let mut states = vec![State::Clear; self.known.len()];
        let mut probes = vec![0; self.known.len()];
        let mut number = self.judged.load(SeqCst);
        for Told { number: next, upstream, from, to, by } in told {
            number += 1;
            assert_eq!(next, number, "{self}: a change is missing, or told twice");
            assert_eq!(from, states[upstream], "{self}, upstream {upstream}: {from} to {to}, {by}");
            let is_lawful = match to {
                State::Probing => from == State::Cooling && by == Trigger::ProbeSent,
                State::Reopening => {
                    matches!(from, State::Probing | State::Cooling) && by == Trigger::Succeeded
                }
                // A burst is one rung: where no probe is overdue, whatever is out while
                // the upstream cools was sent before.
                State::Cooling if from == State::Cooling && self.lease >= LONG => {
                    by == Trigger::Cooled
                }
                _ => true,
            };
            assert!(is_lawful, "{self}, upstream {upstream}: {from} to {to}, {by}");
            states[upstream] = to;
            probes[upstream] += u64::from(by == Trigger::ProbeSent);
        }
        self.judged.store(number, SeqCst);
        let is_clear = states.iter().all(|&state| state == State::Clear);
        assert!(is_clear, "{self}: that an upstream is Clear was not told");
        for (upstream, known) in self.known.iter().enumerate() {
            assert_eq!(
                known.verdicts.quiet(),
                Some(known.verdicts.begun()),
                "this test has lost count"
            );
            lock(&known.probes).clear();
            let sent = known.probed.swap(0, SeqCst);
            let overdue = sent.saturating_sub(probes[upstream]);
            assert!(
                !is_watched || overdue == 0 || self.lease < LONG,
                "{self}, upstream {upstream}: {overdue} probes too many"
            );
        }
    }
}

/// A lease that does not run out between two pauses.
pub(crate) const LONG: Nanos = 86_400_000_000_000;

/// The number in `https://12.example`.
fn number_of(name: &str) -> usize {
    let host = name.trim_start_matches("https://");
    host.split('.').next().unwrap_or_default().parse().expect("an upstream of this test")
}

pub(crate) fn add(count: &AtomicU64) {
    count.fetch_add(1, SeqCst);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}", self.name)
    }
}
