//! A table in the fleet, in this process, and an upstream without a socket.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, Uri};
use tokio::time::sleep;
use tower::{Layer, Service, service_fn};
use tower_retry_after::{
    Cooldowns, Error, Ladder, Reason, RetryAfterBackoffLayer, State, Upstream,
};

use crate::book::Book;
use crate::support::{millis, secs};
use crate::witness::{Stage, Witness};

pub(crate) const URI: &str = "http://upstream.example/";

/// The name of that upstream in Redis.
pub(crate) const NAME: &str = "origin:http://upstream.example";

/// What became of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Sent(u16),
    Held(Reason, Duration),
}

type Answer = Pin<Box<dyn Future<Output = io::Result<Response<()>>> + Send>>;

/// A table, and the upstream that its calls go to.
pub(crate) struct Solo {
    layer: RetryAfterBackoffLayer,
    pub(crate) table: Cooldowns,
    book: Arc<Book>,
    /// Refuses so often, and asks to stay away for so long.
    refuses: Arc<Mutex<(u64, Duration)>>,
    pub(crate) sent: Arc<AtomicU64>,
}

impl Solo {
    pub(crate) fn new() -> Self {
        let book = Arc::new(Book::default());
        let layer = RetryAfterBackoffLayer::builder()
            .ladder(Ladder::new(millis(20), secs(1)))
            .probe_lease(secs(5))
            .observer(Arc::clone(&book))
            .build();
        let table = layer.cooldowns();
        Self { layer, table, book, refuses: Arc::default(), sent: Arc::default() }
    }

    /// Has the upstream refuse so often, and ask to stay away for so long.
    pub(crate) fn refuse(&self, times: u64, hint: Duration) {
        *self.refuses.lock().unwrap() = (times, hint);
    }

    pub(crate) fn upstream() -> Upstream {
        Upstream::from_uri(&Uri::from_static(URI))
    }

    /// Makes a call; it must not fail, nor wait for anything but its answer.
    pub(crate) async fn call(&self) -> Outcome {
        let (refuses, sent) = (Arc::clone(&self.refuses), Arc::clone(&self.sent));
        let inner = service_fn(move |_: Request<()>| -> Answer {
            sent.fetch_add(1, Ordering::Relaxed);
            let mut refuses = refuses.lock().unwrap();
            let hint = (refuses.0 > 0).then_some(refuses.1);
            refuses.0 = refuses.0.saturating_sub(1);
            Box::pin(async move {
                let Some(hint) = hint else {
                    return Ok(Response::new(()));
                };
                let response = Response::builder().status(429);
                let response = response.header("retry-after-ms", hint.as_millis().to_string());
                Ok(response.body(()).unwrap())
            })
        });
        let stage = Stage::default();
        let request = Request::get(URI).extension(stage.clone()).body(()).unwrap();
        let witness = Witness::new(inner, Arc::clone(&self.book), Upstream::from_uri);
        let mut client = self.layer.layer(witness);
        poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
        let mut call = pin!(client.call(request));
        let answered = poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            assert!(polled.is_ready() || stage.is_sent(), "it waits");
            polled
        });
        let answered = answered.await;
        self.book.notes(self.table.get(&Self::upstream()));
        assert_eq!(self.book.violations(), [""; 0]);
        match answered {
            Ok(response) => Outcome::Sent(response.status().as_u16()),
            Err(Error::RateLimited(limited)) => {
                Outcome::Held(limited.reason(), limited.retry_after())
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Calls until a call is sent, waiting as it is told; returns what was said before.
    pub(crate) async fn call_until_sent(&self) -> Vec<(Reason, Duration)> {
        let mut held = Vec::new();
        while let Outcome::Held(reason, wait) = self.call().await {
            held.push((reason, wait));
            assert!(held.len() < 1000, "wedged: {held:?}");
            sleep(wait).await;
        }
        held
    }

    /// Sees an episode through: a refusal, the cooldown, the probe, the way back. Returns
    /// for what reasons calls were held on the way.
    pub(crate) async fn episode(&self, hint: Duration) -> Vec<(Reason, Duration)> {
        self.refuse(1, hint);
        assert_eq!(self.call().await, Outcome::Sent(429));
        self.way_back().await
    }

    /// Calls until the upstream is Clear. Returns for what reasons calls were held.
    pub(crate) async fn way_back(&self) -> Vec<(Reason, Duration)> {
        let mut held = self.call_until_sent().await;
        for _ in 0..1000 {
            if self.state() == State::Clear {
                return held;
            }
            held.extend(self.call_until_sent().await);
        }
        panic!("not clear: {:?}", self.table.get(&Self::upstream()));
    }

    pub(crate) fn state(&self) -> State {
        self.table.get(&Self::upstream()).map_or(State::Clear, |info| info.state())
    }
}
