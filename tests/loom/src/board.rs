//! The state cell by itself: one that writes states, one that reads the notice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::cooldown::{Cause, Cooldown, Phase, Reason};
use crate::cooldowns::cell::Cell;
use crate::moment::Moment;

/// A cell; clones share it.
#[derive(Clone)]
pub struct Board {
    // Not loom's: who shares the cell is not what is checked.
    cell: Arc<Cell>,
}

/// A state of which no word is like the next one's: all follow from one number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Sample(pub u32);

impl Board {
    /// A cell that holds a sample.
    pub fn new(first: Sample) -> Self {
        Self { cell: Arc::new(Cell::new(first.state(), Duration::MAX)) }
    }

    /// Takes the lock and replaces the sample.
    pub fn write(&self, next: Sample) {
        self.cell.lock().set(next.state(), Duration::MAX);
    }

    /// Takes the lock and leaves nothing that could be read without it.
    pub fn wipe(&self) {
        self.cell.lock().set(Cooldown::CLEAR, Duration::MAX);
    }

    /// Reads without the lock; nothing while a writer is at it.
    ///
    /// # Panics
    ///
    /// Panics when what was read is not one sample, whole.
    pub fn read(&self) -> Option<Sample> {
        let notice = self.cell.notice()?;
        let sample = Sample(notice.cause.rung);
        let state = sample.state();
        let read = (notice.gate, notice.reason, notice.cause);
        assert_eq!(read, (state.gate(Duration::MAX), sample.reason(), state.cause));
        Some(sample)
    }
}

impl Sample {
    fn state(self) -> Cooldown {
        let seconds = u64::from(self.0);
        let gate = Moment::START.after(Duration::from_secs(seconds));
        let phase = if self.is_probing() {
            Phase::Probing { lease: gate }
        } else {
            Phase::Cooling { until: gate }
        };
        let status = u16::try_from(self.0).unwrap_or(0).saturating_add(400);
        let mut state = Cooldown::CLEAR;
        state.phase = phase;
        state.ends = Moment::START.after(Duration::MAX);
        state.cause = Cause {
            rung: self.0,
            status: StatusCode::from_u16(status).ok(),
            hint: Some(Duration::new(seconds, self.0)),
        };
        state
    }

    fn reason(self) -> Reason {
        if self.is_probing() { Reason::Probing } else { Reason::Cooling }
    }

    fn is_probing(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}
