//! Places in a Reopening upstream are neither lost nor doubled.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{FORGET_AFTER, Known, Permit, World};

/// A table with one upstream, Reopening since 100.
fn reopening() -> (World, Upstream) {
    let world = World::with_room_for(8);
    let upstream = Upstream::named("a");
    world.reopen(&upstream, 100);
    (world, upstream)
}

fn place(world: &World, upstream: &Upstream) -> Permit {
    world.call(upstream, 100).permit()
}

#[test]
fn the_last_place_is_given_to_one() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let _held = place(&world, &upstream);
        let (other, same) = (world.clone(), upstream.clone());

        let (one, two) = race(move || other.call(&same, 100), || world.call(&upstream, 100));

        assert_eq!(world.known(&upstream, 100), Known::Reopening { width: 2, in_flight: 2 });
        (one.word(), two.word())
    });

    assert_eq!(endings, BTreeSet::from([("place", "reopening"), ("reopening", "place")]));
}

#[test]
fn places_that_are_given_back_at_once_are_all_free_again() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let (one, two) = (place(&world, &upstream), place(&world, &upstream));

        race(move || one.dropped(100), move || two.neutral(100));

        world.known(&upstream, 100)
    });

    assert_eq!(endings, BTreeSet::from([Known::Reopening { width: 2, in_flight: 0 }]));
}

#[test]
fn a_success_that_meets_a_caller_makes_one_place_more_and_frees_its_own() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let (one, _two) = (place(&world, &upstream), place(&world, &upstream));
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 100), move || one.succeeded(100));

        (met.word(), world.known(&upstream, 100))
    });

    let taken = ("place", Known::Reopening { width: 3, in_flight: 2 });
    let late = ("reopening", Known::Reopening { width: 3, in_flight: 1 });
    assert_eq!(endings, BTreeSet::from([taken, late]));
}

#[test]
fn two_that_come_and_go_leave_no_trace_but_their_successes() {
    let endings = endings_within(2, || {
        let (world, upstream) = reopening();
        let _held = place(&world, &upstream);
        let (other, same) = (world.clone(), upstream.clone());

        // One place is left, so that either may find none.
        let (neutral, succeeded) = race(
            move || other.call(&same, 100).sent().map(|place| place.neutral(100)).is_some(),
            || world.call(&upstream, 100).sent().map(|place| place.succeeded(100)).is_some(),
        );

        (neutral, succeeded, world.known(&upstream, 100))
    });

    let grown = Known::Reopening { width: 3, in_flight: 1 };
    let as_before = Known::Reopening { width: 2, in_flight: 1 };
    let one_after_the_other = (true, true, grown);
    let rejected = [(false, true, grown), (true, false, as_before)];
    assert_eq!(endings, rejected.into_iter().chain([one_after_the_other]).collect());
}

#[test]
fn a_place_of_an_earlier_episode_is_never_given_back_to_a_later_one() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let (old, refused) = (place(&world, &upstream), place(&world, &upstream));
        refused.refused(100);
        let (other, same) = (world.clone(), upstream.clone());

        // A whole new episode: the probe succeeds, and two places are taken.
        race(
            move || {
                other.call(&same, 160).permit().succeeded(160);
                let _two = (other.call(&same, 160), other.call(&same, 160));
            },
            move || old.succeeded(160),
        );

        world.known(&upstream, 160)
    });

    assert_eq!(endings, BTreeSet::from([Known::Reopening { width: 2, in_flight: 2 }]));
}

#[test]
fn a_refusal_that_meets_a_success_cools_the_upstream() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let (one, two) = (place(&world, &upstream), place(&world, &upstream));

        race(move || one.refused(100), move || two.succeeded(100));

        world.known(&upstream, 100)
    });

    assert_eq!(endings, BTreeSet::from([Known::Cooling(1, 160)]));
}

/// The same in a table whose upstreams are Clear when they would admit three.
fn nearly_clear() -> (World, Upstream) {
    let world = World::with_room_for(8).reopening_to(2);
    let upstream = Upstream::named("a");
    world.reopen(&upstream, 100);
    (world, upstream)
}

#[test]
fn a_caller_that_meets_the_success_that_clears_holds_nothing_of_what_is_gone() {
    let endings = endings(|| {
        let (world, upstream) = nearly_clear();
        let last = place(&world, &upstream);
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 100), move || last.succeeded(100));

        let how = met.word();
        met.permit().dropped(100);
        (how, world.known(&upstream, 100), world.entries(100))
    });

    let expected = [("free", Known::Clear, 0), ("place", Known::Clear, 0)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn two_successes_of_which_one_would_do_clear_once() {
    let endings = endings(|| {
        let (world, upstream) = nearly_clear();
        let (one, two) = (place(&world, &upstream), place(&world, &upstream));

        race(move || one.succeeded(100), move || two.succeeded(100));

        world.entries(100)
    });

    assert_eq!(endings, BTreeSet::from([0]));
}

#[test]
fn a_place_that_is_given_back_to_one_that_is_swept_or_cleared_is_nobodys() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let held = place(&world, &upstream);
        let (sweeper, late) = (world.clone(), 100 + FORGET_AFTER);

        race(move || sweeper.sweep(late), move || held.succeeded(late));

        world.entries(late)
    });
    assert_eq!(endings, BTreeSet::from([0]));

    let endings = endings_within(2, || {
        let (world, upstream) = reopening();
        let held = place(&world, &upstream);
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.clear(&same), move || held.succeeded(100));

        world.entries(100)
    });
    assert_eq!(endings, BTreeSet::from([0]));
}

#[test]
fn a_place_that_is_given_back_to_one_that_makes_room_is_nobodys() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        world.reopen(&upstream, 100);
        let held = place(&world, &upstream);

        race(move || newcomer.refused(100), move || held.succeeded(100));

        (world.known(&upstream, 100), world.known(&neighbour, 100), world.entries(100))
    });

    assert_eq!(endings, BTreeSet::from([(Known::Clear, Known::Cooling(1, 160), 1)]));
}

#[test]
fn a_quota_that_is_used_up_as_a_caller_asks_lets_it_go_or_holds_it_back() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let last = place(&world, &upstream);
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 100), move || last.exhausted(30, 100));

        (met.word(), world.known(&upstream, 100))
    });

    let drained = Known::Cooling(0, 130);
    assert_eq!(endings, BTreeSet::from([("cooling", drained), ("place", drained)]));
}

#[test]
fn a_cooling_hand_that_meets_a_success_is_not_undone() {
    let endings = endings(|| {
        let (world, upstream) = reopening();
        let held = place(&world, &upstream);
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.cool(&same, 30, 100), move || held.succeeded(100));

        world.known(&upstream, 100)
    });

    assert_eq!(endings, BTreeSet::from([Known::Cooling(0, 130)]));
}
