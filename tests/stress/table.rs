//! The tables that all threads share, and the clients around them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::Uri;
use tower::Layer;
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::{
    Cooldowns, Ladder, RetryAfterBackoff, RetryAfterBackoffLayer, Upstream, Waiting, observe,
};

use crate::judge::{Judge, LONG, NEUTRAL_PAUSE};
use crate::peer::Peer;

/// How long an upstream is remembered after its cooldown.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(2);

/// As many calls as a Reopening upstream admits at most.
pub(crate) const WIDTH: u32 = 6;

/// A table and what goes with it.
pub(crate) struct Table {
    pub(crate) kind: Kind,
    pub(crate) judge: Arc<Judge>,
    /// The last is the bystander: nobody gets it into trouble.
    pub(crate) upstreams: Vec<(Uri, Upstream)>,
    layer: RetryAfterBackoffLayer,
}

#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    pub(crate) upstreams: usize,
    pub(crate) room: usize,
    pub(crate) is_watched: bool,
    lease: Duration,
    /// What would be rejected is sent.
    pub(crate) is_shadow: bool,
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// What a table may be like: roomy or cramped, watched or not; with leases that run
/// out all the time, or never; meant, or a shadow.
const KINDS: [Kind; 5] = [
    Kind {
        name: "roomy",
        upstreams: 40,
        room: 1000,
        is_watched: false,
        lease: Duration::from_millis(60),
        is_shadow: false,
    },
    Kind {
        name: "watched",
        upstreams: 40,
        room: 1000,
        is_watched: true,
        lease: Duration::from_millis(60),
        is_shadow: false,
    },
    Kind {
        name: "patient",
        upstreams: 24,
        room: 1000,
        is_watched: true,
        lease: Duration::from_nanos(LONG),
        is_shadow: false,
    },
    Kind {
        name: "cramped",
        upstreams: 300,
        room: 24,
        is_watched: true,
        lease: Duration::from_millis(60),
        is_shadow: false,
    },
    Kind {
        name: "shadow",
        upstreams: 24,
        room: 1000,
        is_watched: true,
        lease: Duration::from_nanos(LONG),
        is_shadow: true,
    },
];

impl Table {
    pub(crate) fn all() -> Vec<Self> {
        KINDS.map(Self::new).into()
    }

    fn new(kind: Kind) -> Self {
        let Kind { name, upstreams, room, is_watched, lease, is_shadow } = kind;
        let judge = Arc::new(Judge::new(name, upstreams + 1, room > upstreams, lease));
        let builder = Cooldowns::builder().max_upstreams(room).forget_after(FORGET_AFTER);
        let builder = if is_watched {
            let judge = Arc::clone(&judge);
            builder.observer(observe::from_fn(move |event| judge.hear(event)))
        } else {
            builder
        };
        let layer = RetryAfterBackoffLayer::builder()
            .ladder(Ladder::new(NEUTRAL_PAUSE, 8 * NEUTRAL_PAUSE))
            .probe_lease(lease)
            .reopen_width(WIDTH)
            .shadow(is_shadow)
            .cooldowns(builder.build());
        let layer = if is_watched {
            layer.classify(classify::from_fn(|head: &classify::Head<'_>| {
                match head.status().as_u16() {
                    203 => Verdict::Exhausted { reset: 40 * MILLISECOND },
                    _ => classify::standard(head),
                }
            }))
        } else {
            layer
        };
        let upstreams = (0..=upstreams).map(|number| {
            let uri = Uri::try_from(format!("https://{number}.example/")).unwrap();
            let upstream = Upstream::from_uri(&uri);
            (uri, upstream)
        });
        Self { kind, judge, upstreams: upstreams.collect(), layer: layer.build() }
    }

    pub(crate) fn cooldowns(&self) -> Cooldowns {
        self.layer.cooldowns()
    }

    /// Returns whether the table holds nothing, as it shows itself: what is over and
    /// not yet let go of counts.
    pub(crate) fn is_empty(&self) -> bool {
        let shown = format!("{:?}", self.cooldowns());
        shown.contains("tracked: 0,") && shown.contains("lines: 0,")
    }

    /// What would have been rejected has all ended, and was counted once.
    pub(crate) fn shadow_adds_up(&self) {
        let (report, seen) = (self.layer.shadowed(), self.judge.counts.shadowed.load(SeqCst));
        assert_eq!((report.would_reject(), report.pending()), (seen, 0), "{}", self.judge);
    }

    pub(crate) fn rejecting(&self, calm: &Arc<AtomicBool>) -> RetryAfterBackoff<Peer> {
        self.layer.layer(Peer::new(Arc::clone(calm)))
    }

    pub(crate) fn waiting(&self, most: Duration, calm: &Arc<AtomicBool>) -> Waiting<Peer> {
        self.layer.waiting(most).layer(Peer::new(Arc::clone(calm)))
    }

    /// Waits until a call has a chance.
    pub(crate) fn ready(&self, number: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (cooldowns, upstream) = (self.cooldowns(), self.upstreams[number].1.clone());
        Box::pin(async move { cooldowns.ready(&upstream).await })
    }
}
