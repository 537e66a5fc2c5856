//! How a table joins a fleet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionInfo, RedisResult};
use tokio::runtime::Handle;

use super::Fleet;
use super::drive::Driver;
use super::server::{Keys, name_process};
use super::status::Status;
use crate::cooldowns::Cooldowns;
use crate::error::BoxError;

/// The default of [`FleetBuilder::lease_wait`].
///
/// Redis near by answers in a millisecond or two, and one far away in less than this;
/// a caller that has waited for a whole cooldown hardly notices.
const LEASE_WAIT: Duration = Duration::from_millis(100);

/// Configures how a table joins a fleet.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_retry_after::{Cooldowns, Fleet};
///
/// let cooldowns = Cooldowns::new();
/// let fleet = Fleet::builder("rediss://cache.example/", "billing")
///     .lease_wait(Duration::from_millis(250))
///     .join(&cooldowns)?;
/// # let _ = fleet;
/// # Ok(())
/// # }
/// ```
#[must_use = "a table joins when `join` is called"]
pub struct FleetBuilder {
    at: RedisResult<ConnectionInfo>,
    namespace: String,
    lease_wait: Duration,
}

impl FleetBuilder {
    pub(super) fn new(at: RedisResult<ConnectionInfo>, namespace: &str) -> Self {
        Self { at, namespace: namespace.to_owned(), lease_wait: LEASE_WAIT }
    }

    /// Sets how long a probe waits for the fleet's lease at most, before it goes
    /// without; 100 ms by default.
    ///
    /// Meanwhile calls are rejected with
    /// [`Reason::Probing`](crate::Reason::Probing). If Redis takes longer than this,
    /// each process sends a probe of its own.
    pub fn lease_wait(self, wait: Duration) -> Self {
        Self { lease_wait: wait, ..self }
    }

    /// Joins the table; a task of its own keeps it in step.
    ///
    /// # Errors
    ///
    /// Fails where the fleet's address names no Redis, the table is in a fleet
    /// already, or this is not called within a tokio runtime.
    pub fn join(self, cooldowns: &Cooldowns) -> Result<Fleet, FleetError> {
        let at = self.at.map_err(|error| FleetError::Address(error.into()))?;
        let runtime = Handle::try_current().map_err(|_| FleetError::Runtime)?;
        let member = cooldowns.link().join(self.lease_wait).ok_or(FleetError::Joined)?;
        let status = Arc::new(Status::new());
        let keys = Keys::of(&self.namespace, at.redis_settings().db());
        let driver = Driver {
            member,
            table: cooldowns.downgrade(),
            at,
            keys,
            me: name_process(),
            status: Arc::clone(&status),
        };
        let task = runtime.spawn(driver.drive());
        Ok(Fleet { status, task, member, table: cooldowns.downgrade() })
    }
}

impl fmt::Debug for FleetBuilder {
    /// Leaves the address out: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("namespace", &self.namespace)
            .field("lease_wait", &self.lease_wait)
            .finish_non_exhaustive()
    }
}

/// Why a table cannot join a fleet.
#[derive(Debug)]
#[non_exhaustive]
pub enum FleetError {
    /// The address names no Redis.
    Address(BoxError),
    /// The table is in a fleet already.
    Joined,
    /// There is no tokio runtime to keep it in step.
    Runtime,
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address(_) => "the address names no redis, give one as in \"redis://host:port/\"",
            Self::Joined => "the table is in a fleet already, drop that `Fleet` first",
            Self::Runtime => "no tokio runtime is running, join from within one",
        })
    }
}

impl std::error::Error for FleetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error.as_ref()),
            Self::Joined | Self::Runtime => None,
        }
    }
}
