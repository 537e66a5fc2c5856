//! What a model drives: a table, and calls that go about it as the service does.
//!
//! Times are whole seconds since the table was made. A cooldown's first rung is
//! 60 s, its second 120 s; a probe's lease is 30 s.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

use crate::cooldown::{Cooldown, Ending, Phase, Reason, Refusal, Role, Rules};
use crate::cooldowns::changes::Changes;
use crate::cooldowns::table::{Admission, Entered, Table};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// How long past its cooldown an episode is forgotten.
pub const FORGET_AFTER: u64 = 7200;

/// A table and the rules of a layer; clones share the table.
#[derive(Clone)]
pub struct World {
    // Not loom's: who shares the table is not what is checked.
    table: Arc<Table>,
    rules: Rules,
    /// What was told, where somebody watches; nor is this.
    told: Option<Arc<Mutex<Log>>>,
}

/// A change as it was told: its number, and the states before and after.
pub type Told = (u64, &'static str, &'static str);

/// What was told of whom.
type Log = Vec<(Upstream, Told)>;

/// What a call met.
#[derive(Debug)]
pub enum Met {
    /// It was sent.
    Sent(Permit),
    /// It was rejected, for that reason.
    Held(Reason),
}

/// What an admitted call carries until its verdict.
#[derive(Debug)]
pub struct Permit {
    world: World,
    upstream: Upstream,
    generation: u64,
    role: Role,
}

/// What is known of an upstream.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Known {
    /// Nothing: it has no entry.
    Clear,
    /// It cools at this rung until then.
    Cooling(u32, u64),
    /// A probe is out, at this rung.
    Probing(u32),
    /// So many places, and so many of them taken.
    Reopening {
        /// How many may be in flight.
        width: u32,
        /// How many are.
        in_flight: u32,
    },
}

impl World {
    /// A table with room for that many upstreams.
    pub fn with_room_for(max_upstreams: usize) -> Self {
        let table = Table::new(max_upstreams, Duration::from_secs(FORGET_AFTER));
        Self { table: Arc::new(table), rules: Rules::default(), told: None }
    }

    /// The same, and somebody watches.
    #[must_use]
    pub fn watched(self) -> Self {
        Self { told: Some(Arc::default()), ..self }
    }

    /// The same, where a Reopening upstream admits no more than that many.
    #[must_use]
    pub fn reopening_to(self, reopen_width: u32) -> Self {
        Self { rules: Rules { reopen_width, ..self.rules }, ..self }
    }

    /// Returns what was told of an upstream, by its numbers.
    pub fn told_of(&self, upstream: &Upstream) -> Vec<Told> {
        let told = self.told.iter().flat_map(|told| {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let told = told.iter().filter(|(of, _)| of == upstream);
            told.map(|(_, told)| *told).collect::<Vec<Told>>()
        });
        let mut told: Vec<Told> = told.collect();
        told.sort_unstable();
        told
    }

    /// Takes a step, and tells what it has changed.
    fn step<T>(&self, step: impl FnOnce(&mut Changes) -> T) -> T {
        let mut changes = Changes::kept(self.told.is_some());
        let outcome = step(&mut changes);
        if let Some(told) = &self.told {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.extend(changes.into_iter().map(|change| {
                (change.upstream, (change.number, word(change.from), word(change.to.phase)))
            }));
        }
        outcome
    }

    /// Makes a call, in the steps of `service.rs`.
    pub fn call(&self, upstream: &Upstream, now: u64) -> Met {
        let Entered { generation, is_quiet } = self.table.enter();
        if is_quiet {
            return Met::Sent(self.permit(upstream, generation, Role::Free));
        }
        let ask = |now| {
            self.step(|changes| self.table.ask(upstream, generation, now, &self.rules, changes))
        };
        match self.table.admit(upstream, generation, || at(now), ask) {
            Admission::Admitted { generation, role } => {
                Met::Sent(self.permit(upstream, generation, role))
            }
            Admission::Rejected { notice, .. } => Met::Held(notice.reason),
        }
    }

    /// Makes a call; if it is sent, it is refused. Says whether it was sent.
    pub fn call_and_be_refused(&self, upstream: &Upstream, now: u64) -> bool {
        self.call(upstream, now).sent().map(|permit| permit.refused(now)).is_some()
    }

    /// Brings an upstream into Reopening at `now`, by a refusal and a probe.
    pub fn reopen(&self, upstream: &Upstream, now: u64) {
        self.cool(upstream, 1, now.saturating_sub(1));
        self.call(upstream, now).permit().succeeded(now);
    }

    /// Forgets an upstream by hand.
    pub fn clear(&self, upstream: &Upstream) {
        self.step(|changes| self.table.clear(upstream, at(0), changes));
    }

