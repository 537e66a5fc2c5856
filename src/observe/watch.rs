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
        Changes::kept(self.observer.is_some() || self.is_traced())
    }

    /// Returns whether somebody wants to hear of rejections.
    #[inline]
    pub(crate) fn hears_rejections(&self) -> bool {
        self.observer.is_some() || self.is_traced_finely()
    }

    #[cfg(feature = "tracing")]
    #[inline]
    fn is_traced(&self) -> bool {
        self.trace.is_on()
    }

    #[cfg(feature = "tracing")]
    #[inline]
    pub(crate) fn is_traced_finely(&self) -> bool {
        self.trace.is_fine()
    }

    #[cfg(not(feature = "tracing"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    fn is_traced(&self) -> bool {
        false
    }

    #[cfg(not(feature = "tracing"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(crate) fn is_traced_finely(&self) -> bool {
        false
    }

    /// Tells of an event; nobody may hold a lock.
    ///
    /// A panic ends here. Calls are also settled where they are dropped, and there
    /// it could end the process; and watching changes nothing.
    #[cold]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        let told = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "tracing")]
            self.trace.on(event);
            if let Some(observer) = &self.observer {
                observer.on(event);
            }
        }));
        if let Err(panic) = told {
            // Dropping it could panic again. The hook has shown it already.
            std::mem::forget(panic);
        }
    }
}
