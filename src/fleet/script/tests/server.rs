//! A redis-server that lives as long as a test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;

use redis::{Client, Connection};

use super::micros;

/// How often a server that starts is asked whether it is there, 10 ms apart.
const PATIENCE: usize = 1000;

/// A server on a port of its own, killed when this goes.
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
    client: Client,
}

impl Server {
    /// Starts one; nothing where the program is not installed.
    pub(super) fn start() -> Option<Self> {
        for _ in 0..10 {
            let port = free_port();
            let folder = std::env::temp_dir()
                .join(format!("tower-retry-after-redis-{}-{port}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let child = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--dir"])
                .arg(&folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let child = match child {
                Ok(child) => child,
                Err(error) => {
                    assert!(std::env::var("CI").as_deref() != Ok("true"), "redis-server: {error}");
                    eprintln!("NOT TESTED: redis-server cannot be started here: {error}");
                    return None;
                }
            };
            let client = Client::open(("127.0.0.1", port)).unwrap();
            let mut server = Self { child, folder, client };
            if server.is_up() {
                return Some(server);
            }
        }
        panic!("redis-server does not come up");
    }

    pub(super) fn connect(&self) -> Connection {
        self.client.get_connection().unwrap()
    }

    /// Waits until it answers; says no where somebody else has taken the port.
    fn is_up(&mut self) -> bool {
        for _ in 0..PATIENCE {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(mut connection) = self.client.get_connection() {
                let info: String =
                    redis::cmd("INFO").arg("server").query(&mut connection).unwrap_or_default();
                if info.contains(&format!("process_id:{}\r", self.child.id())) {
                    return true;
                }
            }
            sleep(micros(10_000));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
