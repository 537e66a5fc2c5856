//! What an observer is told.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::{Shadowed, Transition};
use crate::cooldown::Role;
use crate::cooldowns::State;
use crate::error::RateLimited;
use crate::permit::Destination;
use crate::upstream::Upstream;

/// What an observer is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The state of an upstream has changed.
    Transition(&'a Transition),
    /// A call is about to be sent.
    Admitted(&'a Admitted<'a>),
    /// A call was not sent; this is what its caller is told.
    Rejected(&'a RateLimited),
    /// A call that was admitted has been refused.
    ///
    /// A refusal that counts is followed by its [`Transition`]; a late one of a
    /// burst is not.
    Refused(&'a Refused),
    /// In shadow mode: a call is about to be sent that would have been rejected
    /// with this.
    WouldReject(&'a RateLimited),
    /// In shadow mode: a call that would have been rejected has ended.
    Shadowed(&'a Shadowed),
}

/// A call that is about to be sent.
pub struct Admitted<'a> {
    destination: &'a Destination,
    role: Role,
}

impl<'a> Admitted<'a> {
    pub(crate) fn new(destination: &'a Destination, role: Role) -> Self {
        Self { destination, role }
    }

    /// Returns where it goes. Named when somebody asks.
    pub fn upstream(&self) -> Upstream {
        self.destination.upstream()
    }

    /// Returns the state of the upstream in which the call is sent:
    /// [`Clear`](State::Clear); [`Probing`](State::Probing), and the call is the
    /// probe; or [`Reopening`](State::Reopening), and it has taken a place.
    pub fn state(&self) -> State {
        match self.role {
            Role::Free => State::Clear,
            Role::Probe(_) => State::Probing,
            Role::Place | Role::Late => State::Reopening,
        }
    }
}

impl fmt::Debug for Admitted<'_> {
    /// Shows the upstream's name: the destination may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("upstream", &self.upstream())
            .field("state", &self.state())
            .finish()
    }
}

/// A call that was sent and has been refused.
#[derive(Clone, Debug)]
pub struct Refused {
    pub(crate) upstream: Upstream,
    pub(crate) status: StatusCode,
    pub(crate) hint: Option<Duration>,
}

impl Refused {
    /// Returns who refused: after a redirect that the client followed it may be
    /// another origin than the call was sent to.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Returns the response's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the wait that it asked for, as sent.
    pub fn hint(&self) -> Option<Duration> {
        self.hint
    }
}
