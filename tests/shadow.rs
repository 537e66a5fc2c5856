//! Shadow mode: everything is learned and decided as otherwise, every call passes,
//! and a call that would have been rejected moves nothing.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests")]

mod support;

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use proptest::prelude::*;
use proptest::sample::Index;
use support::Outcome::{Failed, Sent};
use support::*;
use tokio::sync::oneshot;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::observe::{self, Event, ShadowOutcome};
use tower_retry_after::{
    CooldownInfo, Error, Ladder, Reason, RefusalErrorLayer, RetryAfterBackoffLayer,
    RetryAfterBackoffLayerBuilder, State, Upstream,
};

fn shadow() -> RetryAfterBackoffLayer {
    RetryAfterBackoffLayer::builder().shadow(true).build()
}

/// A classifier that knows one more header: `x-exhausted`, in seconds.
fn with_quotas(builder: RetryAfterBackoffLayerBuilder) -> RetryAfterBackoffLayer {
    let classifier = classify::from_fn(|head| match head.headers().get("x-exhausted") {
        Some(seconds) => {
            let seconds = seconds.to_str().unwrap().parse().unwrap();
            Verdict::Exhausted { reset: Duration::from_secs(seconds) }
        }
        None => classify::standard(head),
    });
    builder.classify(classifier).build()
}

