//! Real sockets, real time: a hyper server and a hyper-util client on loopback.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "for tests")]

mod support;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Strict, millis, secs};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_retry_after::{
    Cooldowns, Error, Ladder, RateLimited, Reason, RefusalErrorLayer, RetryAfterBackoffLayer,
    State, Upstream,
};

/// A server that answers its n-th request as told, and keeps a log.
struct Server {
    address: SocketAddr,
    log: Log,
    /// Each answer takes one.
    permits: Arc<Semaphore>,
}

/// When each request came, and when its answer left.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<[Instant; 2]>>>);

impl Log {
    fn heard(&self) -> usize {
        let mut log = self.0.lock().unwrap();
        log.push([now(); 2]);
        log.len() - 1
    }

    fn answers(&self, request: usize) {
        self.0.lock().unwrap()[request][1] = now();
    }
}

#[expect(clippy::disallowed_methods, reason = "the server has a clock of its own")]
fn now() -> Instant {
    Instant::now()
}

impl Server {
    async fn start(answer: fn(usize) -> (u16, &'static str, &'static str)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let permits = Arc::new(Semaphore::new(1000));
        let (kept, permit) = (log.clone(), Arc::clone(&permits));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, permit) = (kept.clone(), Arc::clone(&permit));
                let service = service_fn(move |_: Request<Incoming>| {
                    let request = log.heard();
                    let (status, retry_after, body) = answer(request);
                    let mut response =
                        Response::new(Full::new(Bytes::from_static(body.as_bytes())));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    if !retry_after.is_empty() {
                        let value = retry_after.parse().unwrap();
                        response.headers_mut().insert("retry-after", value);
                    }
                    let (log, permit) = (log.clone(), Arc::clone(&permit));
                    async move {
                        permit.acquire().await.unwrap().forget();
                        log.answers(request);
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, log, permits }
    }

    fn requests(&self) -> usize {
        self.log.0.lock().unwrap().len()
    }

    /// Returns how long it heard nothing after it had answered that request.
    fn silence_after(&self, request: usize) -> Duration {
        let log = self.log.0.lock().unwrap();
        log[request + 1][0].saturating_duration_since(log[request][1])
    }
}

type Answered = Result<Response<Incoming>, Error>;

/// A hyper-util client, held to Tower's contract.
fn hyper_client()
-> Strict<impl FnMut(Request<Full<Bytes>>) -> hyper_util::client::legacy::ResponseFuture + Clone> {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    Strict::new(move |request| client.request(request))
}

fn layer() -> RetryAfterBackoffLayer {
    RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(millis(100), secs(1)))
        .probe_lease(secs(2))
        .build()
}

fn request(address: SocketAddr) -> Request<Full<Bytes>> {
    Request::get(format!("http://{address}/feed")).body(Full::default()).unwrap()
}

fn state(cooldowns: &Cooldowns, address: SocketAddr) -> Option<State> {
    let upstream = Upstream::from_uri(request(address).uri());
    cooldowns.get(&upstream).map(|info| info.state())
}

