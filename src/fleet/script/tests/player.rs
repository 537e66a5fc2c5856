//! The two machines, and how a script of events is played to each.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use redis::{Connection, Script};

use super::micros;
use crate::cooldown::{
    Cause, Cooldown, Effect, Ending, Event, Phase, Record, Refusal, Role, Rules, Standing,
};
use crate::ladder::Ladder;
use crate::moment::Moment;

/// The machine in Lua, given the time, which the scripts themselves are not.
const PLAYER: &str = concat!(
    include_str!("../machine.lua"),
    include_str!("../event.lua"),
    include_str!("step.lua"),
);

/// What followed from a step and what is known then: `name=value`, with `;` between.
pub(super) type Outcome = String;

/// The same by name.
pub(super) fn fields(outcome: &Outcome) -> BTreeMap<&str, &str> {
    outcome.split(';').map(|field| field.split_once('=').unwrap()).collect()
}

/// A policy, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) base: u64,
    pub(super) cap: u64,
    pub(super) max_retry_after: u64,
    pub(super) trust_hints: bool,
    pub(super) probe_lease: u64,
    pub(super) reopen_width: u32,
    pub(super) forget: u64,
}

/// An event. Waits are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Asked,
    Settled { seen: u64, role: Role, ending: End },
    Cooled(u64),
    Restored { remaining: i64, rung: u32, status: Option<u16>, hint: Option<u64>, by_hand: bool },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Refused { status: u16, hint: Option<u64>, stretch: f32 },
    Exhausted { reset: u64, stretch: f32 },
    Succeeded,
    Neutral,
    Dropped,
}

/// An event at its time, in microseconds since the beginning of the count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: u64,
    pub(super) what: What,
}

impl Policy {
    pub(super) fn rules(&self) -> Rules {
        Rules {
            ladder: Ladder::new(micros(self.base), micros(self.cap)),
            max_retry_after: micros(self.max_retry_after),
            trust_hints: self.trust_hints,
            // So that the sample is the share.
            jitter: 1.0,
            probe_lease: micros(self.probe_lease),
            reopen_width: self.reopen_width,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, cap, max_retry_after, trust_hints, .. } = self;
        write!(f, "{base} {cap} {max_retry_after} {}", u8::from(*trust_hints))?;
        write!(f, " {} {} {}", self.probe_lease, self.reopen_width, self.forget)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Asked => f.write_str("asked"),
            Self::Settled { seen, role, ending } => {
                let (word, more) = ending.words();
                let (role, probe) = match role {
                    Role::Free => ("free", 0),
                    Role::Probe(number) => ("probe", number),
                    Role::Place => ("place", 0),
                    Role::Late => ("late", 0),
                };
                write!(f, "{word} {seen} 0 {role} {probe}{more}")
            }
            Self::Cooled(wait) => write!(f, "cooled {wait}"),
            Self::Restored { remaining, rung, status, hint, by_hand } => {
                let (status, hint) = (or_none(status), or_none(hint));
                write!(f, "restored {remaining} {rung} {status} {hint} {}", u8::from(by_hand))
            }
        }
    }
}

impl End {
    fn words(self) -> (&'static str, String) {
        match self {
            Self::Refused { status, hint, stretch } => {
                ("refused", format!(" {status} {} {}", or_none(hint), f64::from(stretch)))
            }
            Self::Exhausted { reset, stretch } => {
                ("exhausted", format!(" {reset} {}", f64::from(stretch)))
            }
            Self::Succeeded => ("succeeded", String::new()),
            Self::Neutral => ("neutral", String::new()),
            Self::Dropped => ("dropped", String::new()),
        }
    }

    fn ending(self) -> Ending {
        match self {
            Self::Refused { status, hint, stretch } => {
                let status = StatusCode::from_u16(status).unwrap();
                let refusal = Refusal { status, hint: hint.map(micros) };
                Ending::Refused { refusal, sample: f64::from(stretch) }
            }
            Self::Exhausted { reset, stretch } => {
                Ending::Exhausted { reset: micros(reset), sample: f64::from(stretch) }
            }
            Self::Succeeded => Ending::Succeeded,
            Self::Neutral => Ending::Neutral,
            Self::Dropped => Ending::Dropped,
        }
    }
}

/// The machine in Rust, with its generation as the table keeps it.
pub(super) struct Native {
    pub(super) state: Cooldown,
    raised: u64,
    policy: Policy,
}

