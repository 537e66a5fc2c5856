use super::*;
use crate::ladder::Ladder;

mod cells;
mod extremes;
mod forgetting;
mod probing;
mod records;
mod told;
mod waits;

/// When the episodes of these tests are forgotten.
const FORGET: Duration = Duration::from_secs(7200);

const BARE: Refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, hint: None };

/// A verdict of a call that left after the last counted refusal.
const CURRENT: Standing = Standing { stale: false, role: Role::Free };

/// A verdict of a call that left before it.
const STALE: Standing = Standing { stale: true, role: Role::Free };

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Moment {
    Moment::START.after(secs(seconds))
}

fn asking(seconds: u64) -> Refusal {
    Refusal { hint: Some(secs(seconds)), ..BARE }
}

fn refused(from: Standing, refusal: Refusal) -> Event {
    Event::Settled(from, Ending::Refused { refusal, sample: 0.0 })
}

fn exhausted(from: Standing, seconds: u64) -> Event {
    Event::Settled(from, Ending::Exhausted { reset: secs(seconds), sample: 0.0 })
}

fn succeeded(from: Standing) -> Event {
    Event::Settled(from, Ending::Succeeded)
}

/// Rung `rung` with a cooldown until that second, written down before.
fn restored(second: u64, rung: u32) -> Event {
    let cause = Cause { rung, status: Some(BARE.status), hint: None };
    Event::Restored(Record { until: at(second), cause, by_hand: false })
}

fn probe(number: u32) -> Standing {
    Standing { stale: false, role: Role::Probe(number) }
}

fn place() -> Standing {
    Standing { stale: false, role: Role::Place }
}

/// An upstream and the rules of its layer.
#[derive(Clone, Copy, Debug)]
struct Scene {
    state: Cooldown,
    rules: Rules,
    forget: Duration,
}

impl Scene {
    fn new(rules: Rules) -> Self {
        Self { state: Cooldown::CLEAR, rules, forget: FORGET }
    }

    /// Lets an event happen; returns what followed.
    fn on(&mut self, event: Event, now: Moment) -> Effect {
        let (next, effect) = self.state.on(event, now, &self.rules, self.forget);
        self.state = next;
        effect
    }

    /// The same, for those who go on with the scene.
    fn then(mut self, event: Event, seconds: u64) -> Self {
        self.on(event, at(seconds));
        self
    }

    fn phase(&self) -> Phase {
        self.state.phase
    }

    fn rung(&self) -> u32 {
        self.state.cause.rung
    }

    /// Returns until when it is Cooling.
    fn until(&self) -> Moment {
        match self.phase() {
            Phase::Cooling { until } => until,
            other => panic!("not cooling, but {other:?}"),
        }
    }
}

fn clear() -> Scene {
    Scene::new(Rules::default())
}

/// Cooling on rung 2, refused at 880 s, until 1000 s.
fn cooling() -> Scene {
    let scene = clear().then(refused(CURRENT, BARE), 820).then(Event::Asked, 880);
    scene.then(refused(probe(1), BARE), 880)
}

/// Probing with the second probe, its lease ends at 1030 s.
fn probing() -> Scene {
    cooling().then(Event::Asked, 1000)
}

/// Reopening since 1010 s with one of two places taken.
fn reopening() -> Scene {
    probing().then(succeeded(probe(2)), 1010).then(Event::Asked, 1010)
}

fn cooling_until(seconds: u64) -> Phase {
    Phase::Cooling { until: at(seconds) }
}

fn probing_until(seconds: u64) -> Phase {
    Phase::Probing { lease: at(seconds) }
}

const fn open(width: u32, in_flight: u32) -> Phase {
    Phase::Reopening { width, in_flight }
}
