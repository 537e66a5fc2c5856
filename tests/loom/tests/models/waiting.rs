//! Whoever waits is told of what it has not seen.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, race};
use tower_retry_after_loom::waiters::{Cooldowns, Look};

#[test]
fn whoever_joins_while_the_upstream_is_cleared_sees_it_or_is_told() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (hand, same) = (cooldowns.clone(), upstream.clone());

        let ((), (waiter, look)) = race(
            move || hand.clear(&same),
            || {
                let waiter = cooldowns.wait(&upstream);
                let look = waiter.look(&cooldowns);
                (waiter, look)
            },
        );

        (look, waiter.told().at_all())
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
        let place = first.go();
        assert!(place.is_some());
        drop(first);

        let ((), went) = race(
            move || drop(place),
            || {
                let _ = next.look(&cooldowns);
                next.go()
            },
        );

        (went.is_some(), next.told().at_all())
    });

    assert_eq!(endings, BTreeSet::from([(true, false), (true, true), (false, true)]));
}
