//! The layer and its settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::classify::Classify;
use crate::cooldown::Rules;
use crate::cooldowns::{Cooldowns, CooldownsBuilder};
use crate::hint::Dialect;
use crate::key::Key;
use crate::ladder::Ladder;
use crate::observe::{Observer, Shadow, ShadowReport};
use crate::permit::Shared;
use crate::service::RetryAfterBackoff;
use crate::waiting::WaitingLayer;

/// Holds calls back while their upstream is cooling down.
///
/// All services made by one layer, and all their clones, share one table of
/// upstreams: what one call learns, every other heeds.
///
/// ```
/// use tower::{ServiceBuilder, service_fn};
/// use tower_retry_after::RetryAfterBackoffLayer;
///
/// # async fn send(_: http::Request<()>) -> Result<http::Response<()>, std::io::Error> {
/// #     Ok(http::Response::new(()))
/// # }
/// let client = ServiceBuilder::new()
///     .layer(RetryAfterBackoffLayer::new())
///     .service(service_fn(send));
/// # let _ = client;
/// ```
#[derive(Clone)]
pub struct RetryAfterBackoffLayer {
    shared: Arc<Shared>,
}

impl RetryAfterBackoffLayer {
    /// Creates a layer with the default settings: a ladder from a minute to half
    /// an hour, and hints believed up to an hour where they are longer.
    ///
    /// They suit polling and crawling, where it does no harm to come back late.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Creates a layer for API clients: a ladder from a second to a minute, and
    /// hints believed exactly.
    ///
    /// An upstream that refuses without a hint is asked again after a minute at most.
    /// One that counts refused requests too, and has to be left alone for longer than
    /// that, never recovers: give its client a ladder with a higher cap.
    pub fn for_api() -> Self {
        Self::builder()
            .ladder(Ladder::new(Duration::from_secs(1), Duration::from_secs(60)))
            .trust_hints(true)
            .build()
    }

    /// Configures a layer.
    pub fn builder() -> RetryAfterBackoffLayerBuilder {
        RetryAfterBackoffLayerBuilder {
            rules: Rules::default(),
            max_upstreams: None,
            forget_after: None,
            key: None,
            classifier: None,
            quota: None,
            cooldowns: None,
            observer: None,
            shadow: false,
        }
    }

    /// Returns a handle on the table of upstreams.
    pub fn cooldowns(&self) -> Cooldowns {
        self.shared.cooldowns.clone()
    }

    /// Returns what would have been rejected in shadow mode, and what became of
    /// it; all zeros where the layer rejects. See
    /// [`shadow`](RetryAfterBackoffLayerBuilder::shadow).
    pub fn shadowed(&self) -> ShadowReport {
        self.shared.shadow.as_ref().map(Shadow::report).unwrap_or_default()
    }

    /// Returns a layer that waits where this one rejects: up to `max_wait`, and not
    /// at all where that would not be enough.
    ///
    /// It shares this layer's table, rules, key and classifier, and goes around
    /// the client **in this one's place**: with both around one client no call gets
    /// through as it should; see [`WaitingLayer`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower::{ServiceBuilder, service_fn};
    /// use tower_retry_after::RetryAfterBackoffLayer;
    ///
    /// # async fn send(_: http::Request<()>) -> Result<http::Response<()>, std::io::Error> {
    /// #     Ok(http::Response::new(()))
    /// # }
    /// let backoff = RetryAfterBackoffLayer::for_api();
    /// let patient = ServiceBuilder::new()
    ///     .layer(backoff.waiting(Duration::from_secs(30)))
    ///     .service(service_fn(send));
    /// # let _ = patient;
    /// ```
    pub fn waiting(&self, max_wait: Duration) -> WaitingLayer {
        WaitingLayer::new(Arc::clone(&self.shared), max_wait)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Default for RetryAfterBackoffLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RetryAfterBackoffLayer {
    type Service = RetryAfterBackoff<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryAfterBackoff::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for RetryAfterBackoffLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryAfterBackoffLayer")
            .field("rules", &self.shared.rules)
            .field("cooldowns", &self.shared.cooldowns)
            .finish_non_exhaustive()
    }
}

/// Configures a [`RetryAfterBackoffLayer`].
///
/// Every value is allowed; what makes no sense is clamped, as each method says.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::{Ladder, RetryAfterBackoffLayer};
///
/// let layer = RetryAfterBackoffLayer::builder()
///     .ladder(Ladder::new(Duration::from_secs(10), Duration::from_secs(600)))
///     .jitter(0.1)
///     .build();
/// # let _ = layer;
/// ```
#[derive(Clone)]
#[must_use = "a builder makes a layer when `build` is called"]
pub struct RetryAfterBackoffLayerBuilder {
    rules: Rules,
    max_upstreams: Option<usize>,
    forget_after: Option<Duration>,
    key: Option<Arc<dyn Key>>,
    classifier: Option<Arc<dyn Classify>>,
    quota: Option<Dialect>,
    cooldowns: Option<Cooldowns>,
    observer: Option<Arc<dyn Observer>>,
    shadow: bool,
}

/// The shortest lease: with none at all, every caller would be a probe.
const LEAST_LEASE: Duration = Duration::from_millis(1);

impl RetryAfterBackoffLayerBuilder {
    /// Sets the waits for consecutive refusals; by default 60 s, doubling up to
    /// 1800 s.
    pub fn ladder(mut self, ladder: Ladder) -> Self {
        self.rules.ladder = ladder;
        self
    }

