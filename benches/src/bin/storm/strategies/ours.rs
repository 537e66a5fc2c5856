//! The layer: rejecting, waiting, and with quota signals.
//!
//! The settings are those that the documentation has for each kind of client: the
//! defaults for a poller and a crawler, `for_api` for clients of an API, whose ladder
//! of a second to a minute is what the retriers have too. Hints are believed exactly
//! in both. And a 503 without a hint counts as a refusal, as it is a failure to each
//! of the peers; to the layer by itself it says nothing of limits, and changes
//! nothing.
//!
//! A caller that is held back, or has heard a refusal, comes again when the table
//! says.

use std::future::Future;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt};
use tower_retry_after::classify::{self, Head, Verdict};
use tower_retry_after::hint::Dialect;
use tower_retry_after::{Cooldowns, Error, Ladder, RetryAfterBackoffLayer, Upstream};

use crate::strategy::{Called, Caller, Client, Kind, Limits, Outcome, Reach, Strategy};
use crate::world::{Wire, World};

/// The longest wait of a call where calls wait, as the documentation's examples have it.
const MAX_WAIT: Duration = secs(30);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One form of the layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ours {
    /// The layer as it is.
    Rejecting,
    /// Calls wait in line for their turn.
    Waiting,
    /// As it is, and it heeds what upstreams say of their quotas.
    WithQuotaSignals,
}

impl Strategy for Ours {
    fn name(&self) -> &'static str {
        match self {
            Self::Rejecting => "ours, rejecting",
            Self::Waiting => "ours, waiting",
            Self::WithQuotaSignals => "ours, quota signals",
        }
    }

    fn reach(&self) -> Reach {
        Reach::Client
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn client(&self, wire: Wire, limits: Limits) -> Box<dyn Client> {
        self.client_for(Kind::Api, wire, limits)
    }

    fn client_for(&self, kind: Kind, wire: Wire, _: Limits) -> Box<dyn Client> {
        let settings = RetryAfterBackoffLayer::builder().trust_hints(true);
        let settings = settings.classify(classify::from_fn(verdict));
        let settings = match kind {
            Kind::Polls => settings,
            // What `for_api` is.
            Kind::Api => settings.ladder(Ladder::new(secs(1), secs(60))),
        };
        let layer = match self {
            Self::Rejecting | Self::Waiting => settings.build(),
            Self::WithQuotaSignals => settings.quota_signals(Dialect::Any).build(),
        };
        let cooldowns = layer.cooldowns();
        match self {
            Self::Rejecting | Self::WithQuotaSignals => {
                Box::new(Layered { service: layer.layer(wire), cooldowns })
            }
            Self::Waiting => {
                let service = layer.waiting(MAX_WAIT).layer(wire);
                Box::new(Layered { service, cooldowns })
            }
        }
    }
}

/// The standard verdict, but for a 503.
pub(super) fn verdict(head: &Head<'_>) -> Verdict {
    match (head.status(), classify::standard(head)) {
        (StatusCode::SERVICE_UNAVAILABLE, Verdict::Neutral) => Verdict::RateLimited { hint: None },
        (_, verdict) => verdict,
    }
}

/// The wire in a layer.
struct Layered<S> {
    service: S,
    cooldowns: Cooldowns,
}

impl<S, F> Client for Layered<S>
where
    S: Service<Request<()>, Response = Response<()>, Error = Error, Future = F>,
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<()>, Error>> + Send,
{
    fn caller(&self, number: usize) -> Box<dyn Caller> {
        let (service, cooldowns) = (self.service.clone(), self.cooldowns.clone());
        Box::new(InLayer { service, cooldowns, number, cooling: None })
    }
}

/// A caller with its own clone of the service.
struct InLayer<S> {
    service: S,
    cooldowns: Cooldowns,
    number: usize,
    /// How long the upstream of the last call cools, if that was refused.
    cooling: Option<Duration>,
}

impl<S, F> Caller for InLayer<S>
where
    S: Service<Request<()>, Response = Response<()>, Error = Error, Future = F>,
    S: Clone + Send + Sync,
    F: Future<Output = Result<Response<()>, Error>> + Send,
{
    fn call(&mut self, upstream: usize) -> Called<'_> {
        let request = World::request(upstream, self.number);
        let upstream = Upstream::from_uri(request.uri());
        self.cooling = None;
        Box::pin(async move {
            match self.service.clone().oneshot(request).await {
                Ok(response) if response.status().is_success() => Outcome::Served,
                Ok(_) => {
                    self.cooling = self.cooldowns.get(&upstream).map(|info| info.retry_after());
                    Outcome::Refused
                }
                Err(Error::RateLimited(limited)) => {
                    Outcome::HeldBack { wait: Some(limited.retry_after()) }
                }
                Err(error) => panic!("the wire does not fail: {error}"),
            }
        })
    }

    fn rest(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        match outcome {
            Outcome::HeldBack { wait: Some(wait) } => wait,
            Outcome::Refused => self.cooling.unwrap_or(usual),
            Outcome::HeldBack { wait: None } | Outcome::Served => usual,
        }
    }
}
