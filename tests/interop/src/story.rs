//! The story that each client tells: refused, held back, probed, clear again.

use std::error::Error as StdError;
use std::future::{Future, ready};
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tower_retry_after::{Cooldowns, Ladder, RateLimited, Reason, WaitingLayer};
use tower_retry_after::{RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder, State, Upstream};

use crate::log::Log;

/// What became of a call, as far as its caller can see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server answered with this status.
    Answered(u16),
    /// The layer held it back; the caller finds out by the error.
    Held(Reason),
    /// Anything else.
    Failed(String),
}

impl Outcome {
    /// Looks for the layer's word in an error's chain of sources.
    pub fn of_error(error: &(dyn StdError + 'static)) -> Self {
        match RateLimited::find(error) {
            Some(limited) => Self::Held(limited.reason()),
            None => Self::Failed(chain(error)),
        }
    }
}

/// Writes an error with all that is behind it.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// How long a server keeps [`Answer::refused`](crate::Answer::refused) up.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// How long an answer may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long calls wait at most, where they wait: for all that happens here.
const LONGEST_WAIT: Duration = Duration::from_hours(4);

/// A server, and the table that should know about it.
#[derive(Debug)]
pub struct Story<'a> {
    log: &'a Log,
    upstream: Upstream,
    cooldowns: Cooldowns,
}

impl<'a> Story<'a> {
    /// Begins the story of an upstream.
    pub fn new(log: &'a Log, upstream: Upstream, cooldowns: Cooldowns) -> Self {
        Self { log, upstream, cooldowns }
    }

    /// Configures a layer for the story: hints are believed, and an upstream is
    /// Clear after the second success.
    pub fn layer() -> RetryAfterBackoffLayerBuilder {
        RetryAfterBackoffLayer::builder()
            .ladder(Ladder::new(PAUSE, PAUSE.saturating_mul(2)))
            .trust_hints(true)
            .reopen_width(2)
    }

    /// Configures the layer that waits for the story, longer than it takes.
    pub fn waiting() -> WaitingLayer {
        Self::layer().build().waiting(LONGEST_WAIT)
    }

    /// Returns the upstream's state; none is Clear.
    pub fn state(&self) -> Option<State> {
        self.cooldowns.get(&self.upstream).map(|info| info.state())
    }

    /// Tells the whole story, where the server refuses its first request for a
    /// second, and `refused` and `held` are what callers see of it.
    pub async fn is_told_by<F>(
        &self,
        call: impl Fn() -> F,
        refused: &Outcome,
        held: impl Fn(Reason) -> Outcome,
    ) where
        F: Future<Output = Outcome>,
    {
        // Refused.
        let before = self.log.count();
        assert_eq!(call().await, *refused);
        assert_eq!(self.state(), Some(State::Cooling));
        assert_eq!(self.log.count(), before.saturating_add(1));

        self.continues(call, held).await;
    }

    /// Tells the rest, where the upstream has just refused.
    pub async fn continues<F>(&self, call: impl Fn() -> F, held: impl Fn(Reason) -> Outcome)
    where
        F: Future<Output = Outcome>,
    {
        // Who hangs has been sent while the server keeps its answers, and fails the test.
        let call = || async { timeout(PATIENCE, call()).await.expect("an answer") };

        // Held back.
        let sent = self.log.count();
        for _ in 0..20 {
            assert_eq!(call().await, held(Reason::Cooling));
        }
        assert_eq!(self.log.count(), sent);

        // Probed, by one call alone.
        self.log.hold();
        self.cooldowns.ready(&self.upstream).await;
        let mut probe = pin!(call());
        tokio::select! {
            outcome = &mut probe => panic!("not sent: {outcome:?}"),
            () = self.log.reaches(sent.saturating_add(1)) => {}
        }
        assert_eq!(self.state(), Some(State::Probing));
        for _ in 0..5 {
            assert_eq!(call().await, held(Reason::Probing));
        }
        assert_eq!(self.log.count(), sent.saturating_add(1));
        self.log.release();
        assert_eq!(probe.await, Outcome::Answered(200));

        // Clear again.
        for _ in 0..3 {
            assert_eq!(call().await, Outcome::Answered(200));
        }
        assert_eq!(self.state(), None);
        self.was_left_alone();
    }

    /// Tells the story of calls that wait, each in a task of its own, where the
    /// server refuses its first request for a second, and `refused` is what its
    /// caller sees. A call takes the timeout that its request names.
    pub async fn is_waited_out<F>(&self, call: impl Fn(Option<Duration>) -> F, refused: &Outcome)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        const WAITING: usize = 6;
        let spawn = |named| tokio::spawn(timeout(PATIENCE, call(named)));

        // Refused.
        assert_eq!(call(None).await, *refused);
        assert_eq!(self.state(), Some(State::Cooling));
        assert_eq!(self.log.count(), 1);

        // They wait, and one alone is sent.
        self.log.hold();
        let calls: Vec<_> = (0..WAITING).map(|_| spawn(None)).collect();
        timeout(PATIENCE, self.log.reaches(2)).await.expect("a probe");
        assert_eq!(self.state(), Some(State::Probing));

        // One that comes now stands behind them, as long as its timeout allows.
        let hasty = spawn(Some(Duration::from_millis(200))).await.unwrap().expect("a rejection");
        assert_eq!(hasty, Outcome::Held(Reason::Probing));
        assert_eq!(self.log.count(), 2);
        assert!(calls.iter().all(|call| !call.is_finished()));

        // With the probe's success, all are answered.
        self.log.release();
        for call in calls {
            let outcome = call.await.unwrap().expect("an answer");
            assert_eq!(outcome, Outcome::Answered(200));
        }
        assert_eq!(self.log.count(), WAITING + 1);
        assert_eq!(self.state(), None);
        self.was_left_alone();
    }

    /// Tells of a cooldown that a call waits for, but not one with a timeout that
    /// ends before. A call takes the timeout that its request names.
    pub async fn is_not_waited_for<F>(&self, call: impl Fn(Option<Duration>) -> F)
    where
        F: Future<Output = Outcome>,
    {
        self.cooldowns.cool(&self.upstream, Duration::from_hours(1));

        // What is known at once is known when it is polled once.
        let at_once = async |named| {
            tokio::select! {
                biased;
                outcome = call(named) => Some(outcome),
                () = ready(()) => None,
            }
        };
        assert_eq!(at_once(None).await, None);
        assert_eq!(at_once(Some(Duration::from_hours(2))).await, None);
        let hasty = at_once(Some(Duration::from_mins(30))).await;
        assert_eq!(hasty, Some(Outcome::Held(Reason::Cooling)));

        assert_eq!(self.log.count(), 0);
        assert_eq!(self.state(), Some(State::Cooling));
    }

    /// Checks in the server's log that no request came within a second of the
    /// refusal before it.
    pub fn was_left_alone(&self) {
        let heard = self.log.heard();
        for pair in heard.windows(2) {
            if let [refused, next] = pair
                && matches!(refused.answered, 429 | 403 | RESOURCE_EXHAUSTED | UNAVAILABLE)
            {
                let pause = next.at.duration_since(refused.at);
                assert!(pause >= PAUSE, "{pause:?} after a refusal: {heard:?}");
            }
        }
    }
}

/// gRPC's codes of a refusal.
const RESOURCE_EXHAUSTED: u16 = 8;
const UNAVAILABLE: u16 = 14;
