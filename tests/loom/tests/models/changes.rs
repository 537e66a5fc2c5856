//! The numbers of changes say in which order they were made.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{FORGET_AFTER, Told, World};

/// Says whether each change begins in the state in which the one before ended, from
/// Clear on, and no number is left out.
fn is_whole(told: &[Told]) -> bool {
    let numbers = told.iter().map(|(number, ..)| *number);
    is_a_chain(told) && numbers.eq((1..).take(told.len()))
}

/// Says the same where there may be other upstreams in between.
fn is_a_chain(told: &[Told]) -> bool {
    let ends = [(0, "", "clear")].into_iter().chain(told.iter().copied());
    ends.zip(told).all(|((before, _, end), (number, start, _))| end == *start && before < *number)
}

#[test]
fn who_cools_and_who_clears_are_told_in_order() {
    let endings = endings(|| {
        let world = World::with_room_for(8).watched();
        let upstream = Upstream::named("a");
        world.cool(&upstream, 60, 0);
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.clear(&same), || world.cool(&upstream, 90, 0));

        let told = world.told_of(&upstream);
        (is_whole(&told), told.last().map(|(_, _, end)| *end))
    });

    assert_eq!(endings, BTreeSet::from([(true, Some("clear")), (true, Some("cooling"))]));
}

#[test]
fn an_entry_that_follows_on_another_has_higher_numbers() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(8).watched();
        let upstream = Upstream::named("a");
        world.cool(&upstream, 60, 0);
        let probe = world.call(&upstream, 60).permit();
        let (hand, same) = (world.clone(), upstream.clone());

        race(
            move || {
                hand.clear(&same);
                hand.cool(&same, 60, 60);
            },
            move || probe.refused(60),
        );

        is_whole(&world.told_of(&upstream))
    });

    assert_eq!(endings, BTreeSet::from([true]));
}

#[test]
fn callers_at_the_deadline_tell_of_one_probe() {
    let endings = endings(|| {
        let world = World::with_room_for(8).watched();
        let upstream = Upstream::named("a");
        world.cool(&upstream, 60, 0);
        let (other, same) = (world.clone(), upstream.clone());

        let (one, two) =
            race(move || other.call(&same, 60).word(), || world.call(&upstream, 60).word());

        let told = world.told_of(&upstream);
        let mut met = [one, two];
        met.sort_unstable();
        (is_whole(&told), told.len(), met)
    });

    // Whoever came second was rejected.
    assert_eq!(endings, BTreeSet::from([(true, 2, ["probe", "probing"])]));
}

#[test]
fn an_upstream_that_makes_room_and_comes_back_is_told_in_order() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(1).watched();
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();

        race(move || newcomer.refused(60), move || probe.refused(60));

        let (one, other) = (world.told_of(&upstream), world.told_of(&neighbour));
        let ends = [one.last(), other.last()].map(|last| last.map(|(_, _, end)| *end));
        (is_a_chain(&one), is_a_chain(&other), ends)
    });

    let [clear, cooling] = [Some("clear"), Some("cooling")];
    let expected = [(true, true, [clear, cooling]), (true, true, [cooling, clear])];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn an_episode_that_ends_as_its_time_has_come_is_told_once() {
    let endings = endings(|| {
        let world = World::with_room_for(8).watched();
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let sweeper = world.clone();

        race(move || sweeper.sweep(60 + FORGET_AFTER), || world.call(&upstream, 60 + FORGET_AFTER));

        let told = world.told_of(&upstream);
        (is_whole(&told), told.len())
    });

    assert_eq!(endings, BTreeSet::from([(true, 2)]));
}
