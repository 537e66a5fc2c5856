//! What the set asks of its service, and how it bears what the service does.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tower::limit::ConcurrencyLimit;
use tower::service_fn;
use tower_retry_after::{Error, Upstream};

use super::*;

/// A service whose readiness is scripted.
struct Gate {
    ready: Arc<Mutex<Poll<Result<(), io::Error>>>>,
    calls: Arc<AtomicUsize>,
}

impl Service<Request<()>> for Gate {
    type Response = Response<()>;
    type Error = io::Error;
    type Future = std::future::Ready<Answered>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ready = std::mem::replace(&mut *self.ready.lock().unwrap(), Poll::Ready(Ok(())));
        if ready.is_pending() {
            cx.waker().wake_by_ref();
        }
        ready
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_waited_for() {
    let (ready, calls) = (Arc::new(Mutex::new(Poll::Pending)), Arc::default());
    let gate = Gate { ready, calls: Arc::clone(&calls) };
    let mut set = PollSet::new(gate, request);
    set.add(upstream(A), A);

    assert!(poll_once(pin!(set.next())).is_pending());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert!(set.next().await.unwrap().result.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_readied_is_the_targets_failure() {
    let broken = io::Error::other("closed");
    let (ready, calls) = (Arc::new(Mutex::new(Poll::Ready(Err(broken)))), Arc::default());
    let gate = Gate { ready, calls: Arc::clone(&calls) };
    let mut set = PollSet::new(gate, request);
    set.add(upstream(A), A);

    let answer = set.next().await.unwrap();

    assert!(matches!(answer.result, Err(Error::Inner(_))));
    assert_eq!(answer.consecutive_failures, 1);
    assert_eq!((set.in_flight(), calls.load(Ordering::SeqCst)), (0, 0));
    assert!(set.next().await.unwrap().result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_reserved_while_nothing_is_called() {
    let peer = Peer::always(ok().after(secs(1)));
    let mut set = PollSet::builder(peer.service(), request).policy(policy()).build();
    set.add(upstream(A), A);

    for half_second in 0..5 {
        let polled = poll_once(pin!(set.next()));
        assert_eq!(polled.is_ready(), half_second == 2);
        assert_eq!(peer.reserved(), 0);
        pass(millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_with_fewer_places_than_the_set_is_used_to_the_full() {
    let start = now();
    let peer = Peer::always(ok().after(secs(1)));
    let limited = ConcurrencyLimit::new(peer.service(), 3);
    let mut set = PollSet::builder(limited, |_: &u32| get(A)).spread(Duration::ZERO).build();
    for target in 0..12 {
        set.add(Upstream::named(target.to_string()), target);
    }

    let answers = poll_until(&mut set, start + secs(60)).await;

    assert_eq!(seconds(start, &answers), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_lease_has_failed() {
    let start = now();
    let peer = Peer::says([never()]);
    let mut set = PollSet::builder(peer.service(), request).policy(policy()).build();
    let id = set.add(upstream(A), A);

    let answer = set.next().await.unwrap();

    assert_eq!(seconds(start, &[(now(), ())]), [1800]);
    assert!(answer.result.unwrap_err().to_string().contains("inner service failed"));
    assert_eq!(answer.consecutive_failures, 1);
    assert!(set.next().await.unwrap().result.is_ok());
    assert_eq!(seconds(start, &[(now(), ())]), [1860]);
    assert_eq!(set.get(id).unwrap().consecutive_failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_keeps_nobody_else_and_is_never_called_twice_at_once() {
    let start = now();
    let peer = Peer::by(|uri| match uri.host() {
        Some("a.example") => ok().after(secs(1000)),
        _ => ok(),
    });
    let mut set =
        PollSet::builder(peer.service(), request).policy(policy()).spread(Duration::ZERO).build();
    let slow = set.add_every(upstream(A), A, secs(1));
    set.add_every(upstream(B), B, secs(100));

    let answers = poll_until(&mut set, start + secs(950)).await;

    assert!(set.get(slow).unwrap().is_in_flight());
    assert!(set.trigger(slow));
    assert_eq!(answers.len(), 10);
    assert_eq!(peer.calls_to(A), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fast_upstream_does_not_keep_a_slow_ones_answer_back() {
    let peer = Peer::by(|uri| match uri.host() {
        Some("a.example") => ok().after(millis(10)),
        _ => ok(),
    });
    let mut set = PollSet::builder(peer.service(), request).spread(Duration::ZERO).build();
    let slow = set.add(upstream(A), A);
    for _ in 0..1000 {
        set.add(upstream(B), B);
    }
    // The slow call is out and answered; a thousand others are due.
    set.next().await.unwrap();
    pass(millis(20)).await;

    let mut before = 0;
    while set.next().await.unwrap().id != slow {
        before += 1;
    }

    assert!(before <= 2, "{before}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_answers_at_once_does_not_keep_the_thread() {
    let polls = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|_: Request<()>| async { Answered::Ok(Response::new(())) });
    let mut set = PollSet::builder(service, |_: &u32| get(A)).spread(Duration::ZERO).build();
    for target in 0..10_000 {
        set.add(upstream(A), target);
    }
    let handle = set.handle();
    let counted = Arc::clone(&polls);
    let polling = tokio::spawn(async move {
        while set.next().await.is_some() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });

    tokio::spawn(async move { handle.shutdown() });
    polling.await.unwrap();

    assert!(polls.load(Ordering::Relaxed) <= 256, "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn dropping_next_at_any_poll_loses_nothing_and_counts_nothing_twice() {
    let start = now();
    let peer = Peer::by(|uri| match uri.host() {
        Some("a.example") => ok().after(millis(1700)),
        _ => fails().after(millis(300)),
    });
    let mut set = PollSet::builder(peer.service(), request).policy(policy()).build();
    let good = set.add_every(upstream(A), A, secs(5));
    let bad = set.add(upstream(B), B);

    let (mut well, mut badly) = (0, 0);
    while now() < start + secs(700) {
        // Each future is polled once, and dropped whatever it says.
        if let Poll::Ready(answer) = poll_once(pin!(set.next())) {
            let answer = answer.unwrap();
            well += usize::from(answer.id == good && answer.result.is_ok());
            badly += usize::from(answer.id == bad && answer.result.is_err());
            assert_eq!(
                answer.consecutive_failures as usize,
                if answer.id == bad { badly } else { 0 }
            );
        } else {
            pass(millis(100)).await;
        }
    }

    let out = usize::from(set.get(good).unwrap().is_in_flight());
    assert_eq!(peer.calls_to(A), well + out);
    assert_eq!(peer.calls_to(B), badly);
    // Every 6.7 s; and at 0, 60, 180 and 420 s, less the spread of the first.
    assert!((100..=105).contains(&well), "{well}");
    assert!((3..=4).contains(&badly), "{badly}");
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream_as_well() {
    let mut set = PollSet::new(Peer::always(ok()).service(), request);
    set.add(upstream(A), A);

    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(Pin::new(&mut set).poll_next(&mut cx), Poll::Ready(Some(_))));
    assert!(Pin::new(&mut set).poll_next(&mut cx).is_pending());
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_pending_and_not_done() {
    let mut set = PollSet::new(Peer::always(ok()).service(), request);

    assert!(timeout_at(now() + hours(1000), set.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_calls_that_are_out_and_begins_none() {
    let peer = Peer::always(ok().after(secs(10)));
    let builder = PollSet::builder(peer.service(), request).policy(policy()).concurrency(2);
    let mut set = builder.spread(Duration::ZERO).build();
    for _ in 0..5 {
        set.add(upstream(A), A);
    }
    assert!(poll_once(pin!(set.next())).is_pending());

    set.shutdown();

    assert!(set.next().await.unwrap().result.is_ok());
    assert!(set.next().await.unwrap().result.is_ok());
    assert!(set.next().await.is_none());
    assert!(set.next().await.is_none());
    assert_eq!(peer.calls(), 2);
}

/// Counts how often one of its kind was dropped.
struct Noted(Arc<AtomicUsize>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_answered_call_held_is_dropped_at_once() {
    struct Held(#[expect(dead_code, reason = "for its drop")] Noted);
    impl Future for Held {
        type Output = Answered;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answered> {
            Poll::Ready(Ok(Response::new(())))
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let note = Arc::clone(&dropped);
    let service = service_fn(move |_: Request<()>| Held(Noted(Arc::clone(&note))));
    let mut set = PollSet::new(service, request);
    set.add(upstream(A), A);

    set.next().await.unwrap();

    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_dropped_drops_its_calls() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let note = Arc::clone(&dropped);
    let service = service_fn(move |_: Request<()>| {
        let noted = Noted(Arc::clone(&note));
        async move {
            let _noted = noted;
            std::future::pending::<Answered>().await
        }
    });
    let mut set = PollSet::builder(service, request).spread(Duration::ZERO).build();
    for target in [A, B] {
        set.add(upstream(target), target);
    }
    assert!(poll_once(pin!(set.next())).is_pending());
    assert_eq!(set.in_flight(), 2);

    drop(set);

    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

/// A future that nobody may poll after it has ended is not.
#[tokio::test(start_paused = true)]
async fn an_answered_call_is_not_polled_again() {
    struct Once(bool);
    impl Future for Once {
        type Output = Answered;
        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answered> {
            assert!(!std::mem::replace(&mut self.0, true), "polled again");
            Poll::Ready(Ok(Response::new(())))
        }
    }
    let service = service_fn(|_: Request<()>| Once(false));
    let mut set = PollSet::new(service, request);
    set.add_every(upstream(A), A, secs(1));

    let answers = poll_until(&mut set, now() + secs(10)).await;

    assert!(answers.len() >= 10);
}
