//! The scripts that Redis runs: the transition table beyond one process.
//!
//! `machine.lua` is `cooldown.rs` once more, with Redis's clock; its tests hold the two
//! to each other. `event.lua` reads what the processes send, `entry.lua` what is kept;
//! `apply.lua` applies events to one upstream, `read.lua` tells of all.

/// Applies events to one upstream.
pub(super) const APPLY: &str = concat!(
    include_str!("script/machine.lua"),
    include_str!("script/event.lua"),
    include_str!("script/entry.lua"),
    include_str!("script/apply.lua"),
);

/// Tells of all upstreams in trouble, page by page.
pub(super) const READ: &str = concat!(
    include_str!("script/machine.lua"),
    include_str!("script/event.lua"),
    include_str!("script/entry.lua"),
    include_str!("script/read.lua"),
);

#[cfg(test)]
mod tests;
