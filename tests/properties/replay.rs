//! What somebody knows who only hears the transitions.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tower_retry_after::observe::{Event, Observer, Transition};
use tower_retry_after::{CooldownInfo, State, Upstream};

use crate::world::now;

#[derive(Clone, Debug, Default)]
pub(crate) struct Replay(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    /// The last of each upstream, and when.
    last: Vec<(Transition, Instant)>,
    /// What did not go on from the one before. A panic would not leave an observer.
    odd: Vec<Transition>,
}

impl Observer for Replay {
    fn on(&self, event: &Event<'_>) {
        let Event::Transition(told) = event else {
            return;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.last.iter().position(|(last, _)| last.upstream() == told.upstream());
        let before = place.map(|place| all.last.remove(place).0);
        let state = before.as_ref().map_or(State::Clear, Transition::to);
        let goes_on =
            told.from() == state && before.is_none_or(|before| before.number() < told.number());
        if !goes_on {
            all.odd.push((*told).clone());
        }
        all.last.push(((*told).clone(), now()));
    }
}

impl Replay {
    /// Compares what was told of an upstream with what the table says. An upstream
    /// that is forgotten may not have been told of yet.
    pub(crate) fn agree(&self, upstream: &Upstream, known: Option<&CooldownInfo>) {
        let all = self.0.lock().unwrap();
        assert!(all.odd.is_empty(), "out of order: {:?}", all.odd);
        let last = all.last.iter().find(|(last, _)| last.upstream() == upstream);
        let Some((last, at)) = last.filter(|(last, _)| last.to() != State::Clear) else {
            assert!(known.is_none(), "nothing was told of {known:?}");
            return;
        };
        let is_news = *at == now();
        let Some(known) = known else {
            let over = last.until().filter(|_| last.to() == State::Cooling);
            assert!(over.is_none_or(|over| now() >= over), "forgotten while it cools: {last}");
            return;
        };
        let heard = (last.to(), last.consecutive_failures());
        assert_eq!(heard, (known.state(), known.consecutive_failures()), "told is {last}");
        if is_news && known.state() != State::Cooling {
            let until = (known.state() == State::Probing).then_some(known.until());
            assert_eq!((last.until(), last.wait()), (until, until.map(|until| until - now())));
            assert_eq!((last.hint(), last.status()), (known.hint(), known.status()), "{last}");
        }
        // A late refusal may have prolonged a cooldown since.
        let until = last.until().unwrap_or(known.until());
        assert!(known.until() >= until, "{last}, but {known:?}");
    }
}
