//! The layer on reqwest's types, around a client and as a middleware.
//!
//! Nothing is sent: what stands for the client answers at once.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::{Extensions, Method};
use reqwest::{Client, Request, Response, ResponseBuilderExt, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use tower::{Layer, Service};
use tower_retry_after::RetryAfterBackoffLayer;

use super::Case;
use super::caller::{Asked, Made, asked, finish, made};
use crate::{ORIGIN, uri};

pub(super) const CASES: &[Case] = &[
    Case::new("reqwest, bare", "reqwest, bare", || asked::<Asking, _>(Bare)),
    Case::new("ours: around reqwest, nothing cooling", "reqwest, bare", || {
        asked::<Asking, _>(RetryAfterBackoffLayer::new().layer(Bare))
    }),
    Case::new("reqwest-middleware 0.5, bare", "reqwest-middleware 0.5, bare", || {
        chain(ClientBuilder::new(Client::new()).with(Last).build())
    }),
    Case::new("ours: as a middleware, nothing cooling", "reqwest-middleware 0.5, bare", || {
        let chain = ClientBuilder::new(Client::new()).with(RetryAfterBackoffLayer::new());
        self::chain(chain.with(Last).build())
    }),
];

/// Stands for a client.
#[derive(Clone, Copy)]
struct Bare;

impl Service<Request> for Bare {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<std::result::Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ready(Ok(answer(&request)))
    }
}

/// Answers at once.
struct Last;

#[async_trait]
impl Middleware for Last {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        Ok(answer(&request))
    }
}

fn answer(request: &Request) -> Response {
    let response = http::Response::builder().url(request.url().clone()).body("");
    response.expect("nothing in it is invalid").into()
}

struct Asking;

impl Asked for Asking {
    type Target = Url;
    type Request = Request;

    fn target(_: usize) -> Url {
        uri(ORIGIN).to_string().parse().expect("what is a URI is a URL")
    }

    fn request(target: &Url) -> Request {
        Request::new(Method::GET, target.clone())
    }
}

fn chain(chain: ClientWithMiddleware) -> Made {
    made::<Asking, _>(move || {
        let chain = chain.clone();
        move |request| drop(finish(chain.execute(request)))
    })
}
