//! The example's upstream: a hyper server on loopback that limits for real.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::clock::{Stopwatch, wall_clock};
use crate::limiter::{Limit, Limiter};

/// What the upstream allows.
///
/// Chosen for a poll every 250 ms: it is used up after 3 s, and 2.75 s of the
/// window are left then. They are told once as 3 s, which is long enough, and
/// once as 2 s, which is not.
pub(crate) const LIMIT: Limit =
    Limit { requests: 12, window: Duration::from_millis(5750), penalty: Duration::from_secs(1) };

/// The limiter, and how it tells people to wait.
pub(crate) struct Site {
    limiter: Limiter,
    refusals: u64,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { limiter: Limiter::new(LIMIT), refusals: 0 }
    }

    /// Answers a request at `now`, which is `date` on the wall clock.
    pub(crate) fn answer(&mut self, now: Duration, date: SystemTime) -> Response<Full<Bytes>> {
        let Err(early) = self.limiter.request(now) else {
            return Response::new(Full::from("here you are\n"));
        };
        self.refusals = self.refusals.wrapping_add(1);
        let (retry_after, body) = if self.refusals % 2 == 1 {
            let seconds = early.wait.as_millis().div_ceil(1000);
            (seconds.to_string(), "slow down (in seconds)")
        } else {
            // A date has no fractions, and like many servers this one cuts them
            // off: who comes as soon as it says comes up to a second too early.
            let seconds = Duration::from_secs(early.wait.as_secs());
            (http_date(date, seconds), "slow down (as a date)")
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        // Both are short and plain; what cannot be written is left out.
        for (name, value) in [(RETRY_AFTER, retry_after), (DATE, http_date(date, Duration::ZERO))] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Starts the upstream on a free port, and returns what to poll.
pub(crate) async fn start() -> io::Result<Uri> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let url = format!("http://{}/feed", listener.local_addr()?);
    tokio::spawn(accept(listener));
    Uri::try_from(url).map_err(io::Error::other)
}

async fn accept(listener: TcpListener) {
    let clock = Stopwatch::start();
    let site = Arc::new(Mutex::new(Site::new()));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, clock, Arc::clone(&site)))),
            // Out of files, most likely; that passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, clock: Stopwatch, site: Arc<Mutex<Site>>) {
    let answer = service_fn(|_request| {
        let mut site = site.lock().unwrap_or_else(PoisonError::into_inner);
        let response = site.answer(clock.elapsed(), wall_clock());
        async { Ok::<_, Infallible>(response) }
    });
    // A connection that breaks is the client's to report.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

fn http_date(from: SystemTime, later: Duration) -> String {
    httpdate::fmt_http_date(from.checked_add(later).unwrap_or(from))
}
