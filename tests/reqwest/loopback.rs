//! Servers on loopback, for clients that open connections by themselves.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tower_retry_after::Upstream;

/// A server that counts its requests, and answers the n-th as told.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

/// A response with that status, and headers.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let builder = Response::builder().status(status);
    let builder =
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(Full::new(Bytes::from_static(b"said"))).unwrap()
}

impl Server {
    pub(crate) async fn start(
        answer: impl Fn(usize) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, answer) = (Arc::clone(&count), Arc::clone(&answer));
                let service = service_fn(move |_: Request<Incoming>| {
                    let response = answer(count.fetch_add(1, Ordering::SeqCst));
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, requests }
    }

    /// Refuses its first requests, each with that header, and is well then.
    pub(crate) async fn refusing(first: usize, name: &'static str, value: &'static str) -> Self {
        Self::start(
            move |request| {
                if request < first { reply(429, &[(name, value)]) } else { reply(200, &[]) }
            },
        )
        .await
    }

    /// Sends everybody on to another.
    pub(crate) async fn redirecting_to(other: &Self) -> Self {
        let location = other.url();
        Self::start(move |_| reply(307, &[("location", &location)])).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/feed", self.address)
    }

    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::from_uri(&self.url().parse().unwrap())
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
