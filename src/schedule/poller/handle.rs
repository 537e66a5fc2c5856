//! What other tasks may ask of a poller, and see of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::sync::watch;

use super::super::state::SyncState;
use super::super::wall::{Reading, WallClock};

const TRIGGERED: u8 = 1;
const PAUSED: u8 = 1 << 1;
const SHUT_DOWN: u8 = 1 << 2;

/// What other tasks wish, and how the poller hears of it.
#[derive(Debug, Default)]
struct Wishes {
    bits: AtomicU8,
    waker: AtomicWaker,
}

/// A state, and when it was so.
#[derive(Clone, Debug)]
struct Shown {
    state: SyncState,
    since: Reading,
}

impl Shown {
    /// Returns the state with its deadlines as far away as they are, though the
    /// wall clock may have been stepped since.
    fn state(mut self, clock: &WallClock) -> SyncState {
        let step = clock.read().step_since(&self.since);
        self.state.shift(step);
        self.state
    }
}

/// The poller's end.
pub(super) struct Remote {
    wishes: Arc<Wishes>,
    shown: watch::Sender<Shown>,
}

impl Remote {
    pub(super) fn new(state: &SyncState, since: Reading) -> Self {
        let shown = watch::Sender::new(Shown { state: state.clone(), since });
        Self { wishes: Arc::default(), shown }
    }

    pub(super) fn handle(&self, clock: WallClock) -> PollerHandle {
        PollerHandle { wishes: Arc::clone(&self.wishes), shown: self.shown.subscribe(), clock }
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.wishes.waker.register(waker);
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.wishes.has(SHUT_DOWN)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.wishes.has(PAUSED)
    }

    /// Says whether somebody wants a poll now, once for all who do.
    pub(super) fn take_trigger(&self) -> bool {
        self.wishes.clear(TRIGGERED) & TRIGGERED != 0
    }

    pub(super) fn show(&self, state: &SyncState, since: Reading) {
        self.shown.send_replace(Shown { state: state.clone(), since });
    }
}

impl Wishes {
    fn has(&self, bit: u8) -> bool {
        self.bits.load(Ordering::Acquire) & bit != 0
    }

    fn set(&self, bit: u8) {
        self.bits.fetch_or(bit, Ordering::AcqRel);
        self.waker.wake();
    }

    fn clear(&self, bit: u8) -> u8 {
        self.bits.fetch_and(!bit, Ordering::AcqRel)
    }
}

/// What other tasks may ask of a [`Poller`](super::Poller), and see of it.
///
/// Cheap to clone. It keeps nothing alive: when the poller is gone, nothing
/// happens any more.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tower::service_fn;
/// use tower_retry_after::schedule::{Outcome, Poller};
///
/// let ask = service_fn(|()| async { Ok::<_, std::io::Error>("here you are") });
/// let mut poller = Poller::new(ask, || ());
/// let handle = poller.handle();
/// let polling = tokio::spawn(async move {
///     let mut polls = 0;
///     while poller.next().await.is_some() {
///         polls += 1;
///     }
///     polls
/// });
///
/// tokio::time::sleep(Duration::from_secs(1)).await; // the first poll is due at once
/// handle.trigger(); // and one more now, not in five minutes
/// tokio::time::sleep(Duration::from_secs(1)).await;
/// handle.shutdown();
///
/// assert_eq!(polling.await.unwrap(), 2);
/// assert_eq!(handle.state().last_outcome, Outcome::Ok);
/// # }
/// ```
#[derive(Clone)]
pub struct PollerHandle {
    wishes: Arc<Wishes>,
    shown: watch::Receiver<Shown>,
    clock: WallClock,
}

impl PollerHandle {
    /// Polls now, whenever the next poll was due.
    ///
    /// If a poll is out, another follows it; if the poller is paused, it follows
    /// when it is resumed. Any number of triggers before a poll begins are one.
    /// The layer still holds back what it would hold back.
    pub fn trigger(&self) {
        self.wishes.set(TRIGGERED);
    }

    /// Begins no poll until [`resume`](Self::resume). One that is out is let end.
    pub fn pause(&self) {
        self.wishes.set(PAUSED);
    }

    /// Goes on polling. If a poll fell due meanwhile, it is begun now; however many
    /// were missed, it is one.
    pub fn resume(&self) {
        self.wishes.clear(PAUSED);
        self.wishes.waker.wake();
    }

    /// Returns whether the poller is paused.
    pub fn is_paused(&self) -> bool {
        self.wishes.has(PAUSED)
    }

    /// Shuts down gracefully: a call that is out is let end and its result is
    /// yielded, then the stream ends.
    pub fn shutdown(&self) {
        self.wishes.set(SHUT_DOWN);
    }

    /// Returns the state of the loop; the last one, if the poller is gone.
    pub fn state(&self) -> SyncState {
        let shown = self.shown.borrow().clone();
        shown.state(&self.clock)
    }

    /// Watches the state of the loop.
    pub fn watch(&self) -> StateWatch {
        let mut shown = self.shown.clone();
        // What was before is no change.
        shown.mark_unchanged();
        StateWatch { shown, clock: self.clock.clone() }
    }
}

impl fmt::Debug for PollerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollerHandle")
            .field("paused", &self.is_paused())
            .field("shut_down", &self.wishes.has(SHUT_DOWN))
            .finish_non_exhaustive()
    }
}

/// Watches the state of a [`Poller`](super::Poller).
///
/// It sees the latest state, and not each that there was: who looks rarely misses
/// what came between.
#[derive(Clone)]
pub struct StateWatch {
    shown: watch::Receiver<Shown>,
    clock: WallClock,
}

impl StateWatch {
    /// Waits until the state has changed since it was last seen here, and returns
    /// it; nothing once the poller is gone.
    ///
    /// Dropping the future loses no change.
    pub async fn changed(&mut self) -> Option<SyncState> {
        self.shown.changed().await.ok()?;
        Some(self.state())
    }

    /// Returns the state, and takes it as seen.
    pub fn state(&mut self) -> SyncState {
        let shown = self.shown.borrow_and_update().clone();
        shown.state(&self.clock)
    }
}

impl fmt::Debug for StateWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateWatch").finish_non_exhaustive()
    }
}
