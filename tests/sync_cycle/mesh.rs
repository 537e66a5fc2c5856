//! A mesh, for three days of virtual time: three nodes sync with five peers
//! through the real layers. Peers limit, are down, slow and forked, and recover.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::schedule::{Answer, Outcome, Peer, SyncCycle, Synced, Tried};
use tower_retry_after::{Ladder, RefusalErrorLayer, RetryAfterBackoffLayer};

use crate::support::{now, secs};
use crate::world::{Wall, book, run};

const LIMITED: &str = "http://limited.example";
const DOWN: &str = "http://down.example";
const SLOW: &str = "http://slow.example";
const FORKED: &str = "http://forked.example";
const FINE: &str = "http://fine.example";

/// In the order in which they are tried at first.
const PEERS: [&str; 5] = [LIMITED, DOWN, SLOW, FORKED, FINE];

const HOUR: Duration = Duration::from_secs(3600);

/// The least time between two calls that the limited peer answers.
const PACE: Duration = Duration::from_secs(1500);

/// All peers, as they are at any time since the start.
struct Sites {
    start: Instant,
    /// When the limited peer answers a node again.
    limits: Mutex<HashMap<usize, Instant>>,
    /// Which node called whom, and when.
    calls: Mutex<Vec<(usize, String, Instant)>>,
}

impl Sites {
    async fn answer(&self, node: usize, url: String) -> io::Result<Response<String>> {
        let hours = self.start.elapsed().as_secs() / 3600;
        self.calls.lock().unwrap().push((node, url.clone(), now()));
        match url.trim_end_matches('/') {
            LIMITED => Ok(self.limit(node)),
            DOWN if hours < 6 => Err(io::Error::other("connection refused")),
            SLOW if hours < 10 => {
                sleep(secs(90)).await;
                Ok(Response::new("block".into()))
            }
            FORKED if hours < 30 => Ok(Response::new("another block".into())),
            FINE if (3..20).contains(&hours) => Err(io::Error::other("connection reset")),
            _ => Ok(Response::new("block".into())),
        }
    }

    /// Who comes too early is told to wait, and has to wait anew.
    fn limit(&self, node: usize) -> Response<String> {
        let mut limits = self.limits.lock().unwrap();
        let free = limits.insert(node, now() + PACE).unwrap_or_else(now);
        if free <= now() {
            return Response::new("block".into());
        }
        let response = Response::builder().status(429).header("retry-after", PACE.as_secs());
        response.body("slow down".into()).unwrap()
    }
}

