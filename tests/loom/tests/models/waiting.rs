//! Whoever waits is told of what it has not seen.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::waiters::{Cooldowns, Look};

/// Somebody joins while that is done: what it sees, and whether it is told.
fn joins_beside(
    cooldowns: &Cooldowns,
    upstream: &Upstream,
    done: impl FnOnce() + 'static,
) -> (Look, bool) {
    let joins = || {
        let waiter = cooldowns.wait(upstream);
        let look = waiter.look(cooldowns);
        (waiter, look)
    };

    let ((), (waiter, look)) = race(done, joins);

    (look, waiter.told().at_all())
}

#[test]
fn whoever_joins_while_the_upstream_is_cleared_sees_it_or_is_told() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (hand, same) = (cooldowns.clone(), upstream.clone());

        joins_beside(&cooldowns, &upstream, move || hand.clear(&same))
    });

    let expected = [(Look::Open, false), (Look::Open, true), (Look::Held, true)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn whoever_joins_a_line_that_ends_stands_in_one_that_is_told() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let last = cooldowns.wait(&upstream);

        let ((), waiter) = race(move || drop(last), || cooldowns.wait(&upstream));

        let look = waiter.look(&cooldowns);
        cooldowns.clear(&upstream);
        let ending = (look, waiter.told().at_all(), cooldowns.lines_left());
        drop(waiter);
        assert_eq!(cooldowns.lines_left(), 0);
        ending
    });

    assert_eq!(endings, BTreeSet::from([(Look::Held, true, 1)]));
}

#[test]
fn the_next_is_the_first_or_is_told_when_the_first_leaves() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (first, next) = (cooldowns.wait(&upstream), cooldowns.wait(&upstream));
        assert_eq!(first.look(&cooldowns), Look::Held);

        let ((), look) = race(move || drop(first), || next.look(&cooldowns));

        (look, next.told().at_all())
    });

    assert_eq!(endings, BTreeSet::from([(Look::Held, false), (Look::Behind, true)]));
}

#[test]
fn whoever_finds_no_room_is_told_of_the_next_place() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (first, next) = (cooldowns.wait(&upstream), cooldowns.wait(&upstream));
        let _ = first.look(&cooldowns);
        let place = first.go(&cooldowns);
        assert!(place.is_some());
        drop(first);

        let ((), went) = race(
            move || drop(place),
            || {
                let _ = next.look(&cooldowns);
                next.go(&cooldowns)
            },
        );

        (went.is_some(), next.told().at_all())
    });

    assert_eq!(endings, BTreeSet::from([(true, false), (true, true), (false, true)]));
}

#[test]
fn whoever_waits_while_its_upstream_makes_room_for_another_sees_it_or_is_told() {
    let endings = endings_within(2, || {
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let cooldowns = Cooldowns::crowded(&upstream, 1);
        let hand = cooldowns.clone();

        joins_beside(&cooldowns, &upstream, move || hand.cool(&neighbour))
    });

    let expected = [(Look::Open, false), (Look::Open, true), (Look::Held, true)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn whoever_waits_for_what_is_swept_finds_it_open_whoever_comes_first() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (waiter, sweeper) = (cooldowns.wait(&upstream), cooldowns.clone());

        let ((), look) = race(move || sweeper.sweep_late(), || waiter.look_late(&cooldowns));

        (look, waiter.go(&cooldowns).is_some())
    });

    assert_eq!(endings, BTreeSet::from([(Look::Open, true)]));
}

#[test]
fn the_next_is_told_when_the_first_steps_aside_as_a_place_is_given_back() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let leader = cooldowns.wait(&upstream);
        let _ = leader.look(&cooldowns);
        let place = leader.go(&cooldowns);
        drop(leader);
        let (first, next) = (cooldowns.wait(&upstream), cooldowns.wait(&upstream));
        assert_eq!(first.look(&cooldowns), Look::Held);
        assert_eq!(next.look(&cooldowns), Look::Behind);

        race(move || drop(place), || first.step_aside());

        let told = next.told().at_all();
        let is_first = next.look(&cooldowns) != Look::Behind;
        (told, is_first, next.go(&cooldowns).is_some())
    });

    assert_eq!(endings, BTreeSet::from([(true, true, true)]));
}