    /// Sets the ceiling of hints; an hour by default.
    ///
    /// A longer hint counts as this long; callers still see what was sent
    /// ([`RateLimited::hint`](crate::RateLimited::hint)). Zero ignores hints.
    pub fn max_retry_after(mut self, ceiling: Duration) -> Self {
        self.rules.max_retry_after = ceiling;
        self
    }

    /// Sets whether a hint is believed exactly, until it proves too short.
    ///
    /// By default it is not: the cooldown is the longer of ladder and hint. With
    /// trust, the first refusal of an episode waits just as long as the hint
    /// says; if the upstream then refuses again, the ladder starts to climb.
    pub fn trust_hints(mut self, trust: bool) -> Self {
        self.rules.trust_hints = trust;
        self
    }

    /// Sets the share of each cooldown that chance may add to it; none by default.
    ///
    /// It is clamped to 0..=1, and drawn once for each cooldown. It only ever
    /// adds, beyond every ceiling, so that many processes that were told the
    /// same do not come back together, and none comes back early.
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.rules.jitter = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        self
    }

    /// Sets how long one probe keeps the next waiting; 30 s by default, and at
    /// least a millisecond.
    ///
    /// A longer answer still counts; only the next caller does not wait for it.
    pub fn probe_lease(mut self, lease: Duration) -> Self {
        self.rules.probe_lease = lease.max(LEAST_LEASE);
        self
    }

    /// Sets how many calls in flight a Reopening upstream must have borne to be
    /// Clear; 64 by default.
    ///
    /// It starts with two, and each success adds one. Below two, an upstream is
    /// Clear as soon as its probe succeeds, and all its callers come back at once.
    pub fn reopen_width(mut self, width: u32) -> Self {
        self.rules.reopen_width = width;
        self
    }

    /// Sets the size of the table that [`build`](Self::build) makes; see
    /// [`CooldownsBuilder::max_upstreams`]. A table that is joined keeps its own.
    pub fn max_upstreams(mut self, max_upstreams: usize) -> Self {
        self.max_upstreams = Some(max_upstreams);
        self
    }

    /// Sets the memory of the table that [`build`](Self::build) makes; see
    /// [`CooldownsBuilder::forget_after`]. By default it is twice the longer of
    /// the ladder's cap and [`max_retry_after`](Self::max_retry_after). A table
    /// that is joined keeps its own.
    pub fn forget_after(mut self, forget_after: Duration) -> Self {
        self.forget_after = Some(forget_after);
        self
    }

    /// Sets which upstream a request goes to; its origin by default. See
    /// [`key`](crate::key).
    pub fn upstream_key(mut self, key: impl Key) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Sets what responses mean; by default [`classify::standard`](crate::classify::standard).
    pub fn classify(mut self, classifier: impl Classify) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    /// Heeds what upstreams say of their quotas; by default only a refusal counts.
    ///
    /// A success that leaves nothing then starts a cooldown until the quota is
    /// there again: the best refusal is the one that never happens. A 403, 503 or 529
    /// that leaves nothing is a refusal, as GitHub's 403 is, and so is a 2xx by which
    /// `MediaWiki` says `maxlag` or `ratelimited`; see
    /// [`classify::standard`](crate::classify::standard). A classifier of your own
    /// that does not fall back to it hears nothing of quotas.
    ///
    /// See [`hint::from_quota`](crate::hint::from_quota) for the headers, and
    /// [`Dialect`] for what their numbers mean. Headers do not tell whose quota it
    /// is: where it is that of a route (Discord's buckets, GitHub's search) or of an
    /// account, set an [`upstream_key`](Self::upstream_key) that tells those apart, or
    /// one of them that is used up holds back the others.
    pub fn quota_signals(mut self, dialect: Dialect) -> Self {
        self.quota = Some(dialect);
        self
    }

