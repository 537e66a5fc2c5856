//! Who stands in a line, in what order, and who is told.
//!
//! Pure: no clock, no lock, and no code of others. Wakers come in and go out;
//! whoever holds no lock clones, drops and wakes them.
//!
//! *Who is first?* The lowest ticket among those that stand in line. Only the
//! first looks at the upstream; the others sleep until they are told, or until
//! their time is up.
//!
//! *Who stands aside?* Whose inner service is not ready when it could go: it
//! would keep the others for nothing. Its ticket stays its own, and when it
//! comes back it stands where it stood.
//!
//! *What of a first that does not come*, as nobody polls it: a stream that holds
//! a hundred calls while its consumer is busy, or a leaked future? The others
//! look after the line now and then. A first that is a second late is put aside,
//! and all others are called; a second later those who have not come follow it.
//! So any number of sleepers keeps the others waiting for about two seconds.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::window::{Held, Window};
use crate::ambient;

/// How late the first in line may be.
///
/// A woken task on a busy runtime comes within milliseconds; being passed over
/// costs it no more than that others go before it.
pub(crate) const LATE: Duration = Duration::from_secs(1);

/// How many tickets behind the first look after the line every second; so many
/// more, every two, and so on. Ten thousand then make about a thousand looks a
/// second, where nothing else wakes them.
const NEAR: u64 = 256;

/// How many seconds there are between two looks at most.
const SELDOM: u32 = 30;

/// A line, and the calls that it has let go.
#[derive(Debug)]
pub(super) struct Queue {
    issued: u64,
    /// How many tickets there are, those of nobody that stands here included.
    tickets: usize,
    waiting: BTreeMap<u64, Slot>,
    aside: BTreeMap<u64, Slot>,
    pub(super) window: Window,
    /// The end of the cooldown that those in line were last told of.
    gate: Option<Instant>,
    /// When the first is expected to come. While it is here that is now: it may
    /// panic or hang where it asks its inner service, and is then late as well.
    due: Option<Instant>,
    /// The others have been called, as the first was late.
    called: bool,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Slot {
    /// None once it was told.
    waker: Option<Waker>,
    deadline: Instant,
    /// It has not come since the others were called.
    missed: bool,
}

/// What one that waits finds when it comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Standing {
    pub(crate) is_first: bool,
    /// Others were told that its time is up before the cooldown ends.
    pub(crate) is_doomed: bool,
    /// When one that is not the first looks after the line.
    pub(crate) look_at: Instant,
}

/// Wakers on their way out of a lock.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
    /// To be dropped, no more.
    replaced: Option<Waker>,
}

impl Slot {
    pub(super) fn new(waker: Waker, deadline: Instant) -> Self {
        Self { waker: Some(waker), deadline, missed: false }
    }
}