#[test]
fn who_stands_aside_is_told_of_a_place_when_nobody_else_stands_in_line() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let leader = cooldowns.wait(&upstream);
        let _ = leader.look(&cooldowns);
        let place = leader.go(&cooldowns);
        drop(leader);
        let waiter = cooldowns.wait(&upstream);
        assert_eq!(waiter.look(&cooldowns), Look::Held);

        race(move || drop(place), || waiter.step_aside());

        // Either while it stood in line or while it stood aside.
        waiter.told().at_all()
    });

    assert_eq!(endings, BTreeSet::from([true]));
}

#[test]
fn the_next_is_not_let_go_before_the_first() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (first, next) = (cooldowns.wait(&upstream), cooldowns.wait(&upstream));
        assert_eq!(first.look(&cooldowns), Look::Held);
        let same = cooldowns.clone();

        let (out, went) = race(
            move || {
                let out = first.go(&same);
                drop(first);
                out
            },
            || {
                let _ = next.look(&cooldowns);
                next.go(&cooldowns)
            },
        );

        // It is the first by now, or was told that it would be.
        let is_told = next.told().at_all() || next.look(&cooldowns) != Look::Behind;
        (out.is_some(), went.is_some(), is_told)
    });

    assert_eq!(endings, BTreeSet::from([(true, false, true)]));
}

#[test]
fn one_that_arrives_and_the_first_in_line_are_not_both_let_go() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let waiter = cooldowns.wait(&upstream);
        let (other, same) = (cooldowns.clone(), upstream.clone());

        let (arrived, went) = race(
            move || other.arrive(&same),
            || {
                let _ = waiter.look(&cooldowns);
                waiter.go(&cooldowns)
            },
        );

        let outcome = (arrived.is_some(), went.is_some());
        drop((arrived, went));
        // Nobody else stood in the way.
        assert!(outcome.1 || waiter.told().at_all());
        outcome
    });

    assert_eq!(endings, BTreeSet::from([(true, false), (false, true)]));
}

#[test]
fn a_call_that_ends_as_its_place_lapses_gives_back_one_place_in_the_table() {
    for is_success in [false, true] {
        let endings = endings_within(2, move || {
            let upstream = Upstream::named("a");
            let cooldowns = Cooldowns::reopening(&upstream);
            let rival = cooldowns.call(&upstream);
            let leader = cooldowns.wait(&upstream);
            let _ = leader.look(&cooldowns);
            let out = leader.go_and_ask(&cooldowns).map(|out| (out, leader));
            assert_eq!(cooldowns.places(&upstream), Some((2, 2)));
            let next = cooldowns.wait(&upstream);

            race(
                move || {
                    let Some((out, leader)) = out else { return };
                    drop(leader);
                    if is_success { out.succeeded() } else { out.dropped() }
                },
                || {
                    let _ = next.look(&cooldowns);
                    assert!(next.learn_late(&cooldowns));
                },
            );

            drop(next);
            let places = cooldowns.places(&upstream);
            let is_held = rival.is_some();
            (places, cooldowns.lines_left(), is_held)
        });

        let width = if is_success { 3 } else { 2 };
        assert_eq!(endings, BTreeSet::from([(Some((width, 1)), 0, true)]));
    }
}

#[test]
fn no_line_is_left_by_one_that_arrives_as_the_last_one_leaves() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let last = cooldowns.wait(&upstream);
        let (other, same) = (cooldowns.clone(), upstream.clone());

        let ((), arrived) = race(move || drop(last), move || other.arrive(&same));

        let outcome = (arrived.is_some(), cooldowns.lines_left());
        drop(arrived);
        assert_eq!(cooldowns.lines_left(), 0);
        outcome
    });

    // In the second case the line had ended: it was alone.
    assert_eq!(endings, BTreeSet::from([(false, 0), (true, 0), (true, 1)]));
}