    /// Sets who is told what happens, in the table that [`build`](Self::build)
    /// makes; nobody by default. See [`observe`](crate::observe). A table that is
    /// joined keeps its own.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets whether every call is let pass, also one that would have been
    /// rejected: to see beforehand what the layer would do. By default it rejects.
    ///
    /// The layer learns and decides as it otherwise would: who is admitted takes
    /// places, is the probe, counts. A call that would have been rejected is sent
    /// all the same; its answer is counted
    /// ([`shadowed`](RetryAfterBackoffLayer::shadowed)) and moves nothing, be it
    /// a refusal or a success.
    ///
    /// A [`waiting`](RetryAfterBackoffLayer::waiting) layer made of this one lets
    /// nobody wait: a call that would have waited counts as one that would have been
    /// rejected.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_retry_after::Error> {
    /// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
    /// use tower_retry_after::RetryAfterBackoffLayer;
    ///
    /// async fn send(_: http::Request<()>) -> Result<http::Response<()>, std::io::Error> {
    ///     Ok(http::Response::builder().status(429).body(()).unwrap())
    /// }
    ///
    /// let layer = RetryAfterBackoffLayer::builder().shadow(true).build();
    /// let mut client = ServiceBuilder::new().layer(layer.clone()).service(service_fn(send));
    /// for _ in 0..5 {
    ///     let request = http::Request::get("https://api.example/").body(()).unwrap();
    ///     assert_eq!(client.ready().await?.call(request).await?.status(), 429);
    /// }
    ///
    /// let report = layer.shadowed();
    /// assert_eq!((report.would_reject(), report.refused()), (4, 4));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shadow(mut self, shadow: bool) -> Self {
        self.shadow = shadow;
        self
    }

    /// Joins an existing table instead of making one.
    ///
    /// Size, forgetting and who watches are the table's; everything else is each
    /// layer's own.
    pub fn cooldowns(mut self, cooldowns: Cooldowns) -> Self {
        self.cooldowns = Some(cooldowns);
        self
    }

    /// Makes the layer.
    #[must_use]
    pub fn build(self) -> RetryAfterBackoffLayer {
        let cooldowns = self.cooldowns.clone().unwrap_or_else(|| self.table().build());
        let Self { rules, key, classifier, quota, .. } = self;
        let is_observed = cooldowns.watch().is_observed();
        let shadow = self.shadow.then(Shadow::default);
        let shared = Shared {
            is_standard: classifier.is_none() && quota.is_none(),
            is_plain: key.is_none() && !is_observed,
            is_observed,
            is_silent: !is_observed && shadow.is_none(),
            cooldowns,
            rules,
            key,
            classifier,
            quota,
            shadow,
        };
        RetryAfterBackoffLayer { shared: Arc::new(shared) }
    }

    fn table(&self) -> CooldownsBuilder {
        let longest = self.rules.ladder.cap().max(self.rules.max_retry_after);
        let forget_after = self.forget_after.unwrap_or(longest.saturating_mul(2));
        let table =
            Cooldowns::builder().forget_after(forget_after).observed_by(self.observer.clone());
        match self.max_upstreams {
            Some(most) => table.max_upstreams(most),
            None => table,
        }
    }
}

impl fmt::Debug for RetryAfterBackoffLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryAfterBackoffLayerBuilder")
            .field("rules", &self.rules)
            .field("quota", &self.quota)
            .field("max_upstreams", &self.max_upstreams)
            .field("forget_after", &self.forget_after)
            .field("cooldowns", &self.cooldowns)
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn memory(layer: &RetryAfterBackoffLayer) -> (usize, Duration) {
        let table = layer.shared.cooldowns.table();
        (table.max_upstreams(), table.forget_after())
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let layer = RetryAfterBackoffLayer::new();

        let rules = Rules {
            ladder: Ladder::new(secs(60), secs(1800)),
            max_retry_after: secs(3600),
            trust_hints: false,
            jitter: 0.0,
            probe_lease: secs(30),
            reopen_width: 64,
        };
        assert_eq!(layer.shared.rules, rules);
        assert_eq!(memory(&layer), (65_536, secs(7200)));
        assert!(layer.shared.key.is_none() && layer.shared.classifier.is_none());
    }

    #[test]
    fn an_api_client_has_a_short_ladder_and_trusts_hints() {
        let api = RetryAfterBackoffLayer::for_api();

        let ladder = Ladder::new(secs(1), secs(60));
        assert_eq!(api.shared.rules, Rules { ladder, trust_hints: true, ..Rules::default() });
        assert_eq!(memory(&api), (65_536, secs(7200)));
    }

    #[test]
    fn the_memory_is_twice_the_longer_of_cap_and_ceiling() {
        let longest = |cap, ceiling| {
            let ladder = Ladder::new(secs(1), secs(cap));
            let layer =
                RetryAfterBackoffLayer::builder().ladder(ladder).max_retry_after(secs(ceiling));
            memory(&layer.build()).1
        };

        assert_eq!(longest(100, 50), secs(200));
        assert_eq!(longest(50, 100), secs(200));
        assert_eq!(longest(u64::MAX, 1), Duration::MAX);
        assert_eq!(Cooldowns::new().table().forget_after(), secs(7200));
    }

    #[test]
    fn a_table_that_is_joined_keeps_its_size_and_memory() {
        let shared = Cooldowns::builder().max_upstreams(7).forget_after(secs(9)).build();

        let layer = RetryAfterBackoffLayer::builder()
            .max_upstreams(1)
            .forget_after(secs(1))
            .cooldowns(shared)
            .build();

        assert_eq!(memory(&layer), (7, secs(9)));
    }
}
