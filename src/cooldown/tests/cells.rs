//! Every cell of the transition table, row by row.

use super::*;

/// A cell: the state, the second of the event, and the phase, rung and effect
/// that follow.
type Cell = (Scene, u64, Phase, u32, Effect);

fn expect(event: Event, cells: &[Cell]) {
    for (index, &(mut scene, second, phase, rung, effect)) in cells.iter().enumerate() {
        let followed = scene.on(event, at(second));

        assert_eq!((scene.phase(), followed), (phase, effect), "cell {index} of {event:?}");
        assert_eq!(scene.rung(), rung, "cell {index} of {event:?}");
    }
}

/// Cells in which nothing changes.
fn expect_nothing(event: Event, cells: &[(Scene, u64)]) {
    for &(mut scene, second) in cells {
        let before = scene.state;

        assert_eq!(scene.on(event, at(second)), Effect::Nothing, "{event:?} on {before:?}");
        assert_eq!(scene.state, before, "{event:?}");
    }
}

#[test]
fn a_call_that_asks_is_admitted_rejected_or_made_the_probe() {
    let full = reopening().then(Event::Asked, 1010);
    let reject = Effect::Reject;
    expect(
        Event::Asked,
        &[
            (clear(), 900, Phase::Clear, 0, Effect::Admit(Role::Free)),
            (cooling(), 999, cooling_until(1000), 2, reject(Reason::Cooling)),
            (cooling(), 1000, probing_until(1030), 2, Effect::Admit(Role::Probe(2))),
            (probing(), 1029, probing_until(1030), 2, reject(Reason::Probing)),
            (probing(), 1030, probing_until(1060), 2, Effect::Admit(Role::Probe(3))),
            (reopening(), 1011, open(2, 2), 0, Effect::Admit(Role::Place)),
            (full, 1011, open(2, 2), 0, reject(Reason::Reopening)),
            (full, 880 + 7200, Phase::Clear, 0, Effect::Admit(Role::Free)),
        ],
    );
}

#[test]
fn a_refusal_cools_from_every_state_and_makes_older_calls_stale() {
    expect(
        refused(CURRENT, BARE),
        &[
            (clear(), 900, cooling_until(960), 1, Effect::Outdate),
            (cooling(), 900, cooling_until(1140), 3, Effect::Outdate),
            (cooling(), 1000, cooling_until(1240), 3, Effect::Outdate),
            (probing(), 1010, cooling_until(1250), 3, Effect::Outdate),
            (reopening(), 1011, cooling_until(1071), 1, Effect::Outdate),
        ],
    );
}

#[test]
fn a_stale_refusal_raises_a_cooldown_to_its_hint_and_does_nothing_else() {
    expect(
        refused(STALE, asking(300)),
        &[
            (clear(), 900, cooling_until(1200), 1, Effect::Outdate),
            (cooling(), 900, cooling_until(1200), 2, Effect::Nothing),
            (cooling(), 1000, cooling_until(1300), 2, Effect::Nothing),
        ],
    );
    expect_nothing(refused(STALE, asking(300)), &[(probing(), 1010), (reopening(), 1011)]);
    expect_nothing(refused(STALE, asking(100)), &[(cooling(), 900)]);
    expect_nothing(refused(STALE, asking(0)), &[(cooling(), 900)]);
    expect_nothing(refused(STALE, BARE), &[(cooling(), 900)]);
}

#[test]
fn a_success_ends_the_episode_only_where_no_cooldown_runs() {
    expect_nothing(succeeded(CURRENT), &[(clear(), 900), (cooling(), 900)]);
    expect(
        succeeded(CURRENT),
        &[
            (cooling(), 1000, open(2, 0), 0, Effect::Nothing),
            (probing(), 1010, open(2, 0), 0, Effect::Nothing),
        ],
    );
    expect(succeeded(place()), &[(reopening(), 1011, open(3, 0), 0, Effect::Nothing)]);
}

#[test]
fn a_stale_success_changes_nothing() {
    let places = Standing { role: Role::Place, ..STALE };
    let everywhere = [
        (clear(), 900),
        (cooling(), 900),
        (cooling(), 1000),
        (probing(), 1010),
        (reopening(), 1011),
    ];
    for from in [STALE, Standing { role: Role::Probe(2), ..STALE }, places] {
        expect_nothing(succeeded(from), &everywhere);
    }
}

#[test]
fn an_exhausted_quota_cools_without_a_rung() {
    expect(
        exhausted(CURRENT, 300),
        &[
            (clear(), 900, cooling_until(1200), 0, Effect::Outdate),
            (cooling(), 900, cooling_until(1200), 2, Effect::Nothing),
            (cooling(), 1000, cooling_until(1300), 0, Effect::Outdate),
            (probing(), 1010, cooling_until(1310), 0, Effect::Outdate),
        ],
    );
    expect(
        exhausted(place(), 300),
        &[(reopening(), 1011, cooling_until(1311), 0, Effect::Outdate)],
    );
    expect_nothing(exhausted(CURRENT, 50), &[(cooling(), 900)]);
}

#[test]
fn an_exhausted_quota_that_is_back_at_once_is_a_success() {
    expect_nothing(exhausted(CURRENT, 0), &[(clear(), 900), (cooling(), 900)]);
    expect(
        exhausted(CURRENT, 0),
        &[
            (cooling(), 1000, open(2, 0), 0, Effect::Nothing),
            (probing(), 1010, open(2, 0), 0, Effect::Nothing),
        ],
    );
    expect(exhausted(place(), 0), &[(reopening(), 1011, open(3, 0), 0, Effect::Nothing)]);
}