impl Native {
    pub(super) fn new(policy: Policy) -> Self {
        Self { state: Cooldown::CLEAR, raised: 0, policy }
    }

    pub(super) fn forget(&self) -> Duration {
        micros(self.policy.forget)
    }

    /// Lets a step happen; returns what followed.
    pub(super) fn step(&mut self, step: Step) -> Effect {
        let now = moment(step.at);
        let event = match step.what {
            What::Asked => Event::Asked,
            What::Settled { seen, role, ending } => {
                let stale = seen < self.state.generation;
                Event::Settled(Standing { stale, role }, ending.ending())
            }
            What::Cooled(wait) => Event::Cooled(micros(wait)),
            What::Restored { remaining, rung, status, hint, by_hand } => {
                let away = micros(remaining.unsigned_abs());
                let until = if remaining < 0 { now.before(away) } else { now.after(away) };
                let status = status.map(|status| StatusCode::from_u16(status).unwrap());
                let cause = Cause { rung, status, hint: hint.map(micros) };
                Event::Restored(Record { until, cause, by_hand })
            }
        };
        let (next, effect) = self.state.on(event, now, &self.policy.rules(), self.forget());
        self.state = next;
        if effect == Effect::Outdate {
            self.raised += 1;
            self.state.generation = self.raised;
        }
        effect
    }

    #[allow(clippy::match_wildcard_for_single_variants, reason = "others are none of these")]
    fn shown(&self, effect: Effect) -> Outcome {
        let state = &self.state;
        let Cause { rung, status, hint } = state.cause;
        let (began, stretch, probe) = state.inner();
        let (phase, gate, width, in_flight) = match state.phase {
            Phase::Clear => ("clear", Moment::START, 0, 0),
            Phase::Cooling { until } => ("cooling", until, 0, 0),
            Phase::Probing { lease } => ("probing", lease, 0, 0),
            Phase::Reopening { width, in_flight } => ("reopening", Moment::START, width, in_flight),
        };
        let effect = match effect {
            Effect::Admit(Role::Free) => "admit free".to_owned(),
            Effect::Admit(Role::Probe(number)) => format!("admit probe {number}"),
            Effect::Admit(Role::Place) => "admit place".to_owned(),
            Effect::Reject(reason) => format!("reject {}", reason.word()),
            Effect::Outdate => "outdate".to_owned(),
            Effect::Nothing => "nothing".to_owned(),
            other => panic!("no effect of one event: {other:?}"),
        };
        let (gate, ends, began) = (count(gate), count(state.ends), count(began));
        let status = or_none(status.map(|status| status.as_u16()));
        let hint = or_none(hint.map(|hint| hint.as_micros()));
        let by_hand = if state.record().by_hand { "1" } else { "-" };
        let generation = state.generation;
        let known = format!("effect={effect};phase={phase};gate={gate};ends={ends};began={began}");
        let cause = format!("rung={rung};status={status};hint={hint};by_hand={by_hand}");
        let course = format!("stretch={stretch};generation={generation};probe={probe}");
        format!("{known};{cause};{course};width={width};in_flight={in_flight}")
    }
}

/// Plays scripts to the machine in Lua; returns what followed in each from each step.
pub(super) fn play_in_lua(
    redis: &mut Connection,
    scripts: &[(Policy, Vec<Step>)],
) -> Vec<Vec<Outcome>> {
    let player = Script::new(PLAYER);
    let mut call = player.prepare_invoke();
    for (policy, steps) in scripts {
        let lines = steps.iter().map(|Step { at, what }| format!("{at} {what} {policy}"));
        call.arg(lines.collect::<Vec<_>>().join("\n"));
    }
    let answers: Vec<String> = call.invoke(redis).unwrap();
    answers.iter().map(|lines| lines.lines().map(str::to_owned).collect()).collect()
}

/// Plays one to the machine in Rust.
pub(super) fn play_in_rust(policy: Policy, steps: &[Step]) -> Vec<Outcome> {
    let mut native = Native::new(policy);
    let mut played = Vec::new();
    for &step in steps {
        let effect = native.step(step);
        played.push(native.shown(effect));
    }
    played
}

fn moment(at: u64) -> Moment {
    Moment::START.after(micros(at))
}

/// The whole microseconds of a moment, as Lua counts them: rounded up.
fn count(moment: Moment) -> u64 {
    moment.nanos().div_ceil(1000)
}

fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}
