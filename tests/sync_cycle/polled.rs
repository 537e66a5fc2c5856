//! A poller that runs cycles: the due time has one owner, and that is the cycle.

use tokio::time::sleep;
use tower_retry_after::schedule::{Outcome, Poller, SyncPolicy, SyncState};

use crate::support::{now, secs};
use crate::world::{Mesh, Reply, Wall, policy};
use crate::{A, B};

#[tokio::test(start_paused = true)]
async fn cycles_run_when_they_are_due_and_a_failed_one_counts_once() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Ok, Reply::Refused(900), Reply::Down]);
    mesh.says(B, [Reply::Refused(1200)]);
    let cycle = mesh.builder(&wall, &[A, B]).build();
    let mut poller = Poller::cycle(cycle.clone());
    let began = now();

    let mut seen = Vec::new();
    for _ in 0..5 {
        let state = poller.next().await.unwrap().state;
        assert_eq!(state, cycle.state());
        seen.push(((now() - began).as_secs(), state.last_outcome, state.consecutive_failures));
    }

    assert_eq!(
        seen,
        [
            (0, Outcome::Ok, 0),
            // Both refuse, and A comes free first.
            (300, Outcome::Error, 1),
            (1200, Outcome::Error, 2),
            // Both rungs, the peer's and the loop's, are the second.
            (1320, Outcome::Ok, 0),
            (1620, Outcome::Ok, 0),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_nothing_could_be_sent_the_poller_waits_for_the_first_peer() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Early(70)]);
    let mut poller = Poller::cycle(mesh.builder(&wall, &[A]).build());
    let began = now();

    let put_off = poller.next().await.unwrap().state;
    assert_eq!((put_off.last_outcome, put_off.consecutive_failures), (Outcome::Idle, 0));
    assert_eq!(poller.next().await.unwrap().state.last_outcome, Outcome::Ok);

    assert_eq!(now() - began, secs(70));
}

#[tokio::test(start_paused = true)]
async fn a_restored_cycle_is_polled_when_it_was_due() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut state = SyncState::default();
    state.finish_ok(&policy(), A, "here", wall.now() - secs(100));
    let mut poller = Poller::cycle(mesh.builder(&wall, &[A]).state(state).build());
    let began = now();

    poller.next().await.unwrap();

    assert_eq!(now() - began, secs(200));
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_outlives_its_lease_is_the_failure_of_the_peer_that_hangs() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Never]);
    let short = SyncPolicy { run_lease: secs(50), ..policy() };
    let cycle = mesh.builder(&wall, &[A]).policy(short).build();
    let mut poller = Poller::cycle(cycle.clone());

    let ended = poller.next().await.unwrap();

    assert!(ended.result.is_ok(), "the cycle itself has ended");
    assert_eq!(ended.state.last_outcome, Outcome::Error);
    assert_eq!(cycle.book().peer(A).unwrap().failure_count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_is_dropped_midway_leaves_the_cycle_to_others() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Never]);
    let cycle = mesh.builder(&wall, &[A]).build();
    let mut poller = Poller::cycle(cycle.clone());
    tokio::select! {
        _ = poller.next() => panic!("A hangs"),
        () = sleep(secs(10)) => {}
    }
    assert_eq!(cycle.state().last_outcome, Outcome::Running);

    drop(poller);

    assert_eq!(cycle.state().last_outcome, Outcome::Idle);
    let mut poller = Poller::cycle(cycle);
    assert_eq!(poller.next().await.unwrap().state.last_outcome, Outcome::Ok);
}
