//! The settings of a set.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tower_service::Service;

use super::PollSet;
use super::drive::{COMMANDS, TURNS};
use super::queue::Queue;
use super::targets::{Rules, Targets};
use crate::cooldowns::Cooldowns;
use crate::error::Error;
use crate::message::Incoming;
use crate::schedule::judge;
use crate::schedule::next::{Judging, Next};
use crate::schedule::state::SyncPolicy;
use crate::schedule::wall::WallClock;

/// The default of [`PollSetBuilder::concurrency`].
///
/// With answers that take a tenth of a second it polls 600 targets a second, which
/// is 180,000 at the default interval; and any system lets a process have so many
/// connections.
const DEFAULT_CONCURRENCY: usize = 64;

/// The default of [`PollSetBuilder::per_upstream`]: as many calls as an upstream
/// gets that comes back from a cooldown. More are more than a guest should ask for
/// at once.
const DEFAULT_PER_UPSTREAM: u32 = 2;

/// Configures a [`PollSet`].
#[must_use = "a builder makes a set when `build` is called"]
pub struct PollSetBuilder<S, T, M, R>
where
    S: Service<R>,
{
    service: S,
    make_request: M,
    judging: Judging<S::Response>,
    policy: SyncPolicy,
    spread: Option<Duration>,
    concurrency: usize,
    per_upstream: u32,
    cooldowns: Option<Cooldowns>,
    wall: WallClock,
    types: PhantomData<fn(&T) -> R>,
}

impl<S, T, M, R> PollSetBuilder<S, T, M, R>
where
    S: Service<R>,
{
    pub(super) fn new(service: S, make_request: M) -> Self
    where
        S::Response: 'static,
    {
        Self {
            service,
            make_request,
            judging: Judging::by(judge::standard),
            policy: SyncPolicy::default(),
            spread: None,
            concurrency: DEFAULT_CONCURRENCY,
            per_upstream: DEFAULT_PER_UPSTREAM,
            cooldowns: None,
            wall: WallClock::default(),
            types: PhantomData,
        }
    }

    /// Sets the interval of targets that have none of their own, the ladder that
    /// each target climbs by itself, and how long a call may be out.
    ///
    /// A call that outlives `run_lease` is dropped, and has failed.
    pub fn policy(self, policy: SyncPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Judges the outcomes of calls by that; [`judge::standard`] by default.
    ///
    /// Give it [`judge::responses_of`] the layer where a refusal arrives as a response.
    pub fn judge(
        mut self,
        judge: impl Fn(&Result<S::Response, Error>) -> Next + Send + Sync + 'static,
    ) -> Self {
        self.judging.set(judge);
        self
    }

    /// Lets a good answer delay its target's next call, by `cap` at most; see
    /// [`floor`](crate::schedule::floor). Off by default: it is the user who says
    /// how often to poll.
    pub fn floor(mut self, cap: Duration) -> Self
    where
        S::Response: Incoming,
    {
        self.judging.set_floor(cap);
        self
    }

    /// Sets how far a failure's hint is believed; an hour by default, as the
    /// layer's own.
    pub fn max_retry_after(mut self, max_retry_after: Duration) -> Self {
        self.judging.max_retry_after = max_retry_after;
        self
    }

    /// Sets how many calls may be out at once, in all; 64 by default, and one at
    /// least.
    ///
    /// With answers that take a tenth of a second, 64 make 600 polls a second. Give
    /// it more where upstreams are slow and targets many.
    pub fn concurrency(self, concurrency: usize) -> Self {
        Self { concurrency, ..self }
    }

    /// Sets how many calls to each upstream may be out at once; 2 by default, and
    /// one at least.
    ///
    /// Two are as many as an upstream that comes back from a cooldown is called
    /// with, so that none of them is rejected.
    pub fn per_upstream(self, per_upstream: u32) -> Self {
        Self { per_upstream, ..self }
    }

    /// Sets the time over which new targets are spread; each target's own interval
    /// by default, so that the load is even from the start.
    ///
    /// Zero makes every new target due at once.
    pub fn spread(self, window: Duration) -> Self {
        Self { spread: Some(window), ..self }
    }

    /// Looks at the layer's table before each call, so that the targets of an
    /// upstream that is left alone are put off without one.
    ///
    /// Targets must be added under the upstreams that the layer charges: by default
    /// [`Upstream::from_uri`](crate::Upstream::from_uri). A cooldown that is cleared
    /// by hand is noticed within half a minute.
    pub fn cooldowns(self, cooldowns: Cooldowns) -> Self {
        Self { cooldowns: Some(cooldowns), ..self }
    }

    /// Reads the wall clock there; the system's by default.
    ///
    /// It is for what is shown, and for floors that are dates: the schedule itself
    /// runs in tokio's time.
    pub fn wall_clock(self, read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { wall: WallClock::new(read), ..self }
    }

    /// Makes the set, without targets.
    #[must_use]
    pub fn build(self) -> PollSet<S, T, M, R> {
        let SyncPolicy { interval, ladder, run_lease } = self.policy;
        let rules = Rules { interval, ladder, spread: self.spread };
        let queue = Queue::new(self.concurrency, self.per_upstream);
        let (sender, commands) = mpsc::unbounded_channel();
        PollSet {
            service: self.service,
            make_request: self.make_request,
            targets: Targets::new(queue, rules, self.wall),
            judging: self.judging,
            cooldowns: self.cooldowns,
            run_lease,
            calls: FuturesUnordered::new(),
            spare: None,
            timer: None,
            asks_first: false,
            readying: None,
            answers_left: TURNS,
            commands_left: COMMANDS,
            sender,
            commands,
            request: PhantomData,
        }
    }
}

impl<S, T, M, R> fmt::Debug for PollSetBuilder<S, T, M, R>
where
    S: Service<R>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollSetBuilder")
            .field("judging", &self.judging)
            .field("policy", &self.policy)
            .field("spread", &self.spread)
            .field("concurrency", &self.concurrency)
            .field("per_upstream", &self.per_upstream)
            .field("cooldowns", &self.cooldowns)
            .field("wall", &self.wall)
            .finish_non_exhaustive()
    }
}
