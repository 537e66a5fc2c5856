//! One cycle at a time: who has the turn, who waits for it, and who is refused.

use std::fmt::Debug;
use std::future::Ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::time::timeout;
use tower::load_shed::error::Overloaded;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::schedule::{
    CycleFuture, CycleReport, Outcome, Peer, SyncCycle, SyncCycleBuilder, Synced,
};
use tower_retry_after::{Cooldowns, Upstream};

use crate::support::{at_once, poll_once, secs};
use crate::world::{Mesh, Reply, Wall, after, book, run, urls};
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

/// A service of a type that has a name.
type Boxed = BoxCloneSyncService<Peer, Synced, BoxError>;

#[test]
fn two_threads_hand_the_turn_over_and_no_wake_up_is_lost() {
    async fn sync(_: Peer) -> Result<Synced, BoxError> {
        Ok(Synced::ok(""))
    }
    let arrived = Arc::new(AtomicUsize::new(0));
    let cycle = SyncCycle::new(service_fn(sync), book(&[A]));
    let cycles = |mut cycle: SyncCycle<_>| {
        let arrived = Arc::clone(&arrived);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.unwrap();
            // A waiter that was not woken waits for ever: nobody comes after it.
            for round in 1..=10_000 {
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 2 * round {
                    thread::yield_now();
                }
                let report = runtime.block_on(async { timeout(secs(60), run(&mut cycle)).await });
                let Ok(report): Result<CycleReport, _> = report else {
                    // The other one is not to wait for this one's arrival.
                    arrived.store(usize::MAX / 2, Ordering::SeqCst);
                    panic!("a wake-up was lost");
                };
                assert_eq!(report.tried().len(), 1);
            }
        }
    };

    thread::scope(|scope| {
        scope.spawn(cycles(cycle.clone()));
        scope.spawn(cycles(cycle.clone()));
    });
}

#[tokio::test(start_paused = true)]
async fn the_users_code_may_use_the_handle_wherever_it_runs() {
    let handle: Arc<OnceLock<SyncCycle<Boxed>>> = Arc::default();
    let look = {
        let handle = Arc::clone(&handle);
        move || handle.get().map(|cycle| cycle.book().peers().count())
    };
    let service = {
        let look = look.clone();
        service_fn(move |peer: Peer| {
            assert_eq!(look(), Some(2));
            async move { if peer.peer_url == A { Err("down".into()) } else { Ok(Synced::ok("")) } }
        })
    };
    let wall = Wall::new();
    let cooldowns = Cooldowns::new();
    cooldowns.cool(&Upstream::named("other"), secs(60));
    let mut cycle = SyncCycle::builder(Boxed::new(service))
        .book(book(&[A, B]))
        .cooldowns(cooldowns)
        .upstream_by(move |peer| {
            assert_eq!(look(), Some(2));
            Upstream::named(&peer.peer_url)
        })
        .wall_clock(move || wall.now())
        .build();
    assert!(handle.set(cycle.clone()).is_ok());

    assert_eq!(urls(&run(&mut cycle).await), [A, B]);
}

#[test]
fn handles_and_futures_have_names_and_go_anywhere() {
    fn cheap<T: Clone + Send + Sync + Unpin + Debug + 'static>() {}
    fn sent<T: Send + Debug + 'static>() {}
    #[derive(Clone, Debug)]
    struct Plain;
    impl Service<Peer> for Plain {
        type Response = Synced;
        type Error = BoxError;
        type Future = Ready<Result<Synced, BoxError>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Peer) -> Self::Future {
            std::future::ready(Ok(Synced::ok("")))
        }
    }

    cheap::<SyncCycle<Plain>>();
    cheap::<SyncCycleBuilder<Plain>>();
    cheap::<CycleReport>();
    cheap::<Synced>();
    sent::<CycleFuture<Plain>>();
    sent::<CycleFuture<Boxed>>();
}
