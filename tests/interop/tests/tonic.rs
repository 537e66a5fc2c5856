//! tonic's client and server.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder};
use tower_retry_after::{
    Error, RateLimited, Reason, RejectionResponse, RejectionResponseLayer, RetryAfterBackoff,
    RetryAfterBackoffLayer, Waiting, WaitingLayer,
};
use tower_retry_after_interop::grpc::{self, GrpcServer};
use tower_retry_after_interop::{Answer, Outcome, Server, Story};

fn channel(origin: http::Uri) -> Channel {
    Endpoint::from(origin).connect_lazy()
}

/// A client whose rejections are errors. It is told the origin: by itself, the
/// channel adds it inside of the layer.
fn client(
    server: &GrpcServer,
    layer: &RetryAfterBackoffLayer,
) -> HealthClient<RetryAfterBackoff<Channel>> {
    HealthClient::with_origin(layer.layer(channel(server.uri())), server.uri())
}

/// A client whose rejections are responses.
fn with_responses(
    server: &GrpcServer,
    layer: &RetryAfterBackoffLayer,
) -> HealthClient<RejectionResponse<RetryAfterBackoff<Channel>>> {
    let service = ServiceBuilder::new()
        .layer(RejectionResponseLayer::new())
        .layer(layer.clone())
        .service(channel(server.uri()));
    HealthClient::with_origin(service, server.uri())
}

/// A client whose calls wait.
fn that_waits(server: &GrpcServer, layer: &WaitingLayer) -> HealthClient<Waiting<Channel>> {
    HealthClient::with_origin(layer.layer(channel(server.uri())), server.uri())
}

async fn check<S>(client: &HealthClient<S>) -> Result<(), Status>
where
    S: GrpcService<tonic::body::Body> + Clone,
    S::Error: Into<StdError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    check_within(client, None).await
}

async fn check_within<S>(client: &HealthClient<S>, timeout: Option<Duration>) -> Result<(), Status>
where
    S: GrpcService<tonic::body::Body> + Clone,
    S::Error: Into<StdError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    client.clone().check(request).await.map(drop)
}

/// Tells what became of a call by the code, and by the layer's error if it stands
/// behind the status.
fn outcome(answer: Result<(), Status>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Answered(200),
        Err(status) => match Outcome::of_error(&status) {
            Outcome::Failed(_) => Outcome::Failed(format!("{:?}", status.code())),
            held => held,
        },
    }
}

fn exhausted() -> Outcome {
    Outcome::Failed("ResourceExhausted".to_owned())
}

async fn story_of(refusal: Status) {
    let server = GrpcServer::start().await;
    let seen = Outcome::Failed(format!("{:?}", refusal.code()));
    server.says([refusal]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = client(&server, &layer);

    story.is_told_by(async || outcome(check(&client).await), &seen, Outcome::Held).await;
}

#[tokio::test]
async fn it_is_refused_by_a_pushback_held_back_probed_and_clear_again() {
    story_of(grpc::refused()).await;
}

#[tokio::test]
async fn it_is_refused_by_a_retry_info_held_back_probed_and_clear_again() {
    story_of(grpc::refused_in_details()).await;
}

#[tokio::test]
async fn it_is_refused_by_an_unavailable_with_a_pushback_held_back_probed_and_clear_again() {
    story_of(grpc::pushed_back(Status::unavailable("draining"))).await;
}

#[tokio::test]
async fn with_responses_for_rejections_callers_see_nothing_but_codes() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = with_responses(&server, &layer);

    let call = async || outcome(check(&client).await);
    story.is_told_by(call, &exhausted(), |_| exhausted()).await;
}

#[tokio::test]
async fn a_rejection_as_an_error_is_unknown_and_its_rate_limit_stands_behind_the_status() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    let layer = Story::layer().build();
    let client = client(&server, &layer);
    check(&client).await.unwrap_err();

    let status = check(&client).await.unwrap_err();

    assert_eq!(status.code(), Code::Unknown);
    let limited = RateLimited::find(&status).unwrap();
    assert_eq!((limited.reason(), limited.upstream()), (Reason::Cooling, &server.upstream()));
    assert!(limited.retry_after() <= limited.hint().unwrap());
}

#[tokio::test]
async fn a_rejection_as_a_response_is_exhausted_and_says_how_long_but_nothing_stands_behind_it() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    let layer = Story::layer().build();
    let client = with_responses(&server, &layer);
    check(&client).await.unwrap_err();

    let status = check(&client).await.unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("cooling down"), "{}", status.message());
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
    assert!((1..=1000).contains(&pushback.parse().unwrap()), "{pushback} ms");
    assert!(RateLimited::find(&status).is_none(), "tonic keeps no extensions of a response");
}

