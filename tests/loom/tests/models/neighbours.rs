//! What happens to one upstream is no other's business.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{Known, World};

#[test]
fn the_first_refusals_of_two_upstreams_both_count() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let (one, two) = (Upstream::named("a"), Upstream::named("b"));
        let (other, first) = (world.clone(), one.clone());

        race(
            move || assert!(other.call_and_be_refused(&first, 0)),
            || assert!(world.call_and_be_refused(&two, 0)),
        );

        assert_eq!(world.entries(0), 2);
        (world.known(&one, 0), world.known(&two, 0))
    });

    let cooling = Known::Cooling(1, 60);
    assert_eq!(endings, BTreeSet::from([(cooling, cooling)]));
}

#[test]
fn a_neighbours_refusal_makes_no_call_stale() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let (one, two) = (Upstream::named("a"), Upstream::named("b"));
        let neighbour = world.call(&two, 0).permit();
        assert!(world.call_and_be_refused(&one, 0));
        let probe = world.call(&one, 60).permit();

        race(move || neighbour.refused(60), move || probe.refused(60));

        (world.known(&one, 60), world.known(&two, 60))
    });

    assert_eq!(endings, BTreeSet::from([(Known::Cooling(2, 180), Known::Cooling(1, 120))]));
}

#[test]
fn who_has_heard_of_a_neighbours_refusal_still_belongs_to_its_own_burst() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(8);
        let (one, two) = (Upstream::named("a"), Upstream::named("b"));
        let burst = world.call(&one, 0).permit();
        let neighbour = world.call(&two, 0).permit();
        let (other, same) = (world.clone(), one.clone());

        let (sent, _) = race(
            move || other.call_and_be_refused(&same, 0),
            || race(move || burst.refused(0), move || neighbour.refused(0)),
        );

        assert_eq!(world.known(&one, 0), Known::Cooling(1, 60));
        assert_eq!(world.known(&two, 0), Known::Cooling(1, 60));
        sent
    });

    assert_eq!(endings, BTreeSet::from([false, true]));
}

#[test]
fn who_forgets_one_upstream_lets_nobody_through_to_another() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let (one, two) = (Upstream::named("a"), Upstream::named("b"));
        world.cool(&one, 60, 0);
        world.cool(&two, 60, 0);
        let hand = world.clone();

        let ((), met) = race(move || hand.clear(&one), || world.call(&two, 0));

        (met.word(), world.entries(0))
    });

    assert_eq!(endings, BTreeSet::from([("cooling", 1)]));
}

#[test]
fn who_cools_one_upstream_as_the_last_other_is_forgotten_is_counted() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let (one, two) = (Upstream::named("a"), Upstream::named("b"));
        world.cool(&one, 60, 0);
        let hand = world.clone();

        let ((), met) = race(
            move || hand.clear(&one),
            || {
                world.cool(&two, 60, 0);
                world.call(&two, 0)
            },
        );

        (met.word(), world.entries(0))
    });

    assert_eq!(endings, BTreeSet::from([("cooling", 1)]));
}
