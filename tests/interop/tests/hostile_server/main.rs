//! hyper-util's legacy client, with the layer, at a server that means ill.
//!
//! Whatever it does: nothing panics and nothing hangs; its cooldowns are those that its
//! readable refusals asked for; and as soon as it is sane, it is called and answers.
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod acts;
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::{CooldownInfo, Cooldowns, Error, Ladder, Reason, RefusalErrorLayer};
use tower_retry_after::{
    RetryAfterBackoff, RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder, State,
};

use crate::acts::{A_MOMENT, Act, Means, Then};
use crate::server::Hostile;

/// How long a caller waits before it gives a server up that stalls.
const GIVES_UP: Duration = Duration::from_millis(100);

/// How long what must come may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// The ceiling of what is believed.
const MOST: Duration = Duration::from_hours(1);

const LADDER: Ladder = Ladder::new(A_MOMENT, Duration::from_millis(160));

/// A client with the layer around it.
trait Client:
    Service<Request<Empty<Bytes>>, Response = http::Response<Incoming>, Error = Error, Future: Send>
    + Clone
    + Send
    + Sync
{
}

impl<S> Client for S where
    S: Service<
            Request<Empty<Bytes>>,
            Response = http::Response<Incoming>,
            Error = Error,
            Future: Send,
        > + Clone
        + Send
        + Sync
{
}

type Layered = RetryAfterBackoff<legacy::Client<HttpConnector, Empty<Bytes>>>;

/// Hints are believed, and an upstream is Clear after the second success.
fn builder() -> RetryAfterBackoffLayerBuilder {
    RetryAfterBackoffLayer::builder()
        .ladder(LADDER)
        .trust_hints(true)
        .max_retry_after(MOST)
        .reopen_width(2)
}

fn layer() -> RetryAfterBackoffLayer {
    builder().build()
}

fn client(layer: &RetryAfterBackoffLayer) -> Layered {
    layer.layer(legacy::Client::builder(TokioExecutor::new()).build_http())
}

/// What a caller sees of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Outcome {
    Answered(u16),
    Held(Reason),
    Failed,
    GaveUp,
}

/// Calls, and reads what there is of a body; whoever sends no head is given up after
/// `within`.
async fn call(client: &impl Client, uri: Uri, within: Duration) -> Outcome {
    let request = Request::get(uri).body(Empty::new()).unwrap();
    match timeout(within, client.clone().oneshot(request)).await {
        Err(_) => Outcome::GaveUp,
        Ok(Ok(response)) => {
            let status = response.status().as_u16();
            // How it ends is not the layer's affair, but must not be anybody's undoing.
            let _ = timeout(GIVES_UP, response.into_body().collect()).await;
            Outcome::Answered(status)
        }
        Ok(Err(Error::RateLimited(limited))) => match limited.reason() {
            Reason::Refused => Outcome::Answered(429),
            reason => Outcome::Held(reason),
        },
        Ok(Err(_)) => Outcome::Failed,
    }
}

/// A server that plays, and all that a test needs to know of it.
struct Scene {
    server: Hostile,
    cooldowns: Cooldowns,
}

impl Scene {
    async fn of(acts: impl IntoIterator<Item = Act>, layer: &RetryAfterBackoffLayer) -> Self {
        Self { server: Hostile::start(acts).await, cooldowns: layer.cooldowns() }
    }

    fn info(&self) -> Option<CooldownInfo> {
        self.cooldowns.get(&self.server.upstream())
    }

    fn rung(&self) -> u32 {
        self.info().map_or(0, |info| info.consecutive_failures())
    }

    async fn ready(&self) {
        timeout(PATIENCE, self.cooldowns.ready(&self.server.upstream())).await.unwrap();
    }

