//! What changes the state of an upstream, by its name.

use std::fmt;

use crate::cooldown::{Effect, Ending, Event, Word};

/// What brought a change about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Trigger {
    /// The upstream refused, and that counted.
    Refused,
    /// The upstream answered, and its quota was used up.
    Exhausted,
    /// Somebody cooled it by hand.
    Cooled,
    /// Somebody cleared it by hand.
    Cleared,
    /// It was remembered from a snapshot.
    Restored,
    /// Another process of the fleet brought it about.
    Heard,
    /// The cooldown had run out, and a call was sent to see. In a fleet: it had run
    /// out here, and a call of some process is sent.
    ProbeSent,
    /// A call was answered well: the probe's, or one while reopening.
    Succeeded,
    /// The probe was answered, and nothing was said about limits; or it failed.
    Neutral,
    /// The probe was dropped.
    Dropped,
    /// Its time had come: nobody had refused for long.
    Forgotten,
    /// The table was full, and it was longest out of its cooldown.
    Displaced,
    /// The table was full, and it had to go while still cooling.
    Evicted,
}

impl Trigger {
    /// Returns what an event brought about, that had this effect.
    pub(super) fn of(event: &Event, effect: Effect) -> Self {
        match event {
            // Whoever asks the fleet is about to send a probe, or hears that another does.
            Event::Asked
            | Event::Fleet(
                Word::Wanted(_) | Word::Given | Word::Room(_) | Word::Yielded(_) | Word::Overdue,
            ) => Self::ProbeSent,
            Event::Settled(_, Ending::Refused { .. }) => Self::Refused,
            // Where no wait follows it is a success like any other.
            Event::Settled(_, Ending::Exhausted { .. }) if effect == Effect::Outdate => {
                Self::Exhausted
            }
            Event::Settled(_, Ending::Succeeded | Ending::Exhausted { .. }) => Self::Succeeded,
            Event::Settled(_, Ending::Neutral) => Self::Neutral,
            Event::Settled(_, Ending::Dropped) => Self::Dropped,
            Event::Cooled(_) => Self::Cooled,
            Event::Restored(_) => Self::Restored,
            Event::Fleet(Word::Heard(_)) => Self::Heard,
        }
    }

    /// The word for it, in logs and labels.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Exhausted => "exhausted",
            Self::Cooled => "cooled",
            Self::Cleared => "cleared",
            Self::Restored => "restored",
            Self::Heard => "heard",
            Self::ProbeSent => "probe sent",
            Self::Succeeded => "succeeded",
            Self::Neutral => "neutral",
            Self::Dropped => "dropped",
            Self::Forgotten => "forgotten",
            Self::Displaced => "displaced",
            Self::Evicted => "evicted",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