/// Syncs for three days, and returns what the cycles came to.
async fn sync(node: usize, peers: &[&str], sites: Arc<Sites>, wall: Wall) -> Vec<Outcome> {
    let layer = RetryAfterBackoffLayer::builder().ladder(Ladder::new(secs(60), secs(900))).build();
    let cooldowns = layer.cooldowns();
    let inner = {
        let sites = Arc::clone(&sites);
        service_fn(move |request: Request<()>| {
            let sites = Arc::clone(&sites);
            async move { sites.answer(node, request.uri().to_string()).await }
        })
    };
    let client = ServiceBuilder::new()
        .timeout(secs(60))
        .layer(RefusalErrorLayer::new(&layer))
        .layer(layer)
        .service(inner);
    let service = service_fn(move |peer: Peer| {
        let client = client.clone();
        async move {
            let request = Request::get(&peer.peer_url).body(())?;
            let response = client.oneshot(request).await?;
            Ok::<_, BoxError>(match response.body().as_str() {
                "block" => Synced::ok("block"),
                other => Synced::fork("", other),
            })
        }
    });
    let mut cycle = SyncCycle::builder(service)
        .book(book(peers))
        .cooldowns(cooldowns.clone())
        .wall_clock(move || wall.now())
        .build();

    let mut outcomes = Vec::new();
    let mut failures = 0;
    while sites.start.elapsed() < 72 * HOUR {
        let before = cycle.book();
        let (started, Ok(ready)) = (now(), cycle.ready().await);
        let Ok(report) = ready.call(()).await;

        let tried = report.tried();
        // No more than once each, in the order of preference.
        for pair in tried.windows(2) {
            let rank = |url: &str| {
                let peer = before.peer(url).unwrap();
                (std::cmp::Reverse(peer.last_sync_ok_at), peer.failure_count, peer.added_at)
            };
            assert!(rank(pair[0].peer_url()) < rank(pair[1].peer_url()), "{tried:?}");
        }
        // One rung for a failed cycle, however many peers have failed.
        let sent =
            tried.iter().rev().find(|tried| !matches!(tried.answer(), Answer::NotSent { .. }));
        failures = match sent.map(Tried::answer) {
            Some(Answer::Synced { .. }) => 0,
            Some(_) => failures + 1,
            None => failures,
        };
        assert_eq!(report.state().consecutive_failures, failures, "{report:?}");
        // It never storms.
        assert!(report.due() >= started + secs(1), "{report:?}");
        outcomes.push(report.state().last_outcome);
        sleep_until(report.due()).await;
    }

    // All have recovered: each answers as soon as it is asked.
    for url in peers.iter().filter(|url| **url != LIMITED) {
        for other in peers {
            cycle.set_enabled(other, other == url).unwrap();
        }
        sleep(HOUR).await;
        assert_eq!(run(&mut cycle).await.state().last_outcome, Outcome::Ok, "{url}");
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn a_mesh_recovers_and_calls_nobody_who_is_to_be_left_alone() {
    let sites = Arc::new(Sites { start: now(), limits: Mutex::default(), calls: Mutex::default() });
    let wall = Wall::new();

    let node = |node| sync(node, &PEERS, Arc::clone(&sites), wall.clone());
    let (first, second, third) = tokio::join!(node(0), node(1), node(2));

    for outcomes in [first, second, third] {
        assert!(outcomes.contains(&Outcome::Ok));
        assert!(outcomes.contains(&Outcome::Error));
        assert!(outcomes.contains(&Outcome::Fork));
        let last_day = &outcomes[outcomes.len() - 200..];
        assert!(last_day.iter().all(|outcome| *outcome == Outcome::Ok), "{last_day:?}");
    }
    let calls = sites.calls.lock().unwrap();
    for node in 0..3 {
        let to = |url: &str| -> Vec<Instant> {
            let ours =
                calls.iter().filter(|(by, to, _)| *by == node && to.trim_end_matches('/') == url);
            ours.map(|(_, _, at)| *at).collect()
        };
        // Refused once at most between two answers: never while it was cooling.
        let limited = to(LIMITED);
        let early = limited.windows(2).filter(|pair| pair[1] - pair[0] < PACE).count();
        assert!(early * 2 <= limited.len(), "{early} of {}", limited.len());
        for triple in limited.windows(3) {
            assert!(triple[2] - triple[0] >= PACE, "called within its cooldown");
        }
        // Down for six hours, with a ladder from one minute to half an hour.
        let tries = to(DOWN).into_iter().filter(|at| *at < sites.start + 6 * HOUR).count();
        assert!((10..=17).contains(&tries), "{tries} tries");
    }
}

/// Returns when a peer was called, while the wall clock jumps or does not.
async fn calls(peer: &str, jumps: bool) -> Vec<Duration> {
    let sites = Sites { start: now(), limits: Mutex::default(), calls: Mutex::default() };
    let (sites, wall) = (Arc::new(sites), Wall::new());
    let steps = async {
        for hour in 0_u64.. {
            // Not at a moment when something else happens.
            sleep(HOUR + secs(7)).await;
            match hour % 3 {
                _ if !jumps => {}
                0 => wall.back(HOUR),
                1 => wall.ahead(24 * HOUR),
                _ => wall.back(23 * HOUR + secs(1)),
            }
        }
    };
    let peers = [peer];
    tokio::select! {
        _ = sync(0, &peers, Arc::clone(&sites), wall.clone()) => {}
        () = steps => {}
    }
    let calls = sites.calls.lock().unwrap();
    calls.iter().map(|(_, _, at)| *at - sites.start).collect()
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_every_hour_moves_no_call() {
    for peer in PEERS {
        let moved = calls(peer, true).await;
        assert!(moved.len() > 100);
        assert_eq!(moved, calls(peer, false).await, "{peer}");
    }
}
