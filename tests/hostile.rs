//! Upstreams that send nonsense, and user code that misbehaves: nothing panics,
//! spins, deadlocks or wedges.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use support::Outcome::Sent;
use support::*;
use tokio::time::sleep;
use tower::{Layer, ServiceExt};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::{Cooldowns, Ladder, RetryAfterBackoffLayer, State, Upstream, key};

/// A refusal with those values of `Retry-After`, through a default layer.
async fn refuse(values: &[&[u8]]) -> tower_retry_after::RateLimited {
    let mut response = Response::builder().status(429).body(()).unwrap();
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        response.headers_mut().append("retry-after", value);
    }
    let inner =
        Strict::new(move |_: Request<()>| std::future::ready(Ok::<_, io::Error>(response.clone())));
    let client = RetryAfterBackoffLayer::new().layer(inner.clone());
    assert_eq!(ask(&client, A).await, Sent(429));
    held(&client, A).await
}

#[tokio::test(start_paused = true)]
async fn a_hint_beyond_all_measure_cools_for_the_ceiling_and_is_shown_as_sent() {
    let most = refuse(&[b"18446744073709551615"]).await;
    assert_eq!(most.retry_after(), secs(3600));
    assert_eq!(most.hint(), Some(secs(u64::MAX)));

    let nines = vec![b'9'; 65_000];
    for value in [&b"99999999999999999999999999"[..], &nines, b"1e400"] {
        let limited = refuse(&[value]).await;
        assert!((secs(60)..=secs(3600)).contains(&limited.retry_after()));
        assert!(limited.hint().is_none_or(|hint| hint > secs(3600)), "{limited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_no_hint() {
    let long = vec![b'x'; 64 * 1024];
    let values: [&[u8]; 10] =
        [b"", b"-5", b"soon", b"0x10", b"\xff\xfe", b"NaN", b",,,,", b"   ", b"1970", &long];
    for value in &values[..7] {
        let limited = refuse(&[value]).await;
        assert_eq!((limited.retry_after(), limited.hint()), (secs(60), None), "{value:?}");
    }
    for value in values {
        let limited = refuse(&[value]).await;
        assert!((secs(60)..=secs(3600)).contains(&limited.retry_after()));
    }
}

#[tokio::test(start_paused = true)]
async fn of_thousands_of_values_the_longest_counts() {
    let members: Vec<String> = (0..5000).map(|number| (number % 700).to_string()).collect();
    let line = members.join(", ");
    assert_eq!(refuse(&[line.as_bytes()]).await.retry_after(), secs(699));

    let lines: Vec<&[u8]> = members.iter().map(String::as_bytes).collect();
    assert_eq!(refuse(&lines).await.retry_after(), secs(699));
    assert_eq!(refuse(&[b"soon", b"100", b"-7, 300, x", b"2"]).await.retry_after(), secs(300));
}

#[tokio::test(start_paused = true)]
async fn durations_at_their_limits_neither_panic_nor_wrap() {
    let peer = Peer::always(refused_for(u64::MAX));
    let layer = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(Duration::MAX, Duration::MAX))
        .max_retry_after(Duration::MAX)
        .jitter(f64::INFINITY)
        .probe_lease(Duration::MAX)
        .reopen_width(u32::MAX)
        .forget_after(Duration::MAX)
        .max_upstreams(usize::MAX)
        .build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    pass(secs(7)).await;
    ask(&client, A).await;
    cooldowns.cool(&upstream(A), Duration::MAX);

    let limited = held(&client, A).await;

    assert!(limited.retry_after() > secs(100 * 365 * 86_400));
    assert!(limited.until() > now() + secs(86_400));
    assert!(info(&cooldowns, A).until() > now() + secs(86_400));
    assert!(!limited.to_string().is_empty());
}

#[tokio::test(start_paused = true)]
async fn durations_of_nothing_neither_panic_nor_spin() {
    let peer = Peer::always(refused_for(0));
    let layer = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(Duration::ZERO, Duration::ZERO))
        .max_retry_after(Duration::ZERO)
        .jitter(f64::NAN)
        .probe_lease(Duration::ZERO)
        .reopen_width(0)
        .build();
    let client = client(&layer, &peer);

    assert_eq!(ask(&client, A).await, Sent(429));

    assert_eq!(held(&client, A).await.retry_after(), secs(1));
}

