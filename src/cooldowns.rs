//! The shared table of upstreams, and the handle on it.
//!
//! The table itself (`cooldowns/table.rs`) knows no clock; here instants become
//! moments and back, and people come in: who looks, cools, clears and waits.

mod builder;
mod cell;
mod changes;
#[cfg(feature = "redis")]
mod fleet;
mod info;
mod known;
mod line;
mod map;
mod ready;
mod snapshot;
mod table;
mod telling;
mod trigger;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::builder::CooldownsBuilder;
pub(crate) use self::changes::Changes;
#[cfg(feature = "redis")]
pub(crate) use self::fleet::WeakCooldowns;
pub use self::info::{CooldownInfo, State};
pub(crate) use self::known::{Known, Prospect};
use self::line::LATE;
pub(crate) use self::line::{Lines, Place, Ticket};
use self::ready::{Outlook, Waiters};
pub use self::snapshot::CooldownsSnapshot;
use self::table::Table;
pub(crate) use self::table::{Admission, Entered};
pub use self::trigger::Trigger;
use crate::ambient;
#[cfg(feature = "serde")]
use crate::cooldown::Record;
use crate::cooldown::{Cooldown, Ending, Role, Rules};
#[cfg(feature = "schedule")]
use crate::cooldown::{Phase, Reason, told};
use crate::moment::Moment;
use crate::observe::Watch;
use crate::upstream::{Draft, Upstream};

/// The cooldowns of all upstreams: a cheap handle on a shared table.
///
/// Layers, services and their clones look here before each call, and write what
/// the responses said. The handle is for you: to look, to cool or clear an
/// upstream by hand, and to wait for one.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::{RetryAfterBackoffLayer, Upstream};
///
/// let layer = RetryAfterBackoffLayer::new();
/// let cooldowns = layer.cooldowns();
/// let upstream = Upstream::from_uri(&http::Uri::from_static("https://api.example"));
///
/// cooldowns.cool(&upstream, Duration::from_secs(90));
/// assert_eq!(cooldowns.len(), 1);
///
/// cooldowns.clear(&upstream);
/// assert!(cooldowns.get(&upstream).is_none());
/// ```
#[derive(Clone)]
pub struct Cooldowns {
    shared: Arc<Shared>,
}

struct Shared {
    table: Table,
    /// Where moments count from: early enough for all that is remembered from
    /// before the table was made.
    born: Instant,
    waiters: Waiters,
    lines: Lines,
    watch: Watch,
    /// Where the table meets its fleet, if it is in one.
    #[cfg(feature = "redis")]
    fleet: crate::fleet::Link,
}

impl Cooldowns {
    /// Creates a table with the default size and memory.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Configures a table.
    pub fn builder() -> CooldownsBuilder {
        CooldownsBuilder::new()
    }

    /// Returns what is known of an upstream; nothing if it is Clear.
    pub fn get(&self, upstream: &Upstream) -> Option<CooldownInfo> {
        let now = self.now();
        let state = self.shared.table.get(upstream, now)?;
        self.info(upstream.clone(), &state, now)
    }

    /// Returns what is known of every upstream that is not Clear, the one that
    /// is held back longest first; shown, it is a table.
    pub fn snapshot(&self) -> CooldownsSnapshot {
        let now = self.now();
        let mut all: Vec<CooldownInfo> = self
            .shared
            .table
            .all(now)
            .into_iter()
            .filter_map(|(upstream, state)| self.info(upstream, &state, now))
            .collect();
        all.sort_by_key(|info| std::cmp::Reverse(info.until));
        CooldownsSnapshot::new(all)
    }

    /// Returns how many upstreams are not Clear. It looks at each of them.
    pub fn len(&self) -> usize {
        self.shared.table.count(self.now())
    }

    /// Returns whether every upstream is Clear.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many upstreams were forgotten while they were still cooling,
    /// because more than [`max_upstreams`](CooldownsBuilder::max_upstreams) were
    /// in trouble.
    ///
    /// If this grows, raise the bound: each of them may be called too early.
    pub fn evicted(&self) -> u64 {
        self.shared.table.evicted()
    }

    /// Cools an upstream by hand, from now on and for `wait`.
    ///
    /// A longer cooldown that is running is kept, and so is the rung on the
    /// ladder. There is no ceiling, and no jitter. A wait of zero does nothing.
    pub fn cool(&self, upstream: &Upstream, wait: Duration) {
        self.change(upstream, |table, now, changes| {
            table.cool(upstream, wait, now, changes);
        });
        #[cfg(feature = "redis")]
        self.tell_cooled(upstream, wait);
    }

