//! With the feature `metrics` an observer counts, and what it labels is bounded.
#![cfg(feature = "metrics")]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use support::*;
use tower_retry_after::observe::Metrics;
use tower_retry_after::{
    Cooldowns, RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder, Upstream,
};

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

/// Remembers all series by name and labels.
#[derive(Clone, Debug, Default)]
struct Memory {
    values: Values,
    described: Arc<Mutex<BTreeMap<String, Option<Unit>>>>,
    registered: Arc<Mutex<usize>>,
}

struct Series {
    values: Values,
    name: String,
}

impl Memory {
    fn series(&self, key: &Key) -> Arc<Series> {
        *self.registered.lock().unwrap() += 1;
        let mut labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        let name = key.name().strip_prefix("tower_retry_after_").unwrap();
        let name = [&[name.to_owned()], &labels[..]].concat().join(" ");
        self.values.lock().unwrap().entry(name.clone()).or_default();
        Arc::new(Series { values: Arc::clone(&self.values), name })
    }

    /// Returns what is not zero.
    fn all(&self) -> Vec<(String, i64)> {
        #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
        let whole = |(name, value): (&String, &f64)| (name.clone(), *value as i64);
        let values = self.values.lock().unwrap();
        values.iter().map(whole).filter(|(_, value)| *value != 0).collect()
    }
}

impl Series {
    fn add(&self, value: f64) {
        *self.values.lock().unwrap().get_mut(&self.name).unwrap() += value;
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, _: u64) {
        panic!("not asked for");
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {
        panic!("not asked for");
    }
}

impl Recorder for Memory {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        assert!(self.described.lock().unwrap().insert(key.as_str().to_owned(), unit).is_none());
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        assert!(self.described.lock().unwrap().insert(key.as_str().to_owned(), unit).is_none());
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("not asked for");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("not asked for");
    }
}

/// Runs a part on a thread with a recorder of its own, in virtual time.
fn recorded(part: impl AsyncFnOnce(&Memory)) -> Memory {
    let memory = Memory::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    metrics::with_local_recorder(&memory, || runtime.unwrap().block_on(part(&memory)));
    memory
}

fn counting(builder: RetryAfterBackoffLayerBuilder) -> RetryAfterBackoffLayer {
    builder.observer(Metrics::new()).build()
}

fn series(all: &[(&str, i64)]) -> Vec<(String, i64)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn an_episode_is_counted() {
    recorded(async |memory| {
        let layer = counting(RetryAfterBackoffLayer::builder().reopen_width(2));
        let answers = [ok(), refused(), ok(), never()];
        let client = client(&layer, &Peer::says(answers));
        for _ in 0..5 {
            ask(&client, A).await;
        }
        let cooling = [
            ("admitted_total", 2),
            ("refused_total", 1),
            ("rejected_total reason=cooling", 3),
            ("transitions_total to=cooling", 1),
            ("upstreams state=cooling", 1),
        ];
        assert_eq!(memory.all(), series(&cooling));

        pass(secs(60)).await;
        ask(&client, A).await;
        let out = hang(&client, A);
        let reopening = [
            ("admitted_total", 4),
            ("probes_total", 1),
            ("refused_total", 1),
            ("rejected_total reason=cooling", 3),
            ("transitions_total to=cooling", 1),
            ("transitions_total to=probing", 1),
            ("transitions_total to=reopening", 1),
            ("upstreams state=reopening", 1),
        ];
        assert_eq!(memory.all(), series(&reopening));

        drop(out);
        ask(&client, A).await;
        let values: BTreeMap<_, _> = memory.all().into_iter().collect();
        assert_eq!(values["transitions_total to=clear"], 1);
        assert!(values.keys().all(|name| !name.starts_with("upstreams")), "{values:?}");
    });
}

#[test]
fn a_shadow_is_counted_for_itself() {
    recorded(async |memory| {
        let layer = counting(RetryAfterBackoffLayer::builder().shadow(true));
        let client = client(&layer, &Peer::says([refused(), refused(), ok(), ok()]));
        for _ in 0..4 {
            ask(&client, A).await;
        }

        let expected = [
            ("admitted_total", 1),
            ("refused_total", 1),
            ("shadowed_total outcome=answered", 2),
            ("shadowed_total outcome=refused", 1),
            ("transitions_total to=cooling", 1),
            ("upstreams state=cooling", 1),
            ("would_reject_total reason=cooling", 3),
        ];
        assert_eq!(memory.all(), series(&expected));
    });
}

