//! One probe at a time, and each verdict counted once.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, endings_within, race};
use tower_retry_after_loom::world::{Known, Permit, World};

/// A table with one upstream, which refused at 0 and may be probed from 60 on.
fn refused() -> (World, Upstream) {
    let world = World::with_room_for(8);
    let upstream = Upstream::named("a");
    assert!(world.call_and_be_refused(&upstream, 0));
    (world, upstream)
}

/// The same, with a probe out whose lease has ended, and its successor at 90.
fn superseded() -> (World, Upstream, Permit, Permit) {
    let (world, upstream) = refused();
    let old = world.call(&upstream, 60).permit();
    let new = world.call(&upstream, 90).permit();
    (world, upstream, old, new)
}

#[test]
fn two_callers_at_the_deadline_yield_one_probe() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let (other, same) = (world.clone(), upstream.clone());

        let (one, two) = race(move || other.call(&same, 60), || world.call(&upstream, 60));

        assert_eq!(world.known(&upstream, 60), Known::Probing(1));
        (one.word(), two.word())
    });

    assert_eq!(endings, BTreeSet::from([("probe", "probing"), ("probing", "probe")]));
}

#[test]
fn two_callers_at_the_end_of_a_lease_yield_one_new_probe() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let _lost = world.call(&upstream, 60);
        let (other, same) = (world.clone(), upstream.clone());

        let (one, two) = race(move || other.call(&same, 90), || world.call(&upstream, 90));

        (one.word(), two.word())
    });

    assert_eq!(endings, BTreeSet::from([("probe", "probing"), ("probing", "probe")]));
}

#[test]
fn the_probe_is_never_stale_even_if_its_caller_asked_before_the_refusal_was_published() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let burst = world.call(&upstream, 0).permit();
        let (other, same) = (world.clone(), upstream.clone());

        // A caller so late that the cooldown, once it sees it, is over.
        let (met, ()) = race(move || other.call(&same, 60), move || burst.refused(0));

        let how = met.word();
        met.permit().succeeded(61);
        (how, world.known(&upstream, 61))
    });

    let reopening = Known::Reopening { width: 2, in_flight: 0 };
    let cooling = Known::Cooling(1, 60);
    assert_eq!(endings, BTreeSet::from([("free", cooling), ("probe", reopening)]));
}

#[test]
fn a_superseded_probe_that_is_dropped_takes_nothing_from_the_new_ones_success() {
    let endings = endings(|| {
        let (world, upstream, old, new) = superseded();

        race(move || old.dropped(91), move || new.succeeded(91));

        world.known(&upstream, 91)
    });

    assert_eq!(endings, BTreeSet::from([Known::Reopening { width: 2, in_flight: 0 }]));
}

#[test]
fn a_superseded_probes_success_counts_whether_or_not_the_new_one_is_dropped_first() {
    let endings = endings(|| {
        let (world, upstream, old, new) = superseded();

        race(move || old.succeeded(91), move || new.dropped(91));

        world.known(&upstream, 91)
    });

    assert_eq!(endings, BTreeSet::from([Known::Reopening { width: 2, in_flight: 0 }]));
}

#[test]
fn two_probes_that_are_both_refused_climb_one_rung() {
    let endings = endings(|| {
        let (world, upstream, old, new) = superseded();

        race(move || old.refused(91), move || new.refused(91));

        world.known(&upstream, 91)
    });

    assert_eq!(endings, BTreeSet::from([Known::Cooling(2, 91 + 120)]));
}

#[test]
fn a_dropped_probe_that_meets_a_caller_leaves_the_upstream_to_be_probed() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let probe = world.call(&upstream, 60).permit();
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 61), move || probe.dropped(61));

        let next = world.call(&upstream, 61).word();
        (met.word(), next, world.known(&upstream, 61))
    });

    let probing = Known::Probing(1);
    let expected = [("probe", "probing", probing), ("probing", "probe", probing)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn a_probe_without_news_that_meets_a_caller_keeps_it_waiting_for_a_second() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let probe = world.call(&upstream, 60).permit();
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 61), move || probe.neutral(61));

        (met.word(), world.known(&upstream, 61))
    });

    let paused = Known::Cooling(1, 62);
    assert_eq!(endings, BTreeSet::from([("cooling", paused), ("probing", paused)]));
}