#[test]
fn an_exhausted_quota_gives_its_place_back_where_no_hint_is_believed() {
    let rules = Rules { max_retry_after: Duration::ZERO, ..Rules::default() };
    let deaf = Scene { rules, ..reopening() };

    expect(exhausted(place(), 300), &[(deaf, 1011, open(3, 0), 0, Effect::Nothing)]);
}

#[test]
fn a_stale_exhausted_quota_raises_a_cooldown_and_does_nothing_else() {
    expect(
        exhausted(STALE, 300),
        &[
            (clear(), 900, cooling_until(1200), 0, Effect::Outdate),
            (cooling(), 900, cooling_until(1200), 2, Effect::Nothing),
            (cooling(), 1000, cooling_until(1300), 2, Effect::Nothing),
        ],
    );
    expect_nothing(exhausted(STALE, 50), &[(cooling(), 900)]);
    expect_nothing(exhausted(STALE, 300), &[(probing(), 1010), (reopening(), 1011)]);
}

#[test]
fn a_neutral_verdict_frees_a_probe_or_a_place_and_nothing_else() {
    let neutral = |from| Event::Settled(from, Ending::Neutral);
    expect(neutral(probe(2)), &[(probing(), 1010, cooling_until(1011), 2, Effect::Nothing)]);
    expect(neutral(place()), &[(reopening(), 1011, open(2, 0), 0, Effect::Nothing)]);
    expect_nothing(neutral(probe(1)), &[(probing(), 1010)]);
    expect_nothing(neutral(CURRENT), &[(clear(), 900), (cooling(), 900), (reopening(), 1011)]);
    expect_nothing(neutral(STALE), &[(clear(), 900), (cooling(), 900), (probing(), 1010)]);
    let place = Standing { role: Role::Place, ..STALE };
    expect_nothing(neutral(place), &[(reopening(), 1011)]);
}

#[test]
fn a_dropped_call_frees_a_probe_or_a_place_and_nothing_else() {
    let dropped = |from| Event::Settled(from, Ending::Dropped);
    expect(dropped(probe(2)), &[(probing(), 1010, cooling_until(1010), 2, Effect::Nothing)]);
    expect(dropped(place()), &[(reopening(), 1011, open(2, 0), 0, Effect::Nothing)]);
    expect_nothing(dropped(probe(1)), &[(probing(), 1010)]);
    expect_nothing(dropped(CURRENT), &[(clear(), 900), (cooling(), 900), (reopening(), 1011)]);
    expect_nothing(dropped(STALE), &[(clear(), 900), (cooling(), 900), (probing(), 1010)]);
    let place = Standing { role: Role::Place, ..STALE };
    expect_nothing(dropped(place), &[(reopening(), 1011)]);
}

#[test]
fn cooling_by_hand_never_shortens_and_keeps_the_rung() {
    expect(
        Event::Cooled(secs(50)),
        &[
            (clear(), 900, cooling_until(950), 0, Effect::Outdate),
            (cooling(), 900, cooling_until(1000), 2, Effect::Outdate),
            (cooling(), 990, cooling_until(1040), 2, Effect::Outdate),
            (probing(), 1010, cooling_until(1060), 2, Effect::Outdate),
            (reopening(), 1011, cooling_until(1061), 0, Effect::Outdate),
        ],
    );
}

#[test]
fn cooling_by_hand_for_no_time_does_nothing() {
    let everywhere = [(clear(), 900), (cooling(), 900), (probing(), 1010), (reopening(), 1011)];
    expect_nothing(Event::Cooled(Duration::ZERO), &everywhere);
}

#[test]
fn a_longer_cooldown_is_restored_with_the_higher_rung() {
    let until = |second, rung| restored(second, rung);
    expect(
        until(1200, 3),
        &[
            (clear(), 900, cooling_until(1200), 3, Effect::Outdate),
            (cooling(), 900, cooling_until(1200), 3, Effect::Outdate),
            (cooling(), 1100, cooling_until(1200), 3, Effect::Outdate),
            (probing(), 1010, cooling_until(1200), 3, Effect::Outdate),
            (reopening(), 1011, cooling_until(1200), 3, Effect::Outdate),
        ],
    );
    expect(
        until(1200, 1),
        &[
            (cooling(), 900, cooling_until(1200), 2, Effect::Outdate),
            (probing(), 1010, cooling_until(1200), 2, Effect::Outdate),
        ],
    );
    expect(until(950, 3), &[(cooling(), 900, cooling_until(1000), 3, Effect::Nothing)]);
    expect_nothing(until(950, 1), &[(cooling(), 900)]);
    expect_nothing(until(1000, 2), &[(cooling(), 900)]);
}

#[test]
fn a_cooldown_that_has_run_out_is_restored_as_its_rung() {
    expect(
        restored(800, 3),
        &[
            (clear(), 900, cooling_until(800), 3, Effect::Outdate),
            (cooling(), 900, cooling_until(1000), 3, Effect::Nothing),
            (cooling(), 1000, cooling_until(1000), 3, Effect::Nothing),
            (probing(), 1010, probing_until(1030), 3, Effect::Nothing),
        ],
    );
    expect(restored(0, 3), &[(clear(), 900, cooling_until(0), 3, Effect::Outdate)]);
    // At its very end it has run out.
    expect(restored(1010, 3), &[(probing(), 1010, probing_until(1030), 3, Effect::Nothing)]);
    expect_nothing(restored(1011, 3), &[(reopening(), 1011)]);
    expect_nothing(restored(800, 3), &[(reopening(), 1011), (clear(), 800 + 7200)]);
    expect_nothing(restored(800, 1), &[(cooling(), 900), (probing(), 1010)]);
}
