//! How long a refusal keeps calls away: ladder, hint, ceiling and jitter.

use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns the wait after that many failures, each with the hint.
fn wait(rules: &Rules, failures: u32, hint: Option<Duration>) -> Duration {
    rules.wait(failures, hint)
}

fn ladder_off() -> Rules {
    Rules { ladder: Ladder::new(secs(60), Duration::ZERO), ..Rules::default() }
}

fn trusting() -> Rules {
    Rules { ladder: Ladder::new(secs(1), secs(60)), trust_hints: true, ..Rules::default() }
}

#[test]
fn the_cooldown_is_the_longer_of_ladder_and_hint_within_its_ceiling() {
    let rules = Rules::default();
    for (failures, hint, seconds) in [
        (1, None, 60),
        (2, None, 120),
        (6, None, 1800),
        (7, None, 1800),
        (1, Some(secs(59)), 60),
        (1, Some(secs(61)), 61),
        (7, Some(secs(1900)), 1900),
        (1, Some(secs(3600)), 3600),
        (1, Some(secs(3601)), 3600),
        (1, Some(Duration::MAX), 3600),
    ] {
        assert_eq!(wait(&rules, failures, hint), secs(seconds), "{failures} {hint:?}");
    }
}

#[test]
fn a_trusted_hint_is_believed_exactly_until_it_proves_too_short() {
    let rules = trusting();
    for (failures, hint, expected) in [
        (1, Some(millis(20)), millis(20)),
        (1, Some(secs(1)), secs(1)),
        (1, Some(secs(7)), secs(7)),
        (2, Some(millis(20)), secs(1)),
        (2, Some(secs(7)), secs(7)),
        (4, Some(secs(1)), secs(4)),
        (1, None, secs(1)),
        (4, None, secs(8)),
        (1, Some(Duration::ZERO), secs(1)),
        (1, Some(Duration::MAX), secs(3600)),
    ] {
        assert_eq!(wait(&rules, failures, hint), expected, "{failures} {hint:?}");
    }
}

#[test]
fn with_the_ladder_off_a_bare_refusal_waits_a_second() {
    for rules in [ladder_off(), Rules { trust_hints: true, ..ladder_off() }] {
        assert_eq!(wait(&rules, 1, None), secs(1));
        assert_eq!(wait(&rules, 9, None), secs(1));
        assert_eq!(wait(&rules, 1, Some(Duration::ZERO)), secs(1));
        assert_eq!(wait(&rules, 9, Some(millis(3))), millis(3));
    }
}

#[test]
fn a_ceiling_of_zero_ignores_hints() {
    let rules = Rules { max_retry_after: Duration::ZERO, ..trusting() };

    assert_eq!(wait(&rules, 1, Some(secs(30))), secs(1));
    assert_eq!(wait(&rules, 2, Some(secs(30))), secs(2));
}

#[test]
fn an_api_client_told_one_second_waits_one_second_and_climbs_when_refused_again() {
    let mut scene = Scene::new(trusting()).then(refused(CURRENT, asking(1)), 10);
    assert_eq!(scene.until(), at(11));

    let mut now = 11;
    for (number, wait) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        scene = scene.then(Event::Asked, now).then(refused(probe(number), asking(1)), now);
        assert_eq!(scene.until(), at(now + wait));
        now += wait;
    }
}

#[test]
fn the_cause_keeps_the_hint_as_sent() {
    let scene = clear().then(refused(CURRENT, asking(90_000)), 0);

    assert_eq!(scene.until(), at(3600));
    assert_eq!(scene.state.cause.hint, Some(secs(90_000)));
    assert_eq!(scene.state.cause.status, Some(StatusCode::TOO_MANY_REQUESTS));
}

#[test]
fn who_raises_a_cooldown_is_told_as_its_cause() {
    let busy = Refusal { status: StatusCode::SERVICE_UNAVAILABLE, ..asking(1000) };
    let refused = cooling().then(refused(STALE, busy), 900).state.cause;
    let exhausted = cooling().then(exhausted(STALE, 1000), 900).state.cause;

    let hint = Some(secs(1000));
    assert_eq!(refused, Cause { rung: 2, status: Some(busy.status), hint });
    // A quota has no status of its own.
    assert_eq!(exhausted, Cause { rung: 2, status: Some(BARE.status), hint });
}

