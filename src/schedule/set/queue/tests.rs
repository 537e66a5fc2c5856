//! The queue against a plain model: a list that is searched from end to end.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;

use super::*;

const CONCURRENCY: usize = 4;
const PER_UPSTREAM: u32 = 2;
const UPSTREAMS: usize = 4;

/// A step of a script. An `Index` picks one of the targets, or of the calls.
#[derive(Clone, Debug)]
enum Act {
    Add {
        upstream: usize,
        wait: u64,
    },
    Remove(Index),
    Reschedule {
        target: Index,
        wait: u64,
    },
    /// Begins the calls that are due, so many at most.
    Begin(usize),
    Finish {
        call: Index,
        wait: u64,
    },
    /// Holds the upstream of a target back.
    Hold {
        target: Index,
        wait: u64,
        firm: bool,
    },
    Loosen(Index),
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Act> {
    let wait = prop_oneof![Just(0_u64), 1..20_u64];
    let target = any::<Index>();
    prop_oneof![
        4 => (0..UPSTREAMS, wait.clone()).prop_map(|(upstream, wait)| Act::Add { upstream, wait }),
        1 => target.clone().prop_map(Act::Remove),
        2 => (target.clone(), wait.clone())
            .prop_map(|(target, wait)| Act::Reschedule { target, wait }),
        8 => (1..4_usize).prop_map(Act::Begin),
        8 => (target.clone(), wait.clone()).prop_map(|(call, wait)| Act::Finish { call, wait }),
        2 => (target.clone(), wait.clone(), any::<bool>())
            .prop_map(|(target, wait, firm)| Act::Hold { target, wait, firm }),
        1 => target.prop_map(Act::Loosen),
        6 => wait.prop_map(Act::Pass),
    ]
}

/// What the queue should know, without any order.
#[derive(Debug)]
struct Model {
    now: Moment,
    targets: Vec<Listed>,
    /// Of targets that are gone as well.
    calls: Vec<Out>,
    /// Until when each upstream is held: surely, and by a guess.
    holds: Vec<(usize, Moment, Moment)>,
}

#[derive(Clone, Copy, Debug)]
struct Listed {
    index: u32,
    upstream: usize,
    due: Moment,
    is_called: bool,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    index: u32,
    upstream: usize,
    lane: u32,
    is_removed: bool,
}

impl Model {
    fn held_until(&self, upstream: usize) -> Moment {
        let hold = self.holds.iter().find(|hold| hold.0 == upstream);
        hold.map_or(Moment::START, |hold| hold.1.max(hold.2))
    }

    fn has_room(&self, upstream: usize) -> bool {
        let out = self.calls.iter().filter(|call| call.upstream == upstream).count();
        out < PER_UPSTREAM as usize
    }

    /// Says what to do by looking at everything: when, and for which targets at best.
    fn next(&self) -> (Turn, Vec<u32>) {
        if self.calls.len() >= CONCURRENCY {
            return (Turn::Idle, Vec::new());
        }
        let able: Vec<&Listed> = self
            .targets
            .iter()
            .filter(|target| !target.is_called && self.has_room(target.upstream))
            .collect();
        let wakes = |target: &Listed| target.due.max(self.held_until(target.upstream));
        let due: Vec<&&Listed> = able.iter().filter(|target| wakes(target) <= self.now).collect();
        match (due.iter().map(|target| target.due).min(), able.iter().map(|t| wakes(t)).min()) {
            (Some(longest), _) => {
                let best = due.iter().filter(|target| target.due == longest);
                let best: Vec<u32> = best.map(|target| target.index).collect();
                (Turn::Call(best[0]), best)
            }
            (None, Some(wakes)) => (Turn::Until(wakes), Vec::new()),
            (None, None) => (Turn::Idle, Vec::new()),
        }
    }

    /// An upstream that nobody needs is forgotten with its hold.
    fn tidy(&mut self) {
        let Self { targets, calls, holds, .. } = self;
        holds.retain(|&(upstream, ..)| {
            targets.iter().any(|target| target.upstream == upstream)
                || calls.iter().any(|call| call.upstream == upstream)
        });
    }

