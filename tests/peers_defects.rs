//! Defects seen in other crates, each with the test that holds ours to better.
//!
//! | defect | held by |
//! |---|---|
//! | panic on a huge `Retry-After` | `hostile`: a hint beyond all measure…, durations at their limits…; `hint` |
//! | a lock held across a sleep: one cooling URL stalls the whole client | here: a cooling upstream stalls nobody |
//! | N concurrent 429s climb N rungs | `flow`: a burst of a hundred refusals is one rung |
//! | a late success reopens or resets | `flow`: a late success changes nothing… |
//! | half-open admits everybody; all sleepers wake together | `flow`: of a hundred callers at the deadline…; `herd`; `ready`: waiters are woken in order… |
//! | a cancelled probe wedges the gate | `cancellation` |
//! | any straggler's answer is taken for the probe's | `flow`: a late success…, a straggler says nothing…; here: a straggler of an earlier episode… |
//! | a shorter hint shortens a longer one | `flow`: a straggler raises the wait…; here: a shorter hint never shortens |
//! | the ladder never comes down, or is wiped by an interleaved success | `flow`: after an episode the ladder starts…; here: successes in between… |
//! | jitter in whole seconds, none at the cap, the same in every clone, above the cap, before the server's time | `settings`: jitter only ever adds…; here: jitter is fine-grained… |
//! | `Retry-After: 0` makes a hot loop | here: a zero hint makes no hot loop |
//! | overflow read as "no hint"; a parser with a hidden clock | `hostile`: a hint beyond all measure…; `hint` |
//! | only the first of several headers | `hostile`: of thousands of values…; `hint` |
//! | the map of hosts grows without bound | `bounds` |
//! | a `poll_ready` error kills a `Buffer` for good | `tower_contract`: a buffer above survives… |
//! | a rejecting, idle handle keeps the inner permit | `tower_contract`: a rejecting idle handle… |
//! | an unreadied clone is called | `support::Strict` panics then, in every test |
//! | the limit's state lives in the service, so clones do not share it | `settings`: all services and clones… |
//! | the origin after a redirect is lost | here: after a redirect… |
//! | a request of another host is caught by the scope | `settings`: all services and clones…; here: a cooling upstream stalls nobody |
//!
//! Of the table's other rows, a "running" state after a crash is the schedule's,
//! and catching up after idle time has no like here: nothing is saved up.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::future::ready;
use std::io;
use std::time::Duration;

use http::{Extensions, HeaderMap, Request, StatusCode};
use support::Outcome::Sent;
use support::*;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};
use tower_retry_after::message::Incoming;
use tower_retry_after::{Ladder, RetryAfterBackoffLayer, State, Upstream, key};

