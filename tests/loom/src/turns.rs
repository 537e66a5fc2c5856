//! What those who wait for a chance take from tokio, made of loom's locks: it
//! promises what tokio documents, and no more.
//!
//! *What is promised?* Whoever has enabled its wait for a notice gets the next
//! one. Whoever asks for a permit gets it in turn. What is written before a notice,
//! or before a permit is given back, is seen by whoever gets it.
//!
//! *What is not?* That time passes: no timeout comes to the aid of whoever was not
//! told.

use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::sync::{Mutex, MutexGuard};

/// Tells all who wait at that moment.
#[derive(Debug)]
pub(crate) struct Notify {
    notices: Mutex<Notices>,
}

#[derive(Debug, Default)]
struct Notices {
    number: u64,
    wakers: Vec<Waker>,
}

/// The wait for a notice.
#[derive(Debug)]
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    /// The number of the last notice, since it was enabled.
    since: Option<u64>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self { notices: Mutex::new(Notices::default()) }
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, since: None }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut notices = self.notices();
        notices.number = notices.number.saturating_add(1);
        let wakers = std::mem::take(&mut notices.wakers);
        drop(notices);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn notices(&self) -> MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notified<'_> {
    pub(crate) fn enable(mut self: Pin<&mut Self>) {
        let number = self.notify.notices().number;
        self.since.get_or_insert(number);
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.as_mut().enable();
        let mut notices = self.notify.notices();
        if self.since.is_some_and(|since| since < notices.number) {
            return Poll::Ready(());
        }
        notices.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

/// Gives permits out, first come, first served.
#[derive(Debug)]
pub(crate) struct Semaphore {
    turns: Mutex<Turns>,
}

#[derive(Debug)]
struct Turns {
    permits: usize,
    issued: u64,
    waiting: Vec<(u64, Waker)>,
}

#[derive(Debug)]
pub(crate) struct Acquire<'a> {
    semaphore: &'a Semaphore,
    ticket: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Semaphore);

impl Semaphore {
    pub(crate) fn new(permits: usize) -> Self {
        Self { turns: Mutex::new(Turns { permits, issued: 0, waiting: Vec::new() }) }
    }

    pub(crate) fn acquire(&self) -> Acquire<'_> {
        Acquire { semaphore: self, ticket: None }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the first, if there is a permit.
    fn pass_on(turns: MutexGuard<'_, Turns>) {
        let first = turns.waiting.first().filter(|_| turns.permits > 0);
        let waker = first.map(|(_, waker)| waker.clone());
        drop(turns);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<'a> Future for Acquire<'a> {
    // Never an error, as it is never closed.
    type Output = Result<Turn<'a>, ()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let semaphore = self.semaphore;
        let mut turns = semaphore.turns();
        let ticket = *self.ticket.get_or_insert_with(|| {
            turns.issued = turns.issued.saturating_add(1);
            turns.issued
        });
        let is_first = turns.waiting.first().is_none_or(|(first, _)| *first == ticket);
        if is_first && turns.permits > 0 {
            turns.permits = turns.permits.saturating_sub(1);
            turns.waiting.retain(|(waiting, _)| *waiting != ticket);
            self.ticket = None;
            return Poll::Ready(Ok(Turn(semaphore)));
        }
        match turns.waiting.iter_mut().find(|(waiting, _)| *waiting == ticket) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => turns.waiting.push((ticket, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut turns = self.semaphore.turns();
            turns.waiting.retain(|(waiting, _)| *waiting != ticket);
            Semaphore::pass_on(turns);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.0.turns();
        turns.permits = turns.permits.saturating_add(1);
        Semaphore::pass_on(turns);
    }
}

/// Waits without an end in time.
pub(crate) async fn timeout_at<T>(_: Instant, future: impl Future<Output = T>) -> Result<T, ()> {
    Ok(future.await)
}
