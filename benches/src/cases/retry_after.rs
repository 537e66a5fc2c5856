//! reqwest-retry-after, and the same chain of middlewares without it.
//!
//! Nothing is sent: the last middleware answers at once. What it does while a URL is
//! cooling has no cost that could stand here: the call sleeps, and holds a lock.

use async_trait::async_trait;
use http::{Extensions, Method};
use reqwest_012::{Client, Request, Response, ResponseBuilderExt, Url};
use reqwest_middleware_04::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use reqwest_retry_after::RetryAfterMiddleware;

use super::Case;
use super::caller::{Asked, Made, finish, made};
use crate::{ORIGIN, uri};

pub(super) const CASES: &[Case] = &[
    Case::new("reqwest-middleware 0.4, bare", "reqwest-middleware 0.4, bare", || {
        chain(ClientBuilder::new(Client::new()).with(Last).build())
    }),
    Case::new("reqwest-retry-after, nothing cooling", "reqwest-middleware 0.4, bare", || {
        let chain = ClientBuilder::new(Client::new()).with(RetryAfterMiddleware::new());
        self::chain(chain.with(Last).build())
    }),
];

/// Answers at once.
struct Last;

#[async_trait]
impl Middleware for Last {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let response = http::Response::builder().url(request.url().clone()).body("");
        Ok(response.expect("nothing in it is invalid").into())
    }
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
