//! What has been seen of one upstream, and which of it is worth a line.
//!
//! Pure: it is told what became of each poll and what the layer knows; it
//! counts, and answers with events.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tower_retry_after::{CooldownInfo, RateLimited, Reason, State, Upstream};

use crate::event::Event;

/// What became of a poll.
pub(crate) enum Outcome {
    /// It was sent and answered.
    Answered(StatusCode),
    /// It was sent and refused.
    Refused(RateLimited),
    /// It was not sent.
    RejectedEarly(RateLimited),
    /// No answer came, and why.
    Failed(String),
}

impl Outcome {
    /// Returns the start of a refusal's body.
    pub(crate) fn said(&self) -> Option<&str> {
        match self {
            Self::Refused(limited) => limited.said(),
            Self::Answered(_) | Self::RejectedEarly(_) | Self::Failed(_) => None,
        }
    }
}

/// Counts of polls.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) polls: u64,
    pub(crate) ok: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) rejected_early: u64,
}

impl Tally {
    pub(crate) fn sent(&self) -> u64 {
        self.polls.saturating_sub(self.rejected_early)
    }

    /// Returns how many were still out when the counting ended.
    pub(crate) fn unanswered(&self) -> u64 {
        let ended = self.ok.saturating_add(self.refused).saturating_add(self.failed);
        self.sent().saturating_sub(ended)
    }
}

/// One upstream, as seen from here.
pub(crate) struct Watch {
    pub(crate) upstream: Upstream,
    pub(crate) tally: Tally,
    health: Health,
    seen: Seen,
    /// Polls rejected early that no line has told of.
    untold: u64,
    /// This cooldown's first early rejection has had its line.
    told_first: bool,
}

#[derive(Eq, PartialEq)]
enum Health {
    Unknown,
    Answers,
    Fails(String),
}

/// The state when we last looked.
#[derive(Clone, Copy)]
struct Seen {
    /// None while Clear.
    state: Option<State>,
    rung: u32,
    /// None once that time is over.
    until: Option<Instant>,
}

/// By how much a cooldown has to grow to be worth a line.
const GROWTH: Duration = Duration::from_millis(500);

impl Seen {
    /// Returns whether `now` shows nothing new.
    fn is_about(&self, now: &Self) -> bool {
        if self.state != now.state || self.rung != now.rung {
            return false;
        }
        match (self.state, self.until, now.until) {
            (Some(State::Cooling), Some(before), Some(now)) => {
                now.saturating_duration_since(before) < GROWTH
            }
            _ => true,
        }
    }
}

impl Watch {
    pub(crate) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            tally: Tally::default(),
            health: Health::Unknown,
            seen: Seen { state: None, rung: 0, until: None },
            untold: 0,
            told_first: false,
        }
    }

    /// A poll begins.
    pub(crate) fn started(&mut self) {
        count(&mut self.tally.polls);
    }

    /// A poll has ended.
    pub(crate) fn ended(&mut self, outcome: &Outcome) -> Option<Event> {
        match outcome {
            Outcome::Answered(status) if status.is_client_error() || status.is_server_error() => {
                self.failed(format!("HTTP {}", status.as_u16()))
            }
            Outcome::Answered(status) => {
                count(&mut self.tally.ok);
                self.turned(Health::Answers, Event::Ok { status: *status })
            }
            // The cooldown that follows has a line of its own.
            Outcome::Refused(_) => {
                count(&mut self.tally.refused);
                None
            }
            Outcome::RejectedEarly(limited) => {
                count(&mut self.tally.rejected_early);
                count(&mut self.untold);
                if self.told_first || limited.reason() != Reason::Cooling {
                    return None;
                }
                self.told_first = true;
                Some(Event::RejectedEarly { left: limited.retry_after() })
            }
            Outcome::Failed(error) => self.failed(error.clone()),
        }
    }

    fn failed(&mut self, error: String) -> Option<Event> {
        count(&mut self.tally.failed);
        self.turned(Health::Fails(error.clone()), Event::Failed { error })
    }

    /// Says something only if it is something new.
    fn turned(&mut self, health: Health, event: Event) -> Option<Event> {
        let before = std::mem::replace(&mut self.health, health);
        (before != self.health).then_some(event)
    }

    /// The layer knows this about the upstream now; `said` is the start of a
    /// refusal's body.
    pub(crate) fn look(
        &mut self,
        info: Option<&CooldownInfo>,
        said: Option<&str>,
    ) -> Option<Event> {
        let now = Seen {
            state: info.map(CooldownInfo::state),
            rung: info.map_or(0, CooldownInfo::consecutive_failures),
            until: info.filter(|info| !info.retry_after().is_zero()).map(CooldownInfo::until),
        };
        if self.seen.is_about(&now) {
            return None;
        }
        let before = std::mem::replace(&mut self.seen, now);
        let Some(info) = info else {
            return Some(Event::Clear { rejected: std::mem::take(&mut self.untold) });
        };
        let was_probing = before.state == Some(State::Probing);
        match info.state() {
            State::Cooling if was_probing && before.rung == now.rung => {
                Some(Event::ProbeLost { wait: info.retry_after() })
            }
            State::Cooling if before.state == Some(State::Cooling) && before.rung == now.rung => {
                Some(Event::Prolonged { wait: info.retry_after() })
            }
            State::Cooling => {
                self.told_first = false;
                Some(Event::Refused {
                    status: info.status(),
                    hint: info.hint(),
                    wait: info.retry_after(),
                    rung: now.rung,
                    said: said.map(str::to_owned),
                })
            }
            State::Probing => Some(Event::Probe { rejected: std::mem::take(&mut self.untold) }),
            State::Reopening => Some(Event::Reopening),
            _ => None,
        }
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
