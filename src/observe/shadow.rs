//! Shadow mode: what would have been rejected, and what became of it.
//!
//! Counts alone: who sends such a call and notes how it ends stands in `permit.rs`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Reason;
use crate::upstream::Upstream;

/// What a layer in shadow mode has counted.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    cooling: AtomicU64,
    probing: AtomicU64,
    reopening: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    neutral: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Shadow {
    pub(crate) fn would_reject(&self, reason: Reason) {
        let counter = match reason {
            Reason::Cooling | Reason::Refused => &self.cooling,
            Reason::Probing => &self.probing,
            Reason::Reopening => &self.reopening,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, outcome: ShadowOutcome) {
        let counter = match outcome {
            ShadowOutcome::Answered => &self.answered,
            ShadowOutcome::Refused => &self.refused,
            ShadowOutcome::Neutral => &self.neutral,
            ShadowOutcome::Failed => &self.failed,
            ShadowOutcome::Dropped => &self.dropped,
        };
        // Whoever sees that a call has ended also sees that it was sent.
        counter.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn report(&self) -> ShadowReport {
        let ended = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let sent = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowReport {
            answered: ended(&self.answered),
            refused: ended(&self.refused),
            neutral: ended(&self.neutral),
            failed: ended(&self.failed),
            dropped: ended(&self.dropped),
            // Read last, so that no more calls have ended than were sent.
            cooling: sent(&self.cooling),
            probing: sent(&self.probing),
            reopening: sent(&self.reopening),
        }
    }
}

/// What a layer in shadow mode would have rejected, and what became of it; by
/// [`RetryAfterBackoffLayer::shadowed`](crate::RetryAfterBackoffLayer::shadowed).
///
/// [`refused`](Self::refused) is what rejecting would have spared the upstream,
/// [`answered`](Self::answered) what it would have cost you. Shown, it is a line
/// for a log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ShadowReport {
    cooling: u64,
    probing: u64,
    reopening: u64,
    answered: u64,
    refused: u64,
    neutral: u64,
    failed: u64,
    dropped: u64,
}

impl ShadowReport {
    /// Returns how many calls would have been rejected.
    pub fn would_reject(&self) -> u64 {
        self.cooling.saturating_add(self.probing).saturating_add(self.reopening)
    }

    /// Returns how many of them for this reason; a call that was sent and refused
    /// was not rejected.
    pub fn would_reject_for(&self, reason: Reason) -> u64 {
        match reason {
            Reason::Cooling => self.cooling,
            Reason::Probing => self.probing,
            Reason::Reopening => self.reopening,
            Reason::Refused => 0,
        }
    }

    /// Returns how many of them were answered well.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns how many of them were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns how many of them were answered, and nothing was said about limits.
    pub fn neutral(&self) -> u64 {
        self.neutral
    }

    /// Returns how many of them failed without a response.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns how many of them were dropped before they were answered.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns how many of them are still out.
    pub fn pending(&self) -> u64 {
        [self.answered, self.refused, self.neutral, self.failed, self.dropped]
            .into_iter()
            .fold(self.would_reject(), u64::saturating_sub)
    }
}

impl fmt::Display for ShadowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, refused, neutral, failed, dropped, .. } = self;
        write!(f, "{} calls would have been rejected: ", self.would_reject())?;
        write!(f, "{answered} were answered, {refused} refused, {neutral} neutral, ")?;
        write!(f, "{failed} failed, {dropped} dropped, {} pending", self.pending())
    }
}

/// How a call ended that would have been rejected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ShadowOutcome {
    /// The upstream answered well: rejecting would have cost an answer.
    Answered,
    /// The upstream refused: rejecting would have spared it the call.
    Refused,
    /// The upstream answered, and nothing was said about limits.
    Neutral,
    /// It failed without a response.
    Failed,
    /// It was dropped before it was answered.
    Dropped,
}

impl ShadowOutcome {
    /// The word for it, in labels.
    #[cfg(feature = "metrics")]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Neutral => "neutral",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// A call has ended that would have been rejected.
#[derive(Clone, Debug)]
pub struct Shadowed {
    pub(crate) upstream: Upstream,
    pub(crate) outcome: ShadowOutcome,
}

impl Shadowed {
    /// Returns where it was sent.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Returns how it ended.
    pub fn outcome(&self) -> ShadowOutcome {
        self.outcome
    }
}
