//! Giving up on a poller, at every point where it can wait.

use std::pin::pin;

use tower_retry_after::schedule::Outcome;

use super::support::{at_once, pass, poll_once};
use super::*;

/// Asks for the next result, and gives up when it has to wait.
fn give_up<S, M, R>(poller: &mut Poller<S, M, R>)
where
    S: Service<R>,
    S::Error: Into<tower::BoxError>,
    S::Response: 'static,
    M: FnMut() -> R,
{
    assert!(poll_once(pin!(poller.next())).is_pending(), "it did not wait");
}

#[tokio::test(start_paused = true)]
async fn giving_up_at_any_point_loses_no_result_and_repeats_no_call() {
    let script = Script::lasting([(Play::Answers, secs(10)), (Play::Fails, secs(10))]);
    let service = Gate::new(script.service());
    let gate = service.clone();
    let mut poller = Poller::builder(service, unit).policy(policy()).build();

    // Before the service is ready.
    give_up(&mut poller);
    pass(secs(1)).await;
    give_up(&mut poller);
    gate.open();
    // While the call is out.
    give_up(&mut poller);
    pass(secs(5)).await;
    give_up(&mut poller);
    pass(secs(5)).await;
    assert!(at_once(poller.next()).unwrap().result.is_ok());
    // While nothing is due.
    give_up(&mut poller);
    pass(secs(59)).await;
    give_up(&mut poller);
    assert_eq!(script.seconds(), [1]);
    pass(secs(1)).await;
    give_up(&mut poller);
    pass(secs(10)).await;
    let polled = at_once(poller.next()).unwrap();

    assert!(polled.result.is_err());
    assert_eq!(polled.state.consecutive_failures, 1);
    assert_eq!(script.seconds(), [1, 71]);
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_is_dropped_leaves_the_state_as_before_the_run() {
    let script = Script::new([Play::Fails, Play::Hangs]);
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();
    let handle = poller.handle();
    polls(&mut poller, 1).await;
    let before = handle.state();
    pass(secs(10)).await;
    give_up(&mut poller);
    assert_eq!(handle.state().last_outcome, Outcome::Running);

    drop(poller);

    let after = handle.state();
    assert_eq!(after.last_outcome, Outcome::Error);
    assert_eq!(after.last_error, "connection reset");
    assert_eq!(after.consecutive_failures, before.consecutive_failures);
    // It is still due when it was.
    let due = before.next_sync_due_at.unwrap();
    let moved = after.next_sync_due_at.unwrap().duration_since(due - secs(10)).unwrap();
    assert!(moved < secs(1), "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_anything_was_sent_sends_nothing() {
    let script = Script::new([]);
    let service = Gate::new(script.service());
    let mut poller = Poller::builder(service, unit).policy(policy()).build();
    give_up(&mut poller);

    poller.handle().shutdown();

    assert!(at_once(poller.next()).is_none());
    assert_eq!(poller.state().last_outcome, Outcome::Idle);
    assert_eq!(script.seconds(), [0_u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_is_given_up_after_the_lease() {
    let script = Script::new([]);
    let service = Gate::new(script.service());
    let policy = SyncPolicy { run_lease: secs(100), ..policy() };
    let mut poller = Poller::builder(service, unit).policy(policy).build();

    let polled = polls(&mut poller, 1).await.remove(0);

    assert!(polled.result.is_err());
    assert_eq!(now() - script.began, secs(100));
}
