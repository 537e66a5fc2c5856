//! A burst is one rung, whoever slips through while it is being counted.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{Known, World};

#[test]
fn a_burst_that_is_admitted_while_its_first_refusal_is_counted_is_one_rung() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let (other, same) = (world.clone(), upstream.clone());

        // Each asks, and is refused if it is sent: the first refusal of all.
        let sent = race(
            move || other.call_and_be_refused(&same, 0),
            || world.call_and_be_refused(&upstream, 0),
        );

        assert_eq!(world.known(&upstream, 0), Known::Cooling(1, 60));
        assert_eq!(world.entries(0), 1);
        sent
    });

    assert_eq!(endings, BTreeSet::from([(false, true), (true, false), (true, true)]));
}

#[test]
fn the_same_holds_where_another_upstream_is_in_trouble_already() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        world.cool(&Upstream::named("b"), 60, 0);
        let (other, same) = (world.clone(), upstream.clone());

        let sent = race(
            move || other.call_and_be_refused(&same, 0),
            || world.call_and_be_refused(&upstream, 0),
        );

        assert_eq!(world.known(&upstream, 0), Known::Cooling(1, 60));
        sent
    });

    assert_eq!(endings, BTreeSet::from([(false, true), (true, false), (true, true)]));
}

#[test]
fn a_burst_of_three_is_one_rung() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let old = world.call(&upstream, 0).permit();
        let (first, same) = (world.clone(), upstream.clone());
        let (second, again) = (world.clone(), upstream.clone());

        let (one, (two, ())) = race(
            move || first.call_and_be_refused(&same, 0),
            || race(move || second.call_and_be_refused(&again, 0), move || old.refused(0)),
        );

        assert_eq!(world.known(&upstream, 0), Known::Cooling(1, 60));
        (one, two)
    });

    let all = [(false, false), (false, true), (true, false), (true, true)];
    assert_eq!(endings, BTreeSet::from(all));
}

#[test]
fn of_two_first_refusals_the_longer_hint_holds_and_one_entry_stands() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let short = world.call(&upstream, 0).permit();
        let long = world.call(&upstream, 0).permit();

        race(move || short.refused_for(70, 0), move || long.refused_for(90, 0));

        assert_eq!(world.entries(0), 1);
        let known = world.known(&upstream, 0);
        // One live rank: the entry can be forgotten, once.
        world.sweep(90 + tower_retry_after_loom::world::FORGET_AFTER);
        assert_eq!(world.entries(0), 0);
        known
    });

    assert_eq!(endings, BTreeSet::from([Known::Cooling(1, 90)]));
}

#[test]
fn a_burst_in_a_reopening_upstream_is_one_rung() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        world.reopen(&upstream, 100);
        let place = world.call(&upstream, 100).permit();

        let ((), sent) =
            race(move || place.refused(100), || world.call_and_be_refused(&upstream, 100));

        assert_eq!(world.known(&upstream, 100), Known::Cooling(1, 160));
        sent
    });

    assert_eq!(endings, BTreeSet::from([false, true]));
}

#[test]
fn of_two_hands_the_longer_holds_and_one_entry_stands() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.cool(&same, 60, 0), || world.cool(&upstream, 90, 0));

        (world.known(&upstream, 0), world.entries(0))
    });

    assert_eq!(endings, BTreeSet::from([(Known::Cooling(0, 90), 1)]));
}

#[test]
fn a_first_refusal_that_meets_a_cooling_hand_is_the_first_rung_or_belongs_to_its_past() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let call = world.call(&upstream, 0).permit();
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.cool(&same, 90, 0), move || call.refused(0));

        (world.known(&upstream, 0), world.entries(0))
    });

    let expected = [(Known::Cooling(0, 90), 1), (Known::Cooling(1, 90), 1)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn a_first_refusal_that_meets_the_last_of_a_quota_begins_one_cooldown() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let (last, refused) =
            (world.call(&upstream, 0).permit(), world.call(&upstream, 0).permit());

        race(move || last.exhausted(90, 0), move || refused.refused(0));

        (world.known(&upstream, 0), world.entries(0))
    });

    let expected = [(Known::Cooling(0, 90), 1), (Known::Cooling(1, 90), 1)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn a_burst_that_is_cleared_in_between_is_never_more_than_one_rung() {
    let endings = endings_within(1, || {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let (one, two) = (world.call(&upstream, 0).permit(), world.call(&upstream, 0).permit());
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.clear(&same), || race(move || one.refused(0), move || two.refused(0)));

        (world.known(&upstream, 0), world.entries(0))
    });

    let expected = [(Known::Clear, 0), (Known::Cooling(1, 60), 1)];
    assert_eq!(endings, BTreeSet::from(expected));
}