    fn upstreams(&self) -> usize {
        let known = |upstream: &usize| {
            self.targets.iter().any(|target| target.upstream == *upstream)
                || self.calls.iter().any(|call| call.upstream == *upstream)
        };
        (0..UPSTREAMS).filter(known).count()
    }
}

/// Picks one, if there is any.
fn pick<T: Clone>(from: &[T], index: Index) -> Option<(usize, T)> {
    (!from.is_empty()).then(|| (index.index(from.len()), index.get(from).clone()))
}

#[expect(clippy::too_many_lines, reason = "an arm for each act")]
fn run(script: Vec<Act>) -> Result<(), TestCaseError> {
    let mut queue = Queue::new(CONCURRENCY, PER_UPSTREAM);
    let mut model =
        Model { now: Moment::START, targets: Vec::new(), calls: Vec::new(), holds: Vec::new() };
    for act in script {
        let later = |wait: u64| model.now.after(Duration::from_nanos(wait));
        match act {
            Act::Add { upstream, wait } => {
                let is_taken = |index| model.targets.iter().any(|target| target.index == index);
                let index = (0..u32::MAX).find(|&index| !is_taken(index)).unwrap();
                let due = later(wait);
                queue.add(index, Upstream::named(upstream.to_string()), |_, _| due);
                model.targets.push(Listed { index, upstream, due, is_called: false });
            }
            Act::Remove(target) => {
                if let Some((at, target)) = pick(&model.targets, target) {
                    queue.remove(target.index);
                    model.targets.swap_remove(at);
                    for call in model.calls.iter_mut().filter(|call| call.index == target.index) {
                        call.is_removed = true;
                    }
                }
            }
            Act::Reschedule { target, wait } => {
                if let Some((at, target)) = pick(&model.targets, target) {
                    queue.reschedule(target.index, later(wait));
                    if !target.is_called {
                        model.targets[at].due = later(wait);
                    }
                }
            }
            Act::Begin(most) => {
                for _ in 0..most {
                    let (turn, best) = model.next();
                    match queue.next(model.now) {
                        Turn::Call(index) => {
                            prop_assert!(best.contains(&index), "{index} before {best:?}");
                            let lane = queue.begin(index);
                            let target =
                                model.targets.iter_mut().find(|target| target.index == index);
                            let target = target.unwrap();
                            target.is_called = true;
                            let upstream = target.upstream;
                            model.calls.push(Out { index, upstream, lane, is_removed: false });
                        }
                        other => {
                            prop_assert_eq!(other, turn);
                            break;
                        }
                    }
                }
            }
            Act::Finish { call, wait } => {
                if let Some((at, call)) = pick(&model.calls, call) {
                    let due = later(wait);
                    model.calls.swap_remove(at);
                    queue.finish(call.lane, (!call.is_removed).then_some((call.index, due)));
                    let target = model.targets.iter_mut().find(|target| target.index == call.index);
                    if let Some(target) = target.filter(|_| !call.is_removed) {
                        (target.due, target.is_called) = (due, false);
                    }
                }
            }
            Act::Hold { target, wait, firm } => {
                if let Some((_, target)) = pick(&model.targets, target) {
                    let until = later(wait);
                    let hold = if firm { Hold::Firm } else { Hold::Loose { look_at: until } };
                    queue.hold(queue.lane(target.index), until, hold);
                    let known = model.holds.iter().find(|hold| hold.0 == target.upstream);
                    let (_, surely, guess) =
                        known.copied().unwrap_or((0, Moment::START, Moment::START));
                    let (surely, guess) =
                        if firm { (surely.max(until), guess) } else { (surely, until) };
                    model.holds.retain(|hold| hold.0 != target.upstream);
                    model.holds.push((target.upstream, surely, guess));
                }
            }
            Act::Loosen(target) => {
                if let Some((_, target)) = pick(&model.targets, target) {
                    queue.loosen(queue.lane(target.index));
                    for hold in &mut model.holds {
                        if hold.0 == target.upstream {
                            hold.2 = Moment::START;
                        }
                    }
                }
            }
            Act::Pass(time) => model.now = later(time),
        }
        model.tidy();
        prop_assert_eq!(queue.upstreams(), model.upstreams());
        prop_assert_eq!(queue.in_flight(), model.calls.len());
        for target in &model.targets {
            prop_assert_eq!(queue.due(target.index), target.due);
            prop_assert_eq!(queue.is_called(target.index), target.is_called);
        }
        // The queue counts on the time that it was told last.
        let (turn, best) = model.next();
        let wakes = queue.wakes_at();
        match turn {
            Turn::Call(_) => prop_assert!(wakes.is_some_and(|wakes| wakes <= model.now)),
            Turn::Until(then) => prop_assert_eq!(wakes, Some(then)),
            Turn::Idle => prop_assert_eq!(wakes, None),
        }
        match queue.next(model.now) {
            Turn::Call(index) => prop_assert!(best.contains(&index), "{index} before {best:?}"),
            other => prop_assert_eq!(other, turn),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_longest_overdue_that_may_be_called_is_next(
        script in proptest::collection::vec(acts(), 1..120)
    ) {
        run(script)?;
    }
}

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(nanos)
}

/// A queue with that many targets of one upstream, due one after the other.
fn queue(targets: u32) -> Queue {
    let mut queue = Queue::new(CONCURRENCY, PER_UPSTREAM);
    for index in 0..targets {
        queue.add(index, Upstream::named("a"), |_, _| at(u64::from(index)));
    }
    queue
}

#[test]
fn asking_commits_to_nothing() {
    let mut queue = queue(2);

    assert_eq!(queue.next(at(5)), Turn::Call(0));
    assert_eq!(queue.next(at(5)), Turn::Call(0));
    assert_eq!(queue.in_flight(), 0);
}

#[test]
fn holding_an_upstream_back_touches_none_of_its_targets() {
    let mut queue = queue(1000);
    queue.add(1000, Upstream::named("b"), |_, _| at(2000));

    queue.hold(queue.lane(0), at(5000), Hold::Firm);

    assert_eq!(queue.next(at(1500)), Turn::Until(at(2000)));
    assert_eq!(queue.next(at(2000)), Turn::Call(1000));
    assert!((0..1000).all(|index| queue.due(index) == at(u64::from(index))));
}

#[test]
fn when_a_hold_is_over_the_longest_overdue_goes_first() {
    let mut queue = queue(3);
    queue.add(3, Upstream::named("b"), |_, _| at(1));
    queue.hold(queue.lane(0), at(100), Hold::Firm);
    assert_eq!(queue.next(at(99)), Turn::Call(3));

    assert_eq!(queue.next(at(100)), Turn::Call(0));
}

#[test]
fn a_shorter_hold_does_not_shorten_a_longer_one() {
    let mut queue = queue(1);
    let lane = queue.lane(0);
    queue.hold(lane, at(100), Hold::Firm);

    queue.hold(lane, at(50), Hold::Loose { look_at: at(50) });
    queue.loosen(lane);

    assert_eq!(queue.next(at(60)), Turn::Until(at(100)));
}

#[test]
fn a_guess_that_is_longer_loosens_nothing_that_is_firm() {
    let mut queue = queue(1);
    let lane = queue.lane(0);
    queue.hold(lane, at(100), Hold::Firm);

    queue.hold(lane, at(500), Hold::Loose { look_at: at(500) });
    assert_eq!(queue.next(at(60)), Turn::Until(at(500)));
    queue.loosen(lane);

    assert_eq!(queue.next(at(60)), Turn::Until(at(100)));
}

#[test]
fn a_guess_is_told_whole_and_looked_at_before() {
    let mut queue = queue(1);
    let lane = queue.lane(0);

    queue.hold(lane, at(500), Hold::Loose { look_at: at(30) });
    assert_eq!(queue.held_until(lane), at(500));
    assert_eq!(queue.next(at(10)), Turn::Until(at(30)));
    assert_eq!(queue.next(at(30)), Turn::Call(0));

    // Whoever looked says when to look again.
    queue.hold(lane, at(500), Hold::Loose { look_at: at(60) });
    assert_eq!(queue.next(at(30)), Turn::Until(at(60)));
}

#[test]
fn time_does_not_go_back() {
    let mut queue = queue(1);
    assert_eq!(queue.next(at(10)), Turn::Call(0));

    assert_eq!(queue.next(at(0)), Turn::Call(0));
}

#[test]
fn what_does_not_exist_can_be_asked_about() {
    let mut queue = queue(1);

    queue.remove(7);
    queue.reschedule(7, at(1));
    let lane = queue.begin(7);
    queue.finish(lane, None);
    queue.hold(NOWHERE, at(9), Hold::Firm);
    queue.loosen(NOWHERE);

    assert_eq!(queue.next(at(0)), Turn::Call(0));
    assert_eq!(queue.in_flight(), 0);
}

#[test]
fn what_is_stale_takes_no_more_than_what_is_not() {
    let mut queue = queue(100);

    for round in 0..10_000_u64 {
        queue.reschedule(u32::try_from(round % 99).unwrap(), at(1000 + round));
    }

    let waiting = &queue.lanes.get(queue.lane(0)).unwrap().waiting;
    assert!(waiting.len() <= 201, "{}", waiting.len());
    assert_eq!(queue.next(at(99)), Turn::Call(99));
}

#[test]
fn an_upstream_without_targets_is_forgotten() {
    let mut queue = queue(3);
    assert_eq!(queue.next(at(5)), Turn::Call(0));
    let lane = queue.begin(0);

    for index in 0..3 {
        queue.remove(index);
    }
    assert_eq!(queue.upstreams(), 1);
    queue.finish(lane, None);

    assert_eq!((queue.upstreams(), queue.next(at(9))), (0, Turn::Idle));
}
