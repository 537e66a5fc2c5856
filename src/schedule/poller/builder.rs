//! The settings of a poller.

use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tower_service::Service;

use super::handle::Remote;
use super::{Phase, Poller};
use crate::error::Error;
use crate::message::Incoming;
use crate::schedule::next::{Judging, Next};
use crate::schedule::state::{SyncPolicy, SyncState};
use crate::schedule::wall::WallClock;

/// Configures a [`Poller`].
#[must_use = "a builder makes a poller when `build` is called"]
pub struct PollerBuilder<S, M, R>
where
    S: Service<R>,
{
    service: S,
    make_request: M,
    policy: SyncPolicy,
    judging: Judging<S::Response>,
    clock: WallClock,
    state: SyncState,
}

impl<S, M, R> PollerBuilder<S, M, R>
where
    S: Service<R>,
{
    pub(super) fn new(service: S, make_request: M, judging: Judging<S::Response>) -> Self {
        Self {
            service,
            make_request,
            policy: SyncPolicy::default(),
            judging,
            clock: WallClock::default(),
            state: SyncState::default(),
        }
    }

    /// Sets interval, ladder and lease; by default [`SyncPolicy::default`].
    pub fn policy(mut self, policy: SyncPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Goes on where an earlier loop stopped; by default the loop has never run, and
    /// is due at once.
    ///
    /// A time that lies further ahead than the longest of interval, ladder,
    /// [`floor`](Self::floor) and [`max_retry_after`](Self::max_retry_after) was written by a clock that was
    /// wrong, and is cut to that. A run that had not ended keeps its lease.
    pub fn state(mut self, state: SyncState) -> Self {
        self.state = state;
        self
    }

    /// Sets what outcomes mean; by default [`judge::standard`](crate::schedule::judge::standard).
    pub fn judge(
        mut self,
        judge: impl Fn(&Result<S::Response, Error>) -> Next + Send + Sync + 'static,
    ) -> Self {
        self.judging.set(judge);
        self
    }

    /// Obeys the floors that good answers ask for, up to `cap`; by default they are
    /// not looked at.
    ///
    /// A floor ([`floor::from_headers`](crate::schedule::floor::from_headers)) on a
    /// 2xx or 3xx delays the next poll beyond the interval, and touches no ladder.
    pub fn floor(mut self, cap: Duration) -> Self
    where
        S::Response: Incoming,
    {
        self.judging.set_floor(cap);
        self
    }

    /// Sets the ceiling of the hints that a judge gives; an hour by default, as the
    /// layer's own.
    pub fn max_retry_after(mut self, ceiling: Duration) -> Self {
        self.judging.max_retry_after = ceiling;
        self
    }

    /// Sets where the wall clock is read; by default the system's.
    ///
    /// It is only shown, and tells when a restored state is due.
    pub fn wall_clock(mut self, read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = WallClock::new(read);
        self
    }

    pub(super) fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the poller.
    pub fn build(mut self) -> Poller<S, M, R> {
        let mut state = std::mem::take(&mut self.state);
        let due = state.restore(&self.policy, self.judging.longest_hint(), self.clock.read());
        self.build_from(state, due)
    }

    /// Makes a poller of that state, whose next run is due then.
    pub(super) fn build_from(self, state: SyncState, due: Instant) -> Poller<S, M, R> {
        let Self { service, make_request, policy, judging, clock, .. } = self;
        let since = clock.read();
        let remote = Remote::new(&state, since);
        let phase = Phase::Waiting;
        Poller {
            service,
            make_request,
            policy,
            judging,
            clock,
            state,
            since,
            due,
            owner: None,
            phase,
            sleep: None,
            remote,
        }
    }
}

impl<S, M, R> fmt::Debug for PollerBuilder<S, M, R>
where
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollerBuilder")
            .field("policy", &self.policy)
            .field("judging", &self.judging)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
