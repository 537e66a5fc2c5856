//! The numbers of a layer, and the waits that follow from them.
//!
//! Pure arithmetic: what a state does with a wait stands in `cooldown.rs`.

use std::time::Duration;

use super::event::Reason;
use crate::ladder::Ladder;
use crate::moment::Moment;

/// The least cooldown, where neither ladder nor hint asks for one.
///
/// With the ladder off, a bare 429 would otherwise cool for no time at all, and
/// a caller that retries at once would spin.
pub(super) const LEAST: Duration = Duration::from_secs(1);

/// How long a probe that learned nothing keeps the next one waiting, at most.
///
/// An upstream that answers 500 or refuses connections has not said "wait", so
/// it is asked again soon; once a second is no storm.
const NEUTRAL_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait told to a caller while a probe is out.
///
/// The lease bounds the probe at half a minute; its answer usually takes far
/// less, and a caller who slept for the lease would miss it.
const PROBING_WAIT: Duration = Duration::from_secs(1);

/// The wait told to a caller that finds no place in a Reopening upstream.
///
/// About a round trip: by then some of the calls in flight have been answered,
/// and each success makes room for two.
const REOPENING_WAIT: Duration = Duration::from_millis(100);

/// The least wait told to a caller: one that sleeps for it must not spin.
pub(crate) const LEAST_WAIT: Duration = Duration::from_millis(1);

/// What a layer makes of its upstreams' refusals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) ladder: Ladder,
    pub(crate) max_retry_after: Duration,
    pub(crate) trust_hints: bool,
    /// The share of a cooldown that chance may add to it, within 0..=1.
    pub(crate) jitter: f64,
    pub(crate) probe_lease: Duration,
    pub(crate) reopen_width: u32,
}

impl Rules {
    /// Returns how long to stay away after that many refusals, before jitter.
    pub(super) fn wait(&self, failures: u32, hint: Option<Duration>) -> Duration {
        let wait = match self.usable(hint) {
            // A hint is trusted until it proves too short: one rung less.
            Some(hint) if self.trust_hints => {
                self.ladder.delay_with_hint(failures.saturating_sub(1), hint)
            }
            Some(hint) => self.ladder.delay_with_hint(failures, hint),
            None => self.ladder.delay(failures),
        };
        if wait.is_zero() { LEAST } else { wait }
    }

    /// The same with jitter: the wait of somebody who keeps refusals to himself.
    #[allow(dead_code, reason = "only retries pause")]
    pub(crate) fn pause(&self, failures: u32, hint: Option<Duration>, sample: f64) -> Duration {
        stretched(self.wait(failures, hint), self.stretch(sample))
    }

    /// Returns the longest cooldown that these rules start, jitter included.
    #[allow(dead_code, reason = "only snapshots clamp to it")]
    pub(crate) fn longest(&self) -> Duration {
        stretched(self.ladder.cap().max(self.max_retry_after).max(LEAST), self.stretch(1.0))
    }

    /// Returns the share that chance adds to a cooldown.
    #[expect(clippy::cast_possible_truncation, reason = "chance needs no more digits")]
    pub(crate) fn stretch(&self, sample: f64) -> f32 {
        (self.jitter * sample) as f32
    }

    /// Returns how long to pause after a probe that learned nothing.
    ///
    /// Who turns the ladder off by a base of zero does not ask for probes back to
    /// back.
    pub(super) fn neutral_pause(&self) -> Duration {
        match self.ladder.base() {
            Duration::ZERO => NEUTRAL_PAUSE,
            base => base.min(NEUTRAL_PAUSE),
        }
    }

    /// Returns the hint within its ceiling; a hint of zero is none.
    pub(crate) fn usable(&self, hint: Option<Duration>) -> Option<Duration> {
        hint.map(|hint| hint.min(self.max_retry_after)).filter(|hint| !hint.is_zero())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ladder: Ladder::default(),
            // An hour: longer than any window that is counted by the minute or
            // the hour, short enough that a nonsensical hint is outlived.
            max_retry_after: Duration::from_secs(3600),
            trust_hints: false,
            jitter: 0.0,
            // As long as most clients wait for an answer.
            probe_lease: Duration::from_secs(30),
            // With so many in flight the upstream has answered some sixty times
            // in a row: it is well.
            reopen_width: 64,
        }
    }
}

/// Returns until when a caller that is rejected at `now` is told to wait.
#[inline]
pub(crate) fn told(reason: Reason, gate: Moment, now: Moment) -> Moment {
    let until = match reason {
        Reason::Cooling | Reason::Refused => gate,
        Reason::Probing => gate.min(now.after(PROBING_WAIT)),
        Reason::Reopening => now.after(REOPENING_WAIT),
    };
    until.max(now.after(LEAST_WAIT))
}

/// Returns `wait` and its share `stretch` on top; never less than `wait`.
pub(super) fn stretched(wait: Duration, stretch: f32) -> Duration {
    let more = wait.as_secs_f64() * f64::from(stretch.max(0.0));
    wait.saturating_add(Duration::try_from_secs_f64(more).unwrap_or(Duration::MAX))
}
