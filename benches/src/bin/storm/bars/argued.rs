//! What the layer misses, and why that is in order.

use super::{Bar, Figure, Miss};

/// Bars that some forms of the layer may miss in some scenarios.
#[derive(Debug)]
pub(crate) struct Argued {
    pub(crate) scenarios: &'static [&'static str],
    pub(crate) strategies: &'static [&'static str],
    pub(crate) figure: Figure,
    /// How far from the bar they may be, as [`Miss::times`] says it; well beyond what a
    /// peer's own chance makes of it.
    pub(crate) at_most: f64,
    pub(crate) why: &'static str,
}

impl Argued {
    /// Returns whether it argues that miss, however far it is.
    pub(super) fn is_about(&self, miss: &Miss) -> bool {
        self.scenarios.contains(&miss.scenario)
            && self.strategies.contains(&miss.strategy)
            && self.figure == miss.figure
    }
}

/// The form whose calls stand in line.
const WAITING: &[&str] = &["ours, waiting"];

/// The forms that reject.
const REJECTING: &[&str] = &["ours, rejecting", "ours, quota signals"];

/// All forms.
const ALL: &[&str] = &["ours, rejecting", "ours, waiting", "ours, quota signals"];

/// All of them.
pub(crate) const ARGUED: &[Argued] = &[
    Argued {
        scenarios: &["window-too-long"],
        strategies: REJECTING,
        figure: Figure::Useful,
        at_most: 2.0,
        why: "the upstream says two minutes where it means one, and is taken at its word; \
              who gets every window asks forty times as often in vain",
    },
    Argued {
        scenarios: &["window-poller"],
        strategies: ALL,
        figure: Figure::Wasted,
        at_most: 2.1,
        why: "one refusal a window, and every answer there is; a loop whose ladder begins \
              with a minute sleeps far into the next window, and gets a quarter less",
    },
    Argued {
        scenarios: &["sliding-arrivals"],
        strategies: REJECTING,
        figure: Figure::Useful,
        at_most: 1.03,
        why: "a call that is rejected is lost here: a retrier, whose call comes again, gets a \
              fiftieth more for twenty-five times the refusals, and who never holds back less \
              than a hundredth more for five times as many; stack a retry, or wait",
    },
    Argued {
        scenarios: &["sliding-arrivals"],
        strategies: REJECTING,
        figure: Figure::Wasted,
        at_most: 3.5,
        why: "a breaker that stays away for longer than it was told is refused less, and \
              gets a seventh to a quarter less",
    },
    Argued {
        scenarios: &["bucket-arrivals"],
        strategies: REJECTING,
        figure: Figure::Useful,
        at_most: 1.001,
        why: "two answers of 7,219 at most: what the bucket holds when the hour ends in a \
              cooldown",
    },
    Argued {
        scenarios: &["outage"],
        strategies: REJECTING,
        figure: Figure::Useful,
        at_most: 1.003,
        why: "two of a thousand: who asks all through the outage, or sleeps as it was told \
              by itself, is there in full as it ends; here a few go first, and whoever is held \
              back comes a second later",
    },
    Argued {
        scenarios: &["outage-untold"],
        strategies: ALL,
        figure: Figure::Useful,
        at_most: 1.01,
        why: "eight of a thousand: nobody says when the outage ends, and a ladder is some \
              seconds late; who is there as it ends asks all through it, but for the original \
              fix: its first two rungs, of one minute and two, are just the outage's three",
    },
    Argued {
        scenarios: &["shared"],
        strategies: REJECTING,
        figure: Figure::Useful,
        at_most: 1.006,
        why: "four of a thousand: while a few go first, others take what is there",
    },
    Argued {
        scenarios: &["shared-arrivals"],
        strategies: ALL,
        figure: Figure::Useful,
        at_most: 1.55,
        why: "a quarter to a third: a token each half second, a hint of a whole one; while we \
              keep to it others take what is there, and who does not, the fixed pace too, takes \
              it from them",
    },
    Argued {
        scenarios: &["crawler", "crawler-untold"],
        strategies: WAITING,
        figure: Figure::Useful,
        at_most: 2.4,
        why: "a worker that waits for one host fetches nothing from the others: where there is \
              something else to do, reject",
    },
    Argued {
        scenarios: &["crawler-untold"],
        strategies: REJECTING,
        figure: Figure::Useful,
        at_most: 1.04,
        why: "a ladder that begins with a minute comes back later than a breaker that begins \
              with ten seconds: a thirtieth of the pages less, for a seventh of the refusals",
    },
    Argued {
        scenarios: &["bucket"],
        strategies: REJECTING,
        figure: Figure::Wasted,
        at_most: 2.7,
        why: "of the loops by themselves most sleep for minutes on end, and ten of 64 get all \
              there is (fairness 0.16): so few are seldom refused; here all get the same",
    },
    Argued {
        scenarios: &["bucket"],
        strategies: WAITING,
        figure: Figure::Wasted,
        at_most: 5.5,
        why: "the hint says when there is room for one, and behind each success one follows \
              from the line, to be refused; who rejects often has nobody to follow at once",
    },
    Argued {
        scenarios: &["bucket", "charged", "sliding"],
        strategies: WAITING,
        figure: Figure::Tenth,
        at_most: 2.0,
        why: "the same who follows each success; in a bucket it is less than an eighth of each \
              peer's, in a sliding window less than a fifth",
    },
    Argued {
        scenarios: &["charged"],
        strategies: WAITING,
        figure: Figure::Useful,
        at_most: 1.08,
        why: "the same, who fills the bucket up again a round trip after each success: it \
              takes 1.1 s to get what leaks out in one",
    },
    Argued {
        scenarios: &["charged", "bucket-arrivals", "shared-arrivals"],
        strategies: WAITING,
        figure: Figure::Wasted,
        at_most: 1.5,
        why: "the same; a loop or a breaker that stays away for longer than it was told \
              finds room for more than one, and so do quota signals where they are sent",
    },
    Argued {
        scenarios: &["sliding-arrivals"],
        strategies: WAITING,
        figure: Figure::Wasted,
        at_most: 14.0,
        why: "the same; a breaker that stays away for longer than it was told is refused a \
              fifth to an eighth as often, and gets a seventh to a quarter less",
    },
    Argued {
        scenarios: &["shared"],
        strategies: ALL,
        figure: Figure::Tenth,
        at_most: 1.6,
        why: "backon that reads Retry-After is refused once by caller and window, 64 times; \
              here it is those in flight when the window is used up, nine of them",
    },
    Argued {
        scenarios: &["window-quota"],
        strategies: &["ours, quota signals"],
        figure: Figure::Own(Bar::AtOnce),
        at_most: 21.0,
        why: "what is left of a quota is told in whole seconds, and taken at its word",
    },
];
