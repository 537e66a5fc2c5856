//! The connection to Redis, and the words in which it is asked.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, RedisError, Script,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::bulletin::VERSION;
use super::pace::Trouble;
use super::script;
use crate::ambient;

/// How long Redis may take to connect, and to answer.
///
/// A slow one is slow to tell, and still worth hearing; one that takes longer than
/// this is taken for gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// After how long without a word the connection itself is asked whether it is there.
///
/// Routers and balancers forget connections that were idle for some minutes.
const IDLE: Duration = Duration::from_secs(15);

/// How far the clocks may drift apart between two answers.
const SLACK: Duration = Duration::from_secs(3);

/// How many entries are read at once.
///
/// Each takes Redis some 50 µs; a script that reads more would keep it from others for
/// longer than a probe's lease takes.
const PAGE: u32 = 50;

/// What a fleet's processes have in common in Redis: a namespace of keys. They share
/// a hash tag, so that they stand in one slot of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    entry: String,
    index: String,
    epoch: String,
    pub(super) news: String,
}

impl Keys {
    /// The keys of that namespace in that database. A channel is heard in all databases,
    /// so its name says which, unless it is the usual one.
    pub(super) fn of(namespace: &str, database: i64) -> Self {
        let key = |name: &str| format!("{{{namespace}}}:{name}");
        let news = match database {
            0 => key("news"),
            other => key(&format!("news:{other}")),
        };
        Self { entry: key("u:"), index: key("index"), epoch: key("epoch"), news }
    }
}

/// What Redis tells by itself.
pub(super) type Pushes = UnboundedReceiver<PushInfo>;

/// Redis, as a process reaches it.
#[derive(Clone)]
pub(super) struct Server {
    connection: MultiplexedConnection,
    apply: Arc<Script>,
    read: Arc<Script>,
    keys: Keys,
    /// This process's name.
    me: Arc<str>,
    /// Redis's time in microseconds, and when it was told.
    clock: Option<(u64, Instant)>,
}

/// What Redis answers to events: how it stands with the upstream, and what followed
/// from each.
pub(super) type Answer = Result<Vec<Vec<u8>>, Failure>;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// What stands in Redis for this upstream cannot be read.
    Bad(String),
    /// Redis itself.
    Redis(Trouble, String),
}

/// A page of all that the fleet knows.
pub(super) struct Page {
    pub(super) next: u64,
    pub(super) epoch: String,
    /// The number of the newest change as the page was read.
    pub(super) number: u64,
    /// When that was, by Redis's clock.
    now: u64,
    pub(super) bulletins: Vec<String>,
}

impl Server {
    /// Connects, and listens to the news.
    pub(super) async fn connect(
        at: &ConnectionInfo,
        keys: Keys,
        me: Arc<str>,
    ) -> Result<(Self, Pushes), Failure> {
        // One connection for both: the news come by push, between the answers.
        let settings = at.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let at = at.clone().set_redis_settings(settings).set_tcp_settings(watched(at));
        let client = Client::open(at).map_err(|error| failure(&error))?;
        let (sender, pushes) = tokio::sync::mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(sender);
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| failure(&error))?;
        connection.subscribe(&keys.news).await.map_err(|error| failure(&error))?;
        let (apply, read) = (Script::new(script::APPLY), Script::new(script::READ));
        let server = Self {
            connection,
            apply: Arc::new(apply),
            read: Arc::new(read),
            keys,
            me,
            clock: None,
        };
        Ok((server, pushes))
    }

    /// Tells events of one upstream, in their order.
    pub(super) async fn apply(mut self, name: String, events: Vec<String>) -> Answer {
        let mut call = self.apply.prepare_invoke();
        call.key(format!("{}{name}", self.keys.entry)).key(&self.keys.index).key(&self.keys.epoch);
        call.arg(self.version())
            .arg(&self.keys.news)
            .arg(name)
            .arg(&*self.me)
            .arg(fresh_epoch(&self.me));
        for event in events {
            call.arg(event);
        }
        call.invoke_async(&mut self.connection).await.map_err(|error| failure(&error))
    }

    /// Notes Redis's time, as it was told just now.
    pub(super) fn hears(&mut self, now: u64) {
        self.clock = Some((now, ambient::now()));
    }

    /// Returns the version, and by when Redis must have heard what is told now: it may
    /// stand still for long, and take then what nobody means any more.
    fn version(&self) -> String {
        match self.clock {
            None => VERSION.to_owned(),
            Some((then, at)) => {
                let since = ambient::now().saturating_duration_since(at);
                let wait = since.saturating_add(PATIENCE).saturating_add(SLACK);
                let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
                format!("{VERSION} {}", then.saturating_add(micros))
            }
        }
    }

    /// Reads a page, from that cursor on; the first and the one after the last are zero.
    pub(super) async fn read(&mut self, cursor: u64) -> Result<Page, Failure> {
        let mut call = self.read.prepare_invoke();
        call.key(&self.keys.index).key(&self.keys.epoch);
        call.arg(VERSION).arg(cursor).arg(PAGE).arg(&self.keys.entry).arg(fresh_epoch(&self.me));
        let lines: Vec<Vec<u8>> =
            call.invoke_async(&mut self.connection).await.map_err(|error| failure(&error))?;
        let mut lines = lines.into_iter().map(|line| String::from_utf8_lossy(&line).into_owned());
        let page = page(&mut lines).ok_or_else(|| {
            let what = "redis does not answer as its script would".to_owned();
            Failure::Redis(Trouble::Unusable, what)
        })?;
        self.hears(page.now);
        Ok(page)
    }
}

