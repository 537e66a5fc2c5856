use std::task::Waker;
use std::time::Duration;

use http::StatusCode;

use super::super::bulletin::Bulletin;
use super::super::event::{self, Policy, What};
use super::*;
use crate::cooldown::{self, Cooldown, Ending, Phase, Refusal, Role, Rules, Standing, Told, Word};
use crate::moment::Moment;
use crate::upstream::Kind;

const FORGET: Duration = Duration::from_secs(7200);
const PATIENCE: Duration = Duration::from_millis(100);

fn policy() -> Policy {
    Policy { rules: Rules::default(), forget: FORGET }
}

fn at(millis: u64) -> Moment {
    Moment::START.after(Duration::from_millis(millis))
}

fn upstream() -> Upstream {
    Upstream::named("billing")
}

fn refused(hint: Option<Duration>) -> Ending {
    let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, hint };
    Ending::Refused { refusal, sample: 0.0 }
}

fn standing(stale: bool, role: Role) -> Standing {
    Standing { stale, role }
}

/// A link and the state of one upstream, as the table would have it.
struct Scene {
    link: Link,
    member: Member,
    state: Cooldown,
}

impl Scene {
    fn at(stage: Stage) -> Self {
        let link = Link::default();
        let member = link.join(PATIENCE).unwrap();
        link.enter(member, stage);
        Self { link, member, state: Cooldown::CLEAR }
    }

    /// In step, Cooling from 1 s to 61 s; told already.
    fn cooling() -> Self {
        let mut scene = Self::at(Stage::InStep);
        scene.ends(standing(false, Role::Free), refused(None), 1000);
        scene.told();
        scene
    }

    /// The same after the probe that the fleet has given number 7.
    fn probing() -> Self {
        let mut scene = Self::cooling();
        scene.asks(61_000);
        scene.leased(Grant::Probe(Some(7)), 61_001);
        scene.asks(61_001);
        scene.told();
        scene
    }

    fn on(&mut self, event: cooldown::Event, millis: u64) -> cooldown::Effect {
        let (next, effect) = self.state.on(event, at(millis), &Rules::default(), FORGET);
        self.state = next;
        effect
    }

    /// A call asks; returns by what event, after it has taken effect.
    fn asks(&mut self, millis: u64) -> cooldown::Event {
        let event = self.link.asks(&upstream(), &self.state, at(millis), policy());
        self.on(event, millis);
        event
    }

    /// A call ends; the fleet is told if it is to be.
    fn ends(&mut self, from: Standing, ending: Ending, millis: u64) {
        let (link, name) = (&self.link, upstream());
        if let Some(met) = link.meets(&name, &self.state, from, ending, at(millis), &policy()) {
            link.settled(&name, met, ending, policy());
        }
        self.on(cooldown::Event::Settled(from, ending), millis);
    }

    fn leased(&mut self, grant: Grant, millis: u64) -> Leased {
        let leased = self.link.leased(&upstream(), grant, at(millis));
        if leased == Leased::Waits {
            self.on(cooldown::Event::Fleet(Word::Given), millis);
        }
        leased
    }

    /// Returns all that was told since, and answers it.
    fn told(&mut self) -> Vec<(What, Purpose)> {
        let mut told = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(letter) = self.link.poll_letter(&mut cx) {
            let letter = letter.unwrap();
            told.push((letter.event.what, letter.purpose));
        }
        self.link.answered(&upstream(), told.len());
        told
    }

    /// Hears a line of the fleet; returns what the table is to hear.
    fn hears(&self, line: &str, is_answer: bool, millis: u64) -> Option<Word> {
        let bulletin = Bulletin::read(line).unwrap();
        let heard = Hearing { me: "me", is_answer, outdated: false };
        self.link.hear(&upstream(), &self.state, &bulletin, &heard, at(millis))
    }
}

