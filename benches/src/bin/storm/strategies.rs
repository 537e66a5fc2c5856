//! The strategies, in the order of the tables.

mod backon;
mod failsafe;
mod fixed_pace;
mod governor;
mod ours;
mod per_loop;
mod recloser;
mod reqwest_retry;
mod reqwest_retry_after;
mod scaled;
mod shared;
#[cfg(test)]
mod testing;
mod tower_resilience;
mod tower_retry;

use std::time::Duration;

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

/// Returns those who read clocks that do not pass in virtual time, between no strategy
/// and the layer, to be compared where a minute takes only `minute`.
pub(crate) fn of_real_time(minute: Duration) -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(fixed_pace::FixedPace),
        Box::new(reqwest_retry_after::ReqwestRetryAfter),
        Box::new(tower_resilience::TowerResilience { minute }),
        Box::new(recloser::Reclosers { minute }),
        Box::new(scaled::Scaled { minute }),
    ]
}
