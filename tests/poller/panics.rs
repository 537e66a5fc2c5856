//! User code that panics: no run is left behind, and whoever catches it goes on.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use tower::service_fn;
use tower_retry_after::schedule::{Next, Outcome};

use super::support::{pass, poll_once};
use super::*;

/// An error that cannot be shown.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("as scripted")
    }
}

impl std::error::Error for Unspeakable {}

/// Asks for the next result, and says whether that panicked.
fn panics<S, M, R>(poller: &mut Poller<S, M, R>) -> bool
where
    S: Service<R>,
    S::Error: Into<tower::BoxError>,
    S::Response: 'static,
    M: FnMut() -> R,
{
    catch_unwind(AssertUnwindSafe(|| poll_once(pin!(poller.next())).is_ready())).is_err()
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_panics_leaves_no_run_behind_and_makes_no_storm() {
    let script = Script::new([]);
    let judge = |_: &Result<(), Error>| -> Next { panic!("as scripted") };
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).judge(judge).build();
    let handle = poller.handle();

    assert!(panics(&mut poller));
    assert!(!panics(&mut poller), "it has to wait");
    assert_eq!(handle.state().last_outcome, Outcome::Idle);
    pass(secs(1)).await;
    assert!(panics(&mut poller));
    drop(poller);

    assert_eq!(handle.state().last_outcome, Outcome::Idle);
    assert_eq!(script.seconds(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_leaves_no_run_behind() {
    let ask = service_fn(|()| async { Err::<(), _>(Unspeakable) });
    let mut poller = Poller::new(ask, unit);
    let handle = poller.handle();

    assert!(panics(&mut poller));
    drop(poller);

    assert_eq!(handle.state().last_outcome, Outcome::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_is_not_asked_again() {
    let mut calls = 0;
    let ask = service_fn(move |()| {
        calls += 1;
        async move {
            assert_ne!(calls, 1, "as scripted");
            Ok::<_, io::Error>(())
        }
    });
    let mut poller = Poller::builder(ask, unit).policy(policy()).build();

    assert!(panics(&mut poller));
    assert!(!panics(&mut poller));
    pass(secs(1)).await;

    let Poll::Ready(polled) = poll_once(pin!(poller.next())) else { panic!("it is wedged") };
    assert!(polled.unwrap().result.is_ok());
}
