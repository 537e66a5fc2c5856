//! Waiting calls and the inner service's readiness.

use std::convert::Infallible;
use std::io;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt};
use tower_retry_after::Error;

use super::Outcome::Sent;
use super::*;

/// Opens and shuts the services that hang on it.
#[derive(Clone, Default)]
struct Door {
    inside: Arc<Mutex<(bool, Vec<Waker>)>>,
}

impl Door {
    fn open(&self) {
        let wakers = {
            let mut inside = self.inside.lock().unwrap();
            inside.0 = true;
            std::mem::take(&mut inside.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        let mut inside = self.inside.lock().unwrap();
        if inside.0 {
            return Poll::Ready(());
        }
        inside.1.push(cx.waker().clone());
        Poll::Pending
    }
}

/// A service that is ready while its door is open.
#[derive(Clone)]
struct Behind<S> {
    door: Door,
    inner: S,
}

impl<S: Service<Request<()>>> Service<Request<()>> for Behind<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.door.poll_open(cx) {
            Poll::Ready(()) => self.inner.poll_ready(cx),
            Poll::Pending => Poll::Pending,
        }
    }

    fn call(&mut self, request: Request<()>) -> S::Future {
        self.inner.call(request)
    }
}

/// A client behind a door, which opens for the call to be made at all.
fn behind<S>(layer: &RetryAfterBackoffLayer, door: &Door, inner: S) -> Waiting<Behind<S>> {
    layer.waiting(secs(3600)).layer(Behind { door: door.clone(), inner })
}

fn shut(door: &Door) {
    door.inside.lock().unwrap().0 = false;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_holds_no_reservation() {
    let peer = Peer::always(ok());
    let limit = ConcurrencyLimit::new(peer.service(), 1);
    let client = cooling(60).waiting(secs(3600)).layer(limit);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(client.clone().oneshot(get(A)));
    }

    rest(secs(59)).await;

    assert_eq!(peer.reserved(), 0);
    assert_eq!(ask(&client, B).await, Sent(200), "the only permit is free");
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert_eq!((peer.calls_to(A), peer.reserved()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handle_whose_call_waits_can_be_used_again() {
    let peer = Peer::always(ok());
    let limit = ConcurrencyLimit::new(peer.service(), 1);
    let mut client = cooling(60).waiting(secs(3600)).layer(limit);

    let waiting = client.ready().await.unwrap().call(get(A));
    let other = client.ready().await.unwrap().call(get(B));

    assert_eq!(Outcome::of(&other.await), Sent(200));
    assert_eq!(Outcome::of(&waiting.await), Sent(200));
}

#[tokio::test(start_paused = true)]
async fn one_whose_service_is_not_ready_lets_the_others_go_and_keeps_its_place() {
    let peer = Peer::always(ok().after(millis(10)));
    let layer = cooling(60);
    let (door, log) = (Door::default(), Log::new());
    door.open();
    let blocked = behind(&layer, &door, peer.service());
    for who in 0..2 {
        log.call(&blocked, who).await;
    }
    let client = patient(&layer, &peer);
    for who in 2..12 {
        log.call(&client, who).await;
    }
    shut(&door);

    rest(secs(60) + millis(5)).await;
    assert_eq!(peer.calls(), 1, "the third is the probe");
    door.open();
    rest(secs(1)).await;

    let at = [(2, 10), (0, 20), (1, 20), (3, 30), (4, 30), (5, 30), (6, 30), (7, 40)];
    let expected: Vec<_> = at.map(|(who, at)| (who, 60_000 + at, Sent(200))).to_vec();
    assert_eq!(log.entries()[..8], expected);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_ready_but_not_admitted_gives_its_reservation_back() {
    let peer = Peer::says([refused_for(100).after(millis(10)), ok()]);
    let layer = cooling(60);
    let (door, log) = (Door::default(), Log::new());
    door.open();
    log.call(&behind(&layer, &door, peer.service()), 0).await;
    log.call(&patient(&layer, &peer), 1).await;
    shut(&door);

    rest(secs(61)).await;
    door.open();
    rest(secs(1)).await;
    assert_eq!((peer.calls(), peer.reserved()), (1, 0));
    rest(secs(200)).await;

    assert_eq!(log.entries(), [(1, 60_010, Sent(429)), (0, 160_010, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_aside_is_rejected_at_its_deadline_or_when_it_is_in_vain() {
    let peer = Peer::says([ok(), refused_for(3600)]);
    let layer = cooling(60);
    let (door, log) = (Door::default(), Log::new());
    door.open();
    let blocked = |most| {
        let inner = Behind { door: door.clone(), inner: peer.service() };
        layer.waiting(most).layer(inner)
    };
    log.call(&blocked(secs(70)), 0).await;
    for who in 1..4 {
        log.call(&blocked(secs(3600)), who).await;
    }
    shut(&door);
    let client = patient(&layer, &peer);

    rest(secs(80)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(ask(&client, A).await, Sent(429));
    rest(millis(1)).await;

    let in_vain = [1, 2, 3].map(|who| (who, 80_000, COOLING));
    assert_eq!(log.entries()[..1], [(0, 70_000, REOPENING)]);
    assert_eq!(log.entries()[1..], in_vain);
}

/// A service that breaks when it is to be readied the second time.
#[derive(Clone)]
struct Brittle {
    readied: Arc<Mutex<u32>>,
}

impl Service<Request<()>> for Brittle {
    type Response = Response<()>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Response<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut readied = self.readied.lock().unwrap();
        *readied += 1;
        match *readied {
            1 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::Error::other("broken"))),
        }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        unreachable!("called unready")
    }
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_breaks_fails_its_call_and_lets_the_next_go() {
    let peer = Peer::always(ok());
    let (layer, log) = (cooling(60), Log::new());
    let broken = layer.waiting(secs(3600)).layer(Brittle { readied: Arc::default() });
    let broken = tokio::spawn(call(&broken, A));
    tokio::task::yield_now().await;
    log.call(&patient(&layer, &peer), 1).await;

    let error = broken.await.unwrap().unwrap_err();
    rest(millis(1)).await;

    assert!(matches!(error, Error::Inner(error) if error.to_string() == "broken"));
    assert_eq!(log.entries(), [(1, 60_000, Sent(200))]);
}

#[tokio::test(start_paused = true)]
async fn poll_ready_is_the_inner_services_alone() {
    #[derive(Clone)]
    struct Never;
    impl Service<Request<()>> for Never {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<()>, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }
        fn call(&mut self, _: Request<()>) -> Self::Future {
            unreachable!("called unready")
        }
    }
    let mut noop = Context::from_waker(Waker::noop());
    let peer = Peer::always(ok());
    let (mut ready, mut never) = {
        let layer = cooling(60).waiting(secs(1));
        (layer.layer(peer.service()), layer.layer(Never))
    };

    assert!(matches!(ready.poll_ready(&mut noop), Poll::Ready(Ok(()))), "a cooldown is no matter");
    assert!(never.poll_ready(&mut noop).is_pending());
}
