//! What the outcome of a call means for the schedule: when to come back.
//!
//! The one answer that services give to schedules. It is about time alone; what
//! the call brought is the caller's business.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::floor;
use crate::error::Error;
use crate::ladder::Ladder;
use crate::message::Incoming;

/// When to come back, as the outcome of a call has it.
///
/// Instants are tokio's: a step of the wall clock moves none of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Next {
    /// The call went well: again after the interval.
    Ok,
    /// The call was sent and failed: again after the longer of ladder and hint,
    /// one rung up.
    Failed {
        /// The wait that was asked for, if one was; zero counts as none.
        hint: Option<Duration>,
    },
    /// The call was not sent: again at that time, and nothing is counted.
    NotSent {
        /// When a call has a chance to be sent.
        until: Instant,
    },
    /// Whoever was called has a schedule of its own: again at that time.
    DueAt(Instant),
}

/// The least wait after a failure, where neither ladder nor hint asks for one: a
/// poller whose ladder is off must not storm whoever fails at once.
pub(crate) const LEAST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The least wait between two calls, whatever was said: a schedule never spins.
pub(crate) const LEAST: Duration = Duration::from_millis(1);

/// The default of the schedules' `max_retry_after`: the layer's own.
pub(crate) const DEFAULT_MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Returns the hint to count with after that many failures in a row; where it and
/// the ladder are both zero, a second.
pub(crate) fn usable(ladder: Ladder, failures: u32, hint: Option<Duration>) -> Duration {
    match ladder.delay_with_hint(failures, hint.unwrap_or_default()) {
        Duration::ZERO => LEAST_AFTER_FAILURE,
        _ => hint.unwrap_or_default(),
    }
}

type Judge<T> = Arc<dyn Fn(&Result<T, Error>) -> Next + Send + Sync>;

type ReadFloor<T> = Arc<dyn Fn(&T, SystemTime) -> Option<Duration> + Send + Sync>;

/// How a schedule judges the outcomes of its calls.
pub(crate) struct Judging<T> {
    judge: Judge<T>,
    floor: Option<Floor<T>>,
    pub(crate) max_retry_after: Duration,
}

/// Reads from a good answer how long to stay away, at least.
struct Floor<T> {
    read: ReadFloor<T>,
    cap: Duration,
}

impl<T> Judging<T> {
    pub(crate) fn by(judge: impl Fn(&Result<T, Error>) -> Next + Send + Sync + 'static) -> Self {
        Self { judge: Arc::new(judge), floor: None, max_retry_after: DEFAULT_MAX_RETRY_AFTER }
    }

    /// Judges by something else; floor and ceiling stay.
    pub(crate) fn set(
        &mut self,
        judge: impl Fn(&Result<T, Error>) -> Next + Send + Sync + 'static,
    ) {
        self.judge = Arc::new(judge);
    }

    /// Obeys the floors that responses ask for, up to `cap`.
    pub(crate) fn set_floor(&mut self, cap: Duration)
    where
        T: Incoming,
    {
        let read = |response: &T, received_at: SystemTime| {
            let answered = response.status().is_success() || response.status().is_redirection();
            answered.then(|| floor::from_headers(response.headers(), received_at)).flatten()
        };
        self.floor = Some(Floor { read: Arc::new(read), cap });
    }

    /// Returns the longest that an upstream can be away for, hint or floor.
    pub(crate) fn longest_hint(&self) -> Duration {
        let cap = self.floor.as_ref().map_or(Duration::ZERO, |floor| floor.cap);
        self.max_retry_after.max(cap)
    }

    /// Judges the outcome of a call that ended at `received_at`: what follows, with
    /// the hint within its ceiling, and how long to stay away at least.
    pub(crate) fn judge(
        &self,
        result: &Result<T, Error>,
        received_at: SystemTime,
    ) -> (Next, Duration) {
        match (self.judge)(result) {
            Next::Failed { hint } => {
                let hint = hint.map(|hint| hint.min(self.max_retry_after));
                (Next::Failed { hint }, LEAST)
            }
            Next::Ok => (Next::Ok, self.floor(result, received_at)),
            next @ (Next::NotSent { .. } | Next::DueAt(_)) => (next, LEAST),
        }
    }

    fn floor(&self, result: &Result<T, Error>, received_at: SystemTime) -> Duration {
        match (&self.floor, result) {
            (Some(Floor { read, cap }), Ok(answer)) => {
                read(answer, received_at).unwrap_or_default().min(*cap).max(LEAST)
            }
            (None, _) | (_, Err(_)) => LEAST,
        }
    }
}

impl<T> Clone for Judging<T> {
    fn clone(&self) -> Self {
        let Self { judge, floor, max_retry_after } = self;
        let floor =
            floor.as_ref().map(|Floor { read, cap }| Floor { read: Arc::clone(read), cap: *cap });
        Self { judge: Arc::clone(judge), floor, max_retry_after: *max_retry_after }
    }
}

impl<T> fmt::Debug for Judging<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judging")
            .field("floor", &self.floor.as_ref().map(|floor| floor.cap))
            .field("max_retry_after", &self.max_retry_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Finds every answer good, and obeys floors up to a minute.
    fn judging() -> Judging<Response<()>> {
        let mut judging = Judging::by(|_| Next::Ok);
        judging.set_floor(secs(60));
        judging
    }

    fn asking(status: u16, seconds: u64) -> Response<()> {
        Response::builder().status(status).header("retry-after", seconds).body(()).unwrap()
    }

    #[test]
    fn where_neither_ladder_nor_hint_asks_for_a_wait_a_second_is_the_hint() {
        let off = Ladder::new(secs(60), Duration::ZERO);

        assert_eq!(usable(off, 3, None), secs(1));
        assert_eq!(usable(off, 3, Some(Duration::ZERO)), secs(1));
        assert_eq!(usable(off, 3, Some(secs(7))), secs(7));
        assert_eq!(usable(Ladder::default(), 3, None), Duration::ZERO);
        assert_eq!(usable(Ladder::default(), 3, Some(secs(7))), secs(7));
    }

    #[test]
    fn the_floor_is_that_of_a_good_answer_within_its_cap() {
        for (status, asked, floor) in [
            (200, 30, secs(30)),
            (304, 30, secs(30)),
            (200, 90, secs(60)),
            (200, 0, LEAST),
            (404, 30, LEAST),
        ] {
            let judged =
                judging().clone().judge(&Ok(asking(status, asked)), SystemTime::UNIX_EPOCH);
            assert_eq!(judged, (Next::Ok, floor), "{status} {asked}");
        }
    }

    #[test]
    fn a_hint_is_held_to_the_ceiling_whoever_judges() {
        let mut judging = judging();
        judging.set(|_| Next::Failed { hint: Some(secs(9000)) });

        let judged = judging.judge(&Ok(asking(200, 30)), SystemTime::UNIX_EPOCH);

        assert_eq!(judged, (Next::Failed { hint: Some(secs(3600)) }, LEAST));
    }

    #[test]
    fn the_longest_away_is_the_ceiling_of_hints_or_the_cap_of_floors() {
        let mut judging = judging();
        assert_eq!(judging.longest_hint(), secs(3600));
        judging.set_floor(secs(7200));
        assert_eq!(judging.longest_hint(), secs(7200));
    }
}
