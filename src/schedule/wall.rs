//! The wall clock beside tokio's.
//!
//! Times that people see are on the wall clock, which may be stepped at any
//! moment; what is decided is decided in tokio's time, which only goes forward.
//! Here the two meet: a [`Reading`] holds both, and says how far the wall clock
//! was stepped since an earlier one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::ambient;

/// How far the clocks may drift apart before anybody cares: the grain of
/// tokio's timers.
const GRAIN: Duration = Duration::from_millis(1);

/// Where the wall clock is read: the system's, or one that the user puts in.
#[derive(Clone, Default)]
pub(crate) struct WallClock {
    own: Option<Arc<dyn Fn() -> SystemTime + Send + Sync>>,
}

impl WallClock {
    pub(crate) fn new(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { own: Some(Arc::new(read)) }
    }

    /// Reads the wall clock. It may run the user's code: never under a lock.
    pub(crate) fn now(&self) -> SystemTime {
        match &self.own {
            Some(read) => read(),
            None => ambient::wall_clock(),
        }
    }

    /// Reads both clocks.
    pub(crate) fn read(&self) -> Reading {
        Reading { wall: self.now(), now: ambient::now() }
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.own.is_some() { "WallClock(own)" } else { "WallClock(system)" })
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Reading {
    pub(crate) wall: SystemTime,
    pub(crate) now: Instant,
}

impl Reading {
    /// Returns how long it is until then, `most` at most; zero if it is past.
    pub(crate) fn until(&self, time: SystemTime, most: Duration) -> Duration {
        time.duration_since(self.wall).unwrap_or_default().min(most)
    }

    /// Returns the instant that a time on the wall clock is, `most` ahead at most;
    /// now if it is past.
    pub(crate) fn instant(&self, time: SystemTime, most: Duration) -> Instant {
        ambient::later(self.now, self.until(time, most))
    }

    /// The same, but a time that is past is an instant that is past.
    #[cfg(feature = "serde")]
    pub(crate) fn instant_of(&self, time: SystemTime, most: Duration) -> Instant {
        match self.wall.duration_since(time) {
            Ok(ago) => ambient::earlier(self.now, ago),
            Err(_) => self.instant(time, most),
        }
    }

    /// Returns the time on the wall clock that an instant is.
    pub(crate) fn time(&self, instant: Instant) -> SystemTime {
        let ahead = instant.saturating_duration_since(self.now);
        let ago = self.now.saturating_duration_since(instant);
        // One of them is zero.
        later(self.wall, ahead).checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns how far the wall clock was stepped since an earlier reading.
    pub(crate) fn step_since(&self, earlier: &Self) -> Step {
        let expected = earlier.time(self.now);
        match self.wall.duration_since(expected) {
            Ok(ahead) if ahead >= GRAIN => Step::Ahead(ahead),
            Err(error) if error.duration() >= GRAIN => Step::Back(error.duration()),
            Ok(_) | Err(_) => Step::None,
        }
    }
}

/// How far the wall clock was stepped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    None,
    Ahead(Duration),
    Back(Duration),
}

impl Step {
    /// Moves a deadline along, so that it stays as far away as it was.
    pub(crate) fn shift(self, time: SystemTime) -> SystemTime {
        match self {
            Self::None => time,
            Self::Ahead(step) => later(time, step),
            Self::Back(step) => time.checked_sub(step).unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

/// Returns the time `wait` later, a century at most: no clock ends so soon, but
/// for one that is wrong, and to that everything is due.
pub(crate) fn later(time: SystemTime, wait: Duration) -> SystemTime {
    time.checked_add(wait.min(ambient::FAR)).unwrap_or(time)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "for tests")]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn reading(wall: u64) -> Reading {
        Reading { wall: SystemTime::UNIX_EPOCH + secs(wall), now: ambient::now() }
    }

    #[test]
    fn a_step_is_what_the_wall_clock_did_beside_tokios() {
        let earlier = reading(10_000);
        let at = |wall, elapsed| Reading {
            wall: SystemTime::UNIX_EPOCH + secs(wall),
            now: earlier.now + secs(elapsed),
        };

        assert_eq!(at(10_060, 60).step_since(&earlier), Step::None);
        assert_eq!(at(13_660, 60).step_since(&earlier), Step::Ahead(secs(3600)));
        assert_eq!(at(6_460, 60).step_since(&earlier), Step::Back(secs(3600)));
    }

    #[test]
    fn what_is_less_than_a_timers_grain_is_no_step() {
        let earlier = reading(10_000);
        let stepped =
            |micros| Reading { wall: earlier.wall + Duration::from_micros(micros), ..earlier };

        assert_eq!(stepped(999).step_since(&earlier), Step::None);
        assert_eq!(stepped(1_000).step_since(&earlier), Step::Ahead(GRAIN));
        assert_eq!(earlier.step_since(&stepped(999)), Step::None);
        assert_eq!(earlier.step_since(&stepped(1_000)), Step::Back(GRAIN));
    }

    #[test]
    fn a_shifted_deadline_is_as_far_away_as_before() {
        let time = SystemTime::UNIX_EPOCH + secs(10_000);

        assert_eq!(Step::Ahead(secs(5)).shift(time), time + secs(5));
        assert_eq!(Step::Back(secs(5)).shift(time), time - secs(5));
        assert_eq!(Step::Back(Duration::MAX).shift(time), SystemTime::UNIX_EPOCH);
        assert!(Step::Ahead(Duration::MAX).shift(time) > time);
    }

    #[test]
    fn times_and_instants_are_each_others_mirror_and_clamped() {
        let reading = reading(10_000);
        let hour = secs(3600);

        let soon = reading.wall + secs(60);
        assert_eq!(reading.instant(soon, hour), reading.now + secs(60));
        assert_eq!(reading.time(reading.now + secs(60)), soon);
        assert_eq!(reading.instant(reading.wall - secs(60), hour), reading.now);
        assert_eq!(reading.instant(reading.wall + secs(7200), hour), reading.now + hour);
        assert!(reading.instant(later(reading.wall, Duration::MAX), Duration::MAX) > reading.now);
    }
}
