//! The layer under test, the calls that are out, and the model beside them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use proptest::sample::Index;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, service_fn};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::{Cooldowns, Error, Ladder, RateLimited, RetryAfterBackoffLayer};
use tower_retry_after::{State, Upstream};

use crate::Answer;
use crate::model::{Model, Outcome, Settings};
use crate::replay::Replay;

/// A request that carries the way on which its answer will come.
type Call = Request<oneshot::Receiver<Answer>>;

type Client = BoxCloneService<Call, Response<()>, Error>;

/// A call that is out: how the script answers it, and how it ends.
struct Out {
    answer: oneshot::Sender<Answer>,
    future: Pin<Box<dyn Future<Output = Result<Response<()>, Error>> + Send>>,
}

pub(crate) struct World {
    model: Model,
    client: Client,
    cooldowns: Cooldowns,
    upstreams: Vec<Upstream>,
    /// How many calls reached the inner service.
    sent: Arc<AtomicUsize>,
    /// In the order of the model's calls.
    out: Vec<Out>,
    start: Instant,
    replay: Replay,
}

impl World {
    pub(crate) fn new(settings: Settings, upstreams: usize) -> Self {
        let replay = Replay::default();
        let layer = RetryAfterBackoffLayer::builder()
            .observer(replay.clone())
            .ladder(Ladder::new(settings.base, settings.cap))
            .max_retry_after(settings.max_retry_after)
            .trust_hints(settings.trust_hints)
            .probe_lease(settings.probe_lease)
            .reopen_width(settings.reopen_width)
            .forget_after(settings.forget_after)
            .classify(classify::from_fn(scripted))
            .build();
        let cooldowns = layer.cooldowns();
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let inner = service_fn(move |call: Call| {
            counter.fetch_add(1, Ordering::Relaxed);
            respond(call)
        });
        let client = BoxCloneService::new(ServiceBuilder::new().layer(layer).service(inner));
        let model = Model::new(settings, upstreams);
        let upstreams = (0..upstreams).map(|to| Upstream::from_uri(&uri(to))).collect();

        Self { model, client, cooldowns, upstreams, sent, out: Vec::new(), start: now(), replay }
    }

    pub(crate) fn call(&mut self, to: usize) {
        let shown = self.cooldowns.get(&self.upstreams[to]);
        let sent = self.sent();
        let (answer, answered) = oneshot::channel();
        let request = Request::get(uri(to)).body(answered).unwrap();
        assert!(self.client.poll_ready(&mut nobody()).is_ready());
        let mut future = self.client.call(request);
        let rejected = match future.as_mut().poll(&mut nobody()) {
            Poll::Pending => {
                self.out.push(Out { answer, future });
                None
            }
            Poll::Ready(Err(Error::RateLimited(limited))) => Some(limited),
            Poll::Ready(other) => panic!("ended by itself: {other:?}"),
        };

        let was_sent = self.sent() > sent;
        assert_eq!(was_sent, rejected.is_none(), "sent and rejected, or neither");
        if let Some(shown) = shown.filter(|shown| shown.state() != State::Reopening) {
            assert!(!was_sent || shown.until() <= now(), "sent in a cooldown or beside a probe");
        }
        agree(self.model.call(to), rejected.as_ref());
    }

    /// Picks one of the calls that are out.
    pub(crate) fn pick(&self, call: Index) -> Option<usize> {
        (!self.out.is_empty()).then(|| call.index(self.out.len()))
    }

    pub(crate) fn answer(&mut self, call: usize, answer: Answer) {
        let mut out = self.out.remove(call);
        out.answer.send(answer).unwrap();
        assert!(out.future.as_mut().poll(&mut nobody()).is_ready());
        self.model.ended(call, Some(answer));
    }

    pub(crate) fn drop_call(&mut self, call: usize) {
        drop(self.out.remove(call));
        self.model.ended(call, None);
    }

    pub(crate) fn cool(&mut self, to: usize, wait: Duration) {
        self.cooldowns.cool(&self.upstreams[to], wait);
        self.model.cool(to, wait);
    }

    pub(crate) fn clear(&mut self, to: usize) {
        self.cooldowns.clear(&self.upstreams[to]);
        self.model.clear(to);
    }

    pub(crate) async fn wait(&mut self, wait: Duration) {
        tokio::time::advance(wait).await;
        self.model.now = now() - self.start;
    }

    pub(crate) fn next_change(&self, of: usize) -> Duration {
        self.model.next_change(of)
    }

    /// Compares what the layer knows with what the model knows.
    pub(crate) fn compare(&self) {
        for (of, upstream) in self.upstreams.iter().enumerate() {
            let known = self.cooldowns.get(upstream);
            self.replay.agree(upstream, known.as_ref());
            let known = known.map(|info| (info.state(), info.until(), info.consecutive_failures()));
            let expected = self.model.episode(of).map(|episode| {
                let (state, until) = self.model.shown(&episode);
                (state, self.start + until, episode.failures)
            });
            assert_eq!(known, expected, "upstream {of} at {:?}", self.model.now);
            if let Some((taken, width)) = self.model.places(of) {
                assert!(taken <= width && width <= self.model.settings.reopen_width);
            }
        }
    }

    /// Though no call that is out is ever answered, a next one is admitted once
    /// the cooldown, the lease or the memory is over.
    pub(crate) async fn nobody_is_wedged(&mut self) {
        for to in 0..self.upstreams.len() {
            let upstream = self.upstreams[to].clone();
            if let Some(info) = self.cooldowns.get(&upstream) {
                self.wait(info.retry_after()).await;
            }
            if self.cooldowns.get(&upstream).is_some_and(|info| info.state() == State::Reopening) {
                self.wait(self.model.settings.forget_after).await;
            }
            let sent = self.sent();
            self.call(to);
            assert_eq!(self.sent(), sent + 1, "upstream {to} is wedged");
        }
        let known = (0..self.upstreams.len()).filter(|of| self.model.episode(*of).is_some());
        assert_eq!(self.cooldowns.len(), known.count());
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

fn agree(expected: Outcome, rejected: Option<&RateLimited>) {
    match (expected, rejected) {
        (Outcome::Admitted, None) => {}
        (Outcome::Rejected { reason, at_least, at_most, failures }, Some(limited)) => {
            assert_eq!((limited.reason(), limited.consecutive_failures()), (reason, failures));
            let told = limited.retry_after();
            assert!((at_least..=at_most).contains(&told), "{told:?}, not {expected:?}");
            assert_eq!(limited.until(), now() + told);
        }
        _ => panic!("expected {expected:?}, but {rejected:?}"),
    }
}

/// Answers a call as the script says: a response says its verdict itself.
async fn respond(call: Call) -> Result<Response<()>, io::Error> {
    let verdict = match call.into_body().await {
        Ok(Answer::Refused(hint)) => Verdict::RateLimited { hint },
        Ok(Answer::Succeeded) => Verdict::Success,
        Ok(Answer::Neutral) => Verdict::Neutral,
        Ok(Answer::Exhausted(reset)) => Verdict::Exhausted { reset },
        Ok(Answer::Failed) | Err(_) => return Err(io::Error::other("broken pipe")),
    };
    let mut response = Response::new(());
    response.extensions_mut().insert(verdict);
    Ok(response)
}

fn scripted(head: &classify::Head<'_>) -> Verdict {
    *head.extensions().unwrap().get().unwrap()
}

fn uri(to: usize) -> http::Uri {
    format!("https://{to}.example/").parse().unwrap()
}

fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused; it is the script's own")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
