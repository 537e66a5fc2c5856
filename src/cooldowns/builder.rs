//! How a table of cooldowns is configured and made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::line::Lines;
use super::ready::Waiters;
use super::table::Table;
use super::{Cooldowns, Shared};
use crate::ambient;
use crate::observe::{Observer, Watch};

/// The default of [`CooldownsBuilder::max_upstreams`].
///
/// Tens of thousands of upstreams in trouble at once are more than a crawler
/// meets on a bad day, and take some 16 MiB.
const DEFAULT_MAX_UPSTREAMS: usize = 65_536;

/// The default of [`CooldownsBuilder::forget_after`]: twice the longest cooldown
/// that a layer with default settings starts, as client-go does for its limiters.
const DEFAULT_FORGET_AFTER: Duration = Duration::from_secs(2 * 3600);

/// Configures a table of cooldowns.
///
/// For a table that several layers share; one layer by itself makes its own.
///
/// ```
/// use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, Upstream};
///
/// let cooldowns = Cooldowns::builder().max_upstreams(1_000).build();
/// let polling = RetryAfterBackoffLayer::builder().cooldowns(cooldowns.clone()).build();
/// let calls = RetryAfterBackoffLayer::builder().cooldowns(cooldowns).trust_hints(true).build();
///
/// let upstream = Upstream::named("billing");
/// polling.cooldowns().cool(&upstream, std::time::Duration::from_secs(90));
/// assert!(calls.cooldowns().get(&upstream).is_some());
/// ```
#[derive(Clone)]
#[must_use = "a builder makes a table when `build` is called"]
pub struct CooldownsBuilder {
    max_upstreams: usize,
    forget_after: Duration,
    observer: Option<Arc<dyn Observer>>,
}

impl CooldownsBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_upstreams: DEFAULT_MAX_UPSTREAMS,
            forget_after: DEFAULT_FORGET_AFTER,
            observer: None,
        }
    }

    /// Sets how many upstreams are tracked at most; 65,536 by default, and at
    /// least one.
    ///
    /// Only upstreams in trouble count. When full, those longest out of their
    /// cooldown are forgotten first; when every one is still cooling, the one
    /// that ends soonest, and that is counted ([`Cooldowns::evicted`]).
    pub fn max_upstreams(self, max_upstreams: usize) -> Self {
        Self { max_upstreams, ..self }
    }

    /// Sets how long past the end of its last cooldown an episode is forgotten,
    /// whatever probes did since; two hours by default.
    ///
    /// Zero forgets every cooldown as it ends: then nothing is probed, and all
    /// callers come back at once.
    pub fn forget_after(self, forget_after: Duration) -> Self {
        Self { forget_after, ..self }
    }

    /// Sets who is told what happens in the table and to the calls of its layers;
    /// nobody by default. See [`observe`](crate::observe).
    pub fn observer(self, observer: impl Observer) -> Self {
        self.observed_by(Some(Arc::new(observer)))
    }

    pub(crate) fn observed_by(self, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { observer, ..self }
    }

    /// Makes the table.
    #[must_use]
    pub fn build(self) -> Cooldowns {
        let shared = Shared {
            table: Table::new(self.max_upstreams, self.forget_after),
            born: ambient::earlier(ambient::now(), self.forget_after),
            waiters: Waiters::new(),
            lines: Lines::new(),
            watch: Watch::new(self.observer),
            #[cfg(feature = "redis")]
            fleet: crate::fleet::Link::default(),
        };
        Cooldowns { shared: Arc::new(shared) }
    }
}

impl fmt::Debug for CooldownsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooldownsBuilder")
            .field("max_upstreams", &self.max_upstreams)
            .field("forget_after", &self.forget_after)
            .field("is_observed", &self.observer.is_some())
            .finish()
    }
}
