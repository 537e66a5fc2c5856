//! What stands between a layer and the wire, and sees what is sent and when.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response, Uri};
use tower::Service;
use tower_retry_after::Upstream;

use crate::book::Book;

/// How far a call has come: not yet, sent, answered. Stands in the request's extensions.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<AtomicU8>);

const SENT: u8 = 1;
const ANSWERED: u8 = 2;

impl Stage {
    /// Returns whether the call is sent and not answered: then it may wait.
    pub(crate) fn is_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SENT
    }
}

/// Stands before the wire: judges what is sent, and notes how far it has come.
#[derive(Clone)]
pub(crate) struct Witness<S> {
    inner: S,
    book: Arc<Book>,
    name: fn(&Uri) -> Upstream,
}

impl<S> Witness<S> {
    pub(crate) fn new(inner: S, book: Arc<Book>, name: fn(&Uri) -> Upstream) -> Self {
        Self { inner, book, name }
    }
}

impl<S, B, R> Service<Request<B>> for Witness<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.book.sends(&(self.name)(request.uri()));
        let stage = request.extensions().get::<Stage>().unwrap().clone();
        stage.0.store(SENT, Ordering::Relaxed);
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await;
            stage.0.store(ANSWERED, Ordering::Relaxed);
            answer
        })
    }
}
