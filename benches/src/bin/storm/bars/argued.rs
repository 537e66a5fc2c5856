//! What the layer misses, and why that is in order.

use super::{Figure, Miss};

/// Bars that some forms of the layer may miss in some scenarios.
#[derive(Debug)]
pub(crate) struct Argued {
    pub(crate) scenarios: &'static [&'static str],
    pub(crate) strategies: &'static [&'static str],
    pub(crate) figure: Figure,
    pub(crate) why: &'static str,
}

impl Argued {
    /// Returns whether it argues that miss.
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
        why: "the upstream says two minutes where it means one, and is taken at its word; \
              who gets every window asks forty times as often in vain",
    },
    Argued {
        scenarios: &["sliding-arrivals"],
        strategies: REJECTING,
        figure: Figure::Useful,
        why: "a call that is rejected is lost here, and a retrier's comes again: it gets a \
              fiftieth more for a hundred times the refusals; stack a retry, or wait",
    },
    Argued {
        scenarios: &["shared-arrivals"],
        strategies: ALL,
        figure: Figure::Useful,
        why: "retriers that ask ten times as often take from the others what is theirs",
    },
    Argued {
        scenarios: &["crawler"],
        strategies: WAITING,
        figure: Figure::Useful,
        why: "a worker that waits for one host fetches nothing from the others: where there is \
              something else to do, reject",
    },
    Argued {
        scenarios: &["crawler-untold"],
        strategies: ALL,
        figure: Figure::Useful,
        why: "a ladder that begins with a minute comes back later than a breaker that begins \
              with ten seconds, by a thirtieth of the pages and a seventh of the refusals",
    },
    Argued {
        scenarios: &["bucket"],
        strategies: ALL,
        figure: Figure::Wasted,
        why: "of the loops by themselves most sleep for minutes on end, and ten of 64 get all \
              there is (fairness 0.16): so few are seldom refused; here all get the same",
    },
    Argued {
        scenarios: &["bucket", "charged", "sliding"],
        strategies: WAITING,
        figure: Figure::Tenth,
        why: "the hint says when there is room for one, and behind each success two follow from \
              the line, to be refused: still less than a fourth of each peer's",
    },
    Argued {
        scenarios: &["charged"],
        strategies: WAITING,
        figure: Figure::Useful,
        why: "as above: the two that follow are refused, and what they pour in leaks out again \
              in the round trip by which the next is late",
    },
    Argued {
        scenarios: &["charged"],
        strategies: WAITING,
        figure: Figure::Wasted,
        why: "as above; loops that sleep a minute find a bucket with room for sixty",
    },
    Argued {
        scenarios: &["bucket-arrivals", "shared-arrivals"],
        strategies: WAITING,
        figure: Figure::Wasted,
        why: "as above: a line has always somebody to follow; with quota signals, which these \
              upstreams send, it is a twentieth of that",
    },
    Argued {
        scenarios: &["shared"],
        strategies: ALL,
        figure: Figure::Tenth,
        why: "backon that reads Retry-After is refused once by caller and window, 64 times; \
              here it is those in flight when the window is used up, nine of them",
    },
];
