//! A real nginx, and its access log.
//!
//! It listens on a socket that the test has bound, so that no port is taken from
//! anybody; it keeps everything in a folder of its own, and is ended with the test,
//! however that ends.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fmt, fs, process};

use http::Uri;
use tower_retry_after::Upstream;

/// A running nginx.
pub struct Nginx {
    address: SocketAddr,
    folder: PathBuf,
    keeper: Child,
    /// While this is open, nginx runs.
    life: Option<ChildStdin>,
}

/// Starts the program that it is given, and ends it with its own input, which ends
/// with whoever started this script: a test that is killed included.
///
/// The shell's own output is the socket. It lets go of that, so that whoever connects to
/// an nginx that has not come up is refused, and does not wait for it.
const KEEPER: &str = r#"
    "$@" </dev/null &
    exec >/dev/null
    trap 'kill $! 2>/dev/null; wait $!' EXIT
    trap exit INT TERM HUP
    read -r _
"#;

/// Where daemons stand that users do not have on their path.
const SYSTEM: &str = ":/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/bin";

impl Nginx {
    /// Starts nginx with these directives in its `http` block and those in its
    /// `server`; nothing where it is not installed, which is said on stderr.
    ///
    /// # Panics
    ///
    /// Where it is not installed and `CI` is `true`. Where it does not start, whoever
    /// connects is refused, and its log is shown.
    pub fn start(http: &str, server: &str) -> Option<Self> {
        let mut path = env::var_os("PATH").unwrap_or_default();
        path.push(SYSTEM);
        if !is_installed(&path) {
            let missing = "nginx is missing (Debian: apt-get install nginx-light)";
            assert_ne!(env::var("CI").as_deref(), Ok("true"), "{missing}");
            // Not by a macro, whose output the harness would keep for itself.
            let _ = writeln!(io::stderr(), "\nSKIPPED, NOTHING IS TESTED: {missing}\n");
            return None;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let folder = new_folder();
        fs::write(folder.join("nginx.conf"), configuration(address, http, server)).unwrap();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh", "nginx", "-c", "nginx.conf", "-e", "error.log", "-p"])
            .arg(&folder)
            .env("PATH", path)
            // Its own way of taking over a socket: the one that is its output.
            .env("NGINX", "1;")
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(listener))
            .spawn()
            .unwrap();
        let life = keeper.stdin.take();
        Some(Self { address, folder, keeper, life })
    }

    /// Returns the URI of a path there.
    pub fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// Returns what the layer calls it.
    pub fn upstream(&self) -> Upstream {
        Upstream::from_uri(&self.uri("/"))
    }

    /// Ends it, and returns what stands in its access log.
    ///
    /// # Panics
    ///
    /// Where that cannot be read.
    pub fn ends(mut self) -> Vec<Line> {
        self.end();
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap();
        log.lines().map(|line| Line::read(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }

    fn end(&mut self) {
        self.life = None;
        // An error would be that it has ended already.
        let _ = self.keeper.wait();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let errors = fs::read_to_string(self.folder.join("error.log"));
            eprintln!("nginx says:\n{}", errors.unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl fmt::Debug for Nginx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nginx").field("address", &self.address).finish_non_exhaustive()
    }
}

fn is_installed(path: &OsString) -> bool {
    env::split_paths(path).any(|folder| folder.join("nginx").is_file())
}

/// Makes a folder that nobody else uses.
fn new_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("nginx-of-test-{}-{count}", process::id()));
    // What is there is left from a process that was killed, and had the same number.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    folder
}

/// `empty_gif` is the one answer of its own that comes after the limit, and needs
/// neither a file nor a server behind it.
fn configuration(address: SocketAddr, http: &str, server: &str) -> String {
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    log_format judge '$msec $request_time $status $http_x_client $http_x_request_id';
    access_log access.log judge;
    limit_req_log_level info;
    {http}
    server {{
        listen {address};
        {server}
    }}
}}
"
    )
}

/// A request, as the access log has it. Times are milliseconds of the wall clock.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// When it had been read.
    pub arrived: u64,
    /// When its answer had been sent.
    pub answered: u64,
    /// The answer's status.
    pub status: u16,
    /// Its header `x-client`.
    pub client: String,
    /// Its header `x-request-id`.
    pub request: usize,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let answered = millis(fields.next()?)?;
        let arrived = answered.checked_sub(millis(fields.next()?)?)?;
        let status = fields.next()?.parse().ok()?;
        let client = fields.next()?.to_owned();
        let request = fields.next()?.parse().ok()?;
        Some(Self { arrived, answered, status, client, request })
    }
}

/// Reads seconds with three decimals.
fn millis(seconds: &str) -> Option<u64> {
    let (whole, thousandths) = seconds.split_once('.')?;
    if thousandths.len() != 3 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)
}
