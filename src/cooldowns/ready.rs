//! Who waits for an upstream: one queue each, first come first served.
//!
//! Waiting reserves nothing and writes nothing into the table. A queue exists as
//! long as somebody stands in it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Cooldowns;
use crate::ambient;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Notify, Ordering, Semaphore, timeout_at};
use crate::upstream::Upstream;

/// How long the next waiter stands back for the one that was woken before it.
///
/// Enough for a woken task to send its call; a task that does not call at all
/// delays the others by no more than this.
const TURN: Duration = Duration::from_secs(1);

/// The queues of all upstreams.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// How many queues there are, so that changes cost nothing while nobody waits.
    count: AtomicUsize,
    queues: Mutex<Queues>,
}

type Queues = HashMap<Upstream, Standing>;

/// A queue and how many stand in it.
#[derive(Debug)]
struct Standing {
    queue: Arc<Queue>,
    tickets: usize,
}

#[derive(Debug)]
struct Queue {
    /// Held by the first in the queue; the semaphore is fair.
    turn: Semaphore,
    /// Told of every change to the upstream.
    changed: Notify,
    woken: Mutex<Woken>,
}

/// Who was woken last, and whether anything has come of it.
#[derive(Debug)]
struct Woken {
    at: Option<Instant>,
    changed_since: bool,
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Self { count: AtomicUsize::new(0), queues: Mutex::new(Queues::new()) }
    }

    /// Tells the upstream's waiters that its state may have changed.
    #[inline]
    pub(crate) fn changed(&self, upstream: &Upstream) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.tell(upstream);
        }
    }

    #[cold]
    fn tell(&self, upstream: &Upstream) {
        let queue = self.queues().get(upstream).map(|standing| Arc::clone(&standing.queue));
        if let Some(queue) = queue {
            queue.tell();
        }
    }

    /// Tells all waiters that their upstream may have changed.
    pub(crate) fn all_changed(&self) {
        let queues: Vec<Arc<Queue>> =
            self.queues().values().map(|standing| Arc::clone(&standing.queue)).collect();
        for queue in queues {
            queue.tell();
        }
    }

    pub(crate) async fn wait(&self, cooldowns: &Cooldowns, upstream: &Upstream) {
        if cooldowns.get(upstream).is_none() {
            return;
        }
        let ticket = self.join(upstream);
        // The semaphore is never closed.
        let Ok(_turn) = ticket.queue.turn.acquire().await else {
            return;
        };
        loop {
            let mut changed = pin!(ticket.queue.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let Some(deadline) = ticket.queue.stand_back(cooldowns, upstream) else {
                return;
            };
            // Either way: look again.
            let _ = timeout_at(deadline, changed).await;
        }
    }

    fn join(&self, upstream: &Upstream) -> Ticket<'_> {
        let mut queues = self.queues();
        let standing = queues
            .entry(upstream.clone())
            .or_insert_with(|| Standing { queue: Arc::new(Queue::new()), tickets: 0 });
        standing.tickets = standing.tickets.saturating_add(1);
        let queue = Arc::clone(&standing.queue);
        self.count.store(queues.len(), Ordering::Release);
        Ticket { waiters: self, upstream: upstream.clone(), queue }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            changed: Notify::new(),
            woken: Mutex::new(Woken { at: None, changed_since: false }),
        }
    }

    fn tell(&self) {
        self.woken().changed_since = true;
        self.changed.notify_waiters();
    }

    /// Returns how long the first in the queue has to stand back; nothing if it
    /// may go.
    fn stand_back(&self, cooldowns: &Cooldowns, upstream: &Upstream) -> Option<Instant> {
        let now = ambient::now();
        let outlook = cooldowns.outlook(upstream);
        let mut woken = self.woken();
        let deadline = match outlook {
            Outlook::Clear => None,
            Outlook::Held { until } => Some(until),
            Outlook::Full => now.checked_add(TURN),
            Outlook::Room => match woken.at.and_then(|at| at.checked_add(TURN)) {
                Some(turn_ends) if !woken.changed_since && now < turn_ends => Some(turn_ends),
                _ => None,
            },
        };
        if deadline.is_none() {
            *woken = Woken { at: Some(now), changed_since: false };
        }
        deadline
    }

    fn woken(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call to an upstream would meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outlook {
    /// It would be sent, and so would any other.
    Clear,
    /// It would be sent, for now.
    Room,
    /// It would be rejected until others are answered.
    Full,
    /// It would be rejected until then, unless something changes.
    Held { until: Instant },
}

/// A place in a queue; the last to leave removes it.
struct Ticket<'a> {
    waiters: &'a Waiters,
    upstream: Upstream,
    queue: Arc<Queue>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut queues = self.waiters.queues();
        let Some(standing) = queues.get_mut(&self.upstream) else {
            return;
        };
        standing.tickets = standing.tickets.saturating_sub(1);
        if standing.tickets == 0 {
            queues.remove(&self.upstream);
            self.waiters.count.store(queues.len(), Ordering::Release);
        }
    }
}
