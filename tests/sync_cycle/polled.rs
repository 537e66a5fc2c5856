//! A poller that runs cycles: the due time has one owner, and that is the cycle.

use tokio::time::sleep;
use tower::ServiceExt;
use tower_retry_after::schedule::{Outcome, Poller, SyncPolicy, SyncState};

use crate::support::{at_once, now, secs};
use crate::world::{Mesh, Reply, Wall, after, policy, run};
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

#[tokio::test(start_paused = true)]
async fn a_poller_of_a_cycle_that_runs_waits_for_what_that_comes_to() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Ok, after(5, Reply::Ok)]);
    let cycle = mesh.builder(&wall, &[A]).build();
    run(&mut cycle.clone()).await;
    let due = cycle.due();
    let first = tokio::spawn(cycle.clone().oneshot(()));
    sleep(secs(1)).await;
    // A run that is out has not moved the due time yet.
    assert_eq!(cycle.due(), due);

    let mut poller = Poller::cycle(cycle.clone());
    first.await.unwrap().unwrap();
    let began = now();
    poller.next().await.unwrap();

    assert_eq!(now() - began, secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_cycle_by_hand_puts_the_next_one_off() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let cycle = mesh.builder(&wall, &[A]).build();
    let mut poller = Poller::cycle(cycle.clone());
    poller.next().await.unwrap();
    sleep(secs(299)).await;

    run(&mut cycle.clone()).await;
    let began = now();
    let mut watch = poller.handle().watch();
    let seen = tokio::spawn(async move {
        watch.changed().await;
        now()
    });
    poller.next().await.unwrap();

    assert_eq!(now() - began, secs(300));
    // Nothing was begun before, not even in vain.
    assert_eq!(seen.await.unwrap() - began, secs(300));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_turn_does_not_run_right_after_another() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Ok, after(5, Reply::Ok)]);
    let cycle = mesh.builder(&wall, &[A]).build();
    let mut poller = Poller::cycle(cycle.clone());
    let handle = poller.handle();
    poller.next().await.unwrap();
    sleep(secs(298)).await;

    // Somebody's cycle is out when the poller's falls due.
    let by_hand = tokio::spawn(cycle.clone().oneshot(()));
    sleep(secs(1)).await;
    let began = now();
    let polling = tokio::spawn(async move {
        poller.next().await.unwrap();
        now()
    });
    by_hand.await.unwrap().unwrap();
    sleep(secs(1)).await;
    // The turn is nobody's meanwhile.
    assert!(at_once(cycle.clone().ready()).is_ok());
    assert_eq!(handle.state().last_outcome, Outcome::Ok);

    assert_eq!(polling.await.unwrap() - began, secs(4 + 300));
    assert_eq!(mesh.called().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_a_cycle_gets_it_after_the_one_that_is_out() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Ok, after(5, Reply::Ok)]);
    let cycle = mesh.builder(&wall, &[A]).build();
    let mut poller = Poller::cycle(cycle.clone());
    poller.next().await.unwrap();
    let by_hand = tokio::spawn(cycle.clone().oneshot(()));
    sleep(secs(1)).await;
    let began = now();

    poller.handle().trigger();
    poller.next().await.unwrap();

    assert!(by_hand.is_finished());
    assert_eq!(now() - began, secs(4));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_turn_is_no_part_of_a_run() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(49, Reply::Ok), after(49, Reply::Ok)]);
    let short = SyncPolicy { run_lease: secs(50), ..policy() };
    let cycle = mesh.builder(&wall, &[A]).policy(short).build();
    let first = tokio::spawn(cycle.clone().oneshot(()));
    sleep(secs(1)).await;
    let mut poller = Poller::cycle(cycle.clone());
    poller.handle().trigger();

    // Forty-eight seconds for the turn, and as long for the run: a lease and a half.
    let began = now();
    let polled = poller.next().await.unwrap();

    first.await.unwrap().unwrap();
    assert!(polled.result.is_ok());
    assert_eq!(polled.state.last_outcome, Outcome::Ok);
    assert_eq!((mesh.called().len(), now() - began), (2, secs(48 + 49)));
}
