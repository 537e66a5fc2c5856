//! Probes, superseded probes, and the way back.

use super::*;

const NEUTRAL: Ending = Ending::Neutral;

#[test]
fn at_the_deadline_exactly_one_of_a_hundred_is_the_probe() {
    let mut scene = cooling();
    let effects: Vec<Effect> = (0..100).map(|_| scene.on(Event::Asked, at(1000))).collect();

    assert_eq!(effects[0], Effect::Admit(Role::Probe(2)));
    assert!(effects[1..].iter().all(|effect| *effect == Effect::Reject(Reason::Probing)));
}

#[test]
fn a_lost_probe_frees_the_way_when_its_lease_ends() {
    let mut scene = probing();

    assert_eq!(scene.on(Event::Asked, at(1029)), Effect::Reject(Reason::Probing));
    assert_eq!(scene.on(Event::Asked, at(1030)), Effect::Admit(Role::Probe(3)));
    assert_eq!(scene.on(Event::Asked, at(1059)), Effect::Reject(Reason::Probing));
    assert_eq!(scene.rung(), 2);
}

#[test]
fn a_dropped_probe_lets_the_next_caller_probe_at_once_on_the_same_rung() {
    let mut scene = probing().then(Event::Settled(probe(2), Ending::Dropped), 1001);

    assert_eq!(scene.on(Event::Asked, at(1001)), Effect::Admit(Role::Probe(3)));
    assert_eq!(scene.rung(), 2);
}

#[test]
fn a_neutral_probe_pauses_for_a_second_or_a_shorter_base_but_never_not_at_all() {
    for (base_millis, pause_millis) in [(60_000, 1000), (1000, 1000), (300, 300), (0, 1000)] {
        let ladder = Ladder::new(Duration::from_millis(base_millis), secs(1800));
        let rules = Rules { ladder, ..Rules::default() };
        let scene = Scene { rules, ..probing() }.then(Event::Settled(probe(2), NEUTRAL), 1010);

        assert_eq!(scene.until(), at(1010).after(Duration::from_millis(pause_millis)));
        assert_eq!(scene.rung(), 2);
    }
}

#[test]
fn an_answer_that_takes_longer_than_the_lease_still_ends_the_episode() {
    let superseded = probing().then(Event::Asked, 1030);

    let scene = superseded.then(succeeded(probe(2)), 1040);

    assert_eq!((scene.phase(), scene.rung()), (open(2, 0), 0));
}

#[test]
fn a_superseded_probe_that_is_refused_climbs_one_rung() {
    let superseded = probing().then(Event::Asked, 1030);

    let scene = superseded.then(refused(probe(2), BARE), 1040);

    assert_eq!((scene.until(), scene.rung()), (at(1280), 3));
}

#[test]
fn a_superseded_probe_without_news_leaves_the_newest_alone() {
    for ending in [NEUTRAL, Ending::Dropped] {
        let scene = probing().then(Event::Asked, 1030).then(Event::Settled(probe(2), ending), 1040);

        assert_eq!(scene.phase(), probing_until(1060));
    }
}

#[test]
fn a_superseded_success_after_the_newest_was_dropped_ends_the_episode() {
    let scene = probing().then(Event::Asked, 1030);
    let scene = scene.then(Event::Settled(probe(3), Ending::Dropped), 1035);

    assert_eq!(scene.then(succeeded(probe(2)), 1035).phase(), open(2, 0));
}

#[test]
fn a_superseded_success_ends_the_episode_though_the_newest_probe_was_neutral() {
    let scene = probing().then(Event::Asked, 1030);
    let paused = scene.then(Event::Settled(probe(3), NEUTRAL), 1035);

    // Nobody asked for the pause; what somebody asked for is kept to the end.
    assert_eq!(paused.then(succeeded(probe(2)), 1035).phase(), open(2, 0));
    let asked = paused.then(refused(STALE, asking(60)), 1035);
    assert_eq!(asked.then(succeeded(probe(2)), 1094).until(), at(1095));
    assert_eq!(asked.then(succeeded(probe(2)), 1095).phase(), open(2, 0));
}

