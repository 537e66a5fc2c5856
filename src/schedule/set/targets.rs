//! The targets of a set, with what is known of each, and what an answer does to
//! them.
//!
//! It knows no service and waits for nothing. Deciding is done in moments; times
//! on the wall clock are made when somebody looks.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use slab::Slab;
use tokio::time::Instant;

use super::call::Ticket;
use super::heap::growth;
use super::queue::{Hold, Queue, Turn};
use super::spread;
use super::target::{TargetId, TargetInfo};
use crate::ambient;
use crate::ladder::Ladder;
use crate::moment::{Moment, nanos};
use crate::schedule::next::{LEAST, Next, usable};
#[cfg(feature = "serde")]
use crate::schedule::snapshot::TargetRecord;
use crate::schedule::wall::{Reading, WallClock};
use crate::upstream::Upstream;

/// Stands for "has not gone well yet".
const NEVER: Moment = Moment::from_nanos(u64::MAX);

/// The targets of a set.
#[derive(Debug)]
pub(super) struct Targets<T> {
    all: Slab<Target<T>>,
    pub(super) queue: Queue,
    last_stamp: u32,
    /// Where moments count from: early enough for what earlier processes did.
    born: Instant,
    pub(super) wall: WallClock,
    rules: Rules,
    pub(super) is_paused: bool,
    pub(super) is_ending: bool,
}

/// What holds for all targets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) interval: Duration,
    pub(super) ladder: Ladder,
    /// The window over which new targets are spread, where it is not the target's
    /// interval.
    pub(super) spread: Option<Duration>,
}

/// What is known of a target, beside when it is due.
///
/// Slim, for there may be a million; the stamp is never zero, so that a free place
/// in the slab takes no more.
#[derive(Debug)]
pub(super) struct Target<T> {
    pub(super) data: T,
    /// In nanoseconds.
    interval: u64,
    last_ok: Moment,
    pub(super) failures: u32,
    stamp: NonZeroU32,
}

impl<T> Target<T> {
    pub(super) fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    pub(super) fn last_ok(&self) -> Option<Moment> {
        (self.last_ok != NEVER).then_some(self.last_ok)
    }
}

/// What an answer came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    pub(super) failures: u32,
    /// When the target is due again, its upstream's hold included.
    pub(super) due: Moment,
}

impl<T> Targets<T> {
    pub(super) fn new(queue: Queue, rules: Rules, wall: WallClock) -> Self {
        Self {
            all: Slab::new(),
            queue,
            last_stamp: 0,
            born: ambient::earlier(ambient::now(), ambient::FAR),
            wall,
            rules,
            is_paused: false,
            is_ending: false,
        }
    }

    pub(super) fn add(
        &mut self,
        upstream: Upstream,
        target: T,
        interval: Option<Duration>,
    ) -> TargetId {
        let now = self.now();
        let interval = interval.unwrap_or(self.rules.interval);
        let stamp = NonZeroU32::new(self.last_stamp.wrapping_add(1)).unwrap_or(NonZeroU32::MIN);
        self.last_stamp = stamp.get();
        if self.all.len() == self.all.capacity() {
            self.all.reserve_exact(growth(self.all.len()));
        }
        let index = self.all.insert(Target {
            data: target,
            interval: nanos(interval),
            last_ok: NEVER,
            failures: 0,
            stamp,
        });
        // Memory ends before numbers do.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let window = self.rules.spread.unwrap_or(interval);
        let due = |lane, target| now.after(spread::offset(lane, target, window));
        self.queue.add(index, upstream, due);
        TargetId { index, stamp }
    }

    pub(super) fn remove(&mut self, id: TargetId) -> Option<T> {
        self.find(id)?;
        self.queue.remove(id.index);
        self.all.try_remove(id.index as usize).map(|target| target.data)
    }

    /// Makes a target due now, if it is not overdue already.
    pub(super) fn trigger(&mut self, id: TargetId) -> bool {
        let is_here = self.find(id).is_some();
        let now = self.now();
        if is_here && self.queue.due(id.index) > now {
            self.queue.reschedule(id.index, now);
        }
        is_here
    }

    pub(super) fn set_interval(&mut self, id: TargetId, interval: Duration) -> bool {
        let target = self.find_mut(id);
        target.map(|target| target.interval = nanos(interval)).is_some()
    }

