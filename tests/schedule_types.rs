//! What the compiler must grant of the schedule, and the names that other code
//! relies on.
#![cfg(feature = "schedule")]
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::fmt::Debug;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{BoxError, Service};
#[cfg(feature = "serde")]
use tower_retry_after::schedule::Snapshot;
use tower_retry_after::schedule::{
    Bucket, CycleReport, Next, Outcome, Peer, PeerBook, PollSet, PollSetHandle, Poller,
    PollerHandle, Role, Source, StateWatch, SyncCycle, SyncPolicy, SyncState, Synced, TargetId,
    judge,
};
use tower_retry_after::{Error, Upstream};

type Client = BoxCloneService<(), u8, BoxError>;
type PeerClient = BoxCloneService<Peer, Synced, BoxError>;

fn cheap<T: Clone + Send + Sync + Unpin + Debug + 'static>() {}
fn plain<T: Copy + Eq + Send + Sync + Debug + 'static>() {}
fn spawned<T: Send + Unpin + Debug + 'static>(_: &T) {}
fn streams<T: Stream>(_: &T) {}
fn cycles<S: Service<(), Response = CycleReport>>(_: &S)
where
    S::Error: Into<BoxError>,
{
}

#[test]
fn handles_and_records_go_anywhere() {
    cheap::<PollerHandle>();
    cheap::<StateWatch>();
    // Whatever the targets are, their handle can be sent.
    cheap::<PollSetHandle<Rc<u8>>>();
    cheap::<SyncState>();
    cheap::<Peer>();
    cheap::<PeerBook>();
    cheap::<CycleReport>();
    plain::<SyncPolicy>();
    plain::<Next>();
    plain::<Outcome>();
    plain::<TargetId>();
    #[cfg(feature = "serde")]
    cheap::<Snapshot>();
}

#[test]
fn schedules_are_streams_that_can_be_spawned() {
    let client = || Client::new(tower::service_fn(|()| async { Ok(0) }));
    let poller = Poller::new(client(), || ());
    let set: PollSet<_, String, _, _> = PollSet::new(client(), |_: &String| ());
    let peers = PeerClient::new(tower::service_fn(|_| async { Ok(Synced::ok("")) }));
    let cycle = SyncCycle::new(peers, PeerBook::new());

    cycles(&cycle);
    streams(&poller);
    streams(&set);
    spawned(&poller);
    spawned(&set);
    spawned(&Poller::cycle(cycle));
}

#[test]
fn the_names_are_there() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let mut peer = Peer::new("https://a.example", now).unwrap();
    (peer.bucket, peer.source, peer.role) = (Bucket::Sync, Source::Operator, Role::Seed);
    let mut book = PeerBook::new();
    book.add(peer.clone()).unwrap();
    book.merge(peer).unwrap();
    book.mark_seen("https://a.example", now).unwrap();
    book.mark_ok("https://a.example", now).unwrap();
    book.mark_failed("https://a.example", "down", Duration::ZERO, now).unwrap();
    book.mark_cooling("https://a.example", now).unwrap();
    let _: Vec<&Peer> = book.eligible(now);
    let _: Option<SystemTime> = book.next_free(now);
    let SyncPolicy { interval, ladder, run_lease } = SyncPolicy::default();
    let _ = (interval, ladder, run_lease);

    let _ = |result: &Result<u8, Error>| match judge::standard(result) {
        Next::Failed { hint } => hint.map(|_| ()),
        Next::NotSent { until } => Some(until).map(|_: Instant| ()),
        Next::DueAt(when) => Some(when).map(|_: Instant| ()),
        _ => None,
    };
    let _ = Upstream::named("a");
}