#[test]
fn probes_are_told_apart_even_after_four_billion() {
    let mut scene = probing();
    scene.state.probe = u32::MAX;

    assert_eq!(scene.on(Event::Asked, at(1030)), Effect::Admit(Role::Probe(0)));
    let scene = scene.then(Event::Settled(probe(u32::MAX), NEUTRAL), 1031);
    assert_eq!(scene.phase(), probing_until(1060));
}

#[test]
fn each_success_makes_one_place_more_until_the_upstream_is_clear() {
    let rules = Rules { reopen_width: 5, ..Rules::default() };
    let mut scene = Scene { rules, ..probing() }.then(succeeded(probe(2)), 1010);
    for width in 2..=5 {
        assert_eq!(scene.phase(), open(width, 0));
        for _ in 0..width {
            assert_eq!(scene.on(Event::Asked, at(1010)), Effect::Admit(Role::Place));
        }
        assert_eq!(scene.on(Event::Asked, at(1010)), Effect::Reject(Reason::Reopening));
        for _ in 1..width {
            scene.on(Event::Settled(place(), Ending::Dropped), at(1010));
        }
        scene.on(succeeded(place()), at(1010));
    }

    assert_eq!(scene.state, Cooldown::CLEAR);
}

#[test]
fn by_default_an_upstream_is_clear_after_sixty_three_successes() {
    let mut scene = probing().then(succeeded(probe(2)), 1010);
    let mut successes = 0;
    while scene.phase() != Phase::Clear && successes < 1000 {
        scene = scene.then(Event::Asked, 1011).then(succeeded(place()), 1011);
        successes += 1;
    }

    assert_eq!(successes, 63);
}

#[test]
fn a_reopen_width_below_two_goes_straight_to_clear() {
    for reopen_width in [0, 1] {
        let rules = Rules { reopen_width, ..Rules::default() };

        for seconds in [1010, 1030] {
            let scene = Scene { rules, ..probing() }.then(succeeded(probe(2)), seconds);
            assert_eq!(scene.state, Cooldown::CLEAR);
        }
    }
}

#[test]
fn a_refusal_while_reopening_starts_a_new_episode_on_rung_one() {
    let scene = reopening().then(refused(place(), asking(90)), 1011);

    assert_eq!((scene.until(), scene.rung()), (at(1101), 1));
}

#[test]
fn a_late_probe_widens_a_reopening_upstream_without_giving_a_place_back() {
    let scene = reopening().then(succeeded(probe(1)), 1011);
    assert_eq!(scene.phase(), open(3, 1));

    let scene = scene.then(Event::Settled(probe(1), Ending::Neutral), 1011);
    assert_eq!(scene.phase(), open(3, 1));
}

#[test]
fn places_are_never_given_back_below_none() {
    let empty = probing().then(succeeded(probe(2)), 1010);

    assert_eq!(empty.then(Event::Settled(place(), Ending::Dropped), 1011).phase(), open(2, 0));
}

#[test]
fn a_layer_that_reopens_at_once_leaves_another_layers_reopening_alone() {
    // Two layers on one table: the upstream reopens by the rules of the first.
    let scene = probing().then(succeeded(probe(2)), 1010).then(Event::Asked, 1010);
    let rules = Rules { reopen_width: 0, ..Rules::default() };
    let other = Scene { rules, ..scene };

    assert_eq!(other.then(Event::Asked, 1010).phase(), open(2, 2));
    for ending in [NEUTRAL, Ending::Dropped] {
        assert_eq!(other.then(Event::Settled(place(), ending), 1010).phase(), open(2, 0));
    }
    assert_eq!(other.then(succeeded(place()), 1010).phase(), Phase::Clear);
}
