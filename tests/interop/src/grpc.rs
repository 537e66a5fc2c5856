//! A gRPC server of tonic's, with the health service's protocol.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Uri, Version};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::codegen::{BoxStream, tokio_stream};
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::{ErrorDetails, StatusExt};
use tower_retry_after::Upstream;

use crate::log::Log;

/// A refusal for one second: `RESOURCE_EXHAUSTED` with a pushback.
pub fn refused() -> Status {
    pushed_back(Status::resource_exhausted("slow down"))
}

/// Adds a pushback of one second.
pub fn pushed_back(mut status: Status) -> Status {
    status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from(1000));
    status
}

/// The same refusal in Google's words: a `RetryInfo` in the status's details.
pub fn refused_in_details() -> Status {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::ResourceExhausted, "slow down", details)
}

/// A tonic server on loopback: first the statuses it was [told to give](Self::says),
/// then "serving". What is watched begins with a message, and ends with such a
/// status. It ends when it is dropped.
pub struct GrpcServer {
    address: SocketAddr,
    site: Arc<Site>,
    serving: AbortHandle,
}

struct Site {
    script: Mutex<VecDeque<Status>>,
    log: Log,
}

impl Site {
    /// Notes a request, and returns what to fail with.
    async fn heard(&self, method: &str) -> Option<Status> {
        let scripted = self.script.lock().unwrap().pop_front();
        let code = scripted.as_ref().map_or(Code::Ok, Status::code);
        let code = u16::try_from(i32::from(code)).unwrap();
        self.log.note(method, Version::HTTP_2, code).await;
        scripted
    }
}

impl GrpcServer {
    /// Starts the server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let site = Arc::new(Site { script: Mutex::default(), log: Log::new() });
        let serving = tonic::transport::Server::builder()
            .add_service(HealthServer::new(Service(Arc::clone(&site))))
            .serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(serving).abort_handle();
        Self { address, site, serving }
    }

    /// Has it fail with these statuses before it serves.
    pub fn says(&self, statuses: impl IntoIterator<Item = Status>) {
        self.site.script.lock().unwrap().extend(statuses);
    }

    /// Returns its origin.
    pub fn uri(&self) -> Uri {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Returns what the layer calls it.
    pub fn upstream(&self) -> Upstream {
        Upstream::from_uri(&self.uri())
    }

    /// Returns what it has heard, with the codes of its answers.
    pub fn log(&self) -> &Log {
        &self.site.log
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServer").field("address", &self.address).finish_non_exhaustive()
    }
}

struct Service(Arc<Site>);

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.0.heard("check").await {
            Some(status) => Err(status),
            None => Ok(Response::new(serving())),
        }
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let end = self.0.heard("watch").await.map(Err);
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(serving())].into_iter().chain(end)))))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving as i32 }
}
