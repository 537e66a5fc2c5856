//! What a client does about an upstream that says "not now".
//!
//! A strategy makes the client that all callers of a run share, and each caller's
//! own side of it. The callers' code ([`crate::callers`]) is the same for all.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::world::Wire;

/// A future that a caller awaits.
pub(crate) type Called<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// How a call ended, for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// A useful answer.
    Served,
    /// The upstream refused, and the strategy gave the refusal to the caller.
    Refused,
    /// The strategy did not send it; where it says so, it can be tried again after `wait`.
    HeldBack { wait: Option<Duration> },
}

/// Who shares what a strategy learns from a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// Nobody: it learns nothing.
    Nobody,
    /// The one call and its retries.
    Call,
    /// The loop of one caller.
    Caller,
    /// All callers.
    Client,
}

/// What kind of client calls, as far as one chooses settings by that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A poller or a crawler: it does no harm to come back late.
    Polls,
    /// A client of an API: somebody waits for the answer.
    Api,
}

/// What the callers know of the upstreams beforehand; for the oracle alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many requests …
    pub(crate) quota: u32,
    /// … in so much time, to each upstream.
    pub(crate) window: Duration,
}

/// One of those who are compared.
pub(crate) trait Strategy: Send + Sync {
    /// Returns the name in tables and plots.
    fn name(&self) -> &'static str;

    /// Returns who shares what it learns.
    fn reach(&self) -> Reach;

    /// Returns whether it was told the limit beforehand: the oracle.
    fn is_told(&self) -> bool {
        false
    }

    /// Returns whether it is a form of the layer.
    fn is_ours(&self) -> bool {
        false
    }

    /// Creates the client for one run.
    fn client(&self, wire: Wire, limits: Limits) -> Box<dyn Client>;

    /// Creates the client for one run of that kind; the same for all kinds, unless the
    /// strategy has settings for each.
    fn client_for(&self, kind: Kind, wire: Wire, limits: Limits) -> Box<dyn Client> {
        let _ = kind;
        self.client(wire, limits)
    }
}

/// What all callers of a run share.
pub(crate) trait Client: Send + Sync {
    /// Returns a caller's own side.
    fn caller(&self, number: usize) -> Box<dyn Caller>;
}

/// One caller's side of the client.
pub(crate) trait Caller: Send {
    /// Makes one call to an upstream; may take its time, and may send more than once.
    fn call(&mut self, upstream: usize) -> Called<'_>;

    /// Returns how long this caller's loop rests after `outcome` before it calls the
    /// same upstream again; `usual` is the pace of a caller that knows nothing.
    fn rest(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        let _ = outcome;
        usual
    }

    /// Returns how long this caller's loop rests after `outcome` before it calls
    /// another upstream; the usual time, unless the strategy knows no upstreams and
    /// it is the loop that it holds back.
    fn move_on(&mut self, outcome: Outcome, usual: Duration) -> Duration {
        let _ = outcome;
        usual
    }
}
