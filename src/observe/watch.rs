//! Who is told, and how: the observer and, where its feature is on, `tracing`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Event, Observer};
use crate::cooldowns::Changes;

/// Who watches a table.
pub(crate) struct Watch {
    observer: Option<Arc<dyn Observer>>,
    #[cfg(feature = "tracing")]
    trace: super::trace::Trace,
}

impl Watch {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            observer,
            #[cfg(feature = "tracing")]
            trace: super::trace::Trace::default(),
        }
    }

    /// Returns whether somebody wants to hear of every call.
    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Returns what keeps the changes of a step, if somebody is to be told.
    #[inline]
    pub(crate) fn changes(&self) -> Changes {
        Changes::kept(self.observer.is_some() || Self::is_traced())
    }

    /// Returns whether somebody wants to hear of rejections.
    #[inline]
    pub(crate) fn hears_rejections(&self) -> bool {
        self.observer.is_some() || Self::is_traced_finely()
    }

    /// Returns whether a subscriber of `tracing` listens at all.
    #[inline]
    fn is_traced() -> bool {
        #[cfg(feature = "tracing")]
        return super::trace::is_on();
        #[cfg(not(feature = "tracing"))]
        false
    }

    /// Returns whether one listens to every rejection.
    #[inline]
    pub(crate) fn is_traced_finely() -> bool {
        #[cfg(feature = "tracing")]
        return super::trace::is_fine();
        #[cfg(not(feature = "tracing"))]
        false
    }

    /// Tells of an event; nobody may hold a lock.
    ///
    /// A panic ends here. Calls are also settled where they are dropped, and there
    /// it could end the process; and watching changes nothing.
    #[cold]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        #[cfg(feature = "tracing")]
        shielded(|| self.trace.on(event));
        if let Some(observer) = &self.observer {
            shielded(|| observer.on(event));
        }
    }
}

/// Tells one of several: if it panics, the others are told all the same.
pub(super) fn shielded(tell: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(tell)) else {
        return;
    };
    // The hook has shown it already. If dropping it panics as well, that is kept
    // for ever: it could go on like this.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
