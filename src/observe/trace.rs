//! Events for `tracing`: what changes is told once, a flood is not told at all
//! but at `trace`.
//!
//! Upstreams are shown by their names alone, which hold no credentials and are
//! escaped; headers and bodies are never shown.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::debug;
use tracing::level_filters::LevelFilter;

use super::{Event, Transition};
use crate::cooldowns::{State, Trigger};
use crate::error::RateLimited;

/// Makes events for `tracing`.
#[derive(Debug, Default)]
pub(super) struct Trace {
    evictions: AtomicU64,
}

/// An event of the transition, at that level.
macro_rules! changed {
    ($level:ident, $transition:expr) => {
        tracing::event!(
            target: "tower_retry_after",
            tracing::Level::$level,
            upstream = %$transition.upstream,
            from = $transition.from.word(),
            to = $transition.to.word(),
            by = $transition.by.word(),
            wait = $transition.wait.map(debug),
            hint = $transition.cause.hint.map(debug),
            rung = $transition.cause.rung,
            status = $transition.cause.status.map(|status| status.as_u16()),
            "an upstream's state has changed",
        )
    };
}

/// An event of a call that was, or would have been, rejected.
macro_rules! rejected {
    ($limited:expr, $message:literal) => {
        tracing::trace!(
            target: "tower_retry_after",
            upstream = %$limited.upstream,
            reason = $limited.reason.word(),
            wait = display_wait($limited),
            rung = $limited.cause.rung,
            $message,
        )
    };
}

/// Returns whether any subscriber listens at all.
#[inline]
pub(super) fn is_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Returns whether one listens to every rejection.
#[inline]
pub(super) fn is_fine() -> bool {
    LevelFilter::current() == LevelFilter::TRACE
}

impl Trace {
    pub(super) fn on(&self, event: &Event<'_>) {
        match event {
            Event::Transition(transition) => self.changed(transition),
            Event::Rejected(limited) => rejected!(limited, "a call was rejected"),
            Event::WouldReject(limited) => rejected!(limited, "a call would have been rejected"),
            // Of these there is one for each call, or their transition tells.
            Event::Admitted(_) | Event::Refused(_) | Event::Shadowed(_) => {}
        }
    }

    fn changed(&self, transition: &Transition) {
        match (transition.to, transition.by) {
            // One for each call, where the table is too small: those are warned of below.
            (State::Clear, Trigger::Evicted | Trigger::Displaced) => changed!(DEBUG, transition),
            // An operator wants to know that an upstream went and that it is back:
            // two lines an episode, and one for each probe that is refused.
            (State::Clear, _) => changed!(INFO, transition),
            // A probe that learned nothing: it may go on like that every second.
            (State::Cooling, Trigger::Neutral | Trigger::Dropped) => changed!(DEBUG, transition),
            // Calls that another upstream has sent on may be refused one by one.
            (State::Cooling, Trigger::Refused | Trigger::Exhausted)
                if transition.from == State::Cooling =>
            {
                changed!(DEBUG, transition);
            }
            (State::Cooling, _) => changed!(INFO, transition),
            // Steps on the way back, of which the end is told.
            (State::Probing | State::Reopening, _) => changed!(DEBUG, transition),
        }
        if transition.by == Trigger::Evicted {
            self.evicted(transition);
        }
    }

    /// Warns of evictions, each time that there are twice as many: a table that is
    /// too small may evict with every call.
    fn evicted(&self, transition: &Transition) {
        let evicted = self.evictions.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if evicted.is_power_of_two() {
            tracing::warn!(
                target: "tower_retry_after",
                upstream = %transition.upstream,
                evicted,
                "the table is full, and upstreams are forgotten while cooling: raise max_upstreams",
            );
        }
    }
}

fn display_wait(limited: &RateLimited) -> impl tracing::Value {
    debug(limited.retry_after())
}
