//! What somebody knows who only hears what an observer is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tower_retry_after::observe::{Event, Observer, Transition};
use tower_retry_after::{Cooldowns, State, Upstream};

#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    admitted: usize,
    rejected: usize,
    last: HashMap<Upstream, Transition>,
    /// What did not go on from the one before. A panic would not leave an observer.
    odd: Option<Transition>,
}

impl Observer for Told {
    fn on(&self, event: &Event<'_>) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Admitted(_) => heard.admitted += 1,
            Event::Rejected(_) => heard.rejected += 1,
            Event::Transition(told) => {
                let before = heard.last.insert(told.upstream().clone(), (*told).clone());
                let state = before.as_ref().map_or(State::Clear, Transition::to);
                let is_later = before.is_none_or(|before| before.number() < told.number());
                if told.from() != state || !is_later {
                    heard.odd = Some((*told).clone());
                }
            }
            _ => {}
        }
    }
}

impl Told {
    /// Returns how many calls were admitted, and how many rejected.
    pub(super) fn counts(&self) -> (usize, usize) {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (heard.admitted, heard.rejected)
    }

    /// Compares what was told with what the table says. What is forgotten may not have
    /// been told of yet.
    pub(super) fn agree(&self, cooldowns: &Cooldowns, upstreams: &[Upstream]) {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(heard.odd.is_none(), "out of order: {:?}", heard.odd);
        for upstream in upstreams {
            if let Some(known) = cooldowns.get(upstream) {
                let last = heard.last.get(upstream).map(Transition::to);
                assert_eq!(last, Some(known.state()), "of {upstream}");
            }
        }
    }
}
