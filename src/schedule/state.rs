//! When is the next sync due? The state of one loop, and what each event does
//! to it.
//!
//! Pure: no clock, no I/O; `now` is an argument. Times are on the wall clock,
//! for they are stored and shown.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::wall::{Reading, Step, later};
use crate::ladder::Ladder;

/// How often to sync, and how long to stay away after failures.
///
/// By default: every five minutes, the ladder from one minute to half an hour,
/// and a run that has not ended after half an hour is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct SyncPolicy {
    /// From the end of one sync to the next.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text"))]
    pub interval: Duration,
    /// The waits after failures.
    pub ladder: Ladder,
    /// How long a run may take before another may begin.
    ///
    /// Without it, a run that never ended, because the process crashed or its
    /// future was dropped, would block the loop for ever.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text"))]
    pub run_lease: Duration,
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self {
            // Often enough for people who watch, rare enough for any upstream.
            interval: Duration::from_secs(300),
            ladder: Ladder::default(),
            // As long as the ladder's cap: a run that hangs costs no more than
            // one that failed often.
            run_lease: Ladder::DEFAULT_CAP,
        }
    }
}

/// What became of the last sync.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// There was none yet.
    #[default]
    Idle,
    /// It has not ended.
    Running,
    /// It succeeded.
    Ok,
    /// It failed.
    Error,
    /// The peer's history is not a continuation of ours.
    Fork,
    /// There was nobody to sync with.
    Solo,
}

/// The state of one sync loop: what it did last, and when it is due again.
///
/// The default is a loop that has never run; it is due at once.
///
/// | operation | effect |
/// |---|---|
/// | [`begin`](Self::begin) | outcome running; error and fork are cleared |
/// | [`finish_ok`](Self::finish_ok) | due after the interval; error, fork and failures are cleared |
/// | [`finish_err`](Self::finish_err) | one failure more; due after the longer of ladder and hint |
/// | [`finish_fork`](Self::finish_fork) | the same, and a fork is detected |
/// | [`finish_solo`](Self::finish_solo) | due after the interval; peer, error, fork and failures are cleared |
/// | [`put_off`](Self::put_off) | due then; all else as before the run |
///
/// Each but `put_off` notes when it happened, and the peer and head that it is
/// given; an empty one leaves the old.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_retry_after::schedule::{SyncPolicy, SyncState};
///
/// let policy = SyncPolicy::default();
/// let mut state = SyncState::default();
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
/// assert!(state.is_due(&policy, now));
///
/// state.begin("https://peer.example", "", now);
/// state.finish_err(&policy, "", "", "HTTP 429", Duration::from_secs(600), now);
///
/// assert_eq!(state.consecutive_failures, 1);
/// assert_eq!(state.next_sync_due_at, Some(now + Duration::from_secs(600)));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
#[non_exhaustive]
pub struct SyncState {
    /// When the last run began.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text::option"))]
    pub last_sync_started_at: Option<SystemTime>,
    /// When the last run ended, well or badly.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text::option"))]
    pub last_sync_finished_at: Option<SystemTime>,
    /// When a run last ended well.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text::option"))]
    pub last_sync_ok_at: Option<SystemTime>,
    /// When the next run is due; at once where there is none.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text::option"))]
    pub next_sync_due_at: Option<SystemTime>,
    /// The peer that was synced with last; empty if there was none.
    #[cfg_attr(
        feature = "serde",
        serde(deserialize_with = "super::snapshot::credentials::last_peer_url")
    )]
    pub last_peer_url: String,
    /// What went wrong last; empty if nothing did.
    pub last_error: String,
    /// What became of the last run.
    pub last_outcome: Outcome,
    /// How far we have come, in whatever way the peers say so.
    pub current_head: String,
    /// The last run ended in a fork.
    pub fork_detected: bool,
    /// How many runs in a row have failed.
    pub consecutive_failures: u32,
    /// What `begin` cleared, for `put_off`.
    before: Before,
}

/// What stood where a run that has begun writes over it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
struct Before {
    error: String,
    outcome: Outcome,
    fork_detected: bool,
}

impl SyncState {
    /// Notes that a run begins. A peer or head that is empty leaves the old one.
    pub fn begin(&mut self, peer: &str, head: &str, now: SystemTime) {
        if self.last_outcome != Outcome::Running {
            self.before = Before {
                error: std::mem::take(&mut self.last_error),
                outcome: self.last_outcome,
                fork_detected: self.fork_detected,
            };
        }
        self.last_sync_started_at = Some(now);
        self.last_outcome = Outcome::Running;
        self.last_error.clear();
        self.fork_detected = false;
        self.meet(peer, head);
    }

    /// Notes that the run ended well.
    pub fn finish_ok(&mut self, policy: &SyncPolicy, peer: &str, head: &str, now: SystemTime) {
        self.last_sync_ok_at = Some(now);
        self.end(Outcome::Ok, "", now);
        self.consecutive_failures = 0;
        self.next_sync_due_at = Some(later(now, policy.interval));
        self.meet(peer, head);
    }

    /// Notes that the run failed, and how long the peer asked us to stay away;
    /// zero if it did not.
    pub fn finish_err(
        &mut self,
        policy: &SyncPolicy,
        peer: &str,
        head: &str,
        error: &str,
        retry_after: Duration,
        now: SystemTime,
    ) {
        self.end(Outcome::Error, error, now);
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let wait = policy.ladder.delay_with_hint(self.consecutive_failures, retry_after);
        self.next_sync_due_at = Some(later(now, wait));
        self.meet(peer, head);
    }

