//! Whoever forgets an entry loses no refusal that comes meanwhile.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{FORGET_AFTER, Known, World};

/// When a refusal of the time 0 without a hint is forgotten.
const FORGOTTEN: u64 = 60 + FORGET_AFTER;

#[test]
fn a_refusal_that_meets_a_sweep_is_counted() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();
        let sweeper = world.clone();

        race(move || sweeper.sweep(FORGOTTEN), move || probe.refused(FORGOTTEN));

        assert_eq!(world.entries(FORGOTTEN), 1);
        world.known(&upstream, FORGOTTEN)
    });

    // The episode was over; the refusal began another, in whichever entry.
    assert_eq!(endings, BTreeSet::from([Known::Cooling(1, FORGOTTEN + 60)]));
}

#[test]
fn a_refusal_that_meets_the_sweep_of_another_upstreams_refusal_is_counted() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();
        let (other, next) = (world.clone(), neighbour.clone());

        race(
            move || assert!(other.call_and_be_refused(&next, FORGOTTEN)),
            move || probe.refused(FORGOTTEN),
        );

        assert_eq!(world.entries(FORGOTTEN), 2);
        (world.known(&upstream, FORGOTTEN), world.known(&neighbour, FORGOTTEN))
    });

    let counted = Known::Cooling(1, FORGOTTEN + 60);
    assert_eq!(endings, BTreeSet::from([(counted, counted)]));
}

#[test]
fn a_refusal_that_meets_a_clearing_hand_is_cleared_with_the_entry_or_begins_anew() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.clear(&same), move || probe.refused(60));

        (world.known(&upstream, 60), world.entries(60))
    });

    let begun = (Known::Cooling(1, 120), 1);
    assert_eq!(endings, BTreeSet::from([(Known::Clear, 0), begun]));
}

#[test]
fn two_who_forget_the_same_entry_count_it_down_once() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let (sweeper, same) = (world.clone(), upstream.clone());

        race(move || sweeper.sweep(FORGOTTEN), || world.clear(&same));

        world.entries(FORGOTTEN)
    });

    assert_eq!(endings, BTreeSet::from([0]));
}

#[test]
fn a_caller_that_meets_a_sweep_is_free_and_the_entry_is_counted_down_once() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let sweeper = world.clone();

        let ((), met) = race(move || sweeper.sweep(FORGOTTEN), || world.call(&upstream, FORGOTTEN));

        (met.word(), world.entries(FORGOTTEN))
    });

    assert_eq!(endings, BTreeSet::from([("free", 0)]));
}

#[test]
fn a_caller_that_finds_an_episode_over_forgets_no_refusal_that_comes_meanwhile() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();

        let ((), met) = race(move || probe.refused(FORGOTTEN), || world.call(&upstream, FORGOTTEN));

        assert_eq!(world.entries(FORGOTTEN), 1);
        (met.word(), world.known(&upstream, FORGOTTEN))
    });

    let counted = Known::Cooling(1, FORGOTTEN + 60);
    assert_eq!(endings, BTreeSet::from([("cooling", counted), ("free", counted)]));
}

#[test]
fn a_refusal_that_meets_its_entrys_eviction_is_counted_and_the_bound_holds() {
    let endings = endings(|| {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();

        race(move || newcomer.refused(60), move || probe.refused(60));

        assert_eq!(world.entries(60), 1);
        (world.known(&upstream, 60), world.known(&neighbour, 60))
    });

    // Either the refusal was counted and went with its entry, or the entry went
    // first and the refusal made the room for a new one.
    let went = (Known::Clear, Known::Cooling(1, 120));
    let came_back = (Known::Cooling(1, 120), Known::Clear);
    assert_eq!(endings, BTreeSet::from([went, came_back]));
}

#[test]
fn two_newcomers_never_exceed_the_bound() {
    let endings = endings(|| {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let one = world.call(&upstream, 0).permit();
        let two = world.call(&neighbour, 0).permit();

        race(move || one.refused(0), move || two.refused(0));

        assert_eq!((world.entries(0), world.evicted()), (1, 1));
        (world.known(&upstream, 0), world.known(&neighbour, 0))
    });

    let cooling = Known::Cooling(1, 60);
    assert_eq!(endings, BTreeSet::from([(Known::Clear, cooling), (cooling, Known::Clear)]));
}

