//! Cycles over the real layer, whose upstream is being probed or is coming back.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_retry_after::schedule::{Answer, CycleReport, Outcome, Peer, SyncCycle, Synced};
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, State};

use crate::support::{
    Client, Peer as Site, at_once, client, get, hang, never, now, ok, pass, refused_for, secs,
    send, state,
};
use crate::world::{book, run};

/// Two peers at one origin, and so under one limit.
const PEERS: [&str; 2] = ["https://a.example/one", "https://a.example/two"];

/// Runs a cycle over peers that are reached through a client.
async fn cycle(client: impl Client + Send, cooldowns: Option<Cooldowns>) -> CycleReport {
    let sync = service_fn(move |peer: Peer| {
        let call = client.clone().oneshot(get(&peer.peer_url));
        async move { call.await.map(|_| Synced::ok("here")) }
    });
    let mut builder = SyncCycle::builder(sync).book(book(&PEERS));
    if let Some(cooldowns) = cooldowns {
        builder = builder.cooldowns(cooldowns);
    }
    run(&mut builder.build()).await
}

fn assert_nothing_counted(report: &CycleReport, sent: usize, site: &Site) {
    assert_eq!(report.tried().len(), 2);
    let held = |answer: &Answer| matches!(answer, Answer::NotSent { until } if *until > now());
    assert!(report.tried().iter().all(|tried| held(tried.answer())), "{report:?}");
    assert_eq!(report.state().last_outcome, Outcome::Idle);
    assert_eq!(report.state().consecutive_failures, 0);
    assert!(report.due() <= now() + secs(1), "nobody knows how long that takes");
    assert_eq!(site.calls(), sent);
}

#[tokio::test(start_paused = true)]
async fn peers_whose_upstream_is_probed_are_put_off_and_have_not_failed() {
    for with_table in [false, true] {
        let site = Site::says([refused_for(60), never()]);
        let layer = RetryAfterBackoffLayer::new();
        let client = client(&layer, &site);
        let _ = send(&client, PEERS[0]).await;
        pass(secs(60)).await;
        let _probe = hang(&client, PEERS[0]);

        let cooldowns = with_table.then(|| layer.cooldowns());
        let report = cycle(client, cooldowns).await;

        assert_nothing_counted(&report, 2, &site);
    }
}

#[tokio::test(start_paused = true)]
async fn peers_whose_upstream_comes_back_and_has_no_room_are_put_off() {
    let site = Site::says([refused_for(60), ok(), never(), never()]);
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &site);
    let _ = send(&client, PEERS[0]).await;
    pass(secs(60)).await;
    let _ = send(&client, PEERS[0]).await;
    let _places = [hang(&client, PEERS[0]), hang(&client, PEERS[0])];
    assert_eq!(state(&layer.cooldowns(), PEERS[0]), Some(State::Reopening));

    let report = cycle(client, Some(layer.cooldowns())).await;

    assert_nothing_counted(&report, 4, &site);
}

/// A service that is never ready.
#[derive(Clone, Default)]
struct NeverReady {
    asked: Arc<AtomicUsize>,
}

impl Service<Peer> for NeverReady {
    type Response = Synced;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Synced, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }

    fn call(&mut self, _: Peer) -> Self::Future {
        unreachable!("it was never ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_service_that_is_never_ready_is_given_up_after_the_lease() {
    let service = NeverReady::default();
    let mut cycle = SyncCycle::new(service.clone(), book(&PEERS));
    let lease = cycle.policy().run_lease;
    let began = now();

    let report = run(&mut cycle).await;

    assert!(service.asked.load(Ordering::SeqCst) > 0);
    assert!(matches!(report.tried()[0].answer(), Answer::Failed { .. }));
    assert_eq!(report.state().last_outcome, Outcome::Error);
    assert_eq!(now() - began, lease);
}

#[tokio::test(start_paused = true)]
async fn a_layered_service_is_not_kept_from_anybody_by_a_cycle_that_was_dropped() {
    let layer = RetryAfterBackoffLayer::new();
    let inner =
        layer.layer(service_fn(|_: http::Request<()>| pending::<io::Result<http::Response<()>>>()));
    let sync = service_fn(move |peer: Peer| {
        let call = inner.clone().oneshot(get(&peer.peer_url));
        async move { call.await.map(|_| Synced::ok("here")) }
    });
    let cycle = SyncCycle::new(sync, book(&PEERS));
    let out = tokio::spawn(cycle.clone().oneshot(()));
    tokio::task::yield_now().await;

    out.abort();
    assert!(out.await.is_err());

    assert!(at_once(cycle.clone().ready()).is_ok());
    assert!(layer.cooldowns().is_empty());
}
