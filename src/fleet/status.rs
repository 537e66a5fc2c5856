//! What a fleet tells of itself: whether it is in step, and what went wrong.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// How many bad data are told apart; of more, none is reported any more.
const TOLD_APART: usize = 1024;

/// What a fleet tells of itself.
#[derive(Debug)]
pub(super) struct Status {
    in_step: watch::Sender<bool>,
    problems: Mutex<Problems>,
}

#[derive(Debug, Default)]
struct Problems {
    last: Option<String>,
    ignored: HashSet<String>,
    /// The connection has failed, and that was told.
    is_away: bool,
}

impl Status {
    pub(super) fn new() -> Self {
        Self { in_step: watch::Sender::new(false), problems: Mutex::default() }
    }

    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.in_step.subscribe()
    }

    pub(super) fn is_in_step(&self) -> bool {
        *self.in_step.borrow()
    }

    pub(super) fn ignored(&self) -> u64 {
        u64::try_from(self.problems().ignored.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn last_problem(&self) -> Option<String> {
        self.problems().last.clone()
    }

    /// Notes that the table is in step.
    pub(super) fn reached(&self) {
        self.problems().is_away = false;
        self.in_step.send_replace(true);
        #[cfg(feature = "tracing")]
        tracing::info!(target: "tower_retry_after", "the fleet is in step");
    }

    /// Notes that it is not, and why; told once for each time.
    pub(super) fn lost(&self, why: &str) {
        self.in_step.send_replace(false);
        let was_away = {
            let mut problems = self.problems();
            problems.last = Some(why.to_owned());
            std::mem::replace(&mut problems.is_away, true)
        };
        if !was_away {
            // Nobody holds a lock here: whoever listens to `tracing` is not ours.
            #[cfg(feature = "tracing")]
            tracing::warn!(
                target: "tower_retry_after",
                why,
                "the fleet is out of reach: the table goes on by itself",
            );
        }
    }

    /// Notes that the table has left.
    pub(super) fn left(&self) {
        self.in_step.send_replace(false);
    }

    /// Notes that something in Redis cannot be read; told once for each.
    pub(super) fn ignore(&self, what: &str) {
        let what: String = what.chars().take(200).flat_map(char::escape_debug).collect();
        let is_new = {
            let mut problems = self.problems();
            let is_new =
                problems.ignored.len() < TOLD_APART && problems.ignored.insert(what.clone());
            if is_new {
                problems.last = Some(format!("bad data is ignored: {what}"));
            }
            is_new
        };
        if is_new {
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "tower_retry_after", what, "bad data of the fleet is ignored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_data_is_counted_once_and_shown_escaped() {
        let status = Status::new();

        for _ in 0..3 {
            status.ignore("garbage in named:\u{1b}[31m");
        }

        assert_eq!(status.ignored(), 1);
        let problem = status.last_problem().unwrap();
        assert!(problem.ends_with("garbage in named:\\u{1b}[31m"), "{problem}");
    }

    #[test]
    fn any_amount_of_bad_data_takes_little_memory() {
        let status = Status::new();

        for number in 0..10_000 {
            status.ignore(&number.to_string());
        }

        assert_eq!(status.ignored(), 1024);
    }
}
