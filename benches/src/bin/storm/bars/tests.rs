use super::*;
use crate::scenarios;
use crate::tally::{Recovery, Tally};

/// A run that is not ours, with nothing remarkable about it.
fn run(strategy: &'static str, wasted: usize, useful: f64) -> Run {
    let tally = Tally {
        sent: 0,
        wasted,
        held_back: 0,
        useful,
        recovery: None,
        silence: Duration::ZERO,
        fairness: None,
    };
    Run { strategy, reach: Reach::Caller, is_told: false, is_ours: false, tally, log: Vec::new() }
}

fn ours(wasted: usize, useful: f64) -> Run {
    Run { is_ours: true, reach: Reach::Client, ..run("ours", wasted, useful) }
}

/// A scenario in which one calls, with these bars.
fn of_one(bars: &'static [Bar], runs: Vec<Run>) -> Played {
    let mut scenario = scenarios::all().remove(0);
    scenario.callers = Callers::Loops { callers: 1, pace: Duration::from_secs(1) };
    scenario.bars = bars;
    Played { scenario, runs }
}

fn missed(played: Played) -> Vec<Figure> {
    let judgement = Judgement::new(&[played], &[]);
    assert_eq!(judgement.holds(), judgement.missed.is_empty());
    judgement.missed.into_iter().map(|miss| miss.figure).collect()
}

#[test]
fn fewer_useful_answers_than_any_peer_are_a_miss() {
    let beside = |useful| missed(of_one(&[], vec![run("peer", 900, useful), ours(1, 100.0)]));

    assert_eq!(beside(100.0), []);
    assert_eq!(beside(101.0), [Figure::Useful]);
}

#[test]
fn more_wasted_requests_than_any_peer_are_a_miss_however_little_it_gets_done() {
    let beside = |wasted| missed(of_one(&[], vec![run("peer", wasted, 1.0), ours(10, 100.0)]));

    assert_eq!(beside(10), []);
    assert_eq!(beside(9), [Figure::Wasted]);
}

#[test]
fn who_was_told_the_limit_is_no_peer_and_neither_is_another_form() {
    let told = Run { is_told: true, ..run("told", 0, 200.0) };
    let other = Run { strategy: "other", ..ours(0, 100.0) };

    assert_eq!(missed(of_one(&[], vec![told, other, ours(10, 100.0)])), []);
}

#[test]
fn among_64_a_tenth_is_for_those_who_go_by_themselves() {
    let beside = |reach, wasted| {
        let peer = Run { reach, ..run("peer", wasted, 1.0) };
        let mut played = of_one(&[], vec![peer, ours(10, 100.0)]);
        played.scenario.callers = Callers::Loops { callers: 64, pace: Duration::from_secs(1) };
        missed(played)
    };

    for reach in [Reach::Nobody, Reach::Call] {
        assert_eq!(beside(reach, 100), []);
        assert_eq!(beside(reach, 99), [Figure::Tenth]);
    }
    assert_eq!(beside(Reach::Caller, 99), []);
    assert_eq!(beside(Reach::Client, 99), []);
}

#[test]
fn near_the_oracle_is_nineteen_of_twenty_of_its_answers() {
    let beside = |useful| {
        let told = Run { is_told: true, ..run("told", 0, 100.0) };
        missed(of_one(&[Bar::NearOracle], vec![told, ours(1, useful)]))
    };

    assert_eq!(beside(95.0), []);
    assert_eq!(beside(94.0), [Figure::Own(Bar::NearOracle)]);
}

#[test]
fn without_an_oracle_nothing_is_near_it() {
    let played = of_one(&[Bar::NearOracle], vec![ours(1, 100.0)]);

    assert_eq!(missed(played), [Figure::Own(Bar::NearOracle)]);
}

