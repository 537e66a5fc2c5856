//! The strategies, in the order of the tables.

mod fixed_pace;
mod ours;
mod per_loop;

use crate::strategy::Strategy;

/// Returns all that are driven in virtual time.
pub(crate) fn all() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(fixed_pace::FixedPace),
        Box::new(per_loop::PerLoop),
        Box::new(ours::Ours::Rejecting),
        Box::new(ours::Ours::Waiting),
        Box::new(ours::Ours::WithQuotaSignals),
    ]
}
