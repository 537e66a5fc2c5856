//! A redis-server of the test's own, on a free port, that ends with the test.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::clock;

/// A redis-server of the test's own.
pub(crate) struct Redis {
    program: Option<Child>,
    port: u16,
    folder: PathBuf,
}

/// Where libfaketime may be.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Says that a test is not run for want of a program; where nothing may be left out it
/// fails.
fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{what} is not installed");
    eprintln!("NOT RUN: {what} is not installed, and this test needs it");
}

/// Returns the library by which a process has a clock of its own.
pub(crate) fn faketime() -> Option<&'static Path> {
    let library = FAKETIME.into_iter().map(Path::new).find(|path| path.exists());
    if library.is_none() {
        missing("libfaketime (Debian: faketime)");
    }
    library
}

impl Redis {
    /// Starts one; nothing where the program is not installed.
    pub(crate) fn start() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            missing("redis-server");
            return None;
        }
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("tower-retry-after-fleet-{process}-{count}");
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut redis = Self { program: None, port: 0, folder };
        redis.restart();
        Some(redis)
    }

    /// Starts it again, empty; on the same port, if it ran before.
    pub(crate) fn restart(&mut self) {
        assert!(self.program.is_none(), "it runs");
        for _ in 0..20 {
            if self.try_start() {
                return;
            }
        }
        panic!("redis-server does not start");
    }

    fn try_start(&mut self) -> bool {
        let was = self.port;
        let port = if was == 0 { free_port() } else { was };
        let program = Command::new("redis-server")
            .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
            .args(["--port", &port.to_string()])
            .args(["--maxclients", "2000", "--dir", self.folder.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        (self.program, self.port) = (Some(program), port);
        for _ in 0..1000 {
            if self.is_there() {
                return true;
            }
            let program = self.program.as_mut().unwrap();
            if program.try_wait().unwrap().is_some() {
                break;
            }
            sleep(Duration::from_millis(5));
        }
        self.kill();
        // Somebody else has the port.
        self.port = was;
        false
    }

    fn is_there(&self) -> bool {
        let client = redis::Client::open(self.url()).unwrap();
        let connection = client.get_connection_with_timeout(Duration::from_secs(1));
        connection
            .is_ok_and(|mut connection| redis::cmd("PING").query::<String>(&mut connection).is_ok())
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }

    /// Lets it hang: connections stay, and nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.program.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Returns how often each command was run, those in scripts included.
    pub(crate) fn commands(&self) -> BTreeMap<String, u64> {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection()).unwrap();
        let count = |line: &str| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = numbers.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        };
        let own = |name: &str| name == "info" || name.starts_with("client") || name == "select";
        stats.lines().filter_map(count).filter(|(name, _)| !own(name)).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until something is so, and returns how long that took; a day is too long.
pub(crate) fn until(within: Duration, mut is_so: impl FnMut() -> bool) -> Option<Duration> {
    let start = clock::now();
    loop {
        if is_so() {
            return Some(start.elapsed());
        }
        if start.elapsed() >= within {
            return None;
        }
        sleep(Duration::from_millis(5));
    }
}
