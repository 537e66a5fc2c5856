//! The layer with every feature on: none in use, and each in use.

use tower::Layer;
use tower::retry::RetryLayer;
use tower_retry_after::RetryAfterBackoffLayer;
use tower_retry_after::observe::Metrics;
use tower_retry_after::retry::RetryPolicy;

use super::Case;
use super::caller::service;
use super::ours::built;
use crate::{Bare, quiet, rejected};

pub(super) const CASES: &[Case] = &[
    Case::new("bare", "bare", || service(Bare)),
    Case::new("ours: features on, nothing cooling", "bare", || service(quiet())),
    Case::new("ours: tracing without subscriber, rejecting", "bare", || service(rejected())),
    Case::new("ours: metrics without recorder, nothing cooling", "bare", || {
        built(RetryAfterBackoffLayer::builder().observer(Metrics::new()), false)
    }),
    Case::new("ours: metrics without recorder, rejecting", "bare", || {
        built(RetryAfterBackoffLayer::builder().observer(Metrics::new()), true)
    }),
    Case::new("ours: retry policy around, nothing cooling", "bare", || {
        let backoff = RetryAfterBackoffLayer::new();
        service(RetryLayer::new(RetryPolicy::new(&backoff)).layer(backoff.layer(Bare)))
    }),
];