#[test]
fn who_tidies_up_after_the_forgotten_meets_a_newcomer_and_loses_nothing() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let [one, two, new] = ["a", "b", "c"].map(Upstream::named);
        // As many as may linger in the order of the forgotten.
        for _ in 0..64 {
            world.cool(&one, 60, 0);
            world.clear(&one);
        }
        world.cool(&one, 60, 0);
        world.cool(&two, 60, 0);
        let newcomer = world.call(&new, 0).permit();
        let hand = world.clone();

        race(
            move || {
                hand.clear(&one);
                hand.clear(&two);
            },
            move || newcomer.refused(0),
        );

        let known = world.known(&new, 0);
        let before = world.entries(0);
        world.sweep(FORGOTTEN);
        (known, before, world.entries(FORGOTTEN))
    });

    assert_eq!(endings, BTreeSet::from([(Known::Cooling(1, 60), 1, 0)]));
}

#[test]
fn two_first_refusals_of_one_upstream_make_room_for_one() {
    let endings = endings(|| {
        let world = World::with_room_for(2);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let one = world.call(&upstream, 0).permit();
        let two = world.call(&upstream, 0).permit();
        assert!(world.call_and_be_refused(&neighbour, 0));

        race(move || one.refused(0), move || two.refused(0));

        (world.known(&neighbour, 0), world.known(&upstream, 0), world.evicted())
    });

    let refused = Known::Cooling(1, 60);
    assert_eq!(endings, BTreeSet::from([(refused, refused, 0)]));
}

#[test]
fn an_entry_that_is_cleared_as_it_makes_room_is_counted_down_once() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let hand = world.clone();

        race(move || hand.clear(&upstream), move || newcomer.refused(0));

        (world.known(&neighbour, 0), world.entries(0), world.evicted())
    });

    let cooling = Known::Cooling(1, 60);
    assert_eq!(endings, BTreeSet::from([(cooling, 1, 0), (cooling, 1, 1)]));
}

#[test]
fn an_entry_that_is_swept_as_it_makes_room_is_counted_down_once() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let sweeper = world.clone();

        race(move || sweeper.sweep(FORGOTTEN), move || newcomer.refused(FORGOTTEN));

        (world.known(&neighbour, FORGOTTEN), world.entries(FORGOTTEN), world.evicted())
    });

    assert_eq!(endings, BTreeSet::from([(Known::Cooling(1, FORGOTTEN + 60), 1, 0)]));
}

#[test]
fn a_caller_that_meets_its_entrys_eviction_is_the_probe_or_free() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 60), move || newcomer.refused(60));

        let how = met.word();
        met.permit().succeeded(60);
        (how, world.known(&upstream, 60), world.entries(60))
    });

    let expected = [("free", Known::Clear, 1), ("probe", Known::Clear, 1)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn a_cooling_hand_that_meets_its_entrys_eviction_goes_with_it_or_comes_back() {
    let endings = endings_within(2, || {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let (hand, same) = (world.clone(), upstream.clone());

        race(move || hand.cool(&same, 90, 0), move || newcomer.refused(0));

        assert_eq!(world.entries(0), 1);
        (world.known(&upstream, 0), world.known(&neighbour, 0))
    });

    let went = (Known::Clear, Known::Cooling(1, 60));
    let came_back = (Known::Cooling(0, 90), Known::Clear);
    assert_eq!(endings, BTreeSet::from([went, came_back]));
}

#[test]
fn a_snapshot_never_shows_more_than_there_is_room_for() {
    let endings = endings(|| {
        let world = World::with_room_for(1);
        let (upstream, neighbour) = (Upstream::named("a"), Upstream::named("b"));
        let newcomer = world.call(&neighbour, 0).permit();
        world.cool(&upstream, 30, 0);

        let ((), shown) = race(move || newcomer.refused(0), || world.shown(0));

        shown
    });

    let [old, new] = [Known::Cooling(0, 30), Known::Cooling(1, 60)];
    assert_eq!(endings, BTreeSet::from([vec![], vec![old], vec![new]]));
}

#[test]
fn a_snapshot_shows_what_stood_before_or_after_a_change_and_never_half_of_it() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        assert!(world.call_and_be_refused(&upstream, 0));
        let probe = world.call(&upstream, 60).permit();

        let ((), shown) = race(move || probe.refused(60), || world.shown(60));

        shown
    });

    let [before, after] = [Known::Probing(1), Known::Cooling(2, 180)];
    assert_eq!(endings, BTreeSet::from([vec![before], vec![after]]));
}

#[test]
fn two_sweeps_forget_everything_once() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        world.cool(&Upstream::named("a"), 60, 0);
        world.cool(&Upstream::named("b"), 60, 0);
        let other = world.clone();

        race(move || other.sweep(FORGOTTEN), || world.sweep(FORGOTTEN));

        world.entries(FORGOTTEN)
    });

    assert_eq!(endings, BTreeSet::from([0]));
}