#[test]
fn at_once_is_within_a_round_trip_in_the_worst_case() {
    let after = |worst: Option<Duration>| {
        let mut one = ours(1, 100.0);
        one.tally.recovery =
            worst.map(|worst| Recovery { episodes: 2, median: Duration::ZERO, worst });
        missed(of_one(&[Bar::AtOnce], vec![one]))
    };

    assert_eq!(after(Some(ROUND_TRIP)), []);
    let late = ROUND_TRIP + Duration::from_millis(1);
    assert_eq!(after(Some(late)), [Figure::Own(Bar::AtOnce)]);
    assert_eq!(after(None), [Figure::Own(Bar::AtOnce)]);
}

#[test]
fn to_recover_is_half_of_the_limit_where_the_fixed_pace_gets_nothing() {
    let with = |served, useful| {
        let naive = Run { reach: Reach::Nobody, ..run("naive", 9, served) };
        missed(of_one(&[Bar::Recovers], vec![naive, ours(1, useful)]))
    };

    assert_eq!(with(0.0, 1_800.0), [], "of sixty a minute");
    assert_eq!(with(0.0, 1_799.0), [Figure::Own(Bar::Recovers)]);
    assert_eq!(with(1.0, 1_800.0), [Figure::Own(Bar::Recovers)]);
}

static ONE: [Argued; 1] = [Argued {
    scenarios: &["window"],
    strategies: &["ours"],
    figure: Figure::Useful,
    at_most: 2.0,
    why: "because",
}];

#[test]
fn what_is_argued_may_be_missed() {
    let played = of_one(&[], vec![run("peer", 900, 200.0), ours(1, 100.0)]);

    let judgement = Judgement::new(&[played], &ONE);

    assert_eq!(judgement.argued.len(), 1);
    assert_eq!(judgement.argued[0].1, "because");
    assert!(judgement.holds());
}

#[test]
fn what_is_argued_may_be_missed_that_far_and_no_farther() {
    let beside = |useful| {
        let played = of_one(&[], vec![run("peer", 900, useful), ours(1, 100.0)]);
        Judgement::new(&[played], &ONE).holds()
    };

    assert!(beside(200.0));
    assert!(!beside(201.0));
}

#[test]
fn how_far_a_miss_is_goes_by_the_bar() {
    let times = |played| format!("{:.2}", Judgement::new(&[played], &[]).missed[0].times);
    let mut of_64 = of_one(&[], vec![Run { reach: Reach::Call, ..run("peer", 50, 1.0) }]);
    of_64.scenario.callers = Callers::Loops { callers: 64, pace: Duration::from_secs(1) };
    of_64.runs.push(ours(10, 100.0));

    assert_eq!(times(of_64), "2.00", "a tenth would be five");
    assert_eq!(times(of_one(&[], vec![run("peer", 4, 1.0), ours(10, 100.0)])), "2.50");
    assert_eq!(times(of_one(&[], vec![run("peer", 90, 150.0), ours(10, 100.0)])), "1.50");
}

#[test]
fn one_figure_that_is_argued_excuses_no_other() {
    let played = of_one(&[], vec![run("peer", 0, 100.0), ours(1, 100.0)]);

    let judgement = Judgement::new(&[played], &ONE);

    assert_eq!(judgement.missed[0].figure, Figure::Wasted);
    assert!(!judgement.holds());
}

#[test]
fn what_is_argued_and_not_missed_fails_where_it_was_played() {
    let held = of_one(&[], vec![run("peer", 900, 100.0), ours(1, 100.0)]);
    let judgement = Judgement::new(&[held], &ONE);
    assert!(judgement.missed.is_empty() && !judgement.holds());

    assert!(Judgement::new(&[], &ONE).holds());
}

#[test]
fn what_is_argued_is_there() {
    let scenarios: Vec<_> = scenarios::all().iter().map(|one| one.name).collect();
    let strategies: Vec<_> =
        crate::strategies::all().iter().map(|one| one.name().to_owned()).collect();

    for Argued { scenarios: at, strategies: of, .. } in argued::ARGUED {
        assert!(at.iter().all(|name| scenarios.contains(name)), "{at:?}");
        assert!(of.iter().all(|name| strategies.contains(&(*name).to_owned())), "{of:?}");
    }
}
