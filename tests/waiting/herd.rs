//! Ten thousand who wait: as fast as the upstream allows, and no faster.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};
use tower_retry_after::Error;

use super::*;

const WAITERS: usize = 10_000;
const ANSWER: Duration = millis(10);

/// What an upstream sees.
#[derive(Default)]
struct Seen {
    /// Who called, in order.
    order: Mutex<Vec<usize>>,
    in_flight: AtomicUsize,
    succeeded: AtomicUsize,
}

/// An upstream that answers after ten milliseconds and holds its callers to the
/// Reopening rule: never more in flight than one and one for each success.
fn watchful(
    seen: &Arc<Seen>,
) -> Strict<impl FnMut(Request<usize>) -> Watched + Clone + Send + use<>> {
    let seen = Arc::clone(seen);
    Strict::new(move |request: Request<usize>| -> Watched {
        let seen = Arc::clone(&seen);
        seen.order.lock().unwrap().push(*request.body());
        let in_flight = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let allowed = 1 + seen.succeeded.load(Ordering::SeqCst);
        assert!(in_flight <= allowed, "{in_flight} in flight, {allowed} allowed");
        Box::pin(async move {
            tokio::time::sleep(ANSWER).await;
            seen.in_flight.fetch_sub(1, Ordering::SeqCst);
            seen.succeeded.fetch_add(1, Ordering::SeqCst);
            Ok(Response::new(()))
        })
    })
}

type Watched = Pin<Box<dyn Future<Output = std::io::Result<Response<()>>> + Send>>;

/// How long the rule takes to let that many go: each round trip as many as are
/// allowed, and as many more are allowed the next time.
fn ideal(mut waiters: usize) -> Duration {
    let (mut allowed, mut time) = (1, Duration::ZERO);
    while waiters > 0 {
        let sent = waiters.min(allowed);
        waiters -= sent;
        allowed += sent;
        time += ANSWER;
    }
    time
}

async fn drain(layer: &RetryAfterBackoffLayer, cooldown: Duration) {
    let seen = Arc::<Seen>::default();
    let client = layer.waiting(secs(3600)).layer(watchful(&seen));
    let mut tasks = JoinSet::new();
    for who in 0..WAITERS {
        let mut client = client.clone().ready_oneshot().await.unwrap();
        let call = client.call(Request::get(A).body(who).unwrap());
        tasks.spawn(async move { (call.await.map(|_| ()), now()) });
    }
    let end = now() + cooldown;

    tokio::time::sleep_until(end).await;
    tokio::task::yield_now().await;
    assert_eq!(seen.order.lock().unwrap().len(), 1, "one call at the end of the cooldown");
    let answers: Vec<(Result<(), Error>, _)> = tasks.join_all().await;

    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    let last = answers.iter().map(|&(_, at)| at).max().unwrap();
    let (took, ideal) = (last - end, ideal(WAITERS));
    assert!(took <= ideal.mul_f64(1.2), "{took:?} where {ideal:?} is possible");
    assert!(*seen.order.lock().unwrap() == (0..WAITERS).collect::<Vec<_>>(), "in order");
}

#[test]
fn the_rule_takes_fourteen_round_trips_for_ten_thousand() {
    assert_eq!(ideal(WAITERS), 14 * ANSWER);
    assert_eq!(ideal(1), ANSWER);
    assert_eq!(ideal(4), 3 * ANSWER);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_go_in_order_as_fast_as_the_rule_allows_and_never_as_a_herd() {
    drain(&cooling(60), secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn nor_do_they_where_the_table_lets_everybody_go_after_the_probe() {
    let layer = RetryAfterBackoffLayer::builder().reopen_width(0).build();
    layer.cooldowns().cool(&upstream(A), secs(60));

    drain(&layer, secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn nor_where_the_table_forgets_the_cooldown_as_it_ends() {
    let layer = RetryAfterBackoffLayer::builder().forget_after(Duration::ZERO).build();
    layer.cooldowns().cool(&upstream(A), secs(60));

    drain(&layer, secs(60)).await;
}