#[tokio::test]
async fn an_error_made_a_status_is_exhausted_and_its_rate_limit_stands_behind_it() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    // tonic takes a status that it is given as it is.
    let service = ServiceBuilder::new()
        .map_err(|error: Error| match error {
            Error::RateLimited(limited) => {
                let mut status = Status::resource_exhausted(limited.to_string());
                status.set_source(Arc::new(limited));
                StdError::from(status)
            }
            other => StdError::from(other),
        })
        .layer(Story::layer().build())
        .service(channel(server.uri()));
    let client = HealthClient::with_origin(service, server.uri());
    check(&client).await.unwrap_err();

    let status = check(&client).await.unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(RateLimited::find(&status).unwrap().reason(), Reason::Cooling);
}

#[tokio::test]
async fn a_caller_that_retries_by_the_pushback_gets_through() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    let layer = Story::layer().build();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = with_responses(&server, &layer);

    // Encoded by tonic, a message is not `Clone`: calls are retried, not requests.
    let retrying = async || {
        while let Err(status) = check(&client).await {
            assert_eq!(status.code(), Code::ResourceExhausted);
            let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
            let millis = pushback.to_str().unwrap().parse().unwrap();
            sleep(Duration::from_millis(millis)).await;
        }
    };
    check(&client).await.unwrap_err();
    tokio::join!(retrying(), retrying(), retrying(), retrying());

    assert_eq!(server.log().count(), 5);
    story.was_left_alone();
}

#[tokio::test]
async fn calls_may_be_spawned() {
    let server = GrpcServer::start().await;
    let layer = Story::layer().build();
    let (errors, responses) = (client(&server, &layer), with_responses(&server, &layer));

    let errors = tokio::spawn(async move { check(&errors).await });
    let responses = tokio::spawn(async move { check(&responses).await });

    assert!(errors.await.unwrap().is_ok() && responses.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_plain_429_of_a_proxy_on_the_way_counts() {
    let proxy = Server::start().await;
    proxy.says([Answer::refused()]);
    let layer = Story::layer().build();
    let channel = channel(proxy.uri("/"));
    let client = HealthClient::with_origin(layer.layer(channel), proxy.uri("/"));

    // What tonic makes of it, here that the body is no message, is another matter.
    let refused = check(&client).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert_eq!(outcome(check(&client).await), Outcome::Held(Reason::Cooling));

    assert_eq!(proxy.log().count(), 1);
}

#[tokio::test]
async fn a_status_that_comes_after_messages_is_not_seen() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    let layer = Story::layer().build();
    let mut client = client(&server, &layer);

    let mut messages = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert!(messages.message().await.unwrap().is_some());
    let status = messages.message().await.unwrap_err();

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(layer.cooldowns().is_empty());
}

#[tokio::test]
async fn a_client_that_is_not_told_its_origin_shares_the_one_upstream_without_a_name() {
    let (one, two) = (GrpcServer::start().await, GrpcServer::start().await);
    one.says([grpc::refused()]);
    let layer = Story::layer().build();
    let client_of = |server: &GrpcServer| HealthClient::new(layer.layer(channel(server.uri())));

    assert_eq!(outcome(check(&client_of(&one)).await), exhausted());
    assert_eq!(outcome(check(&client_of(&two)).await), Outcome::Held(Reason::Cooling));

    assert!(layer.cooldowns().get(&one.upstream()).is_none());
    assert_eq!(two.log().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_behind_one_probe_and_are_all_answered() {
    let server = GrpcServer::start().await;
    server.says([grpc::refused()]);
    let layer = Story::waiting();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = that_waits(&server, &layer);

    let call = |timeout| {
        let client = client.clone();
        async move { outcome(check_within(&client, timeout).await) }
    };
    story.is_waited_out(call, &exhausted()).await;
}

#[tokio::test]
async fn a_call_whose_timeout_ends_before_the_cooldown_does_not_wait() {
    let server = GrpcServer::start().await;
    let layer = Story::waiting();
    let story = Story::new(server.log(), server.upstream(), layer.cooldowns());
    let client = that_waits(&server, &layer);

    story.is_not_waited_for(async |timeout| outcome(check_within(&client, timeout).await)).await;
}