    /// Forgets an upstream at once: it is Clear, even if a probe is out.
    pub fn clear(&self, upstream: &Upstream) {
        self.change(upstream, |table, now, changes| table.clear(upstream, now, changes));
        #[cfg(feature = "redis")]
        self.tell_cleared(upstream);
    }

    /// Waits until a call to the upstream has a chance to be sent.
    ///
    /// Nothing is reserved. Waiters are woken in the order they came, one at a
    /// time: the next when the first has called and its call has changed
    /// something, or after a second at the latest; all of them once the upstream
    /// is Clear. Dropping the future gives the turn to the next.
    ///
    /// # Panics
    ///
    /// Needs a tokio runtime with time, and panics without one, as every timer
    /// of tokio's does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use tower_retry_after::{Cooldowns, Upstream};
    ///
    /// let cooldowns = Cooldowns::new();
    /// let upstream = Upstream::named("billing");
    /// cooldowns.cool(&upstream, Duration::from_secs(90));
    ///
    /// let start = tokio::time::Instant::now();
    /// cooldowns.ready(&upstream).await;
    /// assert!(start.elapsed() >= Duration::from_secs(90));
    /// # }
    /// ```
    pub async fn ready(&self, upstream: &Upstream) {
        self.shared.waiters.wait(self, upstream).await;
    }

    #[inline]
    pub(crate) fn table(&self) -> &Table {
        &self.shared.table
    }

    /// Decides whether a call that read `generation` may leave.
    #[inline]
    pub(crate) fn admit(&self, upstream: &Upstream, generation: u64, rules: &Rules) -> Admission {
        let ask = |now| self.ask(upstream, generation, now, rules);
        let admission = self.shared.table.admit(upstream, generation, || self.now(), ask);
        if let Admission::Admitted { role, .. } = admission {
            self.admitted(upstream, role);
        }
        admission
    }

    /// Does what is to be done beside a call that leaves.
    #[inline]
    fn admitted(&self, upstream: &Upstream, role: Role) {
        match role {
            Role::Free if is_turn_to_sweep() => self.sweep(),
            Role::Free | Role::Late => {}
            Role::Probe(_) | Role::Place => self.shared.waiters.changed(upstream),
        }
    }

    /// Decides under the entry's lock, and tells who watches.
    #[cold]
    fn ask(&self, upstream: &Upstream, generation: u64, now: Moment, rules: &Rules) -> Admission {
        let mut changes = self.shared.watch.changes();
        #[cfg(feature = "redis")]
        let admission = self.ask_fleet(upstream, generation, now, rules, &mut changes);
        #[cfg(not(feature = "redis"))]
        let admission = self.shared.table.ask(upstream, generation, now, rules, &mut changes);
        self.tell(changes);
        admission
    }

    /// Forgets some upstreams whose time has come.
    #[cold]
    fn sweep(&self) {
        let mut changes = self.shared.watch.changes();
        self.shared.table.sweep(self.now(), &mut changes);
        self.tell(changes);
    }

    /// Returns the upstream of that name, if it may be in trouble: else it is Clear.
    pub(crate) fn find(&self, draft: &Draft) -> Option<Upstream> {
        let found = self.shared.table.find(draft);
        if found.is_none() && is_turn_to_sweep() {
            self.sweep();
        }
        found
    }

    /// Takes in how a call ended that was admitted in that generation and role.
    pub(crate) fn settle(
        &self,
        upstream: &Upstream,
        admitted: (u64, Role),
        ending: Ending,
        rules: &Rules,
    ) {
        #[cfg(feature = "redis")]
        self.settle_in_fleet(upstream, admitted, ending, rules);
        #[cfg(not(feature = "redis"))]
        self.change(upstream, |table, now, changes| {
            table.settle(upstream, admitted, ending, now, rules, changes);
        });
    }