fn status(answered: Answered) -> u16 {
    answered.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_for_a_second_hears_nothing_in_that_second() {
    let server = Server::start(|n| if n == 1 { (429, "1", "") } else { (200, "", "hello") }).await;
    let layer = layer();
    let client = layer.layer(hyper_client());
    let ask = async || client.clone().oneshot(request(server.address)).await;

    let body = ask().await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
    assert_eq!(status(ask().await), 429);
    // If that takes longer than the second, the last of them is sent.
    let mut answered = ask().await;
    for _ in 0..500 {
        let Err(Error::RateLimited(limited)) = answered else {
            break;
        };
        let wait = limited.retry_after();
        assert!(wait <= secs(1), "{wait:?}");
        answered = ask().await;
    }
    if answered.is_err() {
        assert_eq!(server.requests(), 2, "nothing was sent");
        layer.cooldowns().ready(&Upstream::from_uri(request(server.address).uri())).await;
        answered = ask().await;
    }

    assert_eq!(status(answered), 200);
    assert_eq!(server.requests(), 3, "nothing else was sent");
    let silence = server.silence_after(1);
    assert!(silence >= secs(1), "{silence:?}");
    assert_eq!(state(&layer.cooldowns(), server.address), Some(State::Reopening));
    for _ in 0..63 {
        assert_eq!(status(ask().await), 200);
    }
    assert!(layer.cooldowns().is_empty());
    assert_eq!(server.requests(), 66);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_on_many_threads_send_one_probe() {
    let server = Server::start(|n| if n == 0 { (429, "1", "") } else { (200, "", "") }).await;
    let layer = RetryAfterBackoffLayer::for_api();
    let client = layer.layer(hyper_client());
    assert_eq!(status(client.clone().oneshot(request(server.address)).await), 429);
    layer.cooldowns().ready(&Upstream::from_uri(request(server.address).uri())).await;

    // The probe is not answered before all others have asked.
    server.permits.forget_permits(1000);
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (client, request) = (client.clone(), request(server.address));
        callers.spawn(async move {
            match client.oneshot(request).await {
                Ok(response) => Ok(response.status().as_u16()),
                Err(error) => Err(error.rate_limited().map(RateLimited::reason)),
            }
        });
    }
    for _ in 0..99 {
        let outcome = callers.join_next().await.unwrap().unwrap();
        assert_eq!(outcome, Err(Some(Reason::Probing)));
    }
    server.permits.add_permits(1);

    assert_eq!(callers.join_next().await.unwrap().unwrap(), Ok(200));
    assert_eq!(server.requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_reads_what_a_real_server_said() {
    let server = Server::start(|_| (429, "1", "slow\tdown\n")).await;
    let backoff = layer();
    let client = ServiceBuilder::new()
        // Longer than any machine takes for a body that comes with the head.
        .layer(RefusalErrorLayer::new(&backoff).body_timeout(secs(60)))
        .layer(backoff)
        .service(hyper_client());

    let error = client.oneshot(request(server.address)).await.unwrap_err();

    let (address, limited) = (server.address, error.rate_limited().unwrap());
    assert_eq!(limited.hint(), Some(secs(1)));
    // What is left of that second, now that the body is read: less on a slow machine.
    let left = limited.retry_after();
    assert!((millis(1)..=secs(1)).contains(&left), "{left:?}");
    let left = match left.as_nanos().div_ceil(1_000_000) {
        1000 => "1s".to_owned(),
        millis => format!("{millis}ms"),
    };
    assert_eq!(
        error.to_string(),
        format!("HTTP 429 from http://{address} (retry after {left}): slow\\tdown"),
    );
}

/// A server that refuses once, breaks off in the middle of the next head, and
/// ends; on a thread of its own, in plain bytes.
fn breaking_off() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answers: [&[u8]; 2] = [
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
    ];
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer).unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_breaks_off_mid_response_has_said_nothing() {
    let address = breaking_off();
    let layer = layer();
    let client = layer.layer(hyper_client());
    let upstream = Upstream::from_uri(request(address).uri());
    assert_eq!(status(client.clone().oneshot(request(address)).await), 429);
    layer.cooldowns().ready(&upstream).await;

    let Err(Error::Inner(error)) = client.clone().oneshot(request(address)).await else {
        panic!("not broken off");
    };

    assert!(error.is::<ClientError>());
    let info = layer.cooldowns().get(&upstream).unwrap();
    assert_eq!((info.state(), info.consecutive_failures()), (State::Cooling, 1));
    assert!(info.retry_after() <= millis(100), "the base, for it learned nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_no_refusal() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let layer = layer();
    let client = layer.layer(hyper_client());

    let answered = client.oneshot(request(address)).await;

    assert!(matches!(answered, Err(Error::Inner(_))));
    assert!(layer.cooldowns().is_empty());
}
