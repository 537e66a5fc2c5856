//! A cycle that is given up, at every point: book and state are consistent, and
//! the next one goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::task::yield_now;
use tower::{Service, ServiceExt};
use tower_retry_after::schedule::{Outcome, Peer, SyncCycle, Synced};

use crate::support::{at_once, pass, poll_once, secs};
use crate::world::{Mesh, Reply, Wall, after, book, policy, run, urls};
use crate::{A, B, C};

/// Is pending once before it is ready, and once more before it answers.
#[derive(Debug)]
struct Slow {
    polled: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        Self { polled: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Peer> for Slow {
    type Response = Synced;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Synced, &'static str>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, peer: Peer) -> Self::Future {
        assert!(std::mem::take(&mut self.polled), "called unready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            yield_now().await;
            if peer.peer_url == C { Ok(Synced::ok("here")) } else { Err("down") }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_cycle_dropped_at_any_point_leaves_all_consistent_and_the_next_goes_on() {
    // Readying and calling for each of three peers, and before the first poll.
    let mut ended_after = None;
    for polls in 0..8 {
        let calls = Arc::new(AtomicUsize::new(0));
        let wall = Wall::new();
        let clock = wall.clone();
        let service = Slow { polled: false, calls: Arc::clone(&calls) };
        let mut cycle = SyncCycle::builder(service)
            .book(book(&[A, B, C]))
            .wall_clock(move || clock.now())
            .build();
        let before = cycle.state();
        let Ok(ready) = cycle.ready().await;
        let mut dropped = Box::pin(ready.call(()));
        for _ in 0..polls {
            if poll_once(dropped.as_mut()).is_ready() {
                ended_after = ended_after.or(Some(polls));
            }
        }
        if ended_after.is_some() {
            break;
        }

        drop(dropped);

        // The state is as before, and due at once; no rung was climbed.
        let state = cycle.state();
        assert_eq!(state.last_outcome, before.last_outcome, "after {polls} polls");
        assert_eq!(state.consecutive_failures, 0);
        assert_eq!(state.last_error, "");
        assert!(state.is_due(&policy(), wall.now()));
        assert!(cycle.due() <= crate::support::now());
        // Who has answered is marked, and nobody else.
        let answered =
            calls.load(Ordering::SeqCst).saturating_sub(usize::from(polls % 2 == 0 && polls > 0));
        let marked = cycle.book().peers().filter(|peer| peer.failure_count == 1).count();
        assert_eq!(marked, answered, "after {polls} polls");

        // The next one goes on with who is left.
        let report = run(&mut cycle).await;
        assert_eq!(urls(&report), [A, B, C][marked..]);
        assert_eq!(report.state().last_outcome, Outcome::Ok);
    }
    assert_eq!(ended_after, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_cycle_is_put_back_to_what_was_before() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Down, after(10, Reply::Ok)]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let failed = run(&mut cycle).await;
    pass(secs(100)).await;
    let Ok(ready) = cycle.ready().await;
    let mut out = Box::pin(ready.call(()));
    assert!(poll_once(out.as_mut()).is_pending());
    assert_eq!(cycle.state().last_outcome, Outcome::Running);

    drop(out);

    let state = cycle.state();
    assert_eq!(state.last_outcome, Outcome::Error);
    assert_eq!(state.last_error, failed.state().last_error);
    assert_eq!(state.consecutive_failures, 1);
    // It was due, and still is.
    assert_eq!(cycle.due(), crate::support::now());
    assert_eq!(run(&mut cycle).await.state().last_outcome, Outcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_dropped_early_is_due_when_it_was() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Ok, Reply::Never]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let report = run(&mut cycle).await;
    pass(secs(100)).await;
    // By hand, 200 s before it is due.
    let Ok(ready) = cycle.ready().await;
    let mut out = Box::pin(ready.call(()));
    assert!(poll_once(out.as_mut()).is_pending());

    drop(out);

    assert_eq!(cycle.due(), report.due());
    assert_eq!(cycle.state().last_outcome, Outcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_panics_leaves_nothing_behind() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Down]);
    mesh.says(B, [Reply::PanicInCall, Reply::PanicInFuture]);
    let mut cycle = mesh.builder(&wall, &[A, B]).build();

    for _ in 0..2 {
        let Ok(ready) = cycle.ready().await;
        let mut call = Box::pin(ready.call(()));
        // Dropped while the panic goes on, as by a task.
        let panicked = catch_unwind(AssertUnwindSafe(move || poll_once(call.as_mut()).is_ready()));
        assert!(panicked.is_err());
        assert_eq!(cycle.state().last_outcome, Outcome::Idle);
        assert_eq!(cycle.state().consecutive_failures, 0);
    }

    assert_eq!(cycle.book().peer(A).unwrap().failure_count, 1);
    assert_eq!(urls(&run(&mut cycle).await), [B]);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_gives_the_turn_back() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Never]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let task = tokio::spawn(cycle.clone().oneshot(()));
    yield_now().await;
    assert!(poll_once(Box::pin(cycle.ready()).as_mut()).is_pending());

    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());

    let Ok(_) = at_once(cycle.ready());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_for_its_turn_leaves_nothing_behind() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(10, Reply::Ok)]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let first = tokio::spawn(cycle.clone().oneshot(()));
    yield_now().await;
    let mut second = Box::pin(cycle.call(()));
    assert!(poll_once(second.as_mut()).is_pending());

    drop(second);

    assert_eq!(cycle.state().last_outcome, Outcome::Running);
    assert!(first.await.unwrap().is_ok());
    assert_eq!(mesh.called(), [A]);
}
