//! How the examples' upstreams limit: so many requests in a window.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A fixed window that opens with its first request, and ends with a second of
/// the wall clock, as GitHub's do.
#[derive(Debug)]
pub struct Limiter {
    requests: u32,
    window: Duration,
    penalty: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ends: SystemTime,
    used: u32,
}

/// What a request was told.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Whether the request is answered.
    pub is_granted: bool,
    /// How many more are answered in this window.
    pub remaining: u32,
    /// When the window ends, in seconds since 1970.
    pub reset: u64,
    /// How long that is from now, rounded up.
    pub seconds: u64,
}

impl Limiter {
    /// Allows so many requests in a window.
    pub fn new(requests: u32, window: Duration) -> Self {
        let state = Mutex::new(State { ends: UNIX_EPOCH, used: 0 });
        Self { requests, window, penalty: Duration::ZERO, state }
    }

    /// Prolongs the window after each request too many, to that long from then on
    /// at least. So who does not listen stays shut out.
    #[must_use]
    pub fn penalty(self, penalty: Duration) -> Self {
        Self { penalty, ..self }
    }

    /// Takes a request in that costs that much; zero is granted only where one would
    /// be as well.
    pub fn take(&self, cost: u32) -> Quota {
        let mut state = self.state.lock().unwrap();
        let now = SystemTime::now();
        if now >= state.ends {
            state.ends = second_after(now, self.window);
            state.used = 0;
        }
        let is_granted = state.used < self.requests;
        if !is_granted {
            state.ends = state.ends.max(second_after(now, self.penalty));
        }
        if is_granted {
            state.used = state.used.saturating_add(cost);
        }
        let left = state.ends.duration_since(now).unwrap_or_default();
        Quota {
            is_granted,
            remaining: self.requests.saturating_sub(state.used),
            reset: whole_seconds(state.ends.duration_since(UNIX_EPOCH).unwrap()),
            seconds: whole_seconds(left),
        }
    }
}

/// Returns the second that begins so much later, or next after that.
fn second_after(now: SystemTime, later: Duration) -> SystemTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap().saturating_add(later);
    UNIX_EPOCH.checked_add(Duration::from_secs(whole_seconds(since))).unwrap()
}

/// Counts the seconds of a time, the last one begun included.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
