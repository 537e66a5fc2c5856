//! The strategies, in the order of the tables.

mod backon;
mod failsafe;
mod fixed_pace;
mod governor;
mod ours;
mod per_loop;
mod reqwest_retry;
mod shared;
#[cfg(test)]
mod testing;
mod tower_retry;

use crate::strategy::Strategy;

/// Returns all that are driven in virtual time.
pub(crate) fn all() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(fixed_pace::FixedPace),
        Box::new(per_loop::PerLoop),
        Box::new(tower_retry::TowerRetry),
        Box::new(reqwest_retry::ReqwestRetry),
        Box::new(backon::Backon::Alone),
        Box::new(backon::Backon::Told),
        Box::new(failsafe::Failsafe),
        Box::new(ours::Ours::Rejecting),
        Box::new(ours::Ours::Waiting),
        Box::new(ours::Ours::WithQuotaSignals),
        Box::new(governor::Governor::Waiting),
        Box::new(governor::Governor::Checking),
    ]
}
