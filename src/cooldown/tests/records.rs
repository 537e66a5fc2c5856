//! What is written down, and what becomes of it when it is remembered.

use super::*;

fn remembered(record: Record, seconds: u64) -> Scene {
    clear().then(Event::Restored(record), seconds)
}

#[test]
fn what_is_remembered_is_written_down_the_same_again() {
    let cooled = clear().then(Event::Cooled(secs(50)), 900);
    let paused = probing().then(Event::Settled(probe(2), Ending::Neutral), 1020);
    for scene in [cooling(), probing(), reopening(), cooled, paused] {
        let record = scene.state.record();

        for seconds in [900, 2000] {
            assert_eq!(remembered(record, seconds).state.record(), record);
        }
    }
}

#[test]
fn an_upstream_that_was_probed_or_came_back_is_written_down_as_run_out() {
    assert_eq!(probing().state.record().until, at(1000));
    assert_eq!(probing().state.record().cause.rung, 2);
    assert_eq!(reopening().state.record().until, at(1000));
    assert_eq!(reopening().state.record().cause.rung, 0);
}

#[test]
fn a_probe_without_news_does_not_move_the_end_that_is_written_down() {
    for ending in [Ending::Neutral, Ending::Dropped] {
        let paused = probing().then(Event::Settled(probe(2), ending), 1020);

        assert_eq!(paused.state.record(), probing().state.record());
    }
}

#[test]
fn what_people_did_is_told_from_what_the_upstream_did() {
    let by_hand = |scene: Scene| scene.state.record().by_hand;

    assert!(by_hand(clear().then(Event::Cooled(secs(50)), 900)));
    assert!(!by_hand(cooling()));
    assert!(!by_hand(clear().then(exhausted(CURRENT, 10), 900)));
    let raised = clear().then(Event::Cooled(secs(50)), 900).then(refused(STALE, asking(300)), 910);
    assert!(!by_hand(raised));
    // Who cools for no more than is left has not set the end; who cools for more has.
    assert!(!by_hand(cooling().then(Event::Cooled(secs(50)), 900)));
    assert!(!by_hand(cooling().then(Event::Cooled(secs(100)), 900)));
    assert!(by_hand(cooling().then(Event::Cooled(secs(150)), 900)));
    let twice = clear().then(Event::Cooled(secs(50)), 900).then(Event::Cooled(secs(10)), 910);
    assert!(by_hand(twice));
    assert!(!by_hand(twice.then(refused(CURRENT, BARE), 950)));
    assert!(!by_hand(twice.then(exhausted(CURRENT, 10), 950)));
}

#[test]
fn a_state_that_was_kept_in_two_parts_is_whole_again() {
    let jittery = Scene::new(Rules { jitter: 1.0, ..Rules::default() });
    let ending = Ending::Refused { refusal: BARE, sample: 0.5 };
    let jittery = jittery.then(Event::Settled(CURRENT, ending), 900);
    for scene in [clear(), cooling(), probing(), reopening(), jittery] {
        for state in [scene.state, scene.then(Event::Cooled(secs(500)), 1010).state] {
            assert_eq!(Cooldown::of(state.cause, state.course()), state);
        }
    }
}

#[test]
fn the_next_refusal_is_one_rung_above_the_remembered() {
    let scene = remembered(cooling().state.record(), 2000);

    let probed = scene.then(Event::Asked, 2000);
    assert_eq!(probed.phase(), probing_until(2030));
    assert_eq!(probed.then(refused(probe(1), BARE), 2001).rung(), 3);
}

#[test]
fn a_call_that_was_out_when_a_cooldown_was_restored_ends_nothing() {
    let scene = remembered(cooling().state.record(), 900);

    assert_eq!(scene.then(succeeded(STALE), 910).phase(), cooling_until(1000));
    assert_eq!(scene.then(refused(STALE, BARE), 910).rung(), 2);
}

#[test]
fn a_cooldown_by_hand_does_not_hide_what_the_upstream_said() {
    let by_hand = Record {
        until: at(5000),
        cause: Cause { rung: 0, status: None, hint: None },
        by_hand: true,
    };

    let scene = cooling().then(Event::Restored(by_hand), 900);
    assert_eq!(scene.until(), at(5000));
    assert_eq!(scene.state.cause.status, Some(BARE.status));
    assert!(scene.state.record().by_hand);
}

#[test]
fn the_longest_cooldown_is_that_of_cap_or_ceiling_with_all_the_jitter() {
    let rules = |cap, ceiling, jitter| Rules {
        ladder: Ladder::new(secs(1), secs(cap)),
        max_retry_after: secs(ceiling),
        jitter,
        ..Rules::default()
    };

    assert_eq!(rules(100, 50, 0.0).longest(), secs(100));
    assert_eq!(rules(50, 100, 0.5).longest(), secs(150));
    assert_eq!(rules(0, 0, 0.0).longest(), secs(1));
    assert_eq!(rules(u64::MAX, 0, 1.0).longest(), Duration::MAX);
}
