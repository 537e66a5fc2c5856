//! With the feature `tracing` a change is an event, and a flood is none.
#![cfg(feature = "tracing")]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests")]

mod support;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use http::{Extensions, HeaderMap, StatusCode};
use support::*;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_after::message::Incoming;
use tower_retry_after::observe;
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, Upstream};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Metadata, Subscriber};

/// What a subscriber heard: level, target and fields.
#[derive(Clone, Debug)]
struct Heard {
    level: Level,
    target: &'static str,
    fields: BTreeMap<&'static str, String>,
}

impl Heard {
    fn level_and<'a>(&'a self, field: &str) -> (Level, &'a str) {
        (self.level, self.fields.get(field).map_or("", String::as_str))
    }
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Hears events up to a level, as long as this is kept.
struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    _guard: DefaultGuard,
}

struct Listener {
    heard: Arc<Mutex<Vec<Heard>>>,
    level: Level,
}

impl Ear {
    fn up_to(level: Level) -> Self {
        let heard = Arc::default();
        let listener = Listener { heard: Arc::clone(&heard), level };
        Self { heard, _guard: tracing::subscriber::set_default(listener) }
    }

    fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target());
        let mut heard = Heard { level, target, fields: BTreeMap::new() };
        event.record(&mut heard);
        self.heard.lock().unwrap().push(heard);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").finish_non_exhaustive()
    }
}

#[tokio::test(start_paused = true)]
async fn each_transition_is_one_event() {
    let ear = Ear::up_to(Level::DEBUG);
    let layer = RetryAfterBackoffLayer::builder().reopen_width(2).build();
    let client = client(&layer, &Peer::says([ok(), refused_for(90)]));

    for _ in 0..9 {
        ask(&client, A).await;
    }
    pass(secs(90)).await;
    for _ in 0..9 {
        ask(&client, A).await;
    }

    let heard = ear.take();
    let steps: Vec<_> = heard
        .iter()
        .map(|heard| (heard.level, heard.fields["from"].as_str(), heard.fields["to"].as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            (Level::INFO, "clear", "cooling"),
            (Level::DEBUG, "cooling", "probing"),
            (Level::DEBUG, "probing", "reopening"),
            (Level::INFO, "reopening", "clear"),
        ]
    );
    assert!(heard.iter().all(|heard| heard.target == "tower_retry_after"));
}