    /// Notes that the run ended in a fork. It counts as a failure.
    pub fn finish_fork(
        &mut self,
        policy: &SyncPolicy,
        peer: &str,
        head: &str,
        error: &str,
        retry_after: Duration,
        now: SystemTime,
    ) {
        self.finish_err(policy, peer, head, error, retry_after, now);
        self.last_outcome = Outcome::Fork;
        self.fork_detected = true;
    }

    /// Notes that there was nobody to sync with.
    pub fn finish_solo(&mut self, policy: &SyncPolicy, head: &str, now: SystemTime) {
        self.end(Outcome::Solo, "", now);
        self.consecutive_failures = 0;
        self.next_sync_due_at = Some(later(now, policy.interval));
        self.last_peer_url.clear();
        self.meet("", head);
    }

    /// Notes that nothing could be sent before `until`: no run, and no failure.
    pub fn put_off(&mut self, until: SystemTime, now: SystemTime) {
        self.next_sync_due_at = Some(until.max(now));
        if self.last_outcome == Outcome::Running {
            let Before { error, outcome, fork_detected } = std::mem::take(&mut self.before);
            self.last_error = error;
            self.last_outcome = outcome;
            self.fork_detected = fork_detected;
        }
    }

    /// Returns whether a run is due: its time has come and none is out, or the
    /// one that is out has outlived its lease.
    pub fn is_due(&self, policy: &SyncPolicy, now: SystemTime) -> bool {
        self.due_at(policy).is_none_or(|due| due <= now)
    }

    /// Returns when a run is due; at once where there is no such time.
    pub(super) fn due_at(&self, policy: &SyncPolicy) -> Option<SystemTime> {
        match self.last_outcome {
            Outcome::Running => {
                self.last_sync_started_at.map(|started| later(started, policy.run_lease))
            }
            Outcome::Idle | Outcome::Ok | Outcome::Error | Outcome::Fork | Outcome::Solo => {
                self.next_sync_due_at
            }
        }
    }

    /// Takes over from an earlier process; returns when the next run is due.
    ///
    /// What lies further ahead than any wait can be was written by a clock that
    /// was wrong, and is cut.
    pub(super) fn restore(
        &mut self,
        policy: &SyncPolicy,
        max_retry_after: Duration,
        reading: Reading,
    ) -> Instant {
        let longest = policy.interval.max(policy.ladder.cap()).max(max_retry_after);
        let latest = later(reading.wall, longest);
        self.next_sync_due_at = self.next_sync_due_at.map(|due| due.min(latest));
        if self.last_outcome == Outcome::Running {
            self.last_sync_started_at = self.last_sync_started_at.min(Some(reading.wall));
        }
        match self.due_at(policy) {
            Some(due) => reading.instant(due, Duration::MAX),
            None => reading.now,
        }
    }

    /// Moves the deadlines along with the wall clock, so that they stay as far
    /// away as they are; what has happened stays as it was written down.
    pub(super) fn shift(&mut self, step: Step) {
        self.next_sync_due_at = self.next_sync_due_at.map(|due| step.shift(due));
        if self.last_outcome == Outcome::Running {
            // The lease counts from here.
            self.last_sync_started_at = self.last_sync_started_at.map(|time| step.shift(time));
        }
    }

    fn end(&mut self, outcome: Outcome, error: &str, now: SystemTime) {
        self.last_sync_finished_at = Some(now);
        self.last_outcome = outcome;
        error.trim().clone_into(&mut self.last_error);
        self.fork_detected = false;
        self.before = Before::default();
    }

    /// Notes whom the run met, and how far it came; nothing new where empty.
    fn meet(&mut self, peer: &str, head: &str) {
        if !peer.is_empty() {
            peer.clone_into(&mut self.last_peer_url);
        }
        if !head.is_empty() {
            head.clone_into(&mut self.current_head);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "for tests")]
mod tests {
    use super::*;
    use crate::ambient;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn running(seconds: u64) -> SyncState {
        let mut state = SyncState::default();
        state.begin("", "", at(seconds));
        state
    }

    /// Began and ended at that second, and is due five minutes later.
    fn ended(seconds: u64) -> SyncState {
        let mut state = running(seconds);
        state.finish_ok(&SyncPolicy::default(), "", "", at(seconds));
        state
    }

    #[test]
    fn a_run_that_began_in_the_future_is_out_no_longer_than_its_lease() {
        let policy = SyncPolicy::default();
        let reading = Reading { wall: at(1_000), now: ambient::now() };
        let mut state = running(9_000);

        let due = state.restore(&policy, Duration::ZERO, reading);

        assert_eq!(due.saturating_duration_since(reading.now), policy.run_lease);
        assert_eq!(state.last_sync_started_at, Some(at(1_000)));
    }

    #[test]
    fn what_has_ended_is_restored_as_it_was_written_down() {
        let reading = Reading { wall: at(1_000), now: ambient::now() };
        let mut state = ended(9_000);

        state.restore(&SyncPolicy::default(), Duration::ZERO, reading);

        assert_eq!(state.last_sync_started_at, Some(at(9_000)));
        assert_eq!(state.last_sync_finished_at, Some(at(9_000)));
    }

    #[test]
    fn a_step_of_the_clock_moves_the_lease_of_a_run_and_no_history() {
        let back = Step::Back(Duration::from_secs(3_600));
        let (mut running, mut ended) = (running(10_000), ended(10_000));

        running.shift(back);
        ended.shift(back);

        assert_eq!(running.last_sync_started_at, Some(at(6_400)));
        assert_eq!(ended.last_sync_started_at, Some(at(10_000)));
        assert_eq!(ended.next_sync_due_at, Some(at(6_700)));
    }
}