    /// Takes over how a target's schedule stood; no wait is longer than its interval,
    /// the ladder and `longest`. What is cut to that is spread, for it was cut alike.
    #[cfg(feature = "serde")]
    pub(super) fn stand(
        &mut self,
        id: TargetId,
        record: &TargetRecord,
        longest: Duration,
        reading: Reading,
    ) {
        let longest = longest.max(record.interval).max(self.rules.ladder.cap());
        let moment = |time: SystemTime| self.moment(reading.instant_of(time, longest));
        let is_cut =
            |time: SystemTime| time.duration_since(reading.wall).is_ok_and(|ahead| ahead > longest);
        let due = match record.due_at {
            None => self.moment(reading.now),
            Some(time) if is_cut(time) => {
                let earlier = spread::offset(0, u64::from(id.index), record.interval);
                moment(time).before(earlier)
            }
            Some(time) => moment(time),
        };
        let last_ok = record.last_ok_at.map_or(NEVER, moment);
        if let Some(target) = self.find_mut(id) {
            target.interval = nanos(record.interval);
            target.failures = record.consecutive_failures;
            target.last_ok = last_ok;
            self.queue.reschedule(id.index, due);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: TargetId) -> Option<TargetInfo<'_, T>> {
        let reading = self.wall.read();
        self.info(id.index as usize, self.find(id)?, reading)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TargetInfo<'_, T>> {
        let reading = self.wall.read();
        self.all.iter().filter_map(move |(index, target)| self.info(index, target, reading))
    }

    /// Returns the target of that number, with its id.
    pub(super) fn at(&self, index: u32) -> Option<(TargetId, &T)> {
        let target = self.all.get(index as usize)?;
        Some((TargetId { index, stamp: target.stamp }, &target.data))
    }

    pub(super) fn data_mut(&mut self, id: TargetId) -> Option<&mut T> {
        self.find_mut(id).map(|target| &mut target.data)
    }

    /// Says what there is to do now.
    pub(super) fn next(&mut self) -> Turn {
        self.queue.next(self.now())
    }

    /// Takes in what an answer means that came at `now`; nothing where the target
    /// is gone.
    pub(super) fn answered(
        &mut self,
        ticket: Ticket,
        next: Next,
        least: Duration,
        hold: Hold,
        now: Moment,
    ) -> Option<Outlook> {
        let Ticket { id, lane, has_place } = ticket;
        self.queue.pass(now);
        let born = self.born;
        let ladder = self.rules.ladder;
        let due_before = self.queue.due(id.index);
        let target = self.find_mut(id)?;
        let due = match next {
            Next::Ok => {
                target.failures = 0;
                target.last_ok = now;
                now.after(target.interval().max(least))
            }
            Next::Failed { hint } => {
                target.failures = target.failures.saturating_add(1);
                let hint = usable(ladder, target.failures, hint);
                now.after(ladder.delay_with_hint(target.failures, hint).max(least))
            }
            Next::NotSent { .. } => due_before,
            Next::DueAt(then) => ambient::moment(born, then).max(now.after(least)),
        };
        let failures = target.failures;
        if has_place {
            self.queue.finish(lane, Some((id.index, due)));
        } else {
            self.queue.reschedule(id.index, due);
        }
        match next {
            Next::NotSent { until } => {
                let soon = now.after(LEAST);
                let hold = match hold {
                    Hold::Firm => Hold::Firm,
                    Hold::Loose { look_at } => Hold::Loose { look_at: look_at.max(soon) },
                };
                self.queue.hold(lane, ambient::moment(born, until).max(soon), hold);
            }
            Next::Ok => self.queue.loosen(lane),
            Next::Failed { .. } | Next::DueAt(_) => {}
        }
        Some(Outlook { failures, due: due.max(self.queue.held_until(lane)) })
    }

    /// Returns whether a target is there and is not being called.
    pub(super) fn waits(&self, id: TargetId) -> bool {
        self.has(id) && !self.queue.is_called(id.index)
    }

    pub(super) fn has(&self, id: TargetId) -> bool {
        self.find(id).is_some()
    }

    pub(super) fn now(&self) -> Moment {
        self.moment(ambient::now())
    }

    pub(super) fn moment(&self, instant: Instant) -> Moment {
        ambient::moment(self.born, instant)
    }

    pub(super) fn instant(&self, moment: Moment) -> Instant {
        ambient::instant(self.born, moment)
    }

    /// Returns when there is something to do, on the wall clock.
    pub(super) fn wakes_at(&self) -> Option<SystemTime> {
        let wakes = self.queue.wakes_at().filter(|_| !self.is_paused && !self.is_ending)?;
        let reading = self.wall.read();
        Some(reading.time(self.instant(wakes).max(reading.now)))
    }

    fn find(&self, id: TargetId) -> Option<&Target<T>> {
        self.all.get(id.index as usize).filter(|target| target.stamp == id.stamp)
    }

    fn find_mut(&mut self, id: TargetId) -> Option<&mut Target<T>> {
        self.all.get_mut(id.index as usize).filter(|target| target.stamp == id.stamp)
    }

    fn info<'a>(
        &'a self,
        index: usize,
        target: &'a Target<T>,
        reading: Reading,
    ) -> Option<TargetInfo<'a, T>> {
        let index = u32::try_from(index).ok()?;
        let lane = self.queue.lane(index);
        Some(TargetInfo {
            id: TargetId { index, stamp: target.stamp },
            target,
            upstream: self.queue.upstream(lane)?,
            due: self.queue.due(index),
            held_until: self.queue.held_until(lane),
            is_in_flight: self.queue.is_called(index),
            born: self.born,
            reading,
        })
    }
}