/// A line with that number and phase; the gate is so many milliseconds ahead.
fn line(number: u64, phase: &str, gate: u64, holder: &str) -> String {
    let gate = 1_000_000_u64.saturating_add(gate.saturating_mul(1000));
    format!(
        "1 epoch {number} 1000000 {phase} {gate} {gate} 500000 2 429 - 0 {number} 3 2 0 {holder} \
         0 refused other named:billing"
    )
}

fn wanted(millis: u64) -> cooldown::Event {
    cooldown::Event::Fleet(Word::Wanted(Duration::from_millis(millis)))
}

fn role_of(what: What) -> event::Role {
    match what {
        What::Refused { from, .. }
        | What::Exhausted { from, .. }
        | What::Succeeded { from }
        | What::Neutral { from }
        | What::Dropped { from } => from.role,
        other => panic!("no verdict, but {other:?}"),
    }
}

#[test]
fn a_table_is_in_one_fleet_at_a_time() {
    let link = Link::default();

    let first = link.join(PATIENCE).unwrap();
    assert_eq!(link.join(PATIENCE), None);
    link.leave(first);
    assert!(link.join(PATIENCE).is_some());
}

#[test]
fn one_that_has_left_says_nothing_any_more() {
    let link = Link::default();
    let first = link.join(PATIENCE).unwrap();
    link.leave(first);
    link.enter(first, Stage::InStep);
    assert_eq!(link.held().stage, Stage::Apart);

    let second = link.join(PATIENCE).unwrap();
    link.enter(first, Stage::InStep);
    link.leave(first);

    assert_eq!(link.held().stage, Stage::Away);
    link.enter(second, Stage::InStep);
    assert_eq!(link.held().stage, Stage::InStep);
}

#[test]
fn out_of_step_a_call_asks_nobody() {
    for stage in [Stage::Away, Stage::Reading] {
        let mut scene = Scene::at(stage);
        scene.on(cooldown::Event::Cooled(Duration::from_secs(1)), 0);

        assert_eq!(scene.asks(1000), cooldown::Event::Asked);
        assert_eq!(scene.told(), []);
    }
}

#[test]
fn away_nothing_is_told_and_while_all_is_read_it_is_kept() {
    for (stage, letters) in [(Stage::Away, 0), (Stage::Reading, 1), (Stage::InStep, 1)] {
        let mut scene = Scene::at(stage);

        scene.ends(standing(false, Role::Free), refused(None), 0);

        assert_eq!(scene.told().len(), letters, "{stage:?}");
    }
}

#[test]
fn the_fleet_is_asked_once_for_a_lease_and_the_others_wait_with_the_first() {
    let mut scene = Scene::cooling();

    assert_eq!(scene.asks(60_999), cooldown::Event::Asked, "it is rejected, nobody is asked");
    assert_eq!(scene.asks(61_000), wanted(100));
    assert_eq!(scene.told(), [(What::Asked, Purpose::Probe)]);
    assert_eq!(scene.asks(61_040), cooldown::Event::Asked, "it is rejected as well");
    assert_eq!(scene.told(), []);
}

#[test]
fn a_call_goes_by_itself_where_the_answer_takes_too_long() {
    let mut scene = Scene::cooling();
    scene.asks(61_000);

    assert_eq!(scene.asks(61_100), cooldown::Event::Asked);
    assert!(matches!(scene.state.phase, Phase::Probing { lease } if lease == at(91_100)));
}

#[test]
fn a_lease_that_comes_too_late_goes_with_the_probe_that_is_out() {
    let mut scene = Scene::cooling();
    scene.asks(61_000);
    scene.asks(61_100);
    scene.told();

    assert_eq!(scene.leased(Grant::Probe(Some(7)), 61_500), Leased::Used);
    let probe = scene.state.probe();
    scene.ends(standing(false, Role::Probe(probe)), Ending::Neutral, 61_600);

    let told = scene.told();
    assert_eq!(told.len(), 1);
    assert_eq!(role_of(told[0].0), event::Role::Probe(7));
}

