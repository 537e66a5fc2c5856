//! What is known of an upstream in two parts: what rejections read, and the rest.

use super::{Cause, Cooldown, Phase};
use crate::moment::Moment;

/// What is known of an upstream but for the cause, which the table keeps where
/// rejections read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    phase: Phase,
    pub(crate) generation: u64,
    began: Moment,
    ends: Moment,
    /// Its sign says whether somebody cooled by hand: there may be a million of
    /// these, and a field more takes a word.
    stretch: f32,
    probe: u32,
}

impl Cooldown {
    /// Puts a state together that was kept in two parts.
    pub(crate) fn of(cause: Cause, course: Course) -> Self {
        let Course { phase, generation, began, ends, stretch, probe } = course;
        let by_hand = stretch.is_sign_negative();
        let stretch = stretch.abs();
        Self { phase, cause, generation, began, ends, stretch, probe, by_hand }
    }

    /// Returns the part beside the cause.
    pub(crate) fn course(&self) -> Course {
        let Self { phase, cause: _, generation, began, ends, stretch, probe, by_hand } = *self;
        let stretch = stretch.copysign(if by_hand { -1.0 } else { 1.0 });
        Course { phase, generation, began, ends, stretch, probe }
    }
}
