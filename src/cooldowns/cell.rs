//! One upstream's state, shared between threads.
//!
//! Writers take the lock. Readers that only need to know whether the answer is
//! still "no" read a published copy without it; the copy carries a version, so
//! that nobody ever sees half of one state and half of the next.

use std::time::Duration;

use http::StatusCode;

use crate::cooldown::{Cause, Cooldown, Course, Phase, Reason};
use crate::moment::Moment;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, fence};

/// The state of one upstream and its published copy.
#[derive(Debug)]
pub(crate) struct Cell {
    published: Published,
    /// The rest of the state: what is published is not kept twice.
    course: Mutex<Course>,
}

/// What a rejection needs to know, as it stood at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    /// Before this moment the answer is "no".
    pub(crate) gate: Moment,
    pub(crate) reason: Reason,
    pub(crate) cause: Cause,
}

impl Cell {
    pub(crate) fn new(state: Cooldown, forget: Duration) -> Self {
        let published = Published::new();
        published.write(&state, forget);
        Self { published, course: Mutex::new(state.course()) }
    }

    /// Reads what was published last; nothing while a writer is at it, or where
    /// the answer has to be thought over.
    #[inline]
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.published.read()
    }

    /// Takes the lock. Nothing that can panic runs under it, so that a poisoned
    /// lock would still guard a whole state.
    pub(crate) fn lock(&self) -> Locked<'_> {
        let course = self.course.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Locked { published: &self.published, course }
    }
}

/// The state of one upstream, held.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    published: &'a Published,
    course: MutexGuard<'a, Course>,
}

impl Locked<'_> {
    pub(crate) fn get(&self) -> Cooldown {
        Cooldown::of(self.published.cause(), *self.course)
    }

    /// Replaces the state, for readers without the lock as well.
    pub(crate) fn set(&mut self, next: Cooldown, forget: Duration) {
        if self.get() != next {
            self.published.write(&next, forget);
            *self.course = next.course();
        }
    }

    /// Notes from which generation on calls are current; only verdicts ask.
    pub(crate) fn set_generation(&mut self, generation: u64) {
        self.course.generation = generation;
    }
}

/// A copy of the state that is read without a lock: a sequence lock whose
/// fields are atomics, so that a torn read is noticed, and never undefined.
#[derive(Debug)]
struct Published {
    /// Odd while a writer is at it.
    version: AtomicU32,
    rung: AtomicU32,
    gate: AtomicU64,
    hint_seconds: AtomicU64,
    /// Reason, status, and the hint's nanoseconds.
    rest: AtomicU64,
}

impl Published {
    fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            rung: AtomicU32::new(0),
            gate: AtomicU64::new(0),
            hint_seconds: AtomicU64::new(0),
            rest: AtomicU64::new(0),
        }
    }

    /// Publishes a state; the caller holds the lock, or the only reference.
    fn write(&self, state: &Cooldown, forget: Duration) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let hint = state.cause.hint;
        self.rung.store(state.cause.rung, Ordering::Relaxed);
        self.gate.store(state.gate(forget).nanos(), Ordering::Relaxed);
        self.hint_seconds.store(hint.map_or(0, |hint| hint.as_secs()), Ordering::Relaxed);
        self.rest.store(pack(state), Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    #[inline]
    fn read(&self) -> Option<Notice> {
        let version = self.version.load(Ordering::Acquire);
        let gate = self.gate.load(Ordering::Relaxed);
        let (rung, seconds, rest) = self.words();
        fence(Ordering::Acquire);
        let whole = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        if !whole || gate == 0 {
            return None;
        }
        let reason = if rest & PROBING == 0 { Reason::Cooling } else { Reason::Probing };
        Some(Notice { gate: Moment::from_nanos(gate), reason, cause: cause(rung, seconds, rest) })
    }

    /// Reads the cause; the caller holds the lock.
    fn cause(&self) -> Cause {
        let (rung, seconds, rest) = self.words();
        cause(rung, seconds, rest)
    }

    #[inline]
    fn words(&self) -> (u32, u64, u64) {
        let rung = self.rung.load(Ordering::Relaxed);
        let seconds = self.hint_seconds.load(Ordering::Relaxed);
        (rung, seconds, self.rest.load(Ordering::Relaxed))
    }
}

const PROBING: u64 = 1 << 63;
const STATUS_SHIFT: u32 = 32;
const STATUS_MASK: u64 = 0xffff;
const NANOS_MASK: u64 = HINTED - 1;

/// Set beside the hint's nanoseconds, of which there are less than 2^30.
const HINTED: u64 = 1 << 30;

/// Packs the phase, the status and the hint's nanoseconds into a word.
fn pack(state: &Cooldown) -> u64 {
    let probing = match state.phase {
        Phase::Probing { .. } => PROBING,
        Phase::Clear | Phase::Cooling { .. } | Phase::Reopening { .. } => 0,
    };
    let status = state.cause.status.map_or(0, |status| u64::from(status.as_u16()));
    let nanos = state.cause.hint.map_or(0, |hint| u64::from(hint.subsec_nanos()) | HINTED);
    probing | status << STATUS_SHIFT | nanos
}

/// Unpacks what was packed.
#[inline]
fn cause(rung: u32, seconds: u64, rest: u64) -> Cause {
    let status = u16::try_from(rest >> STATUS_SHIFT & STATUS_MASK)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok());
    let nanos = u32::try_from(rest & NANOS_MASK).unwrap_or_default();
    let hint = (rest & HINTED != 0).then(|| Duration::new(seconds, nanos));
    Cause { rung, status, hint }
}

#[cfg(test)]
mod tests;