#[test]
fn the_verdict_of_a_probe_that_went_by_itself_is_told_as_anybodys() {
    let mut scene = Scene::cooling();
    scene.asks(61_000);
    scene.asks(61_100);
    scene.told();
    let probe = scene.state.probe();

    scene.ends(standing(false, Role::Probe(probe)), refused(None), 61_600);

    assert_eq!(role_of(scene.told()[0].0), event::Role::Free);
}

#[test]
fn a_lease_makes_one_call_the_probe_and_its_verdict_ends_it() {
    for (ending, places) in
        [(Ending::Succeeded, 2), (Ending::Neutral, 0), (Ending::Dropped, 0), (refused(None), 0)]
    {
        let mut scene = Scene::probing();
        let probe = scene.state.probe();

        scene.ends(standing(false, Role::Probe(probe)), ending, 62_000);

        let told = scene.told();
        assert_eq!(role_of(told[0].0), event::Role::Probe(7), "{ending:?}");
        assert_eq!(told[1..], vec![(What::Asked, Purpose::Taken); places], "{ending:?}");
    }
}

#[test]
fn a_lease_that_no_call_comes_for_is_given_back_and_the_next_call_goes_without() {
    let mut scene = Scene::cooling();
    scene.asks(61_000);
    scene.leased(Grant::Probe(Some(7)), 61_001);

    assert_eq!(scene.link.lapse(&upstream(), at(61_900)), None, "it may still come");
    assert_eq!(scene.link.lapse(&upstream(), at(62_001)), Some(7));
    assert_eq!(scene.link.lapse(&upstream(), at(62_001)), None);
    assert_eq!(scene.hears(&line(9, "cooling", 0, "-"), true, 62_010), scene.heard_again());
    scene.told();
    assert_eq!(scene.asks(120_000), cooldown::Event::Asked);
    assert!(matches!(scene.state.phase, Phase::Probing { lease } if lease == at(150_000)));
    assert_eq!(scene.told(), [(What::Asked, Purpose::Probe)], "the others are to know of it");
}

#[test]
fn who_calls_seldom_goes_without_even_where_others_had_the_lease_meanwhile() {
    let mut scene = Scene::cooling();
    scene.asks(61_000);
    scene.leased(Grant::Probe(Some(7)), 61_001);
    scene.link.lapse(&upstream(), at(62_001));
    scene.told();

    for line in [line(9, "probing", 2000, "other"), line(10, "cooling", 0, "-")] {
        let word = scene.hears(&line, false, 63_000).unwrap();
        scene.on(cooldown::Event::Fleet(word), 63_000);
    }

    assert_eq!(scene.asks(120_000), cooldown::Event::Asked);
    assert!(matches!(scene.state.phase, Phase::Probing { lease } if lease == at(150_000)));
}

impl Scene {
    /// What the table hears of a cooldown that has run out: news, as always.
    fn heard_again(&self) -> Option<Word> {
        self.hears(&line(9, "cooling", 0, "-"), true, 62_010)
    }
}

#[test]
fn a_lease_that_nobody_waits_for_is_given_back_at_once() {
    let mut scene = Scene::cooling();

    assert_eq!(scene.leased(Grant::Probe(Some(7)), 61_000), Leased::Unwanted { probe: 7 });
    assert_eq!(scene.leased(Grant::Denied, 61_000), Leased::Used);
    assert_eq!(scene.leased(Grant::Probe(None), 61_000), Leased::Used);
}

#[test]
fn who_is_denied_asks_again_when_the_others_lease_is_over() {
    let mut scene = Scene::cooling();
    scene.asks(61_000);
    scene.told();
    let word = scene.hears(&line(5, "probing", 2000, "other"), true, 61_001).unwrap();
    scene.leased(Grant::Denied, 61_001);
    scene.on(cooldown::Event::Fleet(word), 61_001);

    assert_eq!(scene.asks(63_000), cooldown::Event::Asked);
    assert_eq!(scene.asks(63_001), wanted(100));
}

