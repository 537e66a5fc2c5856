//! Counters and gauges through the `metrics` facade.
//!
//! What is labelled is bounded: reasons, states and outcomes by their kinds,
//! upstreams not at all, or as many as were asked for.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use metrics::{Counter, Gauge, Label, Unit};

use super::{Event, Observer, Transition};
use crate::cooldowns::{State, Trigger};
use crate::upstream::Upstream;

/// What upstreams beyond the bound are labelled as.
const OTHER: &str = "other";

/// An observer that counts, through the [`metrics`](https://docs.rs/metrics) facade.
///
/// | name | kind | labels | counts |
/// |---|---|---|---|
/// | `tower_retry_after_admitted_total` | counter | | calls sent, probes included |
/// | `tower_retry_after_rejected_total` | counter | `reason` | calls not sent |
/// | `tower_retry_after_refused_total` | counter | | calls sent and refused |
/// | `tower_retry_after_probes_total` | counter | | calls sent as the probe |
/// | `tower_retry_after_transitions_total` | counter | `to` | changes of a state, by the new one |
/// | `tower_retry_after_evicted_total` | counter | | upstreams forgotten while cooling, for want of room |
/// | `tower_retry_after_upstreams` | gauge | `state` | upstreams that are not clear |
/// | `tower_retry_after_would_reject_total` | counter | `reason` | in shadow mode: calls sent that would have been rejected |
/// | `tower_retry_after_shadowed_total` | counter | `outcome` | in shadow mode: how they ended |
///
/// `reason` is `cooling`, `probing` or `reopening`; `state` one of the same; `to` may
/// also be `clear`; `outcome` is `answered`, `refused`, `neutral`, `failed` or
/// `dropped`. An upstream that is forgotten leaves the gauge when that is told; see
/// [`observe`](super). A table that is dropped takes none out: clear its upstreams
/// before, if the process goes on.
///
/// Calls that are sent in shadow mode though they would have been rejected stand in
/// the last two alone, not among those admitted and refused.
///
/// A series appears with its first event, and belongs to the recorder that is
/// installed then: install yours before the first call.
///
/// ```
/// use tower_retry_after::RetryAfterBackoffLayer;
/// use tower_retry_after::observe::Metrics;
///
/// let layer = RetryAfterBackoffLayer::builder().observer(Metrics::new()).build();
/// # let _ = layer;
/// ```
pub struct Metrics {
    described: AtomicBool,
    by_upstream: Option<ByUpstream>,
    /// Of all upstreams, or of those beyond the bound.
    series: Series,
}

/// The series of the upstreams that are told apart.
struct ByUpstream {
    most: usize,
    /// None is ever taken out: who is one of them remains one.
    named: RwLock<HashMap<Upstream, Arc<Series>>>,
}

impl Metrics {
    /// Counts without telling upstreams apart.
    pub fn new() -> Self {
        Self { described: AtomicBool::new(false), by_upstream: None, series: Series::default() }
    }

    /// Counts by upstream: each series has a label `upstream` more, with the name of
    /// one of the first `most` upstreams that come, or `other` for all that come
    /// later.
    ///
    /// An upstream in trouble makes up to 14 series, in shadow mode up to 19; a
    /// healthy one makes one.
    pub fn by_upstream(most: usize) -> Self {
        let series = Series { upstream: Some(OTHER.to_owned()), ..Series::default() };
        let by_upstream = ByUpstream { most, named: RwLock::default() };
        Self { described: AtomicBool::new(false), by_upstream: Some(by_upstream), series }
    }

    /// Counts what is told of an upstream.
    fn count(&self, upstream: impl Fn() -> Upstream, count: impl FnOnce(&Series)) {
        match self.by_upstream.as_ref().and_then(|named| named.series(&upstream())) {
            Some(series) => count(&series),
            None => count(&self.series),
        }
    }
}

impl ByUpstream {
    /// Returns the series of an upstream, if it is one of the first.
    fn series(&self, upstream: &Upstream) -> Option<Arc<Series>> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = named.get(upstream) {
            return Some(Arc::clone(series));
        }
        if named.len() >= self.most {
            return None;
        }
        drop(named);
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= self.most && !named.contains_key(upstream) {
            return None;
        }
        let series = named.entry(upstream.clone()).or_insert_with(|| {
            Arc::new(Series { upstream: Some(upstream.to_string()), ..Series::default() })
        });
        Some(Arc::clone(series))
    }
}