#[test]
fn evictions_are_counted_and_leave_the_gauge() {
    recorded(async |memory| {
        let cooldowns = Cooldowns::builder().max_upstreams(2).observer(Metrics::new()).build();
        for name in 0..5 {
            cooldowns.cool(&Upstream::named(name.to_string()), secs(60));
        }

        let values: BTreeMap<_, _> = memory.all().into_iter().collect();
        assert_eq!((values["evicted_total"], values["upstreams state=cooling"]), (3, 2));
    });
}

#[test]
fn upstreams_are_no_labels_unless_asked_for_and_then_bounded() {
    let memory = recorded(async |_| {
        let layer = RetryAfterBackoffLayer::builder().observer(Metrics::by_upstream(2)).build();
        let client = client(&layer, &Peer::always(refused()));
        for number in 0..100 {
            ask(&client, &format!("https://{number}.example/")).await;
        }
        ask(&client, "https://0.example/").await;
    });

    let mut expected = Vec::new();
    for (name, label) in [
        ("admitted_total", ""),
        ("refused_total", ""),
        ("rejected_total", "reason=cooling "),
        ("transitions_total", "to=cooling "),
        ("upstreams", "state=cooling "),
    ] {
        for (upstream, count) in [("https://0.example", 1), ("https://1.example", 1), ("other", 98)]
        {
            expected.push((format!("{name} {label}upstream={upstream}"), count));
        }
    }
    // Only one was called again, while it cooled.
    expected.retain(|(name, _)| !name.starts_with("rejected") || name.ends_with("//0.example"));
    assert_eq!(memory.all(), expected);
}

#[test]
fn an_upstream_makes_as_many_series_as_the_docs_say() {
    for (shadow, most) in [(false, 14), (true, 19)] {
        let memory = recorded(async |_| {
            let layer = RetryAfterBackoffLayer::builder()
                .observer(Metrics::by_upstream(1))
                .max_upstreams(1)
                .shadow(shadow)
                .build();
            let well = client(&layer, &Peer::always(ok()));
            let stuck = client(&layer, &Peer::always(never()));
            // Refused, rejected in every state and by every end, and evicted.
            for answer in [refused(), ok(), refused(), status(500), fails()] {
                ask(&client(&layer, &Peer::says([answer])), A).await;
            }
            let _ = poll_once(Box::pin(call(&stuck, A)).as_mut());
            pass(secs(60)).await;
            let probe = hang(&stuck, A);
            ask(&well, A).await;
            drop(probe);
            ask(&well, A).await;
            let places = (hang(&stuck, A), hang(&stuck, A));
            ask(&well, A).await;
            drop(places);
            layer.cooldowns().cool(&upstream(A), secs(60));
            layer.cooldowns().cool(&upstream(B), secs(60));
        });

        let values = memory.values.lock().unwrap();
        let own = values.keys().filter(|name| name.ends_with("upstream=https://a.example"));
        assert_eq!(own.count(), most, "{values:?}");
    }
}

#[test]
fn threads_do_not_stretch_the_bound_on_labels() {
    // Often, as only those that come at the same time could.
    for _ in 0..1000 {
        let memory = Memory::default();
        let cooldowns = Cooldowns::builder().observer(Metrics::by_upstream(1)).build();
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (cooldowns, memory, start) = (&cooldowns, &memory, &start);
                let upstream = Upstream::named(thread.to_string());
                scope.spawn(move || {
                    start.wait();
                    metrics::with_local_recorder(memory, || cooldowns.cool(&upstream, secs(60)));
                });
            }
        });

        let all = memory.all();
        let gauges = all.iter().filter(|(name, _)| name.starts_with("upstreams"));
        let (names, upstreams): (Vec<_>, Vec<_>) = gauges.cloned().unzip();
        assert_eq!(names.len(), 2, "a name and the others");
        assert_eq!(upstreams.into_iter().sum::<i64>(), 4);
    }
}

#[test]
fn all_are_described_once_and_registered_once() {
    let memory = recorded(async |_| {
        let layer = counting(RetryAfterBackoffLayer::builder());
        let client = client(&layer, &Peer::always(refused()));
        for _ in 0..100 {
            ask(&client, A).await;
        }
    });

    let described = memory.described.lock().unwrap();
    assert_eq!(described.len(), 9);
    assert!(described.values().all(|unit| *unit == Some(Unit::Count)));
    assert!(described.keys().all(|name| name.starts_with("tower_retry_after_")));
    assert_eq!(*memory.registered.lock().unwrap(), 5, "handles are kept");
}
