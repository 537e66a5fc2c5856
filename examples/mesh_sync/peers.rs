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
    /// Answers three requests, then refuses with a 429 until four seconds are over.
    Limited,
    /// Nobody listens at its port.
    Down,
    /// Answers after two seconds, which nobody waits for.
    Slow,
    /// Has another history than everybody else.
    Forked,
    /// Answers; but for its outage.
    Fine,
}

/// In the order in which a node that knows nothing tries them.
pub(crate) const MANNERS: [Manner; 5] =
    [Manner::Limited, Manner::Down, Manner::Slow, Manner::Forked, Manner::Fine];

// Both go by what they are asked, so that the story is the same on a busy machine.
const ANSWERS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(4);

/// Which of its requests the fine peer fails.
const OUTAGE: std::ops::RangeInclusive<u32> = 5..=7;

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
    asked: Mutex<Asked>,
}

/// What a peer has been asked.
#[derive(Default)]
struct Asked {
    /// How often, since the last pause.
    times: u32,
    /// When the pause ends that the limited peer has asked for.
    pause_ends: Option<Duration>,
}

impl Site {
    async fn answer(&self) -> Response<Full<Bytes>> {
        let now = self.clock.elapsed();
        let times = match self.ask(now) {
            Ok(times) => times,
            Err(wait) => return refusal(wait),
        };
        match self.manner {
            Manner::Slow => sleep(Duration::from_secs(2)).await,
            Manner::Forked => return Response::new(Full::from("other 1")),
            Manner::Fine if OUTAGE.contains(&times) => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return response;
            }
            Manner::Fine | Manner::Limited | Manner::Down => {}
        }
        // A block every half a second.
        let height = now.as_millis().div_ceil(500);
        Response::new(Full::from(format!("main {height}")))
    }

    /// Counts a request; says how long to wait, if the peer has had enough.
    fn ask(&self, now: Duration) -> Result<u32, Duration> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if self.manner == Manner::Limited {
            if asked.pause_ends.is_some_and(|ends| now >= ends) {
                *asked = Asked::default();
            }
            if asked.times == ANSWERS {
                let ends = *asked.pause_ends.get_or_insert(now.saturating_add(PAUSE));
                return Err(ends.saturating_sub(now));
            }
        }
        asked.times = asked.times.saturating_add(1);
        Ok(asked.times)
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
    let site = Site { manner, clock, asked: Mutex::default() };
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
