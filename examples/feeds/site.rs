//! The example's upstreams: one hyper server on loopback that answers to many
//! names, some of which limit their callers.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::clock;

/// How many names there are.
pub(crate) const NAMES: usize = 50;

/// How the owner of a name treats its callers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// No limit.
    Generous,
    /// So many in a window, and says when the next one begins.
    Limited,
    /// The same, but does not say.
    Curt,
}

impl Manner {
    pub(crate) const ALL: [Self; 3] = [Self::Generous, Self::Limited, Self::Curt];

    /// Of ten names one is curt, two are limited and the others are generous.
    pub(crate) fn of(name: usize) -> Self {
        match name % 10 {
            3 => Self::Curt,
            5 | 8 => Self::Limited,
            _ => Self::Generous,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Generous => "no limit",
            Self::Limited => "16 in 2 s, says when",
            Self::Curt => "16 in 2 s, does not say",
        }
    }
}

/// How many requests of a window are answered where there is a limit: forty feeds,
/// each polled every four seconds, want twenty.
const ANSWERED: u32 = 16;
const WINDOW: Duration = Duration::from_secs(2);

/// Writes the host of a name.
pub(crate) fn host(name: usize) -> String {
    format!("feeds-{name:02}.example")
}

/// A window that opens with its first request.
#[derive(Clone, Copy)]
struct Window {
    ends: Instant,
    used: u32,
}

type Windows = Arc<Mutex<Vec<Window>>>;

/// Starts the server on a free port, and returns the port.
pub(crate) async fn start() -> io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let port = listener.local_addr()?.port();
    let windows = vec![Window { ends: clock::now(), used: 0 }; NAMES];
    tokio::spawn(accept(listener, Arc::new(Mutex::new(windows))));
    Ok(port)
}

async fn accept(listener: TcpListener, windows: Windows) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&windows)))),
            // Out of files, most likely; that passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, windows: Windows) {
    let answer = service_fn(|request: Request<Incoming>| {
        let response = answer(&request, &windows);
        async { Ok::<_, Infallible>(response) }
    });
    // A connection that breaks is the client's to report.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

fn answer(request: &Request<Incoming>, windows: &Windows) -> Response<Full<Bytes>> {
    let Some(name) = name(request) else {
        return status(StatusCode::NOT_FOUND);
    };
    let manner = Manner::of(name);
    match (manner, wait(windows, name, clock::now())) {
        (Manner::Generous, _) | (Manner::Limited | Manner::Curt, None) => {
            Response::new(Full::from("<feed/>\n"))
        }
        (Manner::Curt, Some(_)) => status(StatusCode::TOO_MANY_REQUESTS),
        (Manner::Limited, Some(wait)) => {
            let mut refusal = status(StatusCode::TOO_MANY_REQUESTS);
            // Whole seconds, rounded up.
            let seconds = wait.as_millis().div_ceil(1000).to_string();
            if let Ok(seconds) = HeaderValue::try_from(seconds) {
                refusal.headers_mut().insert(RETRY_AFTER, seconds);
            }
            refusal
        }
    }
}

/// Reads which of the names was asked.
fn name(request: &Request<Incoming>) -> Option<usize> {
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let digits = host.strip_prefix("feeds-")?.get(..2)?;
    digits.parse().ok().filter(|name| *name < NAMES)
}

/// Takes in a request; returns how long the window lasts if it is used up.
fn wait(windows: &Windows, name: usize, now: Instant) -> Option<Duration> {
    let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
    let window = windows.get_mut(name)?;
    if now >= window.ends {
        *window = Window { ends: now.checked_add(WINDOW)?, used: 0 };
    }
    if window.used < ANSWERED {
        window.used = window.used.saturating_add(1);
        return None;
    }
    Some(window.ends.saturating_duration_since(now))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
