//! What a process tells the fleet, as data, and how it is written down.
//!
//! Waits are written in whole microseconds, rounded up: as fine as Redis's clock,
//! and small enough for the numbers of its scripts.

use std::fmt::{self, Write as _};
use std::time::Duration;

use http::StatusCode;

use crate::cooldown::Rules;

/// The longest wait that the fleet is told of: half a year.
///
/// With all the jitter there can be it is a year, and no more than a year and a day is
/// believed.
const LONGEST: Duration = Duration::from_secs(183 * 24 * 3600);

/// What happened to an upstream, in one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Event {
    pub(super) what: What,
    pub(super) policy: Policy,
}

/// What a layer makes of refusals, and when its table forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) rules: Rules,
    pub(crate) forget: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    /// A call wants to be the probe, or a place in a Reopening upstream.
    Asked,
    /// A call has ended, by that standing.
    Refused {
        from: Standing,
        status: StatusCode,
        hint: Option<Duration>,
        stretch: f32,
    },
    Exhausted {
        from: Standing,
        reset: Duration,
        stretch: f32,
    },
    Succeeded {
        from: Standing,
    },
    Neutral {
        from: Standing,
    },
    /// A probe or a place was given back.
    Dropped {
        from: Standing,
    },
    /// Somebody cooled the upstream by hand.
    Cooled {
        wait: Duration,
    },
    /// Somebody cleared it by hand.
    Cleared,
    /// What was known here before the fleet was asked.
    Restored(Known),
    /// The places that this process was given are in use.
    Kept,
}

/// How the call that brings a verdict stands to its upstream in the fleet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Standing {
    /// The generation of the upstream that this process knew of as the call left; or
    /// knows of at its verdict, for what has come since has made the call stale here.
    pub(super) seen: u64,
    /// Stale by what this process itself knew.
    pub(super) stale: bool,
    pub(super) role: Role,
}

/// By what right of the fleet's a call left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Free,
    Probe(u32),
    Place,
}

/// A cooldown as a process has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    /// How long it lasts yet, or how long ago it ended.
    pub(super) lasts: Result<Duration, Duration>,
    pub(super) rung: u32,
    pub(super) status: Option<StatusCode>,
    pub(super) hint: Option<Duration>,
    pub(super) by_hand: bool,
}

impl fmt::Display for Event {
    /// Writes the event as the script reads it: words with a space between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Asked => f.write_str("asked")?,
            What::Refused { from, status, hint, stretch } => {
                let hint = Optional(hint.map(micros));
                write!(f, "refused {from} {} {hint} {}", status.as_u16(), f64::from(stretch))?;
            }
            What::Exhausted { from, reset, stretch } => {
                write!(f, "exhausted {from} {} {}", micros(reset), f64::from(stretch))?;
            }
            What::Succeeded { from } => write!(f, "succeeded {from}")?,
            What::Neutral { from } => write!(f, "neutral {from}")?,
            What::Dropped { from } => write!(f, "dropped {from}")?,
            What::Cooled { wait } => write!(f, "cooled {}", micros(wait))?,
            What::Cleared => f.write_str("cleared")?,
            What::Restored(Known { lasts, rung, status, hint, by_hand }) => {
                f.write_str("restored ")?;
                match lasts {
                    Ok(wait) => write!(f, "{}", micros(wait))?,
                    Err(ago) => write!(f, "-{}", micros(ago))?,
                }
                let status = Optional(status.map(|status| status.as_u16()));
                let hint = Optional(hint.map(micros));
                write!(f, " {rung} {status} {hint} {}", u8::from(by_hand))?;
            }
            What::Kept => f.write_str("kept")?,
        }
        let Policy { rules, forget } = self.policy;
        let (base, cap) = (micros(rules.ladder.base()), micros(rules.ladder.cap()));
        let longest = micros(rules.max_retry_after);
        write!(f, " {base} {cap} {longest} {}", u8::from(rules.trust_hints))?;
        write!(f, " {} {} {}", micros(rules.probe_lease), rules.reopen_width, micros(forget))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, probe) = match self.role {
            Role::Free => ("free", 0),
            Role::Probe(number) => ("probe", number),
            Role::Place => ("place", 0),
        };
        write!(f, "{} {} {role} {probe}", self.seen, u8::from(self.stale))
    }
}

/// A number, or the sign that there is none.
struct Optional<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Optional<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(number) => number.fmt(f),
            None => f.write_char('-'),
        }
    }
}

/// Counts the microseconds of a wait, one that has begun included.
fn micros(wait: Duration) -> u128 {
    let wait = wait.min(LONGEST);
    wait.as_nanos().div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(what: What) -> String {
        let policy = Policy { rules: Rules::default(), forget: Duration::from_secs(7200) };
        Event { what, policy }.to_string()
    }

    const POLICY: &str = "60000000 1800000000 3600000000 0 30000000 64 7200000000";

    #[test]
    fn every_event_is_written_with_the_policy_of_its_layer() {
        let from = Standing { seen: 7, stale: false, role: Role::Probe(3) };
        let status = StatusCode::TOO_MANY_REQUESTS;
        let known = Known {
            lasts: Err(Duration::from_nanos(1)),
            rung: 2,
            status: None,
            hint: Some(Duration::from_secs(1)),
            by_hand: true,
        };

        for (what, text) in [
            (What::Asked, "asked"),
            (
                What::Refused { from, status, hint: None, stretch: 0.5 },
                "refused 7 0 probe 3 429 - 0.5",
            ),
            (
                What::Exhausted { from, reset: Duration::from_millis(1), stretch: 0.0 },
                "exhausted 7 0 probe 3 1000 0",
            ),
            (What::Succeeded { from }, "succeeded 7 0 probe 3"),
            (What::Neutral { from: Standing { stale: true, ..from } }, "neutral 7 1 probe 3"),
            (What::Dropped { from: Standing { role: Role::Place, ..from } }, "dropped 7 0 place 0"),
            (What::Cooled { wait: Duration::from_nanos(1) }, "cooled 1"),
            (What::Cleared, "cleared"),
            (What::Restored(known), "restored -1 2 - 1000000 1"),
            (What::Kept, "kept"),
        ] {
            assert_eq!(written(what), format!("{text} {POLICY}"));
        }
    }

    #[test]
    fn the_longest_wait_is_believed_by_those_who_hear_of_it() {
        let written = written(What::Cooled { wait: Duration::MAX });
        let micros: u64 = written.split(' ').nth(1).unwrap().parse().unwrap();

        assert!(micros < super::super::bulletin::LONGEST / 2, "{micros}");
    }
}