#[tokio::test(start_paused = true)]
async fn a_transition_has_its_fields() {
    let ear = Ear::up_to(Level::INFO);
    let layer = RetryAfterBackoffLayer::new();

    ask(&client(&layer, &Peer::says([refused_for(90)])), A).await;
    let refusal = ear.take().remove(0).fields;
    layer.cooldowns().clear(&upstream(A));
    let cleared = ear.take().remove(0).fields;

    let fields = |fields: &[(&'static str, &str)]| -> BTreeMap<_, _> {
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let message = ("message", "an upstream's state has changed");
    let refused = [
        ("upstream", "https://a.example"),
        ("from", "clear"),
        ("to", "cooling"),
        ("by", "refused"),
        ("wait", "90s"),
        ("hint", "90s"),
        ("rung", "1"),
        ("status", "429"),
        message,
    ];
    assert_eq!(refusal, fields(&refused));
    let by_hand = [
        ("upstream", "https://a.example"),
        ("from", "cooling"),
        ("to", "clear"),
        ("by", "cleared"),
        ("rung", "0"),
        message,
    ];
    assert_eq!(cleared, fields(&by_hand));
}

#[tokio::test(start_paused = true)]
async fn probes_that_learn_nothing_are_no_news() {
    let ear = Ear::up_to(Level::INFO);
    let layer = RetryAfterBackoffLayer::new();
    let answers = std::iter::once(refused()).chain((0..100).map(|_| status(500)));
    let client = client(&layer, &Peer::says(answers));
    ask(&client, A).await;
    pass(secs(59)).await;

    for _ in 0..100 {
        pass(secs(1)).await;
        ask(&client, A).await;
    }

    assert_eq!(ear.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_rejections_is_not_heard() {
    let ear = Ear::up_to(Level::DEBUG);
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &Peer::always(refused()));
    ask(&client, A).await;
    assert_eq!(ear.take().len(), 1, "the change itself");

    let mut client = client.clone();
    let uri: http::Uri = A.parse().unwrap();
    for _ in 0..1_000_000 {
        assert!(client.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
        let mut request = http::Request::new(());
        *request.uri_mut() = uri.clone();
        assert!(at_once(client.call(request)).is_err());
    }

    assert!(ear.take().is_empty());
}

/// A refusal by B, to which A has sent the call on.
struct SentOn(http::Response<()>);

impl Incoming for SentOn {
    fn status(&self) -> StatusCode {
        self.0.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    fn extensions(&self) -> Option<&Extensions> {
        None
    }

    fn answered_by(&self) -> Option<Upstream> {
        Some(upstream(B))
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_is_sent_on_to_a_cooling_upstream_is_one_line() {
    let ear = Ear::up_to(Level::INFO);
    let layer = RetryAfterBackoffLayer::new();
    let client = layer.layer(service_fn(async |_: http::Request<()>| {
        let refused = http::Response::builder().status(429).body(()).unwrap();
        Ok::<_, io::Error>(SentOn(refused))
    }));

    for _ in 0..1000 {
        assert!(client.clone().oneshot(get(A)).await.is_ok());
    }

    assert_eq!(ear.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_listens_closely_hears_each_rejection_and_no_more() {
    let ear = Ear::up_to(Level::TRACE);
    let rejecting = RetryAfterBackoffLayer::new();
    let shadow = RetryAfterBackoffLayer::builder().shadow(true).build();
    for (layer, message) in
        [(&rejecting, "a call was rejected"), (&shadow, "a call would have been rejected")]
    {
        let client = client(layer, &Peer::always(refused()));
        ask(&client, A).await;
        ear.take();

        ask(&client, A).await;
        ask(&client, A).await;

        let heard = ear.take();
        assert_eq!(heard.len(), 2);
        assert_eq!(heard[0].level_and("message"), (Level::TRACE, message));
        assert_eq!(heard[0].level_and("reason"), (Level::TRACE, "cooling"));
        assert_eq!(heard[0].level_and("upstream"), (Level::TRACE, "https://a.example"));
        assert_eq!(heard[0].level_and("wait"), (Level::TRACE, "60s"));
    }
}

#[tokio::test(start_paused = true)]
async fn evictions_are_warned_of_as_their_number_doubles() {
    let ear = Ear::up_to(Level::WARN);
    let cooldowns = Cooldowns::builder().max_upstreams(10).build();

    for number in 0..1010 {
        cooldowns.cool(&Upstream::named(number.to_string()), secs(60));
    }

    assert_eq!(cooldowns.evicted(), 1000);
    let heard = ear.take();
    let counts: Vec<_> = heard.iter().map(|heard| heard.level_and("evicted")).collect();
    let doubling = ["1", "2", "4", "8", "16", "32", "64", "128", "256", "512"];
    assert_eq!(counts, doubling.map(|count| (Level::WARN, count)));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_past_its_cooldown_is_no_loss_to_warn_of() {
    let ear = Ear::up_to(Level::WARN);
    let cooldowns = Cooldowns::builder().max_upstreams(1).build();
    cooldowns.cool(&Upstream::named("a"), secs(60));
    pass(secs(60)).await;

    cooldowns.cool(&Upstream::named("b"), secs(60));

    assert!(ear.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_or_unprintable_is_shown() {
    let ear = Ear::up_to(Level::TRACE);
    let odd = refused().header("retry-after", "secret-one").header("x-key", "secret-two");
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &Peer::always(odd));
    ask(&client, "https://me:secret@a.example/secret?key=secret").await;
    ask(&client, "https://me:secret@a.example/secret?key=secret").await;
    layer.cooldowns().cool(&Upstream::named("a\nb"), secs(9));

    let heard = format!("{:?}", ear.take());

    assert!(heard.contains("https://a.example") && !heard.contains("secret"), "{heard}");
    assert!(heard.contains(r"a\\nb"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_beside_a_subscriber() {
    let ear = Ear::up_to(Level::INFO);
    let count = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&count);
    let cooldowns = Cooldowns::builder()
        .observer(observe::from_fn(move |_| *counter.lock().unwrap() += 1))
        .build();

    cooldowns.cool(&upstream(A), secs(9));

    assert_eq!((ear.take().len(), *count.lock().unwrap()), (1, 1));
}