#[test]
fn places_are_asked_for_ever_more_seldom_until_one_is_given() {
    let mut scene = Scene::cooling();
    let word = scene.hears(&line(5, "reopening", 0, "other"), false, 61_000).unwrap();
    scene.on(cooldown::Event::Fleet(word), 61_000);
    let mut asked = |from: u64| -> Vec<u64> {
        let each = (0..10_000).step_by(50).filter(|millis| {
            assert_eq!(scene.asks(from + millis), cooldown::Event::Asked);
            !scene.told().is_empty()
        });
        let asked = each.collect();
        scene.link.placed(&upstream(), at(from));
        asked
    };

    let seldom = [0, 100, 300, 700, 1500, 3100, 4700, 6300, 7900, 9500];
    assert_eq!(asked(61_000), seldom);
    assert_eq!(asked(71_000), seldom, "one was given");
}

#[test]
fn a_success_in_a_reopening_upstream_takes_its_place_anew_and_one_more() {
    for (role, places) in [(Role::Place, 2), (Role::Late, 1), (Role::Free, 1)] {
        let mut scene = Scene::probing();
        let probe = scene.state.probe();
        scene.ends(standing(false, Role::Probe(probe)), Ending::Succeeded, 62_000);
        scene.asks(62_000);
        scene.told();

        scene.ends(standing(false, role), Ending::Succeeded, 62_001);

        assert_eq!(scene.told().len(), 1 + places, "{role:?}");
    }
}

#[test]
fn what_changes_nothing_is_not_told() {
    let mut scene = Scene::cooling();
    let hint = Some(Duration::from_secs(90));

    for (from, ending) in [
        (standing(true, Role::Free), refused(None)),
        (standing(true, Role::Free), refused(Some(Duration::ZERO))),
        (standing(true, Role::Free), Ending::Succeeded),
        (standing(false, Role::Free), Ending::Succeeded),
        (standing(false, Role::Free), Ending::Neutral),
        (standing(false, Role::Probe(9)), Ending::Dropped),
    ] {
        scene.ends(from, ending, 2000);
        assert_eq!(scene.told(), [], "{ending:?}");
    }
    scene.ends(standing(true, Role::Free), refused(hint), 2000);
    assert_eq!(scene.told().len(), 1, "a late hint may be longer");

    scene.state = Cooldown::CLEAR;
    for ending in [Ending::Succeeded, Ending::Neutral, Ending::Dropped] {
        scene.ends(standing(false, Role::Free), ending, 2000);
        assert_eq!(scene.told(), [], "{ending:?} of a Clear upstream");
    }
}

#[test]
fn a_place_that_comes_back_stays_here() {
    let mut scene = Scene::probing();
    let probe = scene.state.probe();
    scene.ends(standing(false, Role::Probe(probe)), Ending::Succeeded, 62_000);
    scene.asks(62_000);
    scene.told();

    scene.ends(standing(false, Role::Place), Ending::Dropped, 62_001);

    assert_eq!(scene.told(), []);
}

#[test]
fn a_place_that_no_call_came_for_in_time_is_the_next_calls_and_only_that() {
    let mut scene = Scene::cooling();
    let word = scene.hears(&line(5, "reopening", 0, "-"), false, 61_001).unwrap();
    scene.on(cooldown::Event::Fleet(word), 61_001);
    assert_eq!(scene.asks(61_002), cooldown::Event::Asked);
    scene.link.placed(&upstream(), at(61_012));
    scene.on(cooldown::Event::Fleet(Word::Room(1)), 61_012);
    assert_eq!(scene.link.yields(&upstream(), at(62_011)), 1, "its call may be about to come");
    assert_eq!(scene.link.yields(&upstream(), at(62_012)), 0);
    scene.on(cooldown::Event::Fleet(Word::Yielded(0)), 62_012);
    scene.told();

    assert_eq!(scene.asks(121_000), cooldown::Event::Fleet(Word::Overdue));
    assert_eq!(scene.told(), [(What::Asked, Purpose::Taken)]);
    assert_eq!(scene.asks(121_001), cooldown::Event::Asked);
}

