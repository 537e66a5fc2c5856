//! What the compiler must grant, and the names that other code relies on.

mod support;

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::future::{Pending, Ready};
use std::hash::Hash;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, Response, StatusCode, Uri};
use support::{Strict, client};
use tower::{Layer, Service};
use tower_retry_after::{
    CooldownInfo, Cooldowns, CooldownsBuilder, Error, Ladder, RateLimited, Reason, RefusalError,
    RefusalErrorFuture, RefusalErrorLayer, ResponseFuture, RetryAfterBackoff,
    RetryAfterBackoffLayer, RetryAfterBackoffLayerBuilder, State, Upstream, Waiting, WaitingFuture,
    WaitingLayer, classify, hint, key, message,
};

fn shared<T: Send + Sync + Unpin + Debug + 'static>() {}
fn pinned<T: Send + Sync + Debug + 'static>() {}
fn cheap<T: Clone + Send + Sync + Unpin + Debug + 'static>() {}
fn plain<T: Copy + Eq + Hash + Send + Sync + Unpin + Debug + 'static>() {}
fn shown<T: Display>() {}
fn made<T: Default>() {}
fn sent<T: Send>(_: &T) {}
fn object<T: ?Sized + Send + Sync>() {}
fn head<T: Copy + Send + Sync + Debug>() {}
fn error<T: StdError + Send + Sync + 'static>() {}
fn boxes<T: Into<Box<dyn StdError + Send + Sync>>>() {}
fn from<T: From<RateLimited>>() {}
fn serves<S: Service<Request<()>, Response = Response<()>, Error = Error>>(_: &S) {}
fn seen<R: message::Outgoing, A: message::Incoming>() {}

type AtOnce = Strict<fn(Request<()>) -> Ready<io::Result<Response<()>>>>;

#[test]
fn handles_go_anywhere_and_are_cloned_and_shown() {
    cheap::<RetryAfterBackoffLayer>();
    cheap::<RetryAfterBackoffLayerBuilder>();
    cheap::<RetryAfterBackoff<tower::util::BoxCloneSyncService<(), (), ()>>>();
    cheap::<RefusalErrorLayer>();
    cheap::<WaitingLayer>();
    cheap::<Waiting<tower::util::BoxCloneSyncService<(), (), ()>>>();
    plain::<message::Deadline>();
    cheap::<Cooldowns>();
    cheap::<CooldownsBuilder>();
    cheap::<CooldownInfo>();
    cheap::<RateLimited>();
    cheap::<Upstream>();
    cheap::<key::ByOrigin>();
    cheap::<key::ByPathPrefix>();
    cheap::<key::ByHeader>();
    shared::<Error>();
    shared::<ResponseFuture<Pending<()>>>();
    // A timer inside: not `Unpin`, as under Tower's own timeout.
    pinned::<RefusalErrorFuture<Pending<()>, ()>>();
    pinned::<WaitingFuture<AtOnce, Request<()>>>();
    plain::<Ladder>();
    plain::<Reason>();
    plain::<State>();
    made::<RetryAfterBackoffLayer>();
    made::<Cooldowns>();
    made::<Ladder>();
    shown::<Upstream>();
    shown::<Error>();
    shown::<RateLimited>();
}

#[test]
fn keys_and_classifiers_are_objects() {
    object::<dyn key::Key>();
    object::<dyn classify::Classify>();
    cheap::<classify::Verdict>();
    head::<classify::Head<'_>>();
    head::<key::Head<'_>>();
}

#[test]
fn errors_are_errors_and_go_into_boxes() {
    error::<Error>();
    error::<RateLimited>();
    boxes::<Error>();
    from::<Error>();
}

/// Tells whether a type is `Send`: what is inherent wins over the trait's.
struct Probe<T>(std::marker::PhantomData<T>);

trait Otherwise {
    const IS_SEND: bool = false;
}

impl<T> Otherwise for Probe<T> {}

impl<T: Send> Probe<T> {
    const IS_SEND: bool = true;
}