impl Observer for Metrics {
    fn on(&self, event: &Event<'_>) {
        if !self.described.load(Ordering::Relaxed) && !self.described.swap(true, Ordering::Relaxed)
        {
            describe();
        }
        match event {
            Event::Transition(transition) => {
                self.count(|| transition.upstream.clone(), |series| series.changed(transition));
            }
            Event::Admitted(admitted) => self.count(
                || admitted.upstream(),
                |series| {
                    series.add(&series.admitted, ADMITTED, None);
                    if admitted.state() == State::Probing {
                        series.add(&series.probes, PROBES, None);
                    }
                },
            ),
            Event::Rejected(limited) => self.count(
                || limited.upstream.clone(),
                |series| {
                    let reason = limited.reason;
                    let label = Some(("reason", reason.word()));
                    series.add_one_of(&series.rejected, reason as usize, REJECTED, label);
                },
            ),
            Event::Refused(refused) => self.count(
                || refused.upstream.clone(),
                |series| series.add(&series.refused, REFUSED, None),
            ),
            Event::WouldReject(limited) => self.count(
                || limited.upstream.clone(),
                |series| {
                    let reason = limited.reason;
                    let label = Some(("reason", reason.word()));
                    series.add_one_of(&series.would_reject, reason as usize, WOULD_REJECT, label);
                },
            ),
            Event::Shadowed(shadowed) => self.count(
                || shadowed.upstream().clone(),
                |series| {
                    let outcome = shadowed.outcome();
                    let label = Some(("outcome", outcome.word()));
                    series.add_one_of(&series.shadowed, outcome as usize, SHADOWED, label);
                },
            ),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.by_upstream.as_ref().map(|named| named.most);
        f.debug_struct("Metrics").field("by_upstream", &most).finish_non_exhaustive()
    }
}

const ADMITTED: &str = "tower_retry_after_admitted_total";
const REJECTED: &str = "tower_retry_after_rejected_total";
const REFUSED: &str = "tower_retry_after_refused_total";
const PROBES: &str = "tower_retry_after_probes_total";
const TRANSITIONS: &str = "tower_retry_after_transitions_total";
const EVICTED: &str = "tower_retry_after_evicted_total";
const UPSTREAMS: &str = "tower_retry_after_upstreams";
const WOULD_REJECT: &str = "tower_retry_after_would_reject_total";
const SHADOWED: &str = "tower_retry_after_shadowed_total";

fn describe() {
    let counters = [
        (ADMITTED, "Calls sent, probes included"),
        (REJECTED, "Calls not sent, as their upstream is held back"),
        (REFUSED, "Calls sent and refused by the upstream"),
        (PROBES, "Calls sent to see whether a cooldown was long enough"),
        (TRANSITIONS, "Changes of an upstream's state, by the new state"),
        (EVICTED, "Upstreams forgotten while cooling, for want of room"),
        (WOULD_REJECT, "Calls sent in shadow mode that would have been rejected"),
        (SHADOWED, "How calls ended that would have been rejected"),
    ];
    for (name, description) in counters {
        metrics::describe_counter!(name, Unit::Count, description);
    }
    metrics::describe_gauge!(UPSTREAMS, Unit::Count, "Upstreams that are not clear, by state");
}

type Slot<T> = OnceLock<T>;

/// What is counted with one label for the upstream, or none; made as it is needed,
/// and then kept.
#[derive(Default)]
struct Series {
    upstream: Option<String>,
    admitted: Slot<Counter>,
    refused: Slot<Counter>,
    probes: Slot<Counter>,
    evicted: Slot<Counter>,
    /// By the number of the reason.
    rejected: [Slot<Counter>; 4],
    would_reject: [Slot<Counter>; 4],
    /// By the number of the outcome.
    shadowed: [Slot<Counter>; 5],
    /// By the number of the state.
    transitions: [Slot<Counter>; 4],
    upstreams: [Slot<Gauge>; 4],
}

impl Series {
    fn changed(&self, transition: &Transition) {
        let Transition { from, to, .. } = *transition;
        let label = Some(("to", to.word()));
        self.add_one_of(&self.transitions, to as usize, TRANSITIONS, label);
        if transition.by == Trigger::Evicted {
            self.add(&self.evicted, EVICTED, None);
        }
        if from != to {
            self.gauge(from, |gauge| gauge.decrement(1));
            self.gauge(to, |gauge| gauge.increment(1));
        }
    }

    fn add(
        &self,
        slot: &Slot<Counter>,
        name: &'static str,
        label: Option<(&'static str, &'static str)>,
    ) {
        kept(slot, || metrics::counter!(name, self.labels(label))).increment(1);
    }

    fn add_one_of(
        &self,
        slots: &[Slot<Counter>],
        number: usize,
        name: &'static str,
        label: Option<(&'static str, &'static str)>,
    ) {
        if let Some(slot) = slots.get(number) {
            self.add(slot, name, label);
        }
    }

    /// Steps rather than values: they add up, in whatever order threads take them.
    fn gauge(&self, state: State, step: impl FnOnce(&Gauge)) {
        if state == State::Clear {
            return;
        }
        if let Some(slot) = self.upstreams.get(state as usize) {
            let label = Some(("state", state.word()));
            step(kept(slot, || metrics::gauge!(UPSTREAMS, self.labels(label))));
        }
    }

    fn labels(&self, label: Option<(&'static str, &'static str)>) -> Vec<Label> {
        let upstream = self.upstream.clone().map(|upstream| Label::new("upstream", upstream));
        let label = label.map(|(key, value)| Label::from_static_parts(key, value));
        label.into_iter().chain(upstream).collect()
    }
}

/// Returns what is in the slot. It is made outside of it: a recorder may do what it
/// likes meanwhile.
fn kept<T>(slot: &Slot<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(kept) = slot.get() {
        return kept;
    }
    let fresh = make();
    slot.get_or_init(|| fresh)
}
