//! A tonic client that is limited: `RESOURCE_EXHAUSTED`, and what the layer makes of it.
//!
//! `cargo run -p tower-retry-after-interop --example tonic_client` starts a gRPC
//! server of tonic's on loopback, which refuses three calls with a pushback of a
//! second, and calls it: with rejections as errors, as statuses that keep the
//! error behind them, and as responses.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Status;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError as BoxedError};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder};
use tower_retry_after::{Error, RateLimited, RejectionResponseLayer, RetryAfterBackoffLayer};
use tower_retry_after_interop::grpc::{self, GrpcServer};
use tower_retry_after_interop::{Stage, say};

/// How often the client calls.
const EVERY: Duration = Duration::from_millis(250);

/// Calls seven times, and tells what comes of it.
async fn call<S>(mut client: HealthClient<S>, server: &GrpcServer)
where
    S: GrpcService<tonic::body::Body>,
    S::Error: Into<BoxedError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<BoxedError> + Send,
{
    let stage = Stage::new();
    for _ in 0..7 {
        let before = server.log().count();
        let answer = client.check(HealthCheckRequest::default()).await;
        let was_sent = server.log().count() > before;
        let sent = if was_sent { "sent    " } else { "not sent" };
        match answer {
            Ok(_) => stage.say(format_args!("{sent}  Ok")),
            Err(status) => stage.say(format_args!("{sent}  {}", describe(&status))),
        }
        sleep(EVERY).await;
    }
    say("");
}

/// Makes a rejection the status that callers expect; tonic takes it as it is.
fn as_status(error: Error) -> BoxedError {
    match error {
        Error::RateLimited(limited) => {
            let mut status = Status::resource_exhausted(limited.to_string());
            status.set_source(Arc::new(limited));
            status.into()
        }
        other => other.into(),
    }
}

/// Describes a status: what callers can branch on.
fn describe(status: &Status) -> String {
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    let pushback = pushback.and_then(|millis| millis.to_str().ok()).unwrap_or("none");
    let behind = match RateLimited::find(status) {
        Some(limited) => format!("RateLimited, {:?}", limited.reason()),
        None => "nothing".to_owned(),
    };
    format!("{:?}, pushback: {pushback}, behind it: {behind}", status.code())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let server = GrpcServer::start().await;
    // A limit, and hints that are believed: a second is a second.
    let backoff = RetryAfterBackoffLayer::for_api();
    let channel: Channel = Endpoint::from(server.uri()).connect_lazy();

    say("The server refuses the first call, and asks for a second of peace.");
    say("A call that is held back fails with an error of the layer's:\n");
    server.says([grpc::refused()]);
    // The client is told its origin: by itself, the channel adds it inside of the
    // layer, and all channels of one layer would be one upstream.
    let errors = HealthClient::with_origin(backoff.layer(channel.clone()), server.uri());
    call(errors, &server).await;

    say("The same with each such error made a status, which keeps the error behind it:\n");
    server.says([grpc::refused()]);
    let service =
        ServiceBuilder::new().map_err(as_status).layer(backoff.clone()).service(channel.clone());
    call(HealthClient::with_origin(service, server.uri()), &server).await;

    say("The same with responses for rejections. Callers see the server's own code:\n");
    server.says([grpc::refused()]);
    let service =
        ServiceBuilder::new().layer(RejectionResponseLayer::new()).layer(backoff).service(channel);
    call(HealthClient::with_origin(service, server.uri()), &server).await;

    let heard = server.log().heard();
    let refused = heard.iter().filter(|heard| heard.answered != 0).count();
    say(format_args!("21 calls: the server heard {}, and refused {refused}", heard.len()));
    Ok(())
}
