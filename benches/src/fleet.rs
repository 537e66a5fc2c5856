//! A service whose table is in step with a fleet, through a Redis of its own.

use std::convert::Infallible;
use std::future::Ready;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime::{Builder, Runtime};
use tower::Service;
use tower_retry_after::{Cooldowns, Fleet};

use crate::Layered;

/// A service in a fleet, and all that belongs to it.
#[derive(Debug)]
pub struct InFleet {
    service: Layered,
    // Dropped in this order: the fleet is left, then its tasks end, then Redis.
    _fleet: Fleet,
    _runtime: Runtime,
    _redis: Redis,
}

impl InFleet {
    /// Puts the table of a service in step with a fleet.
    ///
    /// Its tasks run while this waits for them, and not while calls are counted.
    #[must_use]
    pub fn new(service: Layered) -> Self {
        let redis = Redis::start();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let fleet = runtime.block_on(join(&redis, &service.cooldowns()));
        Self { service, _fleet: fleet, _runtime: runtime, _redis: redis }
    }
}

async fn join(redis: &Redis, cooldowns: &Cooldowns) -> Fleet {
    let url = format!("redis://127.0.0.1:{}/", redis.port);
    let fleet = Fleet::join(url, "benches", cooldowns).expect("a fleet");
    let in_step = tokio::time::timeout(Duration::from_secs(60), fleet.in_step());
    in_step.await.expect("the fleet is in step within a minute");
    fleet
}

impl Service<Request<()>> for InFleet {
    type Response = Response<()>;
    type Error = tower_retry_after::Error;
    type Future = tower_retry_after::ResponseFuture<Ready<Result<Response<()>, Infallible>>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<()>>::poll_ready(&mut self.service, cx)
    }

    #[inline]
    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.service.call(request)
    }
}

/// A redis-server of its own, on a free port; killed at the end.
#[derive(Debug)]
struct Redis {
    port: u16,
    server: Child,
}

impl Redis {
    fn start() -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr());
        let port = free.expect("a free port").port();
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing (Debian: apt-get install redis-server)");
        Self { port, server }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