/// Has the system watch over a connection on which nothing happens, unless that is set
/// already: for days there may be no news, and one that was dropped without a word on
/// the way would bring none. It costs Redis no command.
fn watched(at: &ConnectionInfo) -> TcpSettings {
    let settings = at.tcp_settings().clone();
    if settings.keepalive().is_some() {
        return settings;
    }
    settings.set_keepalive(TcpKeepalive::new().with_time(IDLE).with_interval(IDLE))
}

fn page(lines: &mut impl Iterator<Item = String>) -> Option<Page> {
    let next = lines.next()?.parse().ok()?;
    let head = lines.next()?;
    let mut head = head.split(' ');
    let epoch = head.next()?.to_owned();
    let number = head.next()?.parse().ok()?;
    let now = head.next()?.parse().ok()?;
    Some(Page { next, epoch, number, now, bulletins: lines.collect() })
}

/// Names an epoch, should there be none: nobody else has named one so.
fn fresh_epoch(me: &str) -> String {
    format!("{me}-{:016x}", crate::ambient::random())
}

/// Names this process: nobody else is called so.
pub(super) fn name_process() -> Arc<str> {
    let random = crate::ambient::random;
    format!("{:016x}{:016x}", random(), random()).into()
}

fn failure(error: &RedisError) -> Failure {
    if error.code() == Some("BADDATA") {
        return Failure::Bad(error.detail().unwrap_or("garbage").to_owned());
    }
    if error.code() == Some("LATE") {
        // Or its clock was set forward. Either way: read what it knows, and tell anew.
        return Failure::Redis(Trouble::Lost, "redis heard too late what it was told".to_owned());
    }
    let is_unreached = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
    let trouble =
        if is_unreached || is_passing(error) { Trouble::Unreached } else { Trouble::Unusable };
    Failure::Redis(trouble, error.to_string())
}

/// Returns whether Redis is there and will be of use by itself: it reads its data, runs
/// somebody's script, or changes its master.
fn is_passing(error: &RedisError) -> bool {
    matches!(error.code(), Some("LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN"))
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;

    use super::*;

    fn trouble(answer: &[u8]) -> Trouble {
        let error = redis::parse_redis_value(answer).unwrap().extract_error().unwrap_err();
        match failure(&error) {
            Failure::Redis(trouble, _) => trouble,
            Failure::Bad(what) => panic!("{what}"),
        }
    }

    #[test]
    fn a_redis_that_still_reads_its_data_is_one_that_is_not_reached_yet() {
        assert_eq!(trouble(b"-LOADING Redis is loading\r\n"), Trouble::Unreached);
        assert_eq!(trouble(b"-BUSY Redis is busy running a script\r\n"), Trouble::Unreached);
        assert_eq!(trouble(b"-MASTERDOWN Link with MASTER is down\r\n"), Trouble::Unreached);
    }

    #[test]
    fn an_idle_connection_is_watched_as_its_user_set_it_or_at_all() {
        let at = "redis://127.0.0.1/".into_connection_info().unwrap();
        assert!(watched(&at).keepalive().is_some());

        let own = TcpKeepalive::new().with_time(Duration::from_secs(7));
        let at = at.set_tcp_settings(TcpSettings::default().set_keepalive(own.clone()));
        assert_eq!(format!("{:?}", watched(&at).keepalive()), format!("{:?}", Some(&own)));
    }

    #[test]
    fn one_that_forbids_is_of_no_use() {
        assert_eq!(trouble(b"-NOPERM this user has no permissions\r\n"), Trouble::Unusable);
        assert_eq!(trouble(b"-OOM command not allowed\r\n"), Trouble::Unusable);
    }
}
