//! A change of an upstream's state, as an observer sees it.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::cooldown::Cause;
use crate::cooldowns::{State, Trigger};
use crate::error::Rounded;
use crate::upstream::Upstream;

/// A change of an upstream's state.
///
/// The state is another one, or a further cooldown began while one was running.
/// What merely goes on is no change: a late refusal that prolongs a cooldown, a
/// place taken in a Reopening upstream, a next probe after one that is overdue.
///
/// Shown, it is a line for a log.
#[derive(Clone, Debug)]
pub struct Transition {
    pub(crate) upstream: Upstream,
    pub(crate) number: u64,
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) by: Trigger,
    pub(crate) cause: Cause,
    pub(crate) wait: Option<Duration>,
    pub(crate) until: Option<Instant>,
}

impl Transition {
    /// Returns the upstream.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Returns its number in the table: of two changes of one upstream the later
    /// has the higher. Numbers begin at one and none is left out.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the state before.
    pub fn from(&self) -> State {
        self.from
    }

    /// Returns the state from now on.
    pub fn to(&self) -> State {
        self.to
    }

    /// Returns what brought it about.
    pub fn by(&self) -> Trigger {
        self.by
    }

    /// Returns how long calls are held back from now on: the cooldown, or the
    /// probe's lease; none where calls are let through.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Returns when that time is over.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Returns how many refusals in a row have been counted.
    pub fn consecutive_failures(&self) -> u32 {
        self.cause.rung
    }

    /// Returns the status of the last refusal; none if there was no refusal yet,
    /// or all is forgotten.
    pub fn status(&self) -> Option<StatusCode> {
        self.cause.status
    }

    /// Returns the wait that the last refusal asked for, as sent.
    pub fn hint(&self) -> Option<Duration> {
        self.cause.hint
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { upstream, from, to, by, .. } = self;
        write!(f, "{upstream}: {from} to {to}, {by}")?;
        if let (Trigger::Refused, Some(status)) = (by, self.cause.status) {
            write!(f, " with HTTP {}", status.as_u16())?;
        }
        match (self.wait, self.cause.rung) {
            (None, _) => Ok(()),
            (Some(wait), 0) => write!(f, " ({})", Rounded(wait)),
            (Some(wait), rung) => write!(f, " ({}, rung {rung})", Rounded(wait)),
        }
    }
}
