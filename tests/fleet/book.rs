//! What a process has known of cooldowns, and whether it ever sent a call in one.
//!
//! The book is kept beside the table: it is told what the table says, and only ever
//! forgets what a human cleared.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tower_retry_after::observe::{Event, Observer, Trigger};
use tower_retry_after::{CooldownInfo, State, Upstream};

use crate::clock;

/// Until when a process must send nothing, as it has heard.
#[derive(Debug, Default)]
pub(crate) struct Book {
    kept: Mutex<Kept>,
    /// Somebody clears by hand, here or elsewhere.
    heeds_clearing: bool,
}

#[derive(Debug, Default)]
struct Kept {
    until: HashMap<Upstream, Instant>,
    violations: Vec<String>,
}

impl Book {
    /// One for a fleet in which people clear by hand.
    pub(crate) fn with_clearing() -> Self {
        Self { heeds_clearing: true, ..Self::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, upstream: &Upstream, until: Instant) {
        let mut kept = self.kept();
        let known = kept.until.entry(upstream.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// Notes what the table says: late refusals prolong a cooldown, and are no change.
    pub(crate) fn notes(&self, info: Option<CooldownInfo>) {
        if let Some(info) = info
            && info.state() == State::Cooling
        {
            self.knows(info.upstream(), info.until());
        }
    }

    /// Judges a call that is being sent.
    pub(crate) fn sends(&self, upstream: &Upstream) {
        let now = Instant::from_std(clock::now());
        let mut kept = self.kept();
        if let Some(left) = kept.until.get(upstream).and_then(|at| at.checked_duration_since(now))
            && !left.is_zero()
        {
            kept.violations.push(format!("{upstream}: sent {left:?} before a cooldown's end"));
        }
    }

    /// Returns what must not have happened.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.kept().violations.clone()
    }
}

impl Observer for Book {
    fn on(&self, event: &Event<'_>) {
        let Event::Transition(transition) = event else {
            return;
        };
        let is_cleared = transition.by() == Trigger::Cleared
            || self.heeds_clearing && transition.by() == Trigger::Heard;
        match (transition.to(), transition.until()) {
            (State::Cooling, Some(until)) => self.knows(transition.upstream(), until),
            (State::Clear, _) if is_cleared => {
                self.kept().until.remove(transition.upstream());
            }
            _ => {}
        }
    }
}
