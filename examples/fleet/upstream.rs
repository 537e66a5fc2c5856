//! The example's upstream: a hyper server on loopback that limits all its callers
//! together, as an API does that counts by key. It is the judge as well: what was sent
//! and refused is counted here.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::clock::Stopwatch;

/// How many requests of a window are answered. It opens with its first request.
pub(crate) const ANSWERED: u32 = 40;
pub(crate) const WINDOW: Duration = Duration::from_millis(1800);

/// How long an answer takes: so few calls are out when the first refusal comes.
const LATENCY: Duration = Duration::from_millis(3);

/// The header by which workers say who they are.
pub(crate) const WORKER: &str = "x-worker";

/// What the upstream has heard of one worker.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) sent: u64,
    pub(crate) refused: u64,
}

struct Book {
    window_ends: Duration,
    used: u32,
    /// In how many windows somebody was refused.
    shut: u64,
    is_shut: bool,
    heard: Vec<Heard>,
}

/// A handle on the upstream.
#[derive(Clone)]
pub(crate) struct Site {
    url: Uri,
    book: Arc<Mutex<Book>>,
}

impl Site {
    /// Starts one on a free port, for so many workers.
    pub(crate) async fn start(workers: usize) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = format!("http://{}/items", listener.local_addr()?);
        let url = Uri::try_from(url).map_err(io::Error::other)?;
        let heard = vec![Heard::default(); workers];
        let book = Book { window_ends: Duration::ZERO, used: 0, shut: 0, is_shut: false, heard };
        let site = Self { url, book: Arc::new(Mutex::new(book)) };
        tokio::spawn(site.clone().accept(listener));
        Ok(site)
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// Returns what was heard of each worker so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.with(|book| book.heard.clone())
    }

    /// Returns in how many windows somebody was refused so far.
    pub(crate) fn shut(&self) -> u64 {
        self.with(|book| book.shut)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn accept(self, listener: TcpListener) {
        let clock = Stopwatch::start();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().serve(stream, clock))),
                // Out of files, most likely; that passes.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn serve(self, stream: TcpStream, clock: Stopwatch) {
        let answer = service_fn(|request: Request<Incoming>| {
            let wait = self.with(|book| book.request(&request, clock.elapsed()));
            async move {
                sleep(LATENCY).await;
                Ok::<_, Infallible>(response(wait))
            }
        });
        // A connection that breaks is the client's to report.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }
}

impl Book {
    /// Takes in a request; returns how long the window lasts if it is used up.
    fn request(&mut self, request: &Request<Incoming>, now: Duration) -> Option<Duration> {
        if now >= self.window_ends {
            self.window_ends = now.saturating_add(WINDOW);
            self.used = 0;
            self.is_shut = false;
        }
        let is_refused = self.used >= ANSWERED;
        if let Some(heard) = worker(request).and_then(|number| self.heard.get_mut(number)) {
            heard.sent = heard.sent.saturating_add(1);
            heard.refused = heard.refused.saturating_add(u64::from(is_refused));
        }
        if is_refused {
            self.shut = self.shut.saturating_add(u64::from(!self.is_shut));
            self.is_shut = true;
            return Some(self.window_ends.saturating_sub(now));
        }
        self.used = self.used.saturating_add(1);
        None
    }
}

fn worker(request: &Request<Incoming>) -> Option<usize> {
    request.headers().get(WORKER)?.to_str().ok()?.parse().ok()
}

fn response(wait: Option<Duration>) -> Response<Full<Bytes>> {
    let Some(wait) = wait else {
        return Response::new(Full::from("here you are\n"));
    };
    let mut refusal = Response::new(Full::from("slow down\n"));
    *refusal.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    // Whole seconds, rounded up, as most servers tell them.
    let seconds = wait.as_millis().div_ceil(1000).to_string();
    if let Ok(seconds) = HeaderValue::try_from(seconds) {
        refusal.headers_mut().insert(RETRY_AFTER, seconds);
    }
    refusal
}