    /// Waits until somebody more than `connections` is connected, and then as long as a
    /// caller does.
    async fn has_kept_waiting(&self, connections: usize) {
        while self.server.connections() == connections {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(GIVES_UP).await;
    }

    /// Plays `act`, and checks that what the layer has learned is what could be read.
    /// Returns how long it holds calls back by that.
    async fn plays(&self, act: &Act, client: &impl Client) -> Duration {
        let (name, before) = (act.name, Instant::now());
        let (rung, connections) = (self.rung(), self.server.connections());
        // Nobody gives up whom he could still hear.
        let is_silent = (act.means, act.then) == (Means::Nothing, Then::Stalls);

        let outcome = tokio::select! {
            outcome = call(client, self.server.uri(), PATIENCE) => outcome,
            () = self.has_kept_waiting(connections), if is_silent => Outcome::GaveUp,
        };

        assert_eq!(self.server.connections(), connections.saturating_add(1), "{name}");
        let refusal = match (act.means, &outcome) {
            (Means::Refusal(hint) | Means::RefusalOrNothing(hint), Outcome::Answered(429)) => hint,
            (Means::Answer, Outcome::Answered(200)) => {
                assert_ne!(self.info().map(|info| info.state()), Some(State::Cooling), "{name}");
                return Duration::ZERO;
            }
            (Means::Nothing, Outcome::Answered(500) | Outcome::GaveUp)
            | (Means::Nothing | Means::RefusalOrNothing(_), Outcome::Failed) => {
                assert_eq!(self.rung(), rung, "{name}");
                return Duration::ZERO;
            }
            (means, outcome) => panic!("{name}: {means:?}, but {outcome:?}"),
        };
        let (info, rung) = (self.info().unwrap(), rung.saturating_add(1));
        assert_eq!((info.state(), info.consecutive_failures()), (State::Cooling, rung), "{name}");
        let hint = refusal.unwrap_or_default();
        assert_eq!(info.hint().unwrap_or_default(), hint, "{name}");
        let wait = match hint.min(MOST) {
            Duration::ZERO => LADDER.delay(rung),
            hint => LADDER.delay_with_hint(rung.saturating_sub(1), hint),
        };
        let until = info.until();
        assert!(until.duration_since(before) >= wait, "{name}: {info:?}");
        assert!(until.duration_since(Instant::now()) <= wait, "{name}: {info:?}");
        wait
    }

    /// Checks that it is held back where that takes long, and serves after it, which a
    /// human hastens.
    async fn serves_after(&self, act: &Act, wait: Duration, client: &impl Client) {
        let name = act.name;
        if wait > PATIENCE {
            let connections = self.server.connections();
            let outcome = call(client, self.server.uri(), PATIENCE).await;
            assert_eq!(outcome, Outcome::Held(Reason::Cooling), "{name}");
            assert_eq!(self.server.connections(), connections, "{name}");
            self.cooldowns.clear(&self.server.upstream());
        }
        for _ in 0..3 {
            self.ready().await;
            let outcome = call(client, self.server.uri(), PATIENCE).await;
            assert_eq!(outcome, Outcome::Answered(200), "{name}");
        }
        assert!(self.info().is_none(), "{name}");
    }
}

/// Runs `scene` for each hostile act, all at the same time.
async fn for_each_act<F>(scene: impl Fn(Act) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut scenes = JoinSet::new();
    for act in Act::hostile() {
        scenes.spawn(scene(act));
    }
    scenes.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clear_upstream_cools_by_readable_refusals_alone_and_serves_when_it_is_sane() {
    for_each_act(|act| async move {
        let layer = layer();
        let client = client(&layer);
        let scene = Scene::of([act.clone()], &layer).await;

        let wait = scene.plays(&act, &client).await;

        scene.serves_after(&act, wait, &client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_dies_gives_its_place_back_on_the_same_rung() {
    for_each_act(|act| async move {
        let layer = layer();
        let client = client(&layer);
        let scene = Scene::of([Act::refusal(), act.clone()], &layer).await;
        scene.plays(&Act::refusal(), &client).await;
        scene.ready().await;

        let wait = scene.plays(&act, &client).await;

        // Whoever was given up has made way at once; who failed, after the base.
        let pause = scene.info().map_or(Duration::ZERO, |info| info.retry_after());
        assert!(pause <= wait.max(LADDER.base()), "{}: {pause:?}", act.name);
        scene.serves_after(&act, wait, &client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_refusals_for_errors_is_not_held_up_by_their_bodies() {
    for_each_act(|act| async move {
        let layer = layer();
        let client = RefusalErrorLayer::new(&layer).body_timeout(GIVES_UP).layer(client(&layer));
        let scene = Scene::of([act.clone()], &layer).await;

        let wait = scene.plays(&act, &client).await;

        scene.serves_after(&act, wait, &client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_nobody_gives_up_makes_way_with_its_lease() {
    const LEASE: Duration = Duration::from_millis(150);
    let layer = builder().probe_lease(LEASE).build();
    let client = client(&layer);
    let stalls = Act::hostile().into_iter().find(|act| act.name == "stalls before the head");
    let scene = Scene::of([Act::refusal(), stalls.unwrap()], &layer).await;
    scene.plays(&Act::refusal(), &client).await;
    scene.ready().await;
    let (start, uri) = (Instant::now(), scene.server.uri());
    let stalled = tokio::spawn({
        let client = client.clone();
        async move { call(&client, uri, PATIENCE).await }
    });
    while scene.server.connections() < 2 {
        sleep(Duration::from_millis(1)).await;
    }

    let outcome = loop {
        match call(&client, scene.server.uri(), PATIENCE).await {
            Outcome::Held(Reason::Probing) => sleep(Duration::from_millis(1)).await,
            outcome => break outcome,
        }
    };

    assert_eq!(outcome, Outcome::Answered(200));
    assert!(start.elapsed() >= LEASE);
    assert_eq!(scene.server.connections(), 3);
    // What becomes of the old one changes nothing.
    stalled.abort();
    assert!(stalled.await.unwrap_err().is_cancelled());
    scene.serves_after(&Act::sane(), Duration::ZERO, &client).await;
}

/// Chance that comes again: the low bits of a Weyl sequence, mixed.
fn chance(seed: &mut u64) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from(mixed >> 40).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_meet_all_of_it_at_once_are_served_when_it_is_over() {
    const SERVERS: u64 = 4;
    const CALLERS: usize = 16;
    const ACTS: usize = 60;
    let layer = builder().max_retry_after(A_MOMENT).reopen_width(64).build();
    let client = client(&layer);
    let (acts, mut scenes, mut callers) = (Act::hostile(), Vec::new(), JoinSet::new());
    for mut seed in 0..SERVERS {
        let script = (0..ACTS).map(|_| match chance(&mut seed) {
            refused if refused.is_multiple_of(3) => Act::refusal(),
            other => acts.iter().cycle().nth(other % acts.len()).unwrap().clone(),
        });
        let scene = Arc::new(Scene::of(script, &layer).await);
        for _ in 0..CALLERS {
            let (client, scene) = (client.clone(), Arc::clone(&scene));
            callers.spawn(async move {
                while !scene.server.is_sane() {
                    if let Outcome::Held(_) = call(&client, scene.server.uri(), GIVES_UP).await {
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
        scenes.push(scene);
    }
    timeout(PATIENCE, callers.join_all()).await.unwrap();

    for scene in scenes {
        // Clear again after some sixty answers.
        let answers = async {
            while scene.info().is_some() {
                scene.ready().await;
                call(&client, scene.server.uri(), PATIENCE).await;
            }
        };
        timeout(PATIENCE, answers).await.unwrap();
        let outcome = call(&client, scene.server.uri(), PATIENCE).await;
        assert_eq!(outcome, Outcome::Answered(200));
    }
    assert!(layer.cooldowns().is_empty());
}
