//! The numbers of changes say in which order they were made.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{Told, World};

/// Says whether each change begins in the state in which the one before ended, from
/// Clear on, and no number is left out.
fn is_whole(told: &[Told]) -> bool {
    let ends = [(0, "", "clear")].into_iter().chain(told.iter().copied());
    ends.zip(told).all(|((before, _, end), (number, start, _))| {
        end == *start && before.checked_add(1) == Some(*number)
    })
}

#[test]
fn who_cools_and_who_clears_are_told_in_order() {
    let endings = endings(|| {
        let world = World::with_room_for(8).watched();
        let upstream = Upstream::named("a");
        world.cool(&upstream, 60, 0);
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.clear(&same), || world.cool(&upstream, 90, 0));

        let told = world.told();
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

        is_whole(&world.told())
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

        let told = world.told();
        let mut met = [one, two];
        met.sort_unstable();
        (is_whole(&told), told.len(), met)
    });

    // Whoever came second was rejected.
    assert_eq!(endings, BTreeSet::from([(true, 2, ["probe", "probing"])]));
}
