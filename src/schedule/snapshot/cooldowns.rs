//! What is kept of the upstreams in trouble: taken from the table, and given
//! back to it.
//!
//! Moments mean nothing to another process, so they are turned into times on the
//! wall clock and back, by both clocks as they stood together.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::object::Named;
use super::upstream;
use crate::cooldown::{Cause, Record};
use crate::cooldowns::Cooldowns;
use crate::layer::RetryAfterBackoffLayer;
use crate::moment::Moment;
use crate::schedule::text::short;
use crate::schedule::wall::{Reading, later};
use crate::upstream::{Kind, Upstream};

/// One upstream in trouble, written down.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    #[serde(with = "upstream")]
    upstream: Upstream,
    /// When its cooldown ends, or ended: then a call may find out.
    #[serde(with = "super::text")]
    until: SystemTime,
    #[serde(default)]
    rung: u32,
    #[serde(default, with = "super::status")]
    status: Option<StatusCode>,
    /// As sent, before any ceiling.
    #[serde(default, with = "super::text::option")]
    hint: Option<Duration>,
    #[serde(default)]
    by_hand: bool,
}

impl Named for Kept {
    type Name = Upstream;

    fn name(&self) -> Upstream {
        self.upstream.clone()
    }

    fn said(&self) -> String {
        format!("a cooldown of {}", short(&self.upstream))
    }
}

/// Writes down all upstreams in trouble, those that are held back longest first.
///
/// A name that only this process can make is left out.
pub(super) fn take(cooldowns: &Cooldowns, clocks: Reading) -> Vec<Kept> {
    let now = cooldowns.moment(clocks.now);
    let time = |moment: Moment| {
        if moment > now {
            return later(clocks.wall, moment.since(now));
        }
        clocks.wall.checked_sub(now.since(moment)).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let mut all: Vec<Kept> = cooldowns
        .table()
        .all(now)
        .into_iter()
        .filter(|(upstream, _)| upstream.kind() != Kind::Ephemeral)
        .map(|(upstream, state)| {
            let Record { until, cause, by_hand } = state.record();
            let Cause { rung, status, hint } = cause;
            Kept { upstream, until: time(until), rung, status, hint, by_hand }
        })
        .collect();
    // The same file for the same table.
    all.sort_by(|a, b| {
        let by_name = || a.upstream.text().cmp(b.upstream.text());
        b.until.cmp(&a.until).then_with(by_name)
    });
    all
}

/// Gives what was written down to a layer's table.
pub(super) fn give(kept: &[Kept], layer: &RetryAfterBackoffLayer, clocks: Reading) {
    let cooldowns = layer.cooldowns();
    let now = cooldowns.moment(clocks.now);
    let longest = layer.shared().rules.longest();
    // Those that end soonest first, as they make room for the others where it is full.
    let mut kept: Vec<&Kept> = kept.iter().collect();
    kept.sort_by_key(|kept| kept.until);
    for Kept { upstream, until, rung, status, hint, by_hand } in kept {
        let until = match until.duration_since(clocks.wall) {
            Ok(ahead) if *by_hand => now.after(ahead),
            // Nothing is started that is longer: the clock was wrong, or is.
            Ok(ahead) => now.after(ahead.min(longest)),
            Err(past) if past.duration() >= cooldowns.table().forget_after() => continue,
            Err(past) => now.before(past.duration()),
        };
        let cause = Cause { rung: *rung, status: *status, hint: *hint };
        cooldowns.restore(upstream, Record { until, cause, by_hand: *by_hand });
    }
}