#[tokio::test(start_paused = true)]
async fn every_call_passes_and_is_counted() {
    let peer = Peer::says([refused_for(60), ok(), refused(), status(500), fails()]);
    let layer = shadow();
    let client = client(&layer, &peer);

    let mut outcomes = Vec::new();
    for _ in 0..5 {
        outcomes.push(ask(&client, A).await);
    }

    assert_eq!(outcomes, [Sent(429), Sent(200), Sent(429), Sent(500), Failed]);
    assert_eq!(peer.calls(), 5);
    let report = layer.shadowed();
    assert_eq!((report.would_reject(), report.answered(), report.refused()), (4, 1, 1));
    assert_eq!((report.neutral(), report.failed(), report.dropped()), (1, 1, 0));
    assert_eq!(report.would_reject_for(Reason::Cooling), 4);
    assert_eq!(report.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_is_a_line() {
    let peer = Peer::says([refused_for(60), ok(), refused(), never()]);
    let layer = shadow();
    let client = client(&layer, &peer);
    for _ in 0..3 {
        ask(&client, A).await;
    }
    let out = hang(&client, A);

    assert_eq!(
        layer.shadowed().to_string(),
        "3 calls would have been rejected: \
         1 were answered, 1 refused, 0 neutral, 0 failed, 0 dropped, 1 pending"
    );
    drop(out);
    assert_eq!((layer.shadowed().dropped(), layer.shadowed().pending()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_rejects_reports_nothing() {
    let layer = RetryAfterBackoffLayer::builder().shadow(true).shadow(false).build();
    let client = client(&layer, &Peer::always(refused()));
    ask(&client, A).await;

    assert_eq!(ask(&client, A).await, COOLING);

    assert_eq!(layer.shadowed(), tower_retry_after::observe::ShadowReport::default());
}

/// All that can be known of an upstream.
fn known(layer: &RetryAfterBackoffLayer) -> Option<impl PartialEq + std::fmt::Debug + use<>> {
    let all = |info: CooldownInfo| {
        let (failures, status, hint) = (info.consecutive_failures(), info.status(), info.hint());
        (info.state(), info.until(), failures, status, hint)
    };
    layer.cooldowns().get(&upstream(A)).map(all)
}

/// How a call can end that would have been rejected.
const ENDINGS: [ShadowOutcome; 6] = [
    ShadowOutcome::Answered,
    ShadowOutcome::Answered,
    ShadowOutcome::Refused,
    ShadowOutcome::Neutral,
    ShadowOutcome::Failed,
    ShadowOutcome::Dropped,
];

fn endings() -> [Answer; 6] {
    let exhausted = ok().header("x-exhausted", "9000");
    [ok(), exhausted, refused_for(9000), status(500), fails(), never()]
}

/// Ends a call in each way while the upstream is in that state; what is known of
/// it must stay as it is, and the calls that were admitted count as ever.
async fn nothing_moves(before: &[Answer], reason: Reason, ends_well: State) {
    for (ending, expected) in endings().into_iter().zip(ENDINGS) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let layer = with_quotas(RetryAfterBackoffLayer::builder().shadow(true).observer(
            observe::from_fn(move |event| match event {
                Event::Transition(_) | Event::Rejected(_) | Event::Refused(_) => {
                    log.lock().unwrap().push(format!("{event:?}"));
                }
                Event::WouldReject(limited) => {
                    log.lock().unwrap().push(format!("would reject, {:?}", limited.reason()));
                }
                Event::Shadowed(call) => {
                    log.lock().unwrap().push(format!("{} {:?}", call.upstream(), call.outcome()));
                }
                _ => {}
            }),
        ));
        let answers = before.iter().cloned().chain([ending]);
        let client = client(&layer, &Peer::says(answers));
        // The last ones of `before` stay out: they hold what there is to hold.
        let mut out = Vec::new();
        ask(&client, A).await;
        if before.len() > 1 {
            pass(secs(60)).await;
        }
        for answer in 1..before.len() {
            let call = call(&client, A);
            if reason == Reason::Reopening && answer == 1 {
                drop(call.await);
            } else {
                let mut call = Box::pin(call);
                assert!(poll_once(call.as_mut()).is_pending());
                out.push(call);
            }
        }
        let start = known(&layer);
        assert!(start.is_some());
        told.lock().unwrap().clear();

        match expected {
            ShadowOutcome::Dropped => drop(hang(&client, A)),
            _ => drop(send(&client, A).await),
        }

        assert_eq!(known(&layer), start, "{expected:?} moved something");
        let lines =
            [format!("would reject, {reason:?}"), format!("https://a.example {expected:?}")];
        assert_eq!(*told.lock().unwrap(), lines);
        let report = layer.shadowed();
        assert_eq!((report.would_reject_for(reason), report.pending()), (1, 0));
        let counted = match expected {
            ShadowOutcome::Answered => report.answered(),
            ShadowOutcome::Refused => report.refused(),
            ShadowOutcome::Neutral => report.neutral(),
            ShadowOutcome::Failed => report.failed(),
            ShadowOutcome::Dropped => report.dropped(),
            _ => 0,
        };
        assert_eq!((report.would_reject(), counted), (1, 1));
        for call in out {
            assert_eq!(call.await.unwrap().status(), 200);
        }
        assert_eq!(state(&layer.cooldowns(), A), Some(ends_well));
    }
}

#[tokio::test(start_paused = true)]
async fn no_verdict_moves_anything_while_cooling() {
    nothing_moves(&[refused()], Reason::Cooling, State::Cooling).await;
}

#[tokio::test(start_paused = true)]
async fn no_verdict_ends_the_probe() {
    let probe = ok().after(secs(2));
    nothing_moves(&[refused(), probe], Reason::Probing, State::Reopening).await;
}

#[tokio::test(start_paused = true)]
async fn no_verdict_takes_or_gives_a_place() {
    let place = ok().after(secs(2));
    let answers = [refused(), ok(), place.clone(), place];
    nothing_moves(&answers, Reason::Reopening, State::Reopening).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_cooldown_still_moves_nothing() {
    let late = [ok().after(secs(61)), refused_for(900).after(secs(61))];
    let layer = shadow();
    let client = client(&layer, &Peer::says([refused()].into_iter().chain(late)));
    ask(&client, A).await;
    let (well, refused) = (hang(&client, A), hang(&client, A));
    let start = known(&layer);

    assert_eq!(
        (well.await.unwrap().status(), refused.await.unwrap().status()),
        (200.try_into().unwrap(), 429.try_into().unwrap())
    );

    assert_eq!(known(&layer), start);
    assert_eq!((layer.shadowed().answered(), layer.shadowed().refused()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_is_counted_as_dropped() {
    let layer = shadow();
    let answers = [refused(), panics_in_call(), panics_in_future()];
    let client = client(&layer, &Peer::says(answers));
    ask(&client, A).await;

    assert!(catch_unwind(AssertUnwindSafe(|| drop(call(&client, A)))).is_err());
    let mut call = Box::pin(call(&client, A));
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(call.as_mut()))).is_err());
    drop(call);

    assert_eq!((layer.shadowed().dropped(), layer.shadowed().pending()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_readied_service_is_used_and_not_given_up() {
    let peer = Peer::always(refused());
    let client = client(&shadow(), &peer);
    ask(&client, A).await;

    ask(&client, A).await;

    assert_eq!((peer.calls(), peer.reserved()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_layer_made_of_a_shadow_lets_nobody_wait() {
    let peer = Peer::says([refused_for(60), ok(), refused(), never()]);
    let layer = shadow();
    let client = layer.waiting(secs(90)).layer(peer.service());
    let start = now();
    ask(&client, A).await;
    let known_before = known(&layer);

    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(ask(&client, A).await, Sent(429));
    drop(hang(&client, A));

    assert_eq!((now(), peer.calls(), peer.reserved()), (start, 4, 0));
    assert_eq!(known(&layer), known_before);
    let report = layer.shadowed();
    assert_eq!((report.would_reject(), report.pending()), (3, 0));
    assert_eq!((report.answered(), report.refused(), report.dropped()), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn refusals_become_errors_outside_of_a_shadow_as_well() {
    async fn send(_: Request<()>) -> io::Result<Response<Full<&'static [u8]>>> {
        Ok(Response::builder().status(429).body(Full::new(&b"slow down"[..])).unwrap())
    }
    let layer = shadow();
    let client = ServiceBuilder::new()
        .layer(RefusalErrorLayer::new(&layer))
        .layer(layer.clone())
        .service(service_fn(send));

    for _ in 0..3 {
        let error = client.clone().oneshot(get(A)).await.unwrap_err();
        assert_eq!(error.rate_limited().unwrap().reason(), Reason::Refused);
    }

    assert_eq!((layer.shadowed().would_reject(), layer.shadowed().refused()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_one_of_ours_made_up_is_neutral() {
    let cooling = RetryAfterBackoffLayer::new();
    cooling.cooldowns().cool(&upstream(A), secs(60));
    let limited = held(&client(&cooling, &Peer::always(ok())), A).await;
    let layer = shadow();
    layer.cooldowns().cool(&upstream(A), secs(60));
    let client =
        ServiceBuilder::new().layer(layer.clone()).service(service_fn(move |_: Request<()>| {
            let mut response = Response::builder().status(429).body(()).unwrap();
            response.extensions_mut().insert(limited.clone());
            async move { Ok::<_, io::Error>(response) }
        }));

    ask(&client, A).await;

    assert_eq!((layer.shadowed().neutral(), layer.shadowed().refused()), (1, 0));
}

/// A step of a script. An `Index` picks one of all calls that were made.
#[derive(Clone, Debug)]
enum Step {
    Call(usize),
    Answer(Index, u16, Option<u64>),
    Drop(Index),
    Cool(usize, u64),
    Clear(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let statuses = proptest::sample::select(&[200, 200, 200, 429, 429, 500, 299, 0][..]);
    let wait = proptest::option::of(0..4000_u64);
    prop_oneof![
        12 => (0..2_usize).prop_map(Step::Call),
        8 => (any::<Index>(), statuses, wait).prop_map(|(call, status, wait)| Step::Answer(call, status, wait)),
        1 => any::<Index>().prop_map(Step::Drop),
        1 => (0..2_usize, 0..4000_u64).prop_map(|(to, wait)| Step::Cool(to, wait)),
        1 => (0..2_usize).prop_map(Step::Clear),
        5 => (0..3000_u64).prop_map(Step::Wait),
    ]
}

type Call = Request<oneshot::Receiver<(u16, Option<u64>)>>;
type Answering = oneshot::Sender<(u16, Option<u64>)>;
type Pending = Pin<Box<dyn Future<Output = Result<Response<()>, Error>> + Send>>;

/// A layer and all calls made through it.
struct Side {
    layer: RetryAfterBackoffLayer,
    client: BoxCloneService<Call, Response<()>, Error>,
    /// The calls that are out, and how to answer them.
    calls: Vec<Option<(Answering, Pending)>>,
    /// The numbers of the calls that were, or would have been, rejected, and why.
    rejected: Arc<Mutex<Vec<(usize, Reason)>>>,
    made: usize,
}

impl Side {
    fn new(shadow: bool) -> Self {
        let rejected: Arc<Mutex<Vec<(usize, Reason)>>> = Arc::default();
        let (log, count) = (Arc::clone(&rejected), Arc::new(Mutex::new(0)));
        let layer = with_quotas(
            RetryAfterBackoffLayer::builder()
                .ladder(Ladder::new(secs(1), secs(4)))
                .reopen_width(4)
                .probe_lease(secs(2))
                .shadow(shadow)
                .observer(observe::from_fn(move |event| {
                    let mut count = count.lock().unwrap();
                    match event {
                        Event::Admitted(_) => *count += 1,
                        Event::Rejected(limited) if !shadow => {
                            log.lock().unwrap().push((*count, limited.reason()));
                            *count += 1;
                        }
                        Event::WouldReject(limited) if shadow => {
                            log.lock().unwrap().push((*count, limited.reason()));
                            *count += 1;
                        }
                        Event::Rejected(_) | Event::WouldReject(_) => panic!("of the wrong kind"),
                        _ => {}
                    }
                })),
        );
        let inner = service_fn(async |call: Call| match call.into_body().await {
            Ok((0, _)) | Err(_) => Err(io::Error::other("broken pipe")),
            Ok((status, wait)) => {
                let header = if status == 299 { "x-exhausted" } else { "retry-after-ms" };
                let wait = wait.map(|millis| if status == 299 { millis / 1000 } else { millis });
                let response = Response::builder().status(status);
                Ok(match wait {
                    Some(wait) => response.header(header, wait),
                    None => response,
                }
                .body(())
                .unwrap())
            }
        });
        let client =
            BoxCloneService::new(ServiceBuilder::new().layer(layer.clone()).service(inner));
        Self { layer, client, calls: Vec::new(), rejected, made: 0 }
    }

    fn step(&mut self, step: &Step) {
        let nobody = &mut Context::from_waker(Waker::noop());
        match step {
            Step::Call(to) => {
                let (answer, answered) = oneshot::channel();
                let request = Request::get(uri(*to)).body(answered).unwrap();
                assert!(self.client.poll_ready(nobody).is_ready());
                let mut call = self.client.call(request);
                let is_out = call.as_mut().poll(nobody).is_pending();
                self.calls.push(is_out.then_some((answer, call)));
                self.made += 1;
            }
            Step::Answer(call, status, wait) if self.made > 0 => {
                if let Some((answer, mut call)) = self.calls[call.index(self.made)].take() {
                    answer.send((*status, *wait)).unwrap();
                    assert!(call.as_mut().poll(nobody).is_ready());
                }
            }
            Step::Drop(call) if self.made > 0 => {
                let index = call.index(self.made);
                self.calls[index] = None;
            }
            Step::Cool(to, wait) => {
                self.layer.cooldowns().cool(&named(*to), millis(*wait));
            }
            Step::Clear(to) => self.layer.cooldowns().clear(&named(*to)),
            Step::Answer(..) | Step::Drop(_) | Step::Wait(_) => {}
        }
    }

    fn knows(&self) -> Vec<Option<impl PartialEq + std::fmt::Debug + use<>>> {
        [0, 1]
            .map(|to| {
                self.layer.cooldowns().get(&named(to)).map(|info| {
                    let (failures, hint) = (info.consecutive_failures(), info.hint());
                    (info.state(), info.until(), failures, info.status(), hint)
                })
            })
            .into()
    }
}

fn uri(to: usize) -> String {
    format!("https://{to}.example/")
}

fn named(to: usize) -> Upstream {
    upstream(&uri(to))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shadow_would_reject_exactly_what_the_layer_rejects(
        script in proptest::collection::vec(steps(), 1..120),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (mut real, mut shadow) = (Side::new(false), Side::new(true));
            for step in &script {
                real.step(step);
                shadow.step(step);
                if let Step::Wait(wait) = step {
                    pass(millis(*wait)).await;
                }
                assert_eq!(real.knows(), shadow.knows(), "after {step:?}");
            }
            assert_eq!(*real.rejected.lock().unwrap(), *shadow.rejected.lock().unwrap());
            drop(std::mem::take(&mut shadow.calls));
            let report = shadow.layer.shadowed();
            let rejected = u64::try_from(real.rejected.lock().unwrap().len()).unwrap();
            assert_eq!((report.would_reject(), report.pending()), (rejected, 0));
        });
    }
}