#[tokio::test(start_paused = true)]
async fn a_cooling_upstream_stalls_nobody() {
    let peer = Peer::by(|uri| if uri.host() == Some("a.example") { refused() } else { ok() });
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    let (waiting_client, cooldowns) = (client.clone(), layer.cooldowns());
    tokio::spawn(async move {
        cooldowns.ready(&upstream(A)).await;
        ask(&waiting_client, A).await
    });
    tokio::task::yield_now().await;

    for uri in [B, "https://sub.a.example/", "https://a.example.org/", "https://aa.example/"] {
        assert_eq!(at_once(ask(&client, uri)), Sent(200));
    }
    assert_eq!(at_once(ask(&client, A)), COOLING);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_hint_never_shortens() {
    let peer = Peer::says([refused_for(1).after(secs(1)), refused_for(600), refused_for(1)]);
    let layer = RetryAfterBackoffLayer::for_api();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let straggler = hang(&client, A);
    ask(&client, A).await;

    straggler.await.unwrap();
    cooldowns.cool(&upstream(A), secs(1));

    assert_eq!(info(&cooldowns, A).retry_after(), secs(599));
}

#[tokio::test(start_paused = true)]
async fn a_straggler_of_an_earlier_episode_ends_none() {
    let peer = Peer::says([ok().after(secs(61)), refused(), ok(), refused(), never()]);
    let layer = RetryAfterBackoffLayer::for_api();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let straggler = hang(&client, A);
    ask(&client, A).await;
    pass(secs(1)).await;
    ask(&client, A).await;
    ask(&client, A).await;
    pass(secs(59)).await;
    let _probe = hang(&client, A);

    straggler.await.unwrap();

    assert_eq!(state(&cooldowns, A), Some(State::Probing));
}

#[tokio::test(start_paused = true)]
async fn successes_in_between_do_not_wipe_the_ladder() {
    let late = || ok().after(millis(10));
    let peer = Peer::says([late(), late(), refused(), refused(), late()]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let (first, second) = (hang(&client, A), hang(&client, A));
    ask(&client, A).await;
    first.await.unwrap();
    pass(secs(60)).await;
    ask(&client, A).await;
    second.await.unwrap();

    assert_eq!(info(&cooldowns, A).consecutive_failures(), 2);
}

#[tokio::test(start_paused = true)]
async fn jitter_is_fine_grained_drawn_anew_and_kept_at_the_cap() {
    let peer = Peer::always(refused());
    let cap = Ladder::new(secs(1), secs(1));
    let layer = RetryAfterBackoffLayer::builder().ladder(cap).jitter(1.0).build();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    let mut waits = Vec::new();
    for _ in 0..50 {
        ask(&client, A).await;
        waits.push(held(&client, A).await.retry_after());
        pass(info(&cooldowns, A).retry_after()).await;
    }

    assert!(waits.iter().all(|wait| (secs(1)..secs(2)).contains(wait)), "never early");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 40, "one sequence, or whole seconds: {waits:?}");
    assert!(waits.iter().any(|wait| *wait > millis(1500)) && waits[0] < millis(1500));
}

#[tokio::test(start_paused = true)]
async fn jitter_is_drawn_once_for_each_cooldown() {
    let peer = Peer::always(refused_for(100));
    let layer = RetryAfterBackoffLayer::builder().jitter(1.0).build();
    let client = client(&layer, &peer);
    ask(&client, A).await;
    let until = held(&client, A).await.until();

    for _ in 0..20 {
        pass(secs(1)).await;
        assert_eq!(held(&client, A).await.until(), until);
    }
}

#[tokio::test(start_paused = true)]
async fn a_zero_hint_makes_no_hot_loop() {
    let peer = Peer::always(refused_for(0));
    let layer = RetryAfterBackoffLayer::for_api();
    let client = client(&layer, &peer);
    let caller = async {
        loop {
            if let Err(error) = send(&client, A).await {
                sleep(error.rate_limited().unwrap().retry_after()).await;
            }
        }
    };

    assert!(timeout(secs(3600), caller).await.is_err());

    // 1, 2, 4 … 60 s: an hour is some sixty of them.
    assert!(peer.calls() < 70, "{}", peer.calls());
}

/// A client's response that tells who really answered.
struct Redirected {
    status: u16,
    headers: HeaderMap,
    by: Option<Upstream>,
}

impl Incoming for Redirected {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap()
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn extensions(&self) -> Option<&Extensions> {
        None
    }

    fn answered_by(&self) -> Option<Upstream> {
        self.by.clone()
    }
}

/// Calls A twice through that layer: B answers, to which A sends on.
async fn redirected(layer: &RetryAfterBackoffLayer, status: u16) {
    let inner = Strict::new(move |_: Request<()>| {
        let by = Some(upstream(B));
        ready(Ok::<_, io::Error>(Redirected { status, headers: HeaderMap::new(), by }))
    });
    let response = layer.layer(inner.clone()).oneshot(get(A)).await.unwrap();
    assert_eq!(response.status, status);
}

#[tokio::test(start_paused = true)]
async fn after_a_redirect_the_refusal_is_charged_to_who_answered() {
    let layer = RetryAfterBackoffLayer::new();

    redirected(&layer, 429).await;

    let cooldowns = layer.cooldowns();
    assert_eq!(state(&cooldowns, A), None);
    assert_eq!(info(&cooldowns, B).retry_after(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn after_a_redirect_the_one_that_was_asked_gets_a_success() {
    let layer = RetryAfterBackoffLayer::new();
    let cooldowns = layer.cooldowns();
    cooldowns.cool(&upstream(A), secs(5));
    pass(secs(5)).await;

    redirected(&layer, 429).await;

    assert_eq!(state(&cooldowns, A), Some(State::Reopening), "its probe was answered");
    assert_eq!(state(&cooldowns, B), Some(State::Cooling));
}

#[tokio::test(start_paused = true)]
async fn with_keys_of_ones_own_the_one_that_was_asked_is_charged() {
    let layer = RetryAfterBackoffLayer::builder()
        .upstream_key(key::from_fn(|_| Upstream::named("tenant")))
        .build();

    redirected(&layer, 429).await;

    let known: Vec<Upstream> =
        layer.cooldowns().snapshot().iter().map(|info| info.upstream().clone()).collect();
    assert_eq!(known, [Upstream::named("tenant")]);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_that_is_answered_well_changes_nothing_elsewhere() {
    let layer = RetryAfterBackoffLayer::new();
    let cooldowns = layer.cooldowns();
    cooldowns.cool(&upstream(B), secs(60));

    redirected(&layer, 200).await;

    assert_eq!(info(&cooldowns, B).retry_after(), Duration::from_secs(60));
    assert_eq!(state(&cooldowns, A), None);
}