/// Calls and sleeps as told until a call is answered with 200; returns how often
/// it called.
async fn tries(client: &impl Client) -> usize {
    for tries in 1.. {
        match send(client, A).await {
            Ok(response) if response.status() == 200 => return tries,
            Ok(_) => {}
            Err(error) => sleep(error.rate_limited().unwrap().retry_after()).await,
        }
    }
    unreachable!("a caller that never gives up")
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_sleeps_as_told_never_spins() {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    assert_eq!(tries(&client).await, 3, "refused, held back, answered");

    for wait in [Duration::from_nanos(1), Duration::from_micros(1500), secs(60)] {
        cooldowns.cool(&upstream(A), wait);
        assert!(tries(&client).await <= 3, "{wait:?}");
        cooldowns.clear(&upstream(A));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_sleeps_as_told_beside_a_lost_probe_looks_once_a_second() {
    let peer = Peer::says([refused(), never()]);
    let client = client(&RetryAfterBackoffLayer::new(), &peer);
    ask(&client, A).await;
    pass(secs(60)).await;
    let _probe = hang(&client, A);
    let start = now();

    let tries = tries(&client).await;

    assert_eq!((tries, start.elapsed()), (31, secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_told_as_of_the_rejection_and_is_at_least_a_millisecond_and_short_while_probing()
{
    let peer = Peer::says([refused(), never(), never()]);
    let layer = RetryAfterBackoffLayer::builder().reopen_width(64).build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    for (wait, told) in [(59_000, 1000), (999, 1), (0, 1)] {
        pass(millis(wait)).await;
        assert_eq!(held(&client, A).await.retry_after(), millis(told));
    }
    pass(Duration::from_nanos(999_999)).await;
    assert_eq!(held(&client, A).await.retry_after(), millis(1));
    pass(Duration::from_nanos(1)).await;

    let _probe = hang(&client, A);
    assert_eq!(held(&client, A).await.retry_after(), secs(1));
    pass(millis(29_600)).await;
    assert_eq!(held(&client, A).await.retry_after(), millis(400));
    cooldowns.clear(&upstream(A));
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_short_while_reopening() {
    let peer = Peer::says([refused(), ok(), never(), never()]);
    let client = client(&RetryAfterBackoffLayer::new(), &peer);
    ask(&client, A).await;
    pass(secs(60)).await;
    ask(&client, A).await;
    let _two = (hang(&client, A), hang(&client, A));

    let limited = held(&client, A).await;

    assert!((millis(1)..=secs(1)).contains(&limited.retry_after()));
    assert_eq!(limited.until(), now() + limited.retry_after());
}

/// Uses everything that a handle offers.
fn use_handle(cooldowns: &Cooldowns) {
    let (a, other) = (upstream(A), Upstream::named("other"));
    cooldowns.cool(&other, secs(1));
    let _ = (cooldowns.get(&a), cooldowns.len(), cooldowns.snapshot(), cooldowns.evicted());
    cooldowns.cool(&a, millis(1));
    cooldowns.clear(&other);
    let _ = format!("{cooldowns:?}");
}

/// A body that uses the table as it is dropped.
struct Nosy(Cooldowns);

impl Drop for Nosy {
    fn drop(&mut self) {
        use_handle(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn user_code_runs_under_no_lock() {
    // A lock that is held would stop this test for good.
    let shared = Cooldowns::new();
    let (by_key, by_classifier) = (shared.clone(), shared.clone());
    let layer = RetryAfterBackoffLayer::builder()
        .upstream_key(key::from_fn(move |head| {
            use_handle(&by_key);
            head.origin()
        }))
        .classify(classify::from_fn(move |head| {
            use_handle(&by_classifier);
            classify::standard(head)
        }))
        .cooldowns(shared.clone())
        .build();
    let calls = Arc::new(AtomicUsize::new(0));
    let held = shared.clone();
    let inner = Strict::new(move |request: Request<Nosy>| {
        drop(request);
        let status = if calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { 429 } else { 200 };
        let response = Response::builder().status(status).body(Nosy(held.clone()));
        std::future::ready(Ok::<_, io::Error>(response.unwrap()))
    });
    let client = layer.layer(inner);
    for _ in 0..20 {
        let request = Request::get(A).body(Nosy(shared.clone())).unwrap();
        let _ = client.clone().oneshot(request).await;
        pass(secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_over_a_probe_makes_way_for_the_next() {
    let peer = Peer::says([refused(), status(418), never()]);
    let layer = RetryAfterBackoffLayer::builder()
        .classify(classify::from_fn(|head| {
            assert_ne!(head.status(), 418, "as scripted");
            classify::standard(head)
        }))
        .build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    ask(&client, A).await;
    pass(secs(60)).await;

    let panicked = tokio::spawn(call(&client, A)).await;

    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);
    let _probe = hang(&client, A);
    assert_eq!(state(&cooldowns, A), Some(State::Probing));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_panics_leaves_nothing_behind() {
    let peer = Peer::says([refused()]);
    let layer = RetryAfterBackoffLayer::builder()
        .upstream_key(key::from_fn(|head| {
            assert_ne!(head.uri().path(), "/panic", "as scripted");
            head.origin()
        }))
        .build();
    let client = client(&layer, &peer);
    ask(&client, A).await;

    let uri = "https://a.example/panic";
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(call(&client, uri))));

    assert!(panicked.is_err());
    assert_eq!(peer.reserved(), 0);
    assert_eq!(ask(&client, A).await, COOLING);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_may_ask_for_anything() {
    let verdicts = [
        Verdict::RateLimited { hint: Some(Duration::MAX) },
        Verdict::RateLimited { hint: Some(Duration::ZERO) },
        Verdict::Exhausted { reset: Duration::MAX },
        Verdict::Exhausted { reset: Duration::ZERO },
    ];
    for (verdict, wait) in verdicts.into_iter().zip([Some(3600), Some(60), Some(3600), None]) {
        let layer =
            RetryAfterBackoffLayer::builder().classify(classify::from_fn(move |_| verdict)).build();
        ask(&client(&layer, &Peer::always(ok())), A).await;

        let known = layer.cooldowns().get(&upstream(A)).map(|info| info.retry_after());

        assert_eq!(known, wait.map(secs), "{verdict:?}");
    }
}
