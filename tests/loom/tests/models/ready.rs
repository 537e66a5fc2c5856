//! Whoever waits for a chance is told of it, though no time passes.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::waiters::Cooldowns;

#[test]
fn whoever_waits_while_the_upstream_is_cleared_has_a_chance() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let mut waiter = cooldowns.ready(&upstream);
        let (hand, same) = (cooldowns.clone(), upstream.clone());

        let ((), at_once) = race(move || hand.clear(&same), || waiter.poll());

        (at_once, waiter.run())
    });

    assert_eq!(endings, BTreeSet::from([(false, true), (true, true)]));
}

#[test]
fn whoever_waits_while_its_upstream_makes_room_for_another_has_a_chance() {
    let endings = endings_within(2, || {
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let cooldowns = Cooldowns::crowded(&upstream, 1);
        let mut waiter = cooldowns.ready(&upstream);
        let hand = cooldowns.clone();

        let ((), at_once) = race(move || hand.cool(&neighbour), || waiter.poll());

        (at_once, waiter.run())
    });

    assert_eq!(endings, BTreeSet::from([(false, true), (true, true)]));
}

#[test]
fn the_next_has_the_turn_of_one_that_is_told_and_gives_up() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (mut first, mut next) = (cooldowns.ready(&upstream), cooldowns.ready(&upstream));
        assert!(!first.poll());
        cooldowns.clear(&upstream);
        cooldowns.cool(&upstream);
        assert!(!next.poll());
        cooldowns.clear(&upstream);

        // It has been told, and was never polled.
        let ((), _) = race(move || drop(first), || next.run());

        next.run()
    });

    assert_eq!(endings, BTreeSet::from([true]));
}

#[test]
fn whoever_joins_a_queue_as_its_last_one_leaves_stands_in_one_that_is_told() {
    let endings = endings(|| {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (mut last, mut next) = (cooldowns.ready(&upstream), cooldowns.ready(&upstream));
        assert!(!last.poll());

        race(move || drop(last), || assert!(!next.poll()));

        cooldowns.clear(&upstream);
        next.run()
    });

    assert_eq!(endings, BTreeSet::from([true]));
}

#[test]
fn the_next_goes_when_something_has_come_of_the_first() {
    let endings = endings_within(2, || {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::reopening(&upstream);
        let (mut first, mut next) = (cooldowns.ready(&upstream), cooldowns.ready(&upstream));
        assert!(first.poll());
        drop(first);
        let other = cooldowns.call(&upstream);

        let ((), at_once) = race(
            move || {
                if let Some(other) = other {
                    other.succeeded();
                }
            },
            || next.poll(),
        );

        (at_once, next.run())
    });

    // Its call took a place, and that is something.
    assert_eq!(endings, BTreeSet::from([(true, true)]));
}

#[test]
fn whoever_finds_no_room_has_a_chance_when_a_place_is_given_back() {
    let endings = endings_within(2, || {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::reopening(&upstream);
        let (one, _other) = (cooldowns.call(&upstream), cooldowns.call(&upstream));
        let mut waiter = cooldowns.ready(&upstream);

        let ((), at_once) = race(
            move || {
                if let Some(one) = one {
                    one.succeeded();
                }
            },
            || waiter.poll(),
        );

        (at_once, waiter.run())
    });

    assert_eq!(endings, BTreeSet::from([(false, true), (true, true)]));
}

#[test]
fn two_that_wait_while_the_upstream_is_cleared_both_have_a_chance() {
    let endings = endings_within(1, || {
        let upstream = Upstream::named("a");
        let cooldowns = Cooldowns::cooling(&upstream);
        let (mut one, mut two) = (cooldowns.ready(&upstream), cooldowns.ready(&upstream));
        assert!(!one.poll());
        let (hand, same) = (cooldowns.clone(), upstream.clone());

        let ((), at_once) = race(move || hand.clear(&same), || two.poll());

        assert!(one.run());
        drop(one);
        (at_once, two.run())
    });

    assert_eq!(endings, BTreeSet::from([(false, true), (true, true)]));
}
