//! What those are told who have to wait.

use super::*;

#[test]
fn the_gate_is_the_end_of_the_cooldown_or_of_the_lease() {
    for (scene, gate) in [(clear(), 0), (cooling(), 1000), (probing(), 1030), (reopening(), 0)] {
        assert_eq!(scene.state.gate(FORGET), at(gate), "{:?}", scene.phase());
    }
}

#[test]
fn the_gate_never_outlasts_the_episode() {
    assert_eq!(probing().state.gate(secs(10)), at(1010));
    let paused = probing().then(Event::Settled(probe(2), Ending::Neutral), 1005);
    assert_eq!(paused.state.gate(Duration::from_millis(5500)), at(1005).after(LEAST / 2));
}

#[test]
fn whoever_looks_sees_how_long_calls_are_held_and_whether_there_is_room() {
    let full = reopening().then(Event::Asked, 1010);
    for (scene, second, held, has_room) in [
        (clear(), 900, 0, true),
        (cooling(), 900, 100, false),
        (cooling(), 1000, 0, true),
        (cooling(), 1001, 0, true),
        (probing(), 1010, 20, false),
        (probing(), 1030, 0, true),
        (reopening(), 1011, 0, true),
        (full, 1011, 0, false),
    ] {
        assert_eq!(scene.state.gate(FORGET).since(at(second)), secs(held), "{:?}", scene.phase());
        assert_eq!(scene.state.has_room(at(second)), has_room, "{:?}", scene.phase());
        let asked = scene.state.on(Event::Asked, at(second), &scene.rules, FORGET).1;
        assert_eq!(matches!(asked, Effect::Admit(_)), has_room, "{:?}", scene.phase());
    }
}

#[test]
fn a_cooldown_is_in_force_until_it_has_run_out() {
    for (scene, second, is_cooling) in [
        (clear(), 900, false),
        (cooling(), 999, true),
        (cooling(), 1000, false),
        (cooling(), 1001, false),
        (probing(), 1010, false),
        (reopening(), 1011, false),
    ] {
        assert_eq!(scene.state.is_cooling(at(second)), is_cooling, "{:?}", scene.phase());
    }
}

#[test]
fn a_rejection_tells_the_rest_of_the_cooldown_and_little_while_a_probe_is_out() {
    let half = Duration::from_millis(500);
    for (reason, gate, now, wait) in [
        (Reason::Cooling, 1000, 900, secs(100)),
        (Reason::Probing, 1030, 1000, secs(1)),
        (Reason::Refused, 1000, 900, secs(100)),
    ] {
        assert_eq!(told(reason, at(gate), at(now)).since(at(now)), wait, "{reason:?}");
    }
    assert_eq!(told(Reason::Probing, at(10).after(half), at(10)).since(at(10)), half);
    assert!(told(Reason::Reopening, at(0), at(10)).since(at(10)) <= secs(1));
}

#[test]
fn in_logs_and_labels_a_reason_goes_by_its_own_name() {
    for reason in [Reason::Cooling, Reason::Probing, Reason::Reopening, Reason::Refused] {
        assert_eq!(reason.word(), format!("{reason:?}").to_lowercase());
    }
}

#[test]
fn a_rejection_never_tells_less_than_a_millisecond() {
    let least = Duration::from_millis(1);
    for reason in [Reason::Cooling, Reason::Probing, Reason::Reopening, Reason::Refused] {
        for gate in [at(10), at(9), at(10).after(Duration::from_nanos(1))] {
            assert!(told(reason, gate, at(10)).since(at(10)) >= least, "{reason:?}");
        }
    }
}

#[test]
fn who_was_refused_is_told_the_cooldown_or_else_its_own_hint() {
    let rules = Rules::default();
    for (scene, hint, wait) in [
        (cooling(), Some(7), 100),
        (cooling(), None, 100),
        (probing(), Some(7), 7),
        (reopening(), Some(7), 7),
        (clear(), Some(90_000), 3600),
        (clear(), Some(0), 1),
        (clear(), None, 1),
    ] {
        let told = scene.state.told_refused(hint.map(secs), at(900), &rules);
        assert_eq!(told, secs(wait), "{:?} {hint:?}", scene.phase());
    }
    let speck = Some(Duration::from_nanos(1));
    assert_eq!(clear().state.told_refused(speck, at(0), &rules), Duration::from_millis(1));
}
