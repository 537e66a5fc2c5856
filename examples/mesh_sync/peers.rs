//! The five peers: hyper servers on loopback, of which one is as it should be.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::clock::Stopwatch;

/// How a peer behaves.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Manner {
    /// Answers three requests in five seconds, and refuses more with a 429.
    Limited,
    /// Nobody listens at its port.
    Down,
    /// Answers after two seconds, which nobody waits for.
    Slow,
    /// Has another history than everybody else.
    Forked,
    /// Answers; but for the time of its outage.
    Fine,
}

/// In the order in which a node that knows nothing tries them.
pub(crate) const MANNERS: [Manner; 5] =
    [Manner::Limited, Manner::Down, Manner::Slow, Manner::Forked, Manner::Fine];

const REQUESTS: u32 = 3;
const WINDOW: Duration = Duration::from_secs(5);

/// When the fine peer has an outage.
const OUTAGE: std::ops::Range<Duration> = Duration::from_millis(4500)..Duration::from_secs(9);

impl Manner {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Down => "down",
            Self::Slow => "slow",
            Self::Forked => "forked",
            Self::Fine => "fine",
        }
    }
}

/// A peer, as its server knows it.
struct Site {
    manner: Manner,
    clock: Stopwatch,
    window: Mutex<Window>,
}

/// The window that the limited peer counts in.
#[derive(Default)]
struct Window {
    ends: Duration,
    used: u32,
}

impl Site {
    async fn answer(&self) -> Response<Full<Bytes>> {
        let now = self.clock.elapsed();
        match self.manner {
            Manner::Limited => {
                if let Err(wait) = self.limit(now) {
                    return refusal(wait);
                }
            }
            Manner::Slow => sleep(Duration::from_secs(2)).await,
            Manner::Forked => return Response::new(Full::from("other 1")),
            Manner::Fine if OUTAGE.contains(&now) => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return response;
            }
            Manner::Fine | Manner::Down => {}
        }
        // A block every half a second.
        let height = now.as_millis().div_ceil(500);
        Response::new(Full::from(format!("main {height}")))
    }

    fn limit(&self, now: Duration) -> Result<(), Duration> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= window.ends {
            *window = Window { ends: now.saturating_add(WINDOW), used: 0 };
        }
        if window.used == REQUESTS {
            return Err(window.ends.saturating_sub(now));
        }
        window.used = window.used.saturating_add(1);
        Ok(())
    }
}

fn refusal(wait: Duration) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("slow down"));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Starts a peer on a free port, and returns its URL.
pub(crate) async fn start(manner: Manner, clock: Stopwatch) -> io::Result<String> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if manner == Manner::Down {
        // Bound, so that nobody else gets the port; but nobody listens.
        let socket = TcpSocket::new_v4()?;
        socket.bind(any)?;
        let address = socket.local_addr()?;
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(socket);
        });
        return Ok(format!("http://{address}"));
    }
    let listener = TcpListener::bind(any).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let site = Site { manner, clock, window: Mutex::default() };
    tokio::spawn(accept(listener, Arc::new(site)));
    Ok(url)
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&site)))),
            // Out of files, most likely; that passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    let answer = service_fn(|_request| async { Ok::<_, Infallible>(site.answer().await) });
    // A connection that breaks is the client's to report.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
