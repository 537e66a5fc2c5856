//! When an episode is over because nobody remembers it.

use super::*;

#[test]
fn an_episode_is_forgotten_after_its_last_cooldown_in_every_state() {
    let lost = probing();
    let paused = probing().then(Event::Settled(probe(2), Ending::Neutral), 1010);
    for mut scene in [cooling(), lost, paused] {
        assert_eq!(scene.state.forgotten_at(FORGET), at(8200));
        let before = scene.then(refused(CURRENT, BARE), 8199);
        assert_eq!(before.rung(), 3);

        assert_eq!(scene.on(Event::Asked, at(8200)), Effect::Admit(Role::Free));
        assert_eq!(scene.state, Cooldown::CLEAR);
    }
}

#[test]
fn probes_do_not_keep_an_episode_alive() {
    let mut scene = cooling();
    for second in 1000..8200 {
        let Effect::Admit(role @ Role::Probe(_)) = scene.on(Event::Asked, at(second)) else {
            panic!("no probe at {second}");
        };
        scene.on(Event::Settled(Standing { stale: false, role }, Ending::Neutral), at(second));
    }

    assert_eq!(scene.on(Event::Asked, at(8200)), Effect::Admit(Role::Free));
}

#[test]
fn a_refusal_after_the_forgetting_is_the_first_stale_or_not() {
    for from in [CURRENT, STALE] {
        let mut scene = cooling();

        assert_eq!(scene.on(refused(from, BARE), at(8200)), Effect::Outdate);
        assert_eq!((scene.until(), scene.rung()), (at(8260), 1));
    }
}

#[test]
fn a_raised_cooldown_is_remembered_from_its_new_end() {
    for event in [refused(STALE, asking(1000)), exhausted(STALE, 1000), Event::Cooled(secs(1000))] {
        let scene = cooling().then(event, 900);

        assert_eq!(scene.state.forgotten_at(FORGET), at(1900 + 7200));
    }
}

#[test]
fn a_reopening_upstream_is_clear_once_the_last_refusal_is_long_ago() {
    let full = reopening().then(Event::Asked, 1010);
    let last = 880 + 7200;

    assert_eq!(full.then(Event::Asked, last - 1).phase(), open(2, 2));
    assert_eq!(full.then(Event::Asked, last).phase(), Phase::Clear);
    assert_eq!(full.state.forgotten_at(FORGET), at(last));
}

#[test]
fn once_it_reopens_an_upstream_is_remembered_from_what_cooled_it() {
    for (event, seconds) in [
        (refused(CURRENT, BARE), 1000),
        (exhausted(CURRENT, 10), 1000),
        // Nobody refused: that counts as if somebody did at the end.
        (Event::Cooled(secs(50)), 1050),
        // Heard before the restart, so by now at the latest.
        (restored(1050, 1), 1000),
    ] {
        let mut scene = cooling().then(event, 1000);
        let end = scene.until();
        scene.on(Event::Asked, end);
        scene.on(succeeded(probe(2)), end);

        assert_eq!(scene.phase(), open(2, 0), "{event:?}");
        assert_eq!(scene.state.forgotten_at(FORGET), at(seconds + 7200), "{event:?}");
    }
}

#[test]
fn with_no_memory_at_all_a_cooldown_ends_in_clear() {
    let mut scene = Scene { forget: Duration::ZERO, ..clear() }.then(refused(CURRENT, BARE), 0);

    assert_eq!(scene.on(Event::Asked, at(59)), Effect::Reject(Reason::Cooling));
    assert_eq!(scene.on(Event::Asked, at(60)), Effect::Admit(Role::Free));
    assert_eq!(scene.phase(), Phase::Clear);
}