    /// Remembers what was written down of an upstream.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&self, upstream: &Upstream, record: Record) {
        self.change(upstream, |table, now, changes| {
            table.restore(upstream, record, now, changes);
        });
        #[cfg(feature = "redis")]
        self.tell_restored(upstream, record);
    }

    /// Returns the moment that an instant is.
    #[cfg(feature = "serde")]
    pub(crate) fn moment(&self, instant: Instant) -> Moment {
        ambient::moment(self.shared.born, instant)
    }

    /// Changes the table, and tells who waits and who watches.
    fn change(&self, upstream: &Upstream, change: impl FnOnce(&Table, Moment, &mut Changes)) {
        let Shared { table, waiters, lines, watch, .. } = &*self.shared;
        let displaced = table.displaced();
        let mut changes = watch.changes();
        change(table, self.now(), &mut changes);
        waiters.changed(upstream);
        lines.changed(upstream, ambient::now);
        if table.displaced() != displaced {
            // Whose upstream had to make room waits for nothing.
            waiters.all_changed();
            lines.all_changed(ambient::now());
        }
        self.tell(changes);
    }

    /// Returns whether the upstream is cooling, and its cooldown has not run out.
    pub(crate) fn is_cooling(&self, upstream: &Upstream) -> bool {
        let now = self.now();
        self.shared.table.get(upstream, now).is_some_and(|state| state.is_cooling(now))
    }

    /// Returns until when every call to the upstream would be rejected, if it is
    /// Cooling or a probe is out. It costs next to nothing while nobody is in trouble.
    #[cfg(feature = "schedule")]
    pub(crate) fn held_until(&self, upstream: &Upstream) -> Option<Instant> {
        if self.shared.table.tracked() == 0 {
            return None;
        }
        let now = self.now();
        let state = self.shared.table.get(upstream, now)?;
        let reason = match state.phase {
            Phase::Cooling { .. } => Reason::Cooling,
            Phase::Probing { .. } => Reason::Probing,
            Phase::Clear | Phase::Reopening { .. } => return None,
        };
        let gate = state.gate(self.shared.table.forget_after());
        (gate > now).then(|| self.instant(told(reason, gate, now)))
    }

    /// Returns what is known of an upstream, if calls to it that read that
    /// generation have become stale, or it is cooling.
    #[cfg(feature = "retry")]
    pub(crate) fn outdated_since(
        &self,
        upstream: &Upstream,
        generation: u64,
    ) -> Option<CooldownInfo> {
        let now = self.now();
        let state = self.shared.table.get(upstream, now)?;
        // Whom a redirect led to a cooling upstream has outdated nothing there.
        let is_outdated = state.generation > generation || state.is_cooling(now);
        is_outdated.then(|| self.info(upstream.clone(), &state, now)).flatten()
    }

    /// Returns when somebody who finds no room looks again, should nothing change.
    pub(crate) fn look_again(&self) -> Duration {
        #[cfg(feature = "redis")]
        if self.link().is_in_step() {
            return crate::fleet::PLACE_AGAIN;
        }
        LATE
    }

    /// Returns the lines of those who wait with a call in hand.
    #[inline]
    pub(crate) fn lines(&self) -> &Lines {
        &self.shared.lines
    }

    /// Tells what a call to the upstream would meet now.
    fn outlook(&self, upstream: &Upstream) -> Outlook {
        let now = self.now();
        match self.shared.table.get(upstream, now) {
            None => Outlook::Clear,
            Some(state) if state.has_room(now) => Outlook::Room,
            Some(state) => match state.held_until(now, self.shared.table.forget_after()) {
                until if until > now => Outlook::Held { until: self.instant(until) },
                _ => {
                    #[cfg(feature = "redis")]
                    self.want_place(upstream, now);
                    Outlook::Full
                }
            },
        }
    }

    fn info(&self, upstream: Upstream, state: &Cooldown, now: Moment) -> Option<CooldownInfo> {
        let until = state.held_until(now, self.shared.table.forget_after());
        let phase = State::of(state.phase);
        if phase == State::Clear {
            return None;
        }
        let retry_after = until.since(now);
        let until = self.instant(until);
        Some(CooldownInfo { upstream, state: phase, retry_after, until, cause: state.cause })
    }

    #[inline]
    fn now(&self) -> Moment {
        ambient::moment(self.shared.born, ambient::now())
    }

    fn instant(&self, moment: Moment) -> Instant {
        ambient::instant(self.shared.born, moment)
    }
}

/// How many calls that look for their upstream in vain make one that also looks
/// for others to forget.
///
/// Rare enough that it costs nothing, often enough that an upstream which nobody
/// calls any more does not keep everybody looking.
const CALLS_PER_SWEEP: u32 = 256;

/// Says yes once in so many calls of a thread: counting by thread shares nothing.
#[inline]
fn is_turn_to_sweep() -> bool {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    let calls = CALLS.get().wrapping_add(1);
    CALLS.set(calls);
    calls.is_multiple_of(CALLS_PER_SWEEP)
}

impl Default for Cooldowns {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cooldowns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooldowns")
            .field("tracked", &self.shared.table.tracked())
            .field("lines", &self.shared.lines.len())
            .field("evicted", &self.shared.table.evicted())
            .field("max_upstreams", &self.shared.table.max_upstreams())
            .field("forget_after", &self.shared.table.forget_after())
            .finish()
    }
}
