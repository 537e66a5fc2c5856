//! Those who call: each in a task of its own, with chance of its own.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::Error;
use tower_retry_after::message::Deadline;
use tower_retry_after::schedule::{Poller, SyncPolicy};

use super::chance::Chance;
use super::run::Stage;
use super::wire::{Ask, Client, Response};
use super::{END, Rules, UPSTREAMS, upstream, uri};

/// How somebody calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Rejected,
    Trusting,
    Waiting,
    Retrying,
    /// Waits until the upstream has room, and then calls.
    Ready,
    Polling,
}

/// The panic of user code that is part of the plan.
#[derive(Debug)]
pub(crate) struct Planned;

/// What became of a call.
enum Came {
    Answer(Result<Response, Error>),
    /// The user's own code has panicked.
    Panic,
    /// The caller has lost patience.
    Dropped,
}

/// Ends with the panic of what it holds, if that is as planned.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future<Output = Result<Response, Error>>> Future for Caught<F> {
    type Output = Came;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Came> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Came::Answer),
            Err(panic) if panic.is::<Planned>() => Poll::Ready(Came::Panic),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Calls until the end; returns how many polls there were.
pub(crate) async fn play(stage: Stage, kind: Kind, number: u64) -> u64 {
    let mut chance = Chance::new(stage.net.seed, &[4, number]);
    if kind == Kind::Polling {
        return polls(stage, &mut chance, number).await;
    }
    let is_slow = chance.percent(25);
    loop {
        let pause = chance.within(0..4) * chance.within(10..9_000) + chance.within(1..200);
        sleep(Duration::from_millis(pause)).await;
        if stage.net.millis() > END || stage.net.judge(|judge| judge.violation().is_some()) {
            return 0;
        }
        let to = if chance.percent(80) {
            chance.skewed(UPSTREAMS)
        } else {
            usize::try_from(chance.below(UPSTREAMS as u64)).unwrap()
        };
        // At any await point: before the first poll, in line, on the wire.
        let patience = if chance.percent(12) {
            Duration::from_millis(chance.below(2_000))
        } else {
            Duration::from_secs(3600)
        };
        let call = Calling { stage: stage.clone(), kind, number, is_slow, to };
        call.play(patience, &mut chance).await;
    }
}

struct Calling {
    stage: Stage,
    kind: Kind,
    number: u64,
    is_slow: bool,
    to: usize,
}

impl Calling {
    async fn play(&self, patience: Duration, chance: &mut Chance) {
        let rules = match self.kind {
            Kind::Trusting => Rules::TRUSTING,
            Kind::Waiting => Rules { waits: true, ..Rules::CAREFUL },
            _ => Rules::CAREFUL,
        };
        let client = Client::new(&self.stage.net, rules, self.number, self.is_slow);
        let request = self.request();
        match self.kind {
            Kind::Waiting => self.wait(client, request, patience, chance).await,
            Kind::Retrying => self.retry(client, request, patience).await,
            Kind::Trusting => {
                let client = self.stage.trusting.layer(client);
                let came = self.call(client, request, patience).await;
                self.held(came);
            }
            Kind::Ready => {
                let upstream = upstream(self.to);
                let ready = self.stage.cooldowns.ready(&upstream);
                if timeout(patience, ready).await.is_ok() {
                    let client = self.stage.careful.layer(client);
                    let came = self.call(client, request, patience).await;
                    self.held(came);
                }
            }
            Kind::Rejected | Kind::Polling => {
                let client = self.stage.careful.layer(client);
                let came = self.call(client, request, patience).await;
                self.held(came);
            }
        }
    }

    fn request(&self) -> Request<Ask> {
        let mut request = Request::new(Ask { to: self.to, ticket: None });
        *request.uri_mut() = uri(self.to);
        request
    }

    /// Calls through a clone that is readied first.
    async fn call<S>(&self, client: S, request: Request<Ask>, patience: Duration) -> Came
    where
        S: Service<Request<Ask>, Response = Response, Error = Error> + Clone,
    {
        let call = Caught(Box::pin(client.clone().oneshot(request)));
        timeout(patience, call).await.unwrap_or(Came::Dropped)
    }