impl Wakers {
    pub(super) fn wake(self) {
        let Self { first, others, replaced } = self;
        first.into_iter().chain(others).for_each(Waker::wake);
        drop(replaced);
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            issued: 0,
            tickets: 0,
            waiting: BTreeMap::new(),
            aside: BTreeMap::new(),
            window: Window::new(),
            gate: None,
            due: None,
            called: false,
        }
    }

    /// Gives a ticket out, and returns its number.
    pub(super) fn join(&mut self) -> u64 {
        self.tickets = self.tickets.saturating_add(1);
        self.issued = self.issued.saturating_add(1);
        self.issued
    }

    /// Returns whether nobody has a ticket and no call is out.
    pub(super) fn is_over(&self) -> bool {
        self.tickets == 0 && self.window.is_empty()
    }

    /// Returns whether nobody has a ticket, and more calls may be out than a
    /// Reopening upstream admits: it would be Clear.
    pub(super) fn is_idle(&self, reopen_width: u32) -> bool {
        self.tickets == 0 && self.window.is_wider_than(reopen_width)
    }

    /// One that waits has come, for the first time or again.
    pub(super) fn come(
        &mut self,
        ticket: u64,
        slot: Slot,
        now: Instant,
        wakers: &mut Wakers,
    ) -> Standing {
        let deadline = slot.deadline;
        let aside = self.aside.remove(&ticket);
        let before = self.waiting.insert(ticket, slot).or(aside);
        wakers.replaced = before.and_then(|slot| slot.waker);
        let is_first = self.is_first(ticket);
        if is_first {
            self.due = Some(now);
            self.called = false;
        } else {
            self.look_after(now, wakers);
        }
        let expected = self.due.unwrap_or(now).max(now);
        let patience = LATE.saturating_mul(self.looks_every(ticket));
        Standing {
            is_first,
            is_doomed: self.gate.is_some_and(|gate| gate > deadline),
            look_at: ambient::later(expected, patience),
        }
    }

    /// One that waits stands aside.
    pub(super) fn step_aside(
        &mut self,
        ticket: u64,
        slot: Slot,
        now: Instant,
        wakers: &mut Wakers,
    ) {
        let was_first = self.is_first(ticket);
        let waiting = self.waiting.remove(&ticket);
        let before = self.aside.insert(ticket, slot).or(waiting);
        wakers.replaced = before.and_then(|slot| slot.waker);
        if was_first {
            self.pass_on(now, wakers);
        }
    }

    /// Takes a ticket back.
    pub(super) fn leave(&mut self, ticket: u64, now: Instant, wakers: &mut Wakers) {
        let was_first = self.is_first(ticket);
        self.tickets = self.tickets.saturating_sub(1);
        let slot = self.waiting.remove(&ticket).or_else(|| self.aside.remove(&ticket));
        wakers.replaced = slot.and_then(|slot| slot.waker);
        if was_first {
            self.pass_on(now, wakers);
        }
    }

    /// Gives the first in line a place, where there is room.
    pub(super) fn let_go(&mut self, ticket: u64, lapses: Instant) -> Option<Held> {
        let may = self.is_first(ticket) && self.window.full_until().is_none();
        may.then(|| self.window.take(lapses))
    }

    /// Gives one that has just arrived a place, where nobody stands in line.
    pub(super) fn let_in(&mut self, lapses: Instant) -> Option<Held> {
        let may = self.waiting.is_empty() && self.window.full_until().is_none();
        may.then(|| self.window.take(lapses))
    }

    /// Takes in that the upstream is cooling until then; tells those whose time is
    /// up before.
    pub(super) fn cooling(&mut self, until: Instant, wakers: &mut Wakers) {
        if self.gate == Some(until) {
            return;
        }
        self.gate = Some(until);
        let all = self.waiting.values_mut().chain(self.aside.values_mut());
        let doomed = all.filter(|slot| slot.deadline < until);
        wakers.others.extend(doomed.filter_map(|slot| slot.waker.take()));
    }

    /// Takes in that the upstream is not cooling: the next cooldown is another, even
    /// if it ends when the last one would have.
    pub(super) fn not_cooling(&mut self) {
        self.gate = None;
    }

    /// Notes when the first will come again.
    pub(super) fn expect(&mut self, ticket: u64, at: Instant) {
        if self.is_first(ticket) {
            self.due = Some(at);
        }
    }

    /// Tells the first that something has changed; where all stand aside, the
    /// first of them.
    pub(super) fn tell(&mut self, now: Instant, wakers: &mut Wakers) {
        self.tell_first(now, wakers);
        if self.waiting.is_empty()
            && let Some(mut first) = self.aside.first_entry()
        {
            wakers.first = first.get_mut().waker.take();
        }
    }

    /// Returns how many seconds late the first must be for this one to look: for
    /// those in front one, for those far behind more.
    fn looks_every(&self, ticket: u64) -> u32 {
        let first = self.waiting.first_key_value().map_or(ticket, |(&first, _)| first);
        let behind = ticket.saturating_sub(first).checked_div(NEAR).unwrap_or_default();
        match u32::try_from(behind) {
            // When all are called, all come again.
            _ if self.called => 1,
            Ok(behind) => behind.saturating_add(1).min(SELDOM),
            Err(_) => SELDOM,
        }
    }

    fn is_first(&self, ticket: u64) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| *first == ticket)
    }

    /// Tells whoever is the first now.
    fn pass_on(&mut self, now: Instant, wakers: &mut Wakers) {
        self.due = None;
        self.tell_first(now, wakers);
    }

    fn tell_first(&mut self, now: Instant, wakers: &mut Wakers) {
        if let Some(mut first) = self.waiting.first_entry() {
            wakers.first = first.get_mut().waker.take();
            self.due = Some(self.due.map_or(now, |due| due.min(now)));
        }
    }

    /// Passes over a first that is late.
    fn look_after(&mut self, now: Instant, wakers: &mut Wakers) {
        let is_late = self.due.is_some_and(|due| now >= ambient::later(due, LATE));
        if !is_late {
            return;
        }
        if let Some((ticket, slot)) = self.waiting.pop_first() {
            self.aside.insert(ticket, slot);
        }
        if self.called {
            let all = std::mem::take(&mut self.waiting).into_iter();
            let (missed, here) = all.partition::<BTreeMap<_, _>, _>(|(_, slot)| slot.missed);
            self.waiting = here;
            self.aside.extend(missed);
        } else {
            for slot in self.waiting.values_mut() {
                slot.missed = true;
                wakers.others.extend(slot.waker.take());
            }
        }
        self.called = !self.called;
        self.pass_on(now, wakers);
    }
}