#[test]
fn a_probes_success_that_meets_a_caller_rejects_it_or_gives_it_a_place() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let probe = world.call(&upstream, 60).permit();
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 61), move || probe.succeeded(61));

        (met.word(), world.known(&upstream, 61))
    });

    let with = |in_flight| Known::Reopening { width: 2, in_flight };
    assert_eq!(endings, BTreeSet::from([("place", with(1)), ("probing", with(0))]));
}

#[test]
fn a_late_success_that_meets_the_next_probe_counts_for_both() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let old = world.call(&upstream, 60).permit();
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(
            move || {
                let met = other.call(&same, 90);
                let how = met.word();
                met.permit().succeeded(91);
                how
            },
            move || old.succeeded(90),
        );

        (met, world.known(&upstream, 91))
    });

    // Whichever success came first, the other made a place more.
    let reopening = Known::Reopening { width: 3, in_flight: 0 };
    assert_eq!(endings, BTreeSet::from([("place", reopening), ("probe", reopening)]));
}

#[test]
fn a_caller_at_the_deadline_that_meets_a_cooling_hand_leaves_it_cooling() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 60), || world.cool(&upstream, 30, 60));

        let how = met.word();
        // Its success is that of an earlier time.
        met.sent().into_iter().for_each(|probe| probe.succeeded(61));
        (how, world.known(&upstream, 61))
    });

    let cooling = Known::Cooling(1, 90);
    assert_eq!(endings, BTreeSet::from([("cooling", cooling), ("probe", cooling)]));
}

#[test]
fn a_caller_at_the_deadline_that_meets_a_clearing_hand_is_free_or_a_probe_of_nothing() {
    let endings = endings(|| {
        let (world, upstream) = refused();
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 60), || world.clear(&upstream));

        let how = met.word();
        met.permit().dropped(60);
        (how, world.known(&upstream, 60), world.entries(60))
    });

    let expected = [("free", Known::Clear, 0), ("probe", Known::Clear, 0)];
    assert_eq!(endings, BTreeSet::from(expected));
}

#[test]
fn a_probe_of_an_entry_that_is_gone_tells_nothing_of_the_next_ones_probe() {
    let endings = endings_within(2, || {
        let (world, upstream) = refused();
        let old = world.call(&upstream, 60).permit();
        let (hand, same) = (world.clone(), upstream.clone());

        // The new probe has the old one's number.
        let (new, ()) = race(
            move || {
                hand.clear(&same);
                hand.cool(&same, 1, 60);
                hand.call(&same, 61)
            },
            move || old.dropped(61),
        );

        let next = world.call(&upstream, 61).word();
        (new.word(), next, world.known(&upstream, 61))
    });

    assert_eq!(endings, BTreeSet::from([("probe", "probing", Known::Probing(0))]));
}

#[test]
fn a_late_refusal_of_a_burst_prolongs_the_cooldown_or_comes_too_late_for_the_probe() {
    let endings = endings(|| {
        let world = World::with_room_for(8);
        let upstream = Upstream::named("a");
        let late = world.call(&upstream, 0).permit();
        assert!(world.call_and_be_refused(&upstream, 0));
        let (other, same) = (world.clone(), upstream.clone());

        let (met, ()) = race(move || other.call(&same, 60), move || late.refused_for(30, 60));

        (met.word(), world.known(&upstream, 60))
    });

    let prolonged = ("cooling", Known::Cooling(1, 90));
    assert_eq!(endings, BTreeSet::from([prolonged, ("probe", Known::Probing(1))]));
}

#[test]
fn three_callers_at_the_deadline_yield_one_probe() {
    let endings = endings_within(1, || {
        let (world, upstream) = refused();
        let (first, same) = (world.clone(), upstream.clone());
        let (second, again) = (world.clone(), upstream.clone());

        let (one, (two, three)) = race(
            move || first.call(&same, 60),
            || race(move || second.call(&again, 60), || world.call(&upstream, 60)),
        );

        let mut met = [one.word(), two.word(), three.word()];
        met.sort_unstable();
        met
    });

    assert_eq!(endings, BTreeSet::from([["probe", "probing", "probing"]]));
}