    /// What was held back must be so: the error is of this very instant.
    fn held(&self, came: Came) {
        if let Came::Answer(Err(Error::RateLimited(limited))) = came {
            self.stage.net.judge(|judge| judge.held(self.to, &limited));
        }
    }

    async fn wait(
        &self,
        client: Client,
        mut request: Request<Ask>,
        patience: Duration,
        chance: &mut Chance,
    ) {
        let net = Arc::clone(&self.stage.net);
        let longest = Duration::from_secs(chance.below(150));
        request.extensions_mut().insert(Deadline::within(longest));
        let deadline = super::now() + longest;
        // Who is not always ready may stand aside, and be overtaken.
        let ticket = (!self.is_slow).then(|| net.judge(|judge| judge.joins(self.to)));
        request.body_mut().ticket = ticket;
        let client = self.stage.careful.waiting(Duration::from_secs(120)).layer(client);
        let came = self.call(client, request, patience).await;
        net.judge(|judge| {
            judge.tally.waited += 1;
            if let Some(ticket) = ticket {
                judge.leaves(self.to, ticket);
            }
            if let Came::Answer(Err(Error::RateLimited(_))) = &came
                && !self.is_slow
            {
                judge.expect(super::now() <= deadline, "one has waited beyond its deadline");
            }
        });
    }

    #[cfg(feature = "retry")]
    async fn retry(&self, client: Client, request: Request<Ask>, patience: Duration) {
        use tower::retry::RetryLayer;
        use tower_retry_after::retry::RetryPolicy;

        let policy = RetryPolicy::new(&self.stage.careful);
        let client = RetryLayer::new(policy).layer(self.stage.careful.layer(client));
        self.call(client, request, patience).await;
    }

    #[cfg(not(feature = "retry"))]
    async fn retry(&self, client: Client, request: Request<Ask>, patience: Duration) {
        self.call(self.stage.careful.layer(client), request, patience).await;
    }
}

/// Polls one upstream until the end.
async fn polls(stage: Stage, chance: &mut Chance, number: u64) -> u64 {
    let to = chance.skewed(UPSTREAMS);
    let client = Client::new(&stage.net, Rules::TRUSTING, number, false);
    let client = stage.trusting.layer(client);
    let request = move || {
        let mut request = Request::new(Ask { to, ticket: None });
        *request.uri_mut() = uri(to);
        request
    };
    let policy = SyncPolicy {
        interval: Duration::from_millis(chance.within(3_000..9_000)),
        ladder: tower_retry_after::Ladder::new(Rules::TRUSTING.base, Rules::TRUSTING.cap),
        run_lease: Duration::from_secs(45),
    };
    let net = Arc::clone(&stage.net);
    // Somebody sets it an hour ahead, and back again, every seven minutes.
    let clock = move || {
        let (now, is_ahead) = (net.millis(), net.millis() / 420_000 % 2 == 1);
        super::upstreams::wall(now) + Duration::from_secs(if is_ahead { 3600 } else { 0 })
    };
    let mut poller = Poller::builder(client, request).policy(policy).wall_clock(clock).build();
    let mut count = 0;
    while stage.net.millis() <= END {
        if timeout(Duration::from_secs(300), poller.next()).await.is_err() {
            stage.net.judge(|judge| judge.violated("a poller has stood still for five minutes"));
            break;
        }
        count += 1;
    }
    count
}

/// Makes a call that must be served.
pub(crate) async fn one_that_waits(stage: Stage, to: usize, number: u64) -> Result<(), String> {
    let rules = Rules { waits: true, ..Rules::CAREFUL };
    let client = Client::new(&stage.net, rules, number, false);
    let ticket = stage.net.judge(|judge| judge.joins(to));
    let mut request = Request::new(Ask { to, ticket: Some(ticket) });
    *request.uri_mut() = uri(to);
    let client = stage.careful.waiting(Duration::from_secs(600)).layer(client);
    match client.oneshot(request).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{to} is well, and a call that waits is told: {error:?}")),
    }
}
