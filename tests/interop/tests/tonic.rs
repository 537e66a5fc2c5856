//! tonic's client and server.
#![allow(clippy::unwrap_used, reason = "for tests")]

use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder};
use tower_retry_after::{RetryAfterBackoff, RetryAfterBackoffLayer};
use tower_retry_after_interop::grpc::GrpcServer;
use tower_retry_after_interop::{Outcome, Story};

fn channel(server: &GrpcServer) -> Channel {
    Endpoint::from(server.uri()).connect_lazy()
}

/// The client is told the origin: the channel adds it only inside of the layer.
fn client(
    server: &GrpcServer,
    layer: &RetryAfterBackoffLayer,
) -> HealthClient<RetryAfterBackoff<Channel>> {
    HealthClient::with_origin(layer.layer(channel(server)), server.uri())
}

async fn check(client: &HealthClient<RetryAfterBackoff<Channel>>) -> Outcome {
    match client.clone().check(HealthCheckRequest::default()).await {
        Ok(_) => Outcome::Answered(200),
        Err(status) => match Outcome::of_error(&status) {
            Outcome::Failed(_) => Outcome::Failed(format!("{:?}", status.code())),
            held => held,
        },
    }
}
