//! A Redis of the example's own: on a free port of loopback, and nothing is written to
//! a disk.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The programs that will do.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// How long one may take until it answers.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    port: u16,
    child: Child,
}

impl Server {
    /// Starts one, and waits until it answers.
    pub(crate) async fn start() -> io::Result<Self> {
        // Free a moment ago, and asked for by nobody else as a rule.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = Self { port, child: spawn(port)? };
        server.answers().await?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again on the same port. It has forgotten everything.
    pub(crate) async fn revive(&mut self) -> io::Result<()> {
        self.child = spawn(self.port)?;
        self.answers().await
    }

    async fn answers(&mut self) -> io::Result<()> {
        let asking = async {
            while ping(self.port).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    return Err(io::Error::other(format!("the Redis that was started: {status}")));
                }
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        let silent = || Err(io::Error::other("the Redis that was started does not answer"));
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| silent())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.kill();
    }
}

fn spawn(port: u16) -> io::Result<Child> {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(port.to_string()).current_dir(std::env::temp_dir());
        match command.stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            started => return started,
        }
    }
    Err(io::Error::other(
        "there is no program redis-server: install Redis (Debian: apt-get install redis-server, \
         macOS: brew install redis), or see the processes without a fleet: --alone",
    ))
}

/// Asks whether it answers. On loopback that blocks for no time worth a task.
fn ping(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