#[test]
fn a_shorter_hint_never_shortens_a_running_cooldown() {
    let scene = clear().then(refused(CURRENT, asking(3000)), 0);

    assert_eq!(scene.then(refused(CURRENT, asking(1)), 10).until(), at(3000));
    assert_eq!(scene.then(refused(STALE, asking(1)), 10).until(), at(3000));
    assert_eq!(scene.then(Event::Cooled(secs(1)), 10).until(), at(3000));
}

#[test]
fn a_hint_neither_resets_the_ladder_nor_climbs_it_twice() {
    let mut scene = cooling().then(Event::Asked, 1000).then(refused(probe(2), asking(500)), 1000);
    assert_eq!((scene.until(), scene.rung()), (at(1500), 3));

    scene = scene.then(Event::Asked, 1500).then(refused(probe(3), BARE), 1500);
    assert_eq!((scene.until(), scene.rung()), (at(1980), 4));
}

#[test]
fn jitter_only_adds_and_no_cap_erases_it() {
    let rules = Rules { jitter: 0.5, ..Rules::default() };
    let refuse = |refusal, sample| {
        let mut scene = Scene::new(rules);
        scene.on(Event::Settled(CURRENT, Ending::Refused { refusal, sample }), at(0));
        scene.until()
    };

    assert_eq!(refuse(BARE, 0.0), at(60));
    assert_eq!(refuse(BARE, 0.5), at(75));
    assert_eq!(refuse(asking(9_000_000), 0.5), at(4500));
    for step in 0..1000 {
        let until = refuse(asking(100), f64::from(step) / 1000.0);
        assert!((at(100)..at(150)).contains(&until), "{until:?}");
    }
}

#[test]
fn jitter_is_drawn_once_for_each_cooldown() {
    let refuse = |from, seconds, sample| {
        let refusal = asking(seconds);
        Event::Settled(from, Ending::Refused { refusal, sample })
    };
    let rules = Rules { jitter: 1.0, ..Rules::default() };
    let scene = Scene::new(rules).then(refuse(CURRENT, 100, 0.25), 0);
    assert_eq!(scene.until(), at(125));

    // A stale refusal's own sample does not count, the cooldown's does.
    assert_eq!(scene.then(refuse(STALE, 200, 0.9), 0).until(), at(250));
    assert_eq!(scene.then(refuse(STALE, 100, 0.9), 0).until(), at(125));

    // The next cooldown draws its own.
    let next = scene.then(Event::Asked, 125).then(refuse(probe(1), 200, 0.5), 125);
    assert_eq!(next.until(), at(425));

    // So does a quota's reset.
    let ending = Ending::Exhausted { reset: secs(100), sample: 0.75 };
    let drained = next.then(Event::Settled(CURRENT, ending), 425);
    assert_eq!(drained.until(), at(600));
    assert_eq!(drained.then(refuse(STALE, 200, 0.9), 425).until(), at(775));

    // What was written down has had its own.
    let remembered = drained.then(restored(610, 1), 425);
    assert_eq!(remembered.then(refuse(STALE, 200, 0.9), 425).until(), at(625));
}

#[test]
fn the_pause_of_one_who_keeps_refusals_to_himself_is_the_wait_with_its_jitter() {
    let rules = Rules { jitter: 0.5, ..Rules::default() };

    assert_eq!(rules.pause(1, None, 0.0), secs(60));
    assert_eq!(rules.pause(2, None, 0.5), secs(150));
    assert_eq!(rules.pause(1, Some(secs(100)), 0.5), secs(125));
}

#[test]
fn cooling_by_hand_has_no_jitter_and_no_ceiling() {
    let rules = Rules { jitter: 1.0, ..Rules::default() };
    let scene = Scene::new(rules).then(Event::Cooled(secs(1_000_000)), 0);

    assert_eq!(scene.until(), at(1_000_000));
}

#[test]
fn a_reset_is_held_to_the_ceiling_and_stretched_like_a_hint() {
    let rules = Rules { jitter: 1.0, ..Rules::default() };
    let reset = secs(90_000);
    let event = Event::Settled(CURRENT, Ending::Exhausted { reset, sample: 0.5 });

    let scene = Scene::new(rules).then(event, 0);

    assert_eq!((scene.until(), scene.rung()), (at(5400), 0));
    assert_eq!(scene.state.cause.hint, Some(reset));
    assert_eq!(scene.state.cause.status, None);
}
