//! One table for all processes: what one of them is refused, all of them heed.
//!
//! # What is held where?
//!
//! Each process decides by its own table ([`Cooldowns`]), as ever: a call reads local
//! memory, and waits for nobody. What changes an upstream's state there is told as an
//! [event] to Redis, where a script applies the same transition table by Redis's
//! clock. What comes of it is the fleet's state; it goes back to who told it, and is
//! published to all. So a burst over many processes is one rung.
//!
//! # Who asks?
//!
//! Where a lone process would send a probe, a process of a fleet asks for its lease
//! first. The call that found the cooldown run out is rejected, for as long as Redis
//! takes to answer, and the next one is the probe. Redis's answer is waited for a
//! tenth of a second at most; then a call goes without it. A Reopening upstream has
//! its places in the process that had the probe; others ask for those that it does
//! not use.
//!
//! # What if Redis is away?
//!
//! Then each table goes on by itself. It has all that it needs: it has heard of every
//! cooldown that runs. As Redis comes back, everything is read, the longer cooldown
//! wins, and what only one table knew is told.

mod builder;
mod bulletin;
mod drive;
mod event;
mod link;
mod name;
mod numbers;
mod pace;
mod script;
mod server;
mod session;
mod status;

use std::sync::Arc;

use redis::IntoConnectionInfo;
use tokio::task::JoinHandle;

pub use self::builder::{FleetBuilder, FleetError};
pub(crate) use self::event::Policy;
use self::link::Member;
pub(crate) use self::link::{Link, PLACE_AGAIN};
use self::status::Status;
use crate::cooldowns::{Cooldowns, WeakCooldowns};

/// Keeps a table of cooldowns in step with those of other processes, through Redis or
/// Valkey.
///
/// With the feature `redis`. The first refusal anywhere holds back everybody; when the
/// cooldown ends, one process of all sends the probe, and they come back as one, not
/// each by itself. All tables that join under one namespace are one fleet. Dropping
/// this leaves it; the table goes on alone.
///
/// Calls never wait for Redis, and never fail for it: they read their table and no
/// more, and a table whose Redis is away goes on by itself. A process back in step
/// within a second of Redis's return takes the longer cooldown of what it knew and
/// what the fleet knows. A call whose turn it is to be the probe is rejected once,
/// for a tenth of a second at most ([`FleetBuilder::lease_wait`]), while the lease is
/// asked for.
///
/// Processes should be set up alike: a verdict counts by the settings of the layer
/// that saw it. A key by credential is shared only where it is hashed with a salt of
/// your own ([`key`](crate::key)). Origins are stored readable, so are names of your
/// own: do not name an upstream by a secret.
///
/// Redis 6 or Valkey 7.2 at least (it is tested with Redis 7.0), by `redis://`, `rediss://` (with a TLS feature of
/// the crate `redis`) or `unix://`. Nothing need be stored there for good: an entry
/// expires with its episode, and what is lost is put together again. Two small keys
/// stay, which count the changes and name the entries.
///
/// [`Cooldowns::clear`] clears for all who are in step. A table that was away meanwhile
/// brings its cooldown back with it, for all: clear once more.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_retry_after::{Fleet, RetryAfterBackoffLayer};
///
/// let layer = RetryAfterBackoffLayer::new();
/// let fleet = Fleet::join("redis://127.0.0.1/", "billing", &layer.cooldowns())?;
///
/// // Optional: until then the table goes on by itself.
/// fleet.in_step().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a table leaves the fleet when this is dropped"]
#[derive(Debug)]
pub struct Fleet {
    status: Arc<Status>,
    task: JoinHandle<()>,
    member: Member,
    table: WeakCooldowns,
}

impl Fleet {
    /// Joins a table to the fleet of that namespace; a task of its own keeps it in
    /// step.
    ///
    /// `at` is a URL, or what a ready client has: `client.get_connection_info().clone()`.
    /// Redis need not be there yet.
    ///
    /// # Errors
    ///
    /// Fails where `at` names no Redis, the table is in a fleet already, or this is
    /// not called within a tokio runtime.
    pub fn join(
        at: impl IntoConnectionInfo,
        namespace: &str,
        cooldowns: &Cooldowns,
    ) -> Result<Self, FleetError> {
        Self::builder(at, namespace).join(cooldowns)
    }

    /// Configures how a table joins the fleet of that namespace.
    pub fn builder(at: impl IntoConnectionInfo, namespace: &str) -> FleetBuilder {
        FleetBuilder::new(at.into_connection_info(), namespace)
    }

    /// Waits until the table is in step: Redis is reached, and all is read.
    ///
    /// It waits for as long as Redis is away. Calls need not wait for it.
    pub async fn in_step(&self) {
        // It fails only where the task is gone, and with it the table.
        let _ = self.status.subscribe().wait_for(|in_step| *in_step).await;
    }

    /// Returns whether the table is in step, as far as is known.
    pub fn is_in_step(&self) -> bool {
        self.status.is_in_step()
    }

    /// Returns how many things in Redis could not be read and were ignored, each
    /// counted once: of another type or version, or garbage.
    pub fn ignored(&self) -> u64 {
        self.status.ignored()
    }

    /// Returns what went wrong last, even if it has gone well since.
    pub fn last_problem(&self) -> Option<String> {
        self.status.last_problem()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(table) = self.table.upgrade() {
            table.link().leave(self.member);
        }
    }
}
