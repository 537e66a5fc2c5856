//! A server that speaks in bytes, one act a connection.

use std::collections::VecDeque;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tower_retry_after::Upstream;

use crate::acts::{Act, Hears, Then};

/// A server that plays its acts, and is sane after that. It ends when it is dropped.
pub(crate) struct Hostile {
    address: SocketAddr,
    script: Arc<Mutex<VecDeque<Act>>>,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Hostile {
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(acts.into_iter().collect::<VecDeque<_>>()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (acts, count) = (Arc::clone(&script), Arc::clone(&connections));
        let accepting = tokio::spawn(async move {
            // Those that stall end with the one who accepts them.
            let mut playing = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let act = acts.lock().unwrap().pop_front().unwrap_or_else(Act::sane);
                playing.spawn(play(stream, act));
            }
        });
        Self { address, script, connections, accepting: accepting.abort_handle() }
    }

    pub(crate) fn uri(&self) -> Uri {
        format!("http://{}/", self.address).parse().unwrap()
    }

    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::from_uri(&self.uri())
    }

    /// Whether it has played all its acts.
    pub(crate) fn is_sane(&self) -> bool {
        self.script.lock().unwrap().is_empty()
    }

    /// Returns how often it was called.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whatever goes wrong here is what the client is meant to see.
async fn play(mut stream: TcpStream, act: Act) {
    let _ = stream.set_nodelay(true);
    if act.hears == Hears::TheRequest {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
    let _ = stream.write_all(&act.says).await;
    match act.then {
        Then::Closes => {}
        Then::Resets => drop(stream.set_zero_linger()),
        Then::Stalls => pending().await,
    }
}
