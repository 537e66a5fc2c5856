//! The strategies, in the order of the tables.

mod fixed_pace;
mod ours;

use crate::strategy::Strategy;

/// Returns all that are driven in virtual time.
pub(crate) fn all() -> Vec<Box<dyn Strategy>> {
    vec![Box::new(fixed_pace::FixedPace), Box::new(ours::Rejecting)]
}
