//! What happens to an upstream, and what can follow.

use std::time::Duration;

use http::StatusCode;

use super::fleet::Word;
use super::record::Record;
use super::rules::Rules;

/// What a refusal said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The wait that it asked for, as sent.
    pub(crate) hint: Option<Duration>,
}

/// By what right a call left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// The upstream was Clear; nobody waits for the verdict.
    Free,
    /// The call is the probe of this number.
    Probe(u32),
    /// The call holds a place in a Reopening upstream.
    Place,
    /// The call held such a place, and has been out so long that others have it.
    Late,
}

impl Role {
    /// Returns how many places the call gives back when it ends.
    pub(super) fn places(self) -> u32 {
        match self {
            Self::Free | Self::Probe(_) | Self::Late => 0,
            Self::Place => 1,
        }
    }
}

/// How the call that brings a verdict stands to its upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Standing {
    /// The call left before the upstream's last counted refusal.
    pub(crate) stale: bool,
    pub(crate) role: Role,
}

/// What happens to an upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// A call asks whether it may leave.
    Asked,
    /// A call that was out has ended.
    Settled(Standing, Ending),
    /// Somebody cools the upstream by hand.
    Cooled(Duration),
    /// What was written down before is remembered.
    #[allow(dead_code, reason = "only snapshots remember")]
    Restored(Record),
    /// The fleet has said something.
    #[allow(dead_code, reason = "only a fleet speaks")]
    Fleet(Word),
}

impl Event {
    /// Takes an exhausted quota for the success that it is, where no wait follows.
    pub(super) fn within(self, rules: &Rules) -> Self {
        match self {
            Self::Settled(from, Ending::Exhausted { reset, .. })
                if rules.usable(Some(reset)).is_none() =>
            {
                Self::Settled(from, Ending::Succeeded)
            }
            Self::Asked
            | Self::Settled(..)
            | Self::Cooled(_)
            | Self::Restored(_)
            | Self::Fleet(_) => self,
        }
    }
}

/// How a call ended. `sample` is chance within 0..1, for the jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// The upstream refused.
    Refused { refusal: Refusal, sample: f64 },
    /// The upstream answered.
    Succeeded,
    /// The upstream answered, for the last time before `reset` is over.
    Exhausted { reset: Duration, sample: f64 },
    /// Nothing was said about limits.
    Neutral,
    /// The call was given up.
    Dropped,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// The call may leave, in this role.
    Admit(Role),
    /// The call may not leave, and why.
    Reject(Reason),
    /// The calls that are out are stale from now on.
    Outdate,
    /// Nothing.
    Nothing,
}

/// Why a call failed with `RateLimited`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// The upstream is cooling down; the call was not sent.
    Cooling,
    /// A probe is out and has not been answered; the call was not sent. In a fleet: or
    /// it is being asked who sends it.
    Probing,
    /// The upstream is coming back and has no room yet; the call was not sent.
    Reopening,
    /// The call was sent, and the upstream refused it.
    Refused,
}

impl Reason {
    /// The word for it, in logs and labels.
    #[allow(dead_code, reason = "only behind features is it put in words")]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cooling => "cooling",
            Self::Probing => "probing",
            Self::Reopening => "reopening",
            Self::Refused => "refused",
        }
    }
}
