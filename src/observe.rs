//! Watching: who wants to know is told of each event as it happens.
//!
//! An observer is told of every change of an upstream's state, and of every call
//! that is admitted, rejected or refused. It belongs to a table
//! ([`CooldownsBuilder::observer`](crate::CooldownsBuilder::observer)), and hears
//! of all layers that share it. It only listens: nothing that it does changes
//! what happens to the call.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//! use tower_retry_after::observe::{self, Event};
//! use tower_retry_after::{RetryAfterBackoffLayer, Upstream};
//!
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let log = Arc::clone(&lines);
//! let layer = RetryAfterBackoffLayer::builder()
//!     .observer(observe::from_fn(move |event| {
//!         if let Event::Transition(transition) = event {
//!             log.lock().unwrap().push(transition.to_string());
//!         }
//!     }))
//!     .build();
//!
//! layer.cooldowns().cool(&Upstream::named("billing"), Duration::from_secs(90));
//! layer.cooldowns().clear(&Upstream::named("billing"));
//! assert_eq!(
//!     *lines.lock().unwrap(),
//!     ["billing: clear to cooling, cooled (90s)", "billing: cooling to clear, cleared"],
//! );
//! # }
//! ```
//!
//! # What an observer may do
//!
//! It is called on the task that makes the call, outside all locks: it may look
//! at the table, cool and clear (and is then told of that as well), but what it
//! takes its time over, the call waits for. If it panics, the panic ends there;
//! the call, the table and other observers go on. An observer that owns a handle on its own table
//! keeps both alive for ever.
//!
//! # In which order
//!
//! Each change of a state is told once. Two threads that change one upstream
//! right after each other may tell it in either order: the
//! [numbers](Transition::number) say which came first, and each change of an
//! upstream begins with the state in which the one before ended. Time by itself
//! tells nothing: an upstream that is forgotten is Clear at once, but that is
//! told when next somebody looks for such, which is with some call or other.
//!
//! # Without an observer
//!
//! With the feature `tracing` every change is an event of the target
//! `tower_retry_after`, without a line of code: at `info` where a cooldown begins
//! and where an upstream is Clear, at `debug` in between, as well as where calls
//! that were redirected to an upstream are refused meanwhile, and where a full table
//! forgets. Each rejection is at `trace`, and a warning comes as the evictions reach
//! 1, 2, 4, 8 and so on. With the feature `metrics`, `Metrics` is an observer that
//! counts.

mod event;
#[cfg(feature = "metrics")]
mod metrics;
mod shadow;
#[cfg(feature = "tracing")]
mod trace;
mod transition;
mod watch;

use std::fmt;
use std::sync::Arc;

pub use self::event::{Admitted, Event, Refused};
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use self::metrics::Metrics;
pub(crate) use self::shadow::Shadow;
pub use self::shadow::{ShadowOutcome, ShadowReport, Shadowed};
pub use self::transition::Transition;
pub(crate) use self::watch::Watch;
pub use crate::cooldowns::Trigger;

/// Is told what happens.
///
/// Several are one: a pair, a `Vec`. An `Arc` of one is one, so that you can keep
/// the other.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
/// use tower_retry_after::observe::{Event, Observer};
/// use tower_retry_after::{Cooldowns, State, Upstream};
///
/// /// How many cooldowns there were.
/// #[derive(Default)]
/// struct Begun(AtomicU64);
///
/// impl Observer for Begun {
///     fn on(&self, event: &Event<'_>) {
///         match event {
///             Event::Transition(transition) if transition.to() == State::Cooling => {
///                 self.0.fetch_add(1, Ordering::Relaxed);
///             }
///             _ => {}
///         }
///     }
/// }
///
/// let begun = Arc::new(Begun::default());
/// let cooldowns = Cooldowns::builder().observer(Arc::clone(&begun)).build();
/// cooldowns.cool(&Upstream::named("billing"), Duration::from_secs(90));
/// assert_eq!(begun.0.load(Ordering::Relaxed), 1);
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an event. See [`observe`](self) for when and how it is called.
    fn on(&self, event: &Event<'_>);
}

/// Makes an observer of a function.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tower_retry_after::Cooldowns;
/// use tower_retry_after::observe::{self, Event};
///
/// let rejected = Arc::new(AtomicU64::new(0));
/// let counter = Arc::clone(&rejected);
/// let cooldowns = Cooldowns::builder()
///     .observer(observe::from_fn(move |event| {
///         if matches!(event, Event::Rejected(_)) {
///             counter.fetch_add(1, Ordering::Relaxed);
///         }
///     }))
///     .build();
/// # let _ = (cooldowns, rejected);
/// ```
pub fn from_fn<F>(function: F) -> FromFn<F>
where
    F: Fn(&Event<'_>) + Send + Sync + 'static,
{
    FromFn { function }
}

/// An observer made of a function, by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    function: F,
}

impl<F> Observer for FromFn<F>
where
    F: Fn(&Event<'_>) + Send + Sync + 'static,
{
    fn on(&self, event: &Event<'_>) {
        (self.function)(event);
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on(&self, event: &Event<'_>) {
        watch::shielded(|| self.0.on(event));
        watch::shielded(|| self.1.on(event));
    }
}

impl<O: Observer> Observer for Vec<O> {
    fn on(&self, event: &Event<'_>) {
        for observer in self {
            watch::shielded(|| observer.on(event));
        }
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn on(&self, event: &Event<'_>) {
        (**self).on(event);
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn on(&self, event: &Event<'_>) {
        (**self).on(event);
    }
}
