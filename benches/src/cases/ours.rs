//! The layer in each of its states, and those of its settings that need no feature.

use std::hint::black_box;
use std::time::Duration;

use tower::Layer;
use tower_retry_after::hint::Dialect;
use tower_retry_after::{RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder, observe};

use super::Case;
use super::caller::{Made, Many, asked, service};
use crate::{AN_HOUR, Api, Bare, ORIGIN, others, quiet, rejected, upstream, waiting};

pub(super) const CASES: &[Case] = &[
    Case::new("ours: nothing cooling", "bare", || service(quiet())),
    Case::new("ours: 10,000 others cooling", "bare", || asked::<Many, _>(others())),
    Case::new("ours: rejecting", "bare", || service(rejected())),
    Case::new("ours: waiting layer, nothing cooling", "bare", || service(waiting())),
    Case::new("ours: waiting layer, wait in vain", "bare", || {
        let backoff = RetryAfterBackoffLayer::new();
        backoff.cooldowns().cool(&upstream(ORIGIN), AN_HOUR);
        service(backoff.waiting(Duration::from_secs(1)).layer(Bare))
    }),
    Case::new("ours: observer, nothing cooling", "bare", || built(watched(), false)),
    Case::new("ours: observer, rejecting", "bare", || built(watched(), true)),
    Case::new("ours: shadow, nothing cooling", "bare", || built(shadow(), false)),
    Case::new("ours: shadow, would reject", "bare", || built(shadow(), true)),
    Case::new("bare, nine headers", "bare, nine headers", || service(Api::new().with_quota())),
    Case::new("ours: nine headers", "bare, nine headers", || {
        service(RetryAfterBackoffLayer::new().layer(Api::new().with_quota()))
    }),
    Case::new("ours: nine headers, quota signals", "bare, nine headers", || {
        let backoff = RetryAfterBackoffLayer::builder().quota_signals(Dialect::Any).build();
        service(backoff.layer(Api::new().with_quota()))
    }),
];

fn watched() -> RetryAfterBackoffLayerBuilder {
    let observer = observe::from_fn(|event: &observe::Event<'_>| {
        black_box(event);
    });
    RetryAfterBackoffLayer::builder().observer(observer)
}

fn shadow() -> RetryAfterBackoffLayerBuilder {
    RetryAfterBackoffLayer::builder().shadow(true)
}

/// Makes a case of a layer, with the upstream cooling or not.
pub(super) fn built(layer: RetryAfterBackoffLayerBuilder, cooling: bool) -> Made {
    let layer = layer.build();
    if cooling {
        layer.cooldowns().cool(&upstream(ORIGIN), AN_HOUR);
    }
    service(layer.layer(Bare))
}