#[test]
fn a_response_future_is_send_exactly_if_the_inner_one_is() {
    const {
        assert!(Probe::<ResponseFuture<Ready<u8>>>::IS_SEND);
        assert!(!Probe::<ResponseFuture<Ready<Rc<u8>>>>::IS_SEND);
        assert!(Probe::<RetryAfterBackoff<u8>>::IS_SEND);
        assert!(!Probe::<RetryAfterBackoff<Rc<u8>>>::IS_SEND);
        assert!(Probe::<RefusalErrorFuture<Ready<u8>, u8>>::IS_SEND);
        assert!(!Probe::<RefusalErrorFuture<Ready<u8>, Rc<u8>>>::IS_SEND);
    }
}

/// A named type with no parameter but the inner service's.
struct Holder<F: FnMut(Request<()>) -> support::Replied> {
    client: RetryAfterBackoff<Strict<F>>,
    refusals: RefusalError<RetryAfterBackoff<Strict<F>>>,
    out: Option<ResponseFuture<support::Replied>>,
}

#[test]
fn services_and_futures_can_be_named() {
    let layer = RetryAfterBackoffLayer::default();
    let client = client(&layer, &support::Peer::always(support::ok()));
    let refusals = RefusalErrorLayer::new(&layer).layer(client.clone());
    let holder = Holder { client, refusals, out: None };

    sent(&holder.client);
    sent(&holder.refusals);
    sent(&holder.out);
    serves(&holder.client);
}

#[test]
fn waiting_can_be_spawned() {
    let cooldowns = Cooldowns::new();
    sent(&cooldowns.ready(&Upstream::named("a")));
}

#[test]
fn the_names_of_the_design_are_there() {
    let second = Duration::from_secs(1);
    let shared = Cooldowns::builder().max_upstreams(9).forget_after(second).build();
    let layer = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(second, second))
        .max_retry_after(second)
        .trust_hints(true)
        .jitter(0.1)
        .probe_lease(second)
        .reopen_width(9)
        .max_upstreams(9)
        .forget_after(second)
        .upstream_key(key::from_fn(|head| Upstream::named(head.uri().path())))
        .classify(classify::from_fn(classify::standard))
        .cooldowns(shared)
        .build();
    let _ = (RetryAfterBackoffLayer::new(), RetryAfterBackoffLayer::for_api());
    let upstream = Upstream::from_uri(&Uri::from_static("https://api.example:8443"));
    assert_eq!(upstream.to_string(), "https://api.example:8443");
    assert_ne!(Upstream::named("https://api.example:8443"), upstream);
    assert_eq!(Ladder::default().delay(0), Duration::ZERO);
    assert_eq!(Ladder::default().delay_with_hint(1, second), Duration::from_secs(60));
    assert_eq!(hint::from_headers(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);

    let cooldowns: Cooldowns = layer.cooldowns();
    cooldowns.cool(&upstream, second);
    let info = cooldowns.get(&upstream).unwrap();
    let _: (&Upstream, State, Duration) = (info.upstream(), info.state(), info.retry_after());
    assert_eq!((cooldowns.snapshot().len(), cooldowns.len(), cooldowns.is_empty()), (1, 1, false));
    cooldowns.clear(&upstream);

    let _ = |limited: &RateLimited| -> (Upstream, Duration, tokio::time::Instant, u32) {
        let _: (Option<StatusCode>, Option<Duration>) = (limited.status(), limited.hint());
        match limited.reason() {
            Reason::Cooling | Reason::Probing | Reason::Reopening | Reason::Refused => {}
        }
        let until = limited.until();
        (limited.upstream().clone(), limited.retry_after(), until, limited.consecutive_failures())
    };
    let _ = |error: &Error| match error {
        Error::RateLimited(limited) => Some(limited.clone()),
        Error::Inner(inner) => RateLimited::find(&**inner).cloned(),
        _ => error.rate_limited().cloned(),
    };
    let _ = |verdict| match verdict {
        classify::Verdict::RateLimited { hint } => hint,
        classify::Verdict::Exhausted { reset } => Some(reset),
        classify::Verdict::Success | classify::Verdict::Neutral | _ => None,
    };
    seen::<Request<io::Empty>, Response<io::Empty>>();
}

#[test]
fn the_error_is_small_enough_to_be_returned_by_value() {
    // From 128 bytes on, clippy advises the users' functions against it.
    assert!(size_of::<Error>() < 128, "{} bytes", size_of::<Error>());
}
