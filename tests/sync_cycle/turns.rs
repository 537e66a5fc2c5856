//! One cycle at a time: who has the turn, who waits for it, and who is refused.

use tokio::time::timeout;
use tower::load_shed::error::Overloaded;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_retry_after::schedule::Outcome;

use crate::support::{at_once, poll_once, secs};
use crate::world::{Mesh, Reply, Wall, after, run, urls};
use crate::{A, B};

#[tokio::test(start_paused = true)]
async fn a_second_cycle_waits_until_the_first_has_ended() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(10, Reply::Ok)]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let mut other = cycle.clone();
    let first = tokio::spawn(async move { run(&mut cycle).await });
    tokio::task::yield_now().await;
    assert_eq!(other.state().last_outcome, Outcome::Running);

    assert!(timeout(secs(9), other.ready()).await.is_err(), "ready while a cycle runs");
    let second = timeout(secs(2), run(&mut other)).await.unwrap();

    assert_eq!(first.await.unwrap().tried().len(), 1);
    assert_eq!(urls(&second), [A]);
    assert_eq!(mesh.called(), [A, A]);
}

#[tokio::test(start_paused = true)]
async fn load_shed_refuses_a_second_cycle() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(10, Reply::Ok)]);
    let cycle = ServiceBuilder::new().load_shed().service(mesh.builder(&wall, &[A]).build());
    let first = tokio::spawn(cycle.clone().oneshot(()));
    tokio::task::yield_now().await;

    let refused = at_once(cycle.clone().oneshot(())).unwrap_err();

    assert!(refused.is::<Overloaded>());
    assert!(first.await.unwrap().is_ok());
    assert!(cycle.oneshot(()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_was_refused_keeps_the_turn_from_nobody() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(10, Reply::Ok)]);
    let cycle = ServiceBuilder::new().load_shed().service(mesh.builder(&wall, &[A]).build());
    let first = tokio::spawn(cycle.clone().oneshot(()));
    tokio::task::yield_now().await;
    let mut idle = cycle.clone();
    assert!(at_once(idle.ready().await.unwrap().call(())).is_err());
    assert!(first.await.unwrap().is_ok());

    // It had asked for the turn, and does not any more.
    let report = cycle.oneshot(()).await;

    assert!(report.is_ok());
    assert!(idle.ready().await.unwrap().call(()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_ready_handle_has_the_turn_until_it_is_dropped() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let cycle = mesh.builder(&wall, &[A]).build();
    let mut ready = cycle.clone();
    at_once(ready.ready()).unwrap();
    let mut copy = ready.clone();
    let mut waiting = std::pin::pin!(copy.ready());
    assert!(poll_once(waiting.as_mut()).is_pending(), "a clone is ready");

    drop(ready);

    assert!(poll_once(waiting).is_ready());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_get_their_turn() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, vec![after(10, Reply::Ok); 8]);
    let cycle = mesh.builder(&wall, &[A]).build();
    let cycles: Vec<_> = (0..8)
        .map(|_| {
            let mut cycle = cycle.clone();
            tokio::spawn(async move { run(&mut cycle).await })
        })
        .collect();

    for cycle in cycles {
        let report = timeout(secs(81), cycle).await.unwrap().unwrap();
        assert_eq!(report.tried().len(), 1);
    }
    assert_eq!(mesh.called().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_being_ready_waits_for_its_turn() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(10, Reply::Ok)]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let first = tokio::spawn(cycle.clone().oneshot(()));
    tokio::task::yield_now().await;

    let Ok(report) = cycle.call(()).await;

    assert!(first.is_finished());
    assert_eq!(urls(&report), [A]);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_has_ended_holds_nothing_though_its_future_is_kept() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let Ok(ready) = cycle.ready().await;
    let mut ended = Box::pin(ready.call(()));
    assert!(poll_once(ended.as_mut()).is_ready());

    let Ok(_) = at_once(cycle.ready());

    assert!(poll_once(ended.as_mut()).is_pending(), "answered twice");
}

#[tokio::test(start_paused = true)]
async fn clones_share_book_and_state() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut cycle = mesh.builder(&wall, &[A, B]).build();
    let other = cycle.clone();

    let report = run(&mut cycle).await;

    assert_eq!(other.state(), *report.state());
    assert_eq!(other.book(), cycle.book());
    assert_eq!(other.due(), report.due());
    other.remove(A).unwrap();
    assert_eq!(urls(&run(&mut cycle).await), [B]);
}
