//! Upstreams that refuse, behind the layer.

use std::pin::pin;

use tower::Layer;
use tower_retry_after::schedule::judge;
use tower_retry_after::{Reason, RetryAfterBackoffLayer};

use super::*;

/// Counts how the calls went: sent and answered 200, sent and refused, not sent.
fn tally(answers: &[(Instant, PolledTarget<Response<()>>)]) -> (usize, usize, usize) {
    let mut tally = (0, 0, 0);
    for (_, answer) in answers {
        match Outcome::of(&answer.result) {
            Outcome::Sent(429) => tally.1 += 1,
            Outcome::Sent(_) => tally.0 += 1,
            Outcome::Held(_) => tally.2 += 1,
            Outcome::Failed => panic!("{answer:?}"),
        }
    }
    tally
}

/// Refuses everybody at one upstream, and nobody at the other.
fn a_refuses() -> Peer {
    Peer::by(|uri| match uri.host() {
        Some("a.example") => refused_for(60).after(millis(50)),
        _ => ok().after(millis(50)),
    })
}

#[tokio::test(start_paused = true)]
async fn with_the_table_a_cooling_upstream_costs_one_call_for_each_refusal() {
    let start = now();
    let (peer, layer) = (a_refuses(), RetryAfterBackoffLayer::new());
    let mut set = PollSet::builder(client(&layer, &peer), request)
        .policy(policy())
        .judge(judge::responses)
        .cooldowns(layer.cooldowns())
        .build();
    for _ in 0..1000 {
        set.add(upstream(A), A);
    }
    for _ in 0..100 {
        set.add(upstream(B), B);
    }

    let answers = poll_until(&mut set, start + hours(24)).await;

    let (well, refused, held) = tally(&answers);
    // 60, 120, 240, 480, 960 s, and from then on every half hour.
    assert!((50..=53).contains(&refused), "{refused}");
    assert_eq!(peer.calls_to(A), refused);
    assert_eq!(held, 0);
    // The others are on time: every ten minutes.
    assert!((14_300..=14_400).contains(&well), "{well}");
}

#[tokio::test(start_paused = true)]
async fn without_the_table_a_hold_costs_one_rejected_call_more() {
    let start = now();
    let (peer, layer) = (a_refuses(), RetryAfterBackoffLayer::new());
    let mut set = PollSet::builder(client(&layer, &peer), request)
        .policy(policy())
        .judge(judge::responses)
        .per_upstream(1)
        .build();
    for _ in 0..1000 {
        set.add(upstream(A), A);
    }

    let answers = poll_until(&mut set, start + hours(24)).await;

    let (well, refused, held) = tally(&answers);
    assert!((50..=53).contains(&refused), "{refused}");
    assert!(held <= refused, "{held}");
    assert_eq!(well, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_counts_as_nothing_and_stays_the_longest_overdue() {
    let layer = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    let builder = PollSet::builder(client(&layer, &peer), |_: &u32| get(A));
    let mut set = builder.spread(Duration::ZERO).wall_clock(wall_clock()).build();
    let first = set.add(upstream(A), 0);
    pass(millis(1)).await;
    set.add(upstream(A), 1);
    layer.cooldowns().cool(&upstream(A), secs(90));

    let rejected = set.next().await.unwrap();

    let until = noon() + secs(90) + millis(1);
    assert_eq!(rejected.result.unwrap_err().rate_limited().unwrap().reason(), Reason::Cooling);
    assert_eq!((rejected.consecutive_failures, rejected.due_at), (0, until));
    let info = set.get(first).unwrap();
    assert_eq!((info.due_at(), info.held_until()), (noon(), Some(until)));
    assert_eq!(set.wakes_at(), Some(until));
    let next = set.next().await.unwrap();
    assert_eq!((next.id, next.result.is_ok()), (first, true));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_comes_back_does_not_idle() {
    for has_table in [true, false] {
        let start = now();
        let layer = RetryAfterBackoffLayer::new();
        let peer = Peer::says([refused_for(60)]);
        let slow = {
            let service = peer.service();
            // A tenth of a second for each answer.
            tower::util::MapFuture::new(service, |answer| async {
                tokio::time::sleep(millis(100)).await;
                answer.await
            })
        };
        let builder = PollSet::builder(layer.layer(slow), |_: &u32| get(A));
        let builder = builder.judge(judge::responses).spread(Duration::ZERO).policy(policy());
        let builder = if has_table { builder.cooldowns(layer.cooldowns()) } else { builder };
        let mut set = builder.build();
        for target in 0..100 {
            set.add(upstream(A), target);
        }

        let answers = poll_until(&mut set, start + secs(500)).await;

        let good = answers.iter().filter(|(_, it)| Outcome::of(&it.result) == Outcome::Sent(200));
        let (last, _) = good.take(99).last().unwrap();
        // The probe is alone, the others go two at a time, a tenth of a second each.
        let took = *last - (start + secs(60) + millis(100));
        assert!(took <= millis(5100), "{has_table}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_that_somebody_cleared_is_noticed_within_half_a_minute() {
    let layer = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    let mut set =
        PollSet::builder(client(&layer, &peer), request).cooldowns(layer.cooldowns()).build();
    set.add(upstream(A), A);
    layer.cooldowns().cool(&upstream(A), hours(24));
    assert!(poll_until(&mut set, now() + hours(1)).await.is_empty());

    layer.cooldowns().clear(&upstream(A));

    let cleared = now();
    assert!(set.next().await.unwrap().result.is_ok());
    assert!(now() - cleared <= secs(30));
}

#[tokio::test(start_paused = true)]
async fn many_upstreams_that_are_held_back_do_not_keep_the_thread() {
    let layer = RetryAfterBackoffLayer::new();
    let peer = Peer::always(ok());
    let builder = PollSet::builder(client(&layer, &peer), String::clone_into_request);
    let mut set = builder.cooldowns(layer.cooldowns()).spread(Duration::ZERO).build();
    for n in 0..10_000 {
        let uri = format!("https://host-{n}.example/");
        layer.cooldowns().cool(&upstream(&uri), hours(1));
        set.add(upstream(&uri), uri);
    }

    let woken = Woken::default();
    let mut polls = 0;
    let mut next = pin!(set.next());
    loop {
        polls += 1;
        assert!(woken.poll(next.as_mut()).is_pending());
        if !woken.take() {
            break;
        }
    }

    assert!(polls >= 10_000 / 256, "{polls}");
    assert_eq!(peer.calls(), 0);
}

/// Makes the request of a URI.
trait IntoRequest {
    fn clone_into_request(&self) -> Request<()>;
}

impl IntoRequest for String {
    fn clone_into_request(&self) -> Request<()> {
        get(self)
    }
}

/// A waker that notes that it was used.
#[derive(Clone, Default)]
struct Woken(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Woken {
    fn poll<F: Future>(&self, future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        let waker = std::sync::Arc::new(self.clone()).into();
        future.poll(&mut std::task::Context::from_waker(&waker))
    }

    fn take(&self) -> bool {
        self.0.swap(false, std::sync::atomic::Ordering::SeqCst)
    }
}
