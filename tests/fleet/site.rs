//! An upstream: a hyper server on loopback that answers as it is told, and keeps a log.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::clock;

/// The header by which a worker tells who it is.
pub(crate) const WORKER: &str = "x-worker";

/// A request, and what became of it; times on the clock that all processes share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) worker: u64,
    pub(crate) arrived: u64,
    /// Zero: not yet.
    pub(crate) answered: u64,
    pub(crate) status: u16,
}

impl Entry {
    /// Returns whether it was here and not answered at a time.
    pub(crate) fn is_in_flight(&self, at: u64) -> bool {
        self.arrived <= at && (self.answered == 0 || self.answered > at)
    }
}

/// What is answered, and after how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// How long it asks to stay away.
    pub(crate) hint: Option<Duration>,
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn ok(after: Duration) -> Self {
        Self { status: 200, hint: None, after }
    }

    pub(crate) fn refused(hint: Duration, after: Duration) -> Self {
        Self { status: 429, hint: Some(hint), after }
    }
}

/// Decides by the worker who asks.
type Answer = Arc<dyn Fn(u64) -> Reply + Send + Sync>;

/// An upstream.
#[derive(Clone)]
pub(crate) struct Site {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Entry>>>,
    answer: Arc<Mutex<Answer>>,
}

impl Site {
    pub(crate) async fn start(answer: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Answer = Arc::new(answer);
        let site = Self { address, log: Arc::default(), answer: Arc::new(Mutex::new(answer)) };
        let accepting = site.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let site = accepting.clone();
                let service = service_fn(move |request| site.clone().serve(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        site
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let worker = request.headers()[WORKER].to_str().unwrap().parse().unwrap();
        let arrived = clock::wall();
        let answer = Arc::clone(&self.answer.lock().unwrap());
        let reply = answer(worker);
        let status = reply.status;
        let index = {
            let mut log = self.entries();
            log.push(Entry { worker, arrived, answered: 0, status });
            log.len() - 1
        };
        sleep(reply.after).await;
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(hint) = reply.hint {
            response
                .headers_mut()
                .insert("retry-after-ms", hint.as_millis().to_string().parse().unwrap());
        }
        self.entries()[index].answered = clock::wall();
        Ok(response)
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers so from now on.
    pub(crate) fn answers(&self, answer: impl Fn(u64) -> Reply + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// Refuses for that long from now on, and is well then.
    pub(crate) fn refuses_for(&self, time: Duration, refused: Reply, well: Reply) {
        let end = clock::now() + time;
        self.answers(move |_| if clock::now() < end { refused } else { well });
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns what was logged, in the order of arrival.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.entries().len()
    }

    pub(crate) fn forget(&self) {
        let mut log = self.entries();
        // What is not answered yet still needs its line.
        assert!(log.iter().all(|entry| entry.answered > 0), "requests are in flight");
        log.clear();
    }
}
