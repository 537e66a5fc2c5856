//! One probe at a time, and each verdict counted once.

use std::collections::BTreeSet;

use tower_retry_after_loom::Upstream;
use tower_retry_after_loom::race::{endings, race};
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