    /// Cools an upstream by hand.
    pub fn cool(&self, upstream: &Upstream, wait: u64, now: u64) {
        let wait = Duration::from_secs(wait);
        self.step(|changes| self.table.cool(upstream, wait, at(now), changes));
    }

    /// Forgets the upstreams whose time has come.
    pub fn sweep(&self, now: u64) {
        self.step(|changes| self.table.sweep(at(now), changes));
    }

    /// Returns what is known of an upstream.
    pub fn known(&self, upstream: &Upstream, now: u64) -> Known {
        self.table.get(upstream, at(now)).map_or(Known::Clear, Known::of)
    }

    /// Returns what a snapshot shows, whatever goes on meanwhile.
    pub fn shown(&self, now: u64) -> Vec<Known> {
        self.table.all(at(now)).into_iter().map(|(_, state)| Known::of(state)).collect()
    }

    /// Returns how many entries there are.
    ///
    /// # Panics
    ///
    /// Panics when the count and the entries do not agree. Only a world that
    /// stands still may be asked.
    pub fn entries(&self, now: u64) -> usize {
        let entries = self.table.all(at(now)).len();
        assert_eq!(self.table.tracked(), entries, "the count must be that of the entries");
        entries
    }

    /// Returns how many were forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    fn permit(&self, upstream: &Upstream, generation: u64, role: Role) -> Permit {
        Permit { world: self.clone(), upstream: upstream.clone(), generation, role }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Met {
    /// Returns the permit of a call that must have been sent.
    ///
    /// # Panics
    ///
    /// Panics when the call was rejected.
    #[expect(clippy::panic, reason = "a model that does not come about fails")]
    pub fn permit(self) -> Permit {
        match self {
            Self::Sent(permit) => permit,
            Self::Held(reason) => panic!("the call was rejected: {reason:?}"),
        }
    }

    /// Returns the permit, if the call was sent.
    pub fn sent(self) -> Option<Permit> {
        match self {
            Self::Sent(permit) => Some(permit),
            Self::Held(_) => None,
        }
    }

    /// Puts it in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sent(Permit { role: Role::Free, .. }) => "free",
            Self::Sent(Permit { role: Role::Probe(_), .. }) => "probe",
            Self::Sent(Permit { role: Role::Place | Role::Late, .. }) => "place",
            Self::Held(Reason::Cooling) => "cooling",
            Self::Held(Reason::Probing) => "probing",
            Self::Held(Reason::Reopening) => "reopening",
            Self::Held(Reason::Refused) => "refused",
        }
    }
}

impl Permit {
    /// The upstream refuses, without a hint.
    pub fn refused(self, now: u64) {
        self.refused_with(None, now);
    }

    /// The upstream refuses and asks for that many seconds.
    pub fn refused_for(self, hint: u64, now: u64) {
        self.refused_with(Some(Duration::from_secs(hint)), now);
    }

    /// The upstream answers, for the last time in that many seconds.
    pub fn exhausted(self, reset: u64, now: u64) {
        let reset = Duration::from_secs(reset);
        self.settle(Ending::Exhausted { reset, sample: 0.0 }, now);
    }

    /// The upstream answers.
    pub fn succeeded(self, now: u64) {
        self.give_back(Ending::Succeeded, now);
    }

    /// The upstream says nothing about limits.
    pub fn neutral(self, now: u64) {
        self.give_back(Ending::Neutral, now);
    }

    /// The caller gives up.
    pub fn dropped(self, now: u64) {
        self.give_back(Ending::Dropped, now);
    }

    fn refused_with(self, hint: Option<Duration>, now: u64) {
        let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, hint };
        self.settle(Ending::Refused { refusal, sample: 0.0 }, now);
    }

    /// As in `permit.rs`: a free call has nothing to give back.
    fn give_back(self, ending: Ending, now: u64) {
        if self.role != Role::Free {
            self.settle(ending, now);
        }
    }

    fn settle(self, ending: Ending, now: u64) {
        let World { table, rules, .. } = &self.world;
        let admitted = (self.generation, self.role);
        self.world.step(|changes| {
            table.settle(&self.upstream, admitted, ending, at(now), rules, changes);
        });
    }
}

impl Known {
    fn of(state: Cooldown) -> Self {
        let rung = state.cause.rung;
        match state.phase {
            Phase::Clear => Self::Clear,
            Phase::Cooling { until } => Self::Cooling(rung, until.since(Moment::START).as_secs()),
            Phase::Probing { .. } => Self::Probing(rung),
            Phase::Reopening { width, in_flight } => Self::Reopening { width, in_flight },
        }
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Clear => "clear",
        Phase::Cooling { .. } => "cooling",
        Phase::Probing { .. } => "probing",
        Phase::Reopening { .. } => "reopening",
    }
}

fn at(seconds: u64) -> Moment {
    Moment::START.after(Duration::from_secs(seconds))
}
