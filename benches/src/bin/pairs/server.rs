//! A server of hyper's that always answers the same, on a thread of its own.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SERVER, VARY};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// A body as an API has it.
static BODY: [u8; 1024] = [b'x'; 1024];

/// Starts the server, and returns where it answers. It ends with the process.
pub(crate) fn start() -> Uri {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listener = listener.unwrap_or_else(|error| panic!("no port: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
    std::thread::spawn(move || runtime.block_on(accept(listener)));
    let uri = format!("http://{address}/v1/items").parse();
    uri.unwrap_or_else(|error| panic!("no URI: {error}"))
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // Both ends do: else a turn could wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(answer()) });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(&BODY)));
    for (name, value) in [
        (SERVER, "api"),
        (VARY, "accept"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "application/json"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