#[test]
fn a_place_that_was_used_is_not_overdue() {
    let mut scene = Scene::cooling();
    let word = scene.hears(&line(5, "reopening", 0, "-"), false, 61_001).unwrap();
    scene.on(cooldown::Event::Fleet(word), 61_001);
    scene.link.placed(&upstream(), at(61_012));
    scene.on(cooldown::Event::Fleet(Word::Room(1)), 61_012);
    scene.asks(61_013);

    assert_eq!(scene.link.yields(&upstream(), at(70_000)), 0);

    assert_eq!(scene.asks(61_014), cooldown::Event::Asked);
}

#[test]
fn an_exhausted_quota_that_no_wait_follows_is_the_success_that_it_is() {
    let mut scene = Scene::probing();
    let probe = scene.state.probe();
    let exhausted = Ending::Exhausted { reset: Duration::ZERO, sample: 0.0 };

    scene.ends(standing(false, Role::Probe(probe)), exhausted, 62_000);

    assert_eq!(scene.told().len(), 3, "it takes its places");
}

#[test]
fn a_verdict_tells_of_the_generation_that_was_heard() {
    let mut scene = Scene::at(Stage::InStep);
    scene.hears(&line(12, "clear", 0, "-"), false, 1000);

    scene.ends(standing(false, Role::Free), refused(None), 2000);

    let What::Refused { from, .. } = scene.told()[0].0 else {
        panic!("no refusal");
    };
    assert_eq!(from.seen, 12);
}

#[test]
fn what_is_old_or_repeated_is_not_heard() {
    let scene = Scene::at(Stage::InStep);

    assert!(scene.hears(&line(12, "cooling", 5000, "-"), false, 1000).is_some());
    assert!(scene.hears(&line(12, "cooling", 9000, "-"), false, 1000).is_none());
    assert!(scene.hears(&line(11, "cooling", 9000, "-"), true, 1000).is_none());
    assert!(scene.hears(&line(12, "cooling", 5000, "-"), true, 1000).is_some(), "an answer");
}

#[test]
fn calls_are_made_stale_once_by_each_generation() {
    let scene = Scene::at(Stage::InStep);
    let outdates = |word: Option<Word>| match word {
        Some(Word::Heard(news)) => news.outdates,
        other => panic!("{other:?}"),
    };

    assert!(outdates(scene.hears(&line(12, "cooling", 5000, "-"), false, 1000)));
    assert!(!outdates(scene.hears(&line(12, "cooling", 5000, "-"), true, 1000)));
    assert!(outdates(scene.hears(&line(13, "cooling", 5000, "-"), false, 1000)));
}

#[test]
fn while_events_are_on_their_way_only_longer_cooldowns_are_heard() {
    let mut scene = Scene::at(Stage::InStep);
    scene.ends(standing(false, Role::Free), refused(None), 1000);

    for phase in ["clear", "reopening", "probing"] {
        assert!(scene.hears(&line(12, phase, 5000, "other"), false, 1000).is_none(), "{phase}");
    }
    assert!(scene.hears(&line(12, "cooling", 5000, "-"), false, 1000).is_some());
    scene.told();
    assert!(scene.hears(&line(13, "clear", 0, "-"), false, 1000).is_some());
}

#[test]
fn ones_own_probe_is_no_news() {
    let scene = Scene::probing();

    assert!(scene.hears(&line(12, "probing", 5000, "me"), false, 61_002).is_none());
    assert!(scene.hears(&line(13, "probing", 5000, "other"), false, 61_002).is_some());
}

#[test]
fn the_verdict_of_ones_own_probe_tells_more_than_a_cooldown_that_has_run_out() {
    let scene = Scene::probing();

    assert!(scene.hears(&line(12, "cooling", 0, "-"), false, 61_002).is_none());
    assert!(scene.hears(&line(13, "cooling", 1, "-"), false, 61_002).is_some());
}

