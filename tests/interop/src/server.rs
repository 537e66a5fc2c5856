//! A server on loopback that answers from a script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tower_retry_after::Upstream;

use crate::answer::Answer;
use crate::log::Log;

/// A server on loopback: first what it was [told to say](Self::says), then its
/// own answers. It speaks HTTP/1 and HTTP/2, and ends when it is dropped.
pub struct Server {
    scheme: &'static str,
    address: SocketAddr,
    site: Arc<Site>,
    accepting: AbortHandle,
}

struct Site {
    script: Mutex<VecDeque<Answer>>,
    otherwise: Box<dyn Fn(&Parts) -> Answer + Send + Sync>,
    log: Log,
}

impl Server {
    /// Starts a server whose own answer is 200.
    pub async fn start() -> Self {
        Self::of(|_| Answer::status(200).body("hello")).await
    }

    /// Starts a server with answers of its own.
    pub async fn of(answer: impl Fn(&Parts) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(answer, None).await
    }

    /// Starts a server whose own answer is 200, over TLS; the certificate, which
    /// it made for itself, comes with it.
    pub async fn start_tls() -> (Self, CertificateDer<'static>) {
        let names = vec![Ipv4Addr::LOCALHOST.to_string()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tls = Some(TlsAcceptor::from(Arc::new(config)));
        (Self::listen(|_| Answer::status(200).body("hello"), tls).await, cert.der().clone())
    }

    async fn listen(
        otherwise: impl Fn(&Parts) -> Answer + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let otherwise = Box::new(otherwise);
        let site = Arc::new(Site { script: Mutex::default(), otherwise, log: Log::new() });
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&site))).abort_handle();
        Self { scheme, address, site, accepting }
    }

    /// Has it give these answers before its own.
    pub fn says(&self, answers: impl IntoIterator<Item = Answer>) {
        self.site.script.lock().unwrap().extend(answers);
    }

    /// Returns the URI of a path there.
    pub fn uri(&self, path: &str) -> Uri {
        format!("{}://{}{path}", self.scheme, self.address).parse().unwrap()
    }

    /// Returns what the layer calls it.
    pub fn upstream(&self) -> Upstream {
        Upstream::from_uri(&self.uri("/"))
    }

    /// Returns what it has heard.
    pub fn log(&self) -> &Log {
        &self.site.log
    }
}

impl Drop for Server {
    /// Takes the connections along.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, site: Arc<Site>) {
    // Those that are served end with the one who accepts them.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (tls, site) = (tls.clone(), Arc::clone(&site));
        connections.spawn(async move {
            match tls {
                None => serve(stream, site).await,
                Some(tls) => {
                    // A handshake that fails is the client's to report.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, site).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, site: Arc<Site>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&site)));
    let builder = auto::Builder::new(TokioExecutor::new());
    // A connection that breaks is the client's to report.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    site: Arc<Site>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, _) = request.into_parts();
    let scripted = site.script.lock().unwrap().pop_front();
    let answer = scripted.unwrap_or_else(|| (site.otherwise)(&head));
    site.log.note(head.uri.path(), head.version, answer.code()).await;
    Ok(answer.into_response())
}
