//! The handle by which other tasks change a set.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::target::{TargetId, TargetInfo};
use super::targets::Targets;
use crate::upstream::Upstream;

/// What a handle asks of the set. The set's own task does it, when it is polled.
pub(super) type Command<T> = Box<dyn FnOnce(&mut Targets<T>) + Send>;

/// Changes a [`PollSet`](super::PollSet) from other tasks: a cheap clone.
///
/// The set does what it is asked when it is polled next, in the order of asking;
/// answers come then. Whoever drops a future after it was polled once has asked all
/// the same. The handle does not keep the set alive.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_retry_after::schedule::PollSetGone> {
/// use std::convert::Infallible;
/// use tower::service_fn;
/// use tower_retry_after::Upstream;
/// use tower_retry_after::schedule::PollSet;
///
/// let service = service_fn(|number: u32| async move { Ok::<_, Infallible>(number * 2) });
/// let mut set = PollSet::new(service, |number: &u32| *number);
/// let handle = set.handle();
/// let polling = tokio::spawn(async move {
///     let answer = set.next().await;
///     answer.map(|polled| polled.result.unwrap())
/// });
///
/// handle.add(Upstream::named("doubling"), 21).await?;
/// assert_eq!(polling.await.unwrap(), Some(42));
/// # Ok(())
/// # }
/// ```
pub struct PollSetHandle<T> {
    commands: mpsc::UnboundedSender<Command<T>>,
}

impl<T> PollSetHandle<T> {
    pub(super) fn new(commands: mpsc::UnboundedSender<Command<T>>) -> Self {
        Self { commands }
    }

    /// Begins no calls any more; see [`PollSet::shutdown`](super::PollSet::shutdown).
    /// Where the set is gone there is nothing to do.
    pub fn shutdown(&self) {
        self.tell(|targets| targets.is_ending = true);
    }

    /// Begins no calls until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.tell(|targets| targets.is_paused = true);
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.tell(|targets| targets.is_paused = false);
    }

    /// Removes a target; see [`PollSet::remove`](super::PollSet::remove).
    ///
    /// # Errors
    ///
    /// Fails where the set is gone.
    pub async fn remove(&self, id: TargetId) -> Result<Option<T>, PollSetGone>
    where
        T: Send + 'static,
    {
        self.ask(move |targets| targets.remove(id)).await
    }

    /// Adds a target that is polled at the policy's interval.
    ///
    /// # Errors
    ///
    /// Fails where the set is gone.
    pub async fn add(&self, upstream: Upstream, target: T) -> Result<TargetId, PollSetGone>
    where
        T: Send + 'static,
    {
        self.ask(move |targets| targets.add(upstream, target, None)).await
    }

    /// Adds a target with an interval of its own; see
    /// [`PollSet::add_every`](super::PollSet::add_every).
    ///
    /// # Errors
    ///
    /// Fails where the set is gone.
    pub async fn add_every(
        &self,
        upstream: Upstream,
        target: T,
        interval: Duration,
    ) -> Result<TargetId, PollSetGone>
    where
        T: Send + 'static,
    {
        self.ask(move |targets| targets.add(upstream, target, Some(interval))).await
    }

    /// Sets a target's interval; see
    /// [`PollSet::set_interval`](super::PollSet::set_interval).
    ///
    /// # Errors
    ///
    /// Fails where the set is gone.
    pub async fn set_interval(
        &self,
        id: TargetId,
        interval: Duration,
    ) -> Result<bool, PollSetGone> {
        self.ask(move |targets| targets.set_interval(id, interval)).await
    }

    /// Makes a target due now; see [`PollSet::trigger`](super::PollSet::trigger).
    ///
    /// # Errors
    ///
    /// Fails where the set is gone.
    pub async fn trigger(&self, id: TargetId) -> Result<bool, PollSetGone> {
        self.ask(move |targets| targets.trigger(id)).await
    }

    /// Lists all targets, as far as `read` takes over what it sees; the set waits
    /// while it reads.
    ///
    /// # Errors
    ///
    /// Fails where the set is gone.
    pub async fn list<A>(
        &self,
        mut read: impl FnMut(TargetInfo<'_, T>) -> A + Send + 'static,
    ) -> Result<Vec<A>, PollSetGone>
    where
        A: Send + 'static,
    {
        self.ask(move |targets| targets.iter().map(&mut read).collect()).await
    }

    async fn ask<A: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Targets<T>) -> A + Send + 'static,
    ) -> Result<A, PollSetGone> {
        let (reply, answer) = oneshot::channel();
        self.tell(move |targets| {
            // Who has stopped listening gets no answer.
            drop(reply.send(question(targets)));
        });
        answer.await.map_err(|_| PollSetGone)
    }

    fn tell(&self, command: impl FnOnce(&mut Targets<T>) + Send + 'static) {
        // A set that is gone does nothing any more.
        drop(self.commands.send(Box::new(command)));
    }
}

impl<T> Clone for PollSetHandle<T> {
    fn clone(&self) -> Self {
        Self::new(self.commands.clone())
    }
}

impl<T> fmt::Debug for PollSetHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollSetHandle").field("is_gone", &self.commands.is_closed()).finish()
    }
}

/// The [`PollSet`](super::PollSet) was dropped, or has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PollSetGone;

impl fmt::Display for PollSetGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the poll set is gone, make another one")
    }
}

impl StdError for PollSetGone {}