#[test]
fn what_the_fleet_has_forgotten_is_forgotten_unless_more_was_heard() {
    let scene = Scene::cooling();
    scene.hears(&line(12, "cooling", 0, "-"), false, 61_000);
    assert_eq!(scene.link.heard_of(), [(upstream(), 12)]);

    assert!(scene.link.gone(&upstream(), 11, at(61_000)).is_none());
    let Some(Word::Heard(news)) = scene.link.gone(&upstream(), 12, at(61_000)) else {
        panic!("not forgotten");
    };
    assert_eq!(news.standing, Told::Clear { by_hand: false });
    assert!(Scene::probing().link.gone(&upstream(), 0, at(61_002)).is_none(), "a probe is out");
}

#[test]
fn an_episode_that_ended_here_while_the_fleet_was_away_is_told_as_ended() {
    let mut scene = Scene::probing();
    scene.hears(&line(12, "probing", 5000, "me"), true, 61_002);
    scene.link.enter(scene.member, Stage::Away);
    let probe = scene.state.probe();

    scene.ends(standing(false, Role::Probe(probe)), Ending::Succeeded, 62_000);
    scene.link.enter(scene.member, Stage::InStep);
    scene.link.tell_ended(policy());

    let from = event::Standing { seen: 12, stale: false, role: event::Role::Free };
    assert_eq!(scene.told(), [(What::Succeeded { from }, Purpose::Tell)]);
    scene.link.tell_ended(policy());
    assert_eq!(scene.told(), [], "once");
}

#[test]
fn an_end_that_a_newer_refusal_has_overtaken_is_not_told() {
    let mut scene = Scene::probing();
    scene.hears(&line(12, "probing", 5000, "me"), true, 61_002);
    scene.link.enter(scene.member, Stage::Away);
    let probe = scene.state.probe();
    scene.ends(standing(false, Role::Probe(probe)), Ending::Succeeded, 62_000);

    scene.link.enter(scene.member, Stage::InStep);
    scene.hears(&line(13, "cooling", 5000, "-"), false, 62_500);
    scene.link.tell_ended(policy());

    assert_eq!(scene.told(), []);
}

#[test]
fn away_leases_mean_nothing_but_numbers_do() {
    let mut scene = Scene::cooling();
    scene.hears(&line(12, "cooling", 0, "-"), false, 61_000);
    scene.asks(61_000);

    scene.link.enter(scene.member, Stage::Away);
    scene.link.enter(scene.member, Stage::InStep);

    assert_eq!(scene.told(), []);
    assert!(scene.hears(&line(12, "cooling", 9000, "-"), false, 61_000).is_none());
    assert_eq!(scene.asks(61_100), wanted(100));
    scene.link.begin_anew();
    assert!(scene.hears(&line(1, "cooling", 9000, "-"), false, 61_000).is_some());
}

#[test]
fn more_than_can_be_told_is_noticed_and_takes_no_memory() {
    let scene = Scene::at(Stage::InStep);

    for _ in 0..OUTBOX + 10 {
        scene.link.cleared(&upstream(), policy());
    }

    assert_eq!(scene.link.held().outbox.len(), OUTBOX);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(scene.link.poll_letter(&mut cx), Poll::Ready(Err(Overrun))));
}

#[test]
fn a_name_that_means_nothing_to_others_is_neither_told_nor_asked_for() {
    let mut scene = Scene::cooling();
    let ours = Upstream::new(Kind::Ephemeral, "https://a.example 5f");

    scene.link.cleared(&ours, policy());
    let event = scene.link.asks(&ours, &scene.state, at(61_000), policy());

    assert_eq!(event, cooldown::Event::Asked);
    assert_eq!(scene.told(), []);
}

#[test]
fn numbers_of_clear_upstreams_do_not_pile_up() {
    let scene = Scene::at(Stage::InStep);
    for number in 0..5000 {
        let name = Upstream::named(number.to_string());
        scene.link.cleared(&name, policy());
        scene.link.answered(&name, usize::from(number != 8));
    }

    scene.link.tidy(1, |upstream| *upstream == Upstream::named("7"));

    assert_eq!(scene.link.held().shares.len(), 2, "one is tracked, of one an answer is due");
}
