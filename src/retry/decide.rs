//! Whether a call is sent again: the whole decision, on a page.
//!
//! Pure: it is told the facts, reads no clock and waits for nothing. Whether the
//! budget grants what is withdrawn is asked afterwards.

use tokio::time::Instant;

/// The facts of a case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) outcome: Outcome,
    pub(super) is_idempotent: bool,
    /// The attempts that were sent, this one included.
    pub(super) sent: u32,
    pub(super) attempts: u32,
    /// Before then the next attempt has no chance; none: never.
    pub(super) earliest: Option<Instant>,
    /// Nobody wants an answer after that.
    pub(super) deadline: Option<Instant>,
}

/// How an attempt ended that may be followed by another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It was not sent.
    HeldBack,
    /// It was sent, and refused.
    Refused(Again),
}

/// Which calls a refusal allows to be sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Again {
    /// All: the upstream has not begun with the call.
    Any,
    /// Those that may be carried out twice: this one may have been begun.
    Idempotent,
    /// None: the upstream said so.
    Never,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// The caller gets the answer that is there.
    GiveUp,
    /// Another attempt follows, not before then.
    Again { at: Instant, withdraws: bool },
}

pub(super) fn decide(case: &Case) -> Decision {
    let withdraws = match case.outcome {
        Outcome::HeldBack => false,
        Outcome::Refused(Again::Never) => return Decision::GiveUp,
        Outcome::Refused(Again::Idempotent) if !case.is_idempotent => return Decision::GiveUp,
        Outcome::Refused(Again::Any | Again::Idempotent) if case.sent >= case.attempts => {
            return Decision::GiveUp;
        }
        Outcome::Refused(Again::Any | Again::Idempotent) => true,
    };
    match (case.earliest, case.deadline) {
        (None, _) => Decision::GiveUp,
        // At the deadline itself there is no time left for an answer.
        (Some(at), Some(deadline)) if at >= deadline => Decision::GiveUp,
        (Some(at), _) => Decision::Again { at, withdraws },
    }
}

#[cfg(test)]
mod tests;
