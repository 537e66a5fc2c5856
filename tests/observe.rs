//! What an observer is told, and that it cannot do harm.
#![allow(clippy::arithmetic_side_effects, reason = "for tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "for tests")]

mod support;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use support::Outcome::Sent;
use support::*;
use tower::Layer;
use tower_retry_after::observe::{self, Event, Observer, Transition, Trigger};
use tower_retry_after::{Cooldowns, RetryAfterBackoffLayer, State, Upstream, classify, key};

/// Writes down what it is told, a line for each event.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Log {
    fn on(&self, event: &Event<'_>) {
        let line = match event {
            Event::Transition(transition) => transition.to_string(),
            Event::Admitted(call) => format!("{}: admitted, {}", call.upstream(), call.state()),
            Event::Rejected(limited) => {
                format!("{}: rejected, {:?}", limited.upstream(), limited.reason())
            }
            Event::Refused(refused) => {
                let (upstream, status) = (refused.upstream(), refused.status().as_u16());
                format!("{upstream}: refused, {status} {:?}", refused.hint())
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

/// Keeps the transitions.
#[derive(Clone, Debug, Default)]
struct Changes(Arc<Mutex<Vec<Transition>>>);

impl Changes {
    fn take(&self) -> Vec<Transition> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Returns the only one since the last look, in short.
    fn only(&self) -> (State, State, Trigger) {
        match self.take().as_slice() {
            [one] => (one.from(), one.to(), one.by()),
            other => panic!("not one: {other:?}"),
        }
    }
}

impl Observer for Changes {
    fn on(&self, event: &Event<'_>) {
        if let Event::Transition(transition) = event {
            self.0.lock().unwrap().push((*transition).clone());
        }
    }
}

fn observed(observer: impl Observer) -> RetryAfterBackoffLayer {
    RetryAfterBackoffLayer::builder().observer(observer).build()
}

fn a() -> Upstream {
    upstream(A)
}

#[tokio::test(start_paused = true)]
async fn a_whole_episode_is_told_in_order() {
    let log = Log::default();
    let layer = RetryAfterBackoffLayer::builder().reopen_width(2).observer(log.clone()).build();
    let client = client(&layer, &Peer::says([ok(), refused_for(90)]));

    for _ in 0..3 {
        ask(&client, A).await;
    }
    pass(secs(90)).await;
    ask(&client, A).await;
    ask(&client, A).await;
    ask(&client, A).await;

    assert_eq!(
        log.take(),
        [
            "https://a.example: admitted, clear",
            "https://a.example: admitted, clear",
            "https://a.example: refused, 429 Some(90s)",
            "https://a.example: clear to cooling, refused with HTTP 429 (90s, rung 1)",
            "https://a.example: rejected, Cooling",
            "https://a.example: cooling to probing, probe sent (30s, rung 1)",
            "https://a.example: admitted, probing",
            "https://a.example: probing to reopening, succeeded",
            "https://a.example: admitted, reopening",
            "https://a.example: reopening to clear, succeeded",
            "https://a.example: admitted, clear",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_told_of_when_it_leaves_or_gives_up() {
    let log = Log::default();
    let layer = observed(log.clone());
    let client = layer.waiting(secs(80)).layer(Peer::says([refused(), never()]).service());
    ask(&client, A).await;
    log.take();

    let probe = hang(&client, A);
    let late = hang(&client, A);
    assert!(log.take().is_empty(), "who waits is not rejected");
    pass(secs(60)).await;
    let mut probe = probe;
    assert!(poll_once(probe.as_mut()).is_pending());
    let leaves = ["https://a.example: cooling to probing, probe sent (30s, rung 1)"];
    assert_eq!(log.take(), [leaves[0], "https://a.example: admitted, probing"]);
    assert!(late.await.is_err());
    layer.cooldowns().cool(&a(), secs(999));
    assert!(at_once(call(&client, A)).is_err());

    let rejected = |line: &String| line.contains("rejected");
    assert_eq!(log.take().into_iter().filter(rejected).count(), 2, "each is told once");
}

#[tokio::test(start_paused = true)]
async fn a_transition_tells_all_that_is_known() {
    let changes = Changes::default();
    let layer = observed(changes.clone());
    let client = client(&layer, &Peer::says([refused_for(90)]));

    ask(&client, A).await;

    let [told] = &changes.take()[..] else { panic!("not one") };
    let info = info(&layer.cooldowns(), A);
    assert_eq!(told.upstream(), info.upstream());
    assert_eq!((told.from(), told.to(), told.by()), (State::Clear, info.state(), Trigger::Refused));
    assert_eq!((told.wait(), told.until()), (Some(secs(90)), Some(info.until())));
    assert_eq!((told.hint(), told.status()), (info.hint(), info.status()));
    assert_eq!((told.consecutive_failures(), told.number()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_people_do_by_hand_is_told() {
    let changes = Changes::default();
    let cooldowns = Cooldowns::builder().observer(changes.clone()).build();

    cooldowns.cool(&a(), secs(9));
    assert_eq!(changes.only(), (State::Clear, State::Cooling, Trigger::Cooled));
    cooldowns.cool(&a(), secs(99));
    assert_eq!(changes.only(), (State::Cooling, State::Cooling, Trigger::Cooled));
    cooldowns.clear(&a());
    assert_eq!(changes.only(), (State::Cooling, State::Clear, Trigger::Cleared));

    cooldowns.cool(&a(), secs(0));
    cooldowns.clear(&a());
    assert!(changes.take().is_empty(), "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_news_is_told() {
    let changes = Changes::default();
    let layer = observed(changes.clone());
    let client = client(&layer, &Peer::says([refused(), status(500), fails(), never()]));
    ask(&client, A).await;
    pass(secs(60)).await;
    changes.take();

    for trigger in [Trigger::Neutral, Trigger::Neutral, Trigger::Dropped] {
        match trigger {
            Trigger::Dropped => drop(hang(&client, A)),
            _ => drop(ask(&client, A).await),
        }
        let told: Vec<_> = changes.take().iter().map(|told| (told.to(), told.by())).collect();
        assert_eq!(told, [(State::Probing, Trigger::ProbeSent), (State::Cooling, trigger)]);
        pass(secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_quota_is_told_unless_no_wait_follows() {
    let changes = Changes::default();
    let answers = [5, 0].map(|seconds| ok().header("x-reset", &seconds.to_string())).into_iter();
    let layer = RetryAfterBackoffLayer::builder()
        .observer(changes.clone())
        .reopen_width(0)
        .classify(classify::from_fn(|head| match head.headers().get("x-reset") {
            Some(reset) => classify::Verdict::Exhausted {
                reset: secs(reset.to_str().unwrap().parse().unwrap()),
            },
            None => classify::standard(head),
        }))
        .build();
    let client = client(&layer, &Peer::says(answers));

    ask(&client, A).await;
    assert_eq!(changes.only(), (State::Clear, State::Cooling, Trigger::Exhausted));

    pass(secs(5)).await;
    ask(&client, A).await;
    let told: Vec<_> = changes.take().iter().map(|told| (told.to(), told.by())).collect();
    assert_eq!(told, [(State::Probing, Trigger::ProbeSent), (State::Clear, Trigger::Succeeded)]);
}

#[tokio::test(start_paused = true)]
async fn what_merely_goes_on_is_no_transition() {
    let changes = Changes::default();
    let layer = observed(changes.clone());
    let answers = [refused().after(secs(1)), refused_for(900).after(secs(2))];
    let client = client(&layer, &Peer::says(answers.into_iter().chain([never(), never()])));
    let (burst, late) = (call(&client, A), call(&client, A));
    assert_eq!((Outcome::of(&burst.await), Outcome::of(&late.await)), (Sent(429), Sent(429)));
    assert_eq!(info(&layer.cooldowns(), A).retry_after(), secs(900), "the late one prolongs it");
    assert_eq!(changes.only(), (State::Clear, State::Cooling, Trigger::Refused));

    ask(&client, A).await;
    assert!(changes.take().is_empty(), "a rejection is no transition");

    pass(secs(900)).await;
    let overdue = hang(&client, A);
    assert_eq!(changes.only(), (State::Cooling, State::Probing, Trigger::ProbeSent));
    pass(secs(30)).await;
    let next = hang(&client, A);
    assert!(changes.take().is_empty(), "the next probe is no transition");
    drop(overdue);
    assert!(changes.take().is_empty(), "a probe that was replaced tells nothing");
    drop(next);
    assert_eq!(changes.only(), (State::Probing, State::Cooling, Trigger::Dropped));

    ask(&client, A).await;
    changes.take();
    assert_eq!(ask(&client, A).await, Sent(200));
    assert!(changes.take().is_empty(), "a place taken and given back is no transition");
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_is_forgotten_ends_before_the_next_begins() {
    let changes = Changes::default();
    let layer =
        RetryAfterBackoffLayer::builder().forget_after(secs(10)).observer(changes.clone()).build();
    let client = client(&layer, &Peer::always(refused()));
    let out = call(&client, A);
    ask(&client, A).await;
    changes.take();
    pass(secs(70)).await;
    assert_eq!(state(&layer.cooldowns(), A), None, "Clear at once");
    assert!(changes.take().is_empty(), "but not told by the time alone");

    out.await.unwrap();

    let told: Vec<_> =
        changes.take().iter().map(|told| (told.from(), told.to(), told.by())).collect();
    assert_eq!(
        told,
        [
            (State::Cooling, State::Clear, Trigger::Forgotten),
            (State::Clear, State::Cooling, Trigger::Refused),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_nobody_calls_any_more_is_told_to_be_forgotten() {
    let changes = Changes::default();
    let cooldowns = Cooldowns::builder().forget_after(secs(10)).observer(changes.clone()).build();
    let layer = RetryAfterBackoffLayer::builder().cooldowns(cooldowns.clone()).build();
    let client = client(&layer, &Peer::always(ok()));
    cooldowns.cool(&a(), secs(60));
    changes.take();
    pass(secs(70)).await;

    for _ in 0..256 {
        ask(&client, B).await;
    }

    assert_eq!(changes.only(), (State::Cooling, State::Clear, Trigger::Forgotten));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_to_make_room_is_told_of() {
    let changes = Changes::default();
    let cooldowns = Cooldowns::builder().max_upstreams(1).observer(changes.clone()).build();
    let named = |name| Upstream::named(name);
    let told = || -> Vec<_> {
        changes.take().iter().map(|told| (told.upstream().clone(), told.by())).collect()
    };

    cooldowns.cool(&named("a"), secs(60));
    assert_eq!(told(), [(named("a"), Trigger::Cooled)]);
    cooldowns.cool(&named("b"), secs(60));
    assert_eq!(told(), [(named("a"), Trigger::Evicted), (named("b"), Trigger::Cooled)]);
    pass(secs(60)).await;
    cooldowns.cool(&named("c"), secs(60));
    assert_eq!(told(), [(named("b"), Trigger::Displaced), (named("c"), Trigger::Cooled)]);
    assert_eq!(cooldowns.evicted(), 1);
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn what_is_restored_is_told_a_higher_rung_included() {
    use tower_retry_after::schedule::Snapshot;

    let changes = Changes::default();
    let before = RetryAfterBackoffLayer::new();
    let refusing = client(&before, &Peer::always(refused()));
    for wait in [0, 60, 120] {
        pass(secs(wait)).await;
        ask(&refusing, A).await;
    }
    pass(secs(240)).await;
    let snapshot = Snapshot::new().with_cooldowns(&before.cooldowns());
    let layer = observed(changes.clone());

    snapshot.restore_cooldowns(&layer);
    assert_eq!(changes.only(), (State::Clear, State::Cooling, Trigger::Restored));

    layer.cooldowns().clear(&a());
    layer.cooldowns().cool(&a(), secs(999));
    changes.take();
    snapshot.restore_cooldowns(&layer);
    let [told] = &changes.take()[..] else { panic!("not one") };
    assert_eq!((told.to(), told.by()), (State::Cooling, Trigger::Restored));
    assert_eq!((told.consecutive_failures(), told.wait()), (3, Some(secs(999))));
}

#[tokio::test(start_paused = true)]
async fn calls_to_clear_upstreams_are_told_by_whatever_name() {
    let lengthy = format!("https://{}.example/", "x".repeat(60));
    let peer = Peer::always(ok());
    let log = Log::default();

    let origins = observed(log.clone());
    let by_path = RetryAfterBackoffLayer::builder()
        .upstream_key(key::from_fn(|head| Upstream::named(head.uri().path())))
        .observer(log.clone())
        .build();
    for (layer, uri) in [
        (&origins, "https://me:secret@a.example/"),
        (&origins, &lengthy),
        (&by_path, "https://a.example/items"),
    ] {
        ask(&client(layer, &peer), uri).await;
        // The same while somebody else is in trouble.
        layer.cooldowns().cool(&Upstream::named("else"), secs(60));
        ask(&client(layer, &peer), uri).await;
        layer.cooldowns().clear(&Upstream::named("else"));
    }

    let mut lines = log.take();
    lines.retain(|line| line.contains("admitted"));
    let lengthy = format!("https://{}.example: admitted, clear", "x".repeat(60));
    let short = "https://a.example: admitted, clear";
    let path = "/items: admitted, clear";
    assert_eq!(lines, [short, short, &lengthy, &lengthy, path, path]);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_joined_keeps_its_observer() {
    let (table, own) = (Log::default(), Log::default());
    let cooldowns = Cooldowns::builder().observer(table.clone()).build();
    let layer =
        RetryAfterBackoffLayer::builder().observer(own.clone()).cooldowns(cooldowns).build();

    ask(&client(&layer, &Peer::always(ok())), A).await;

    assert_eq!(table.take(), ["https://a.example: admitted, clear"]);
    assert!(own.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_observers_are_told_the_same() {
    let logs = [Log::default(), Log::default(), Log::default(), Log::default()];
    let [one, two, three, four] = logs.clone();
    let boxed: Vec<Box<dyn Observer>> = vec![Box::new(two), Box::new(three)];
    let layer = observed((one, (boxed, Arc::new(four))));

    layer.cooldowns().cool(&a(), secs(9));

    for log in logs {
        assert_eq!(log.take(), ["https://a.example: clear to cooling, cooled (9s)"]);
    }
}

#[test]
fn what_is_told_can_be_kept_sent_and_shown() {
    fn kept<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    fn shown<T: std::fmt::Display>() {}
    fn object<T: ?Sized + Observer>() {}

    kept::<Transition>();
    kept::<observe::Refused>();
    kept::<observe::Shadowed>();
    kept::<observe::ShadowReport>();
    shown::<Transition>();
    shown::<Trigger>();
    shown::<State>();
    object::<Box<dyn Observer>>();
    object::<Arc<dyn Observer>>();
}

/// Fails the test if that takes more than a minute: it hangs.
fn in_time(act: impl FnOnce() + Send + 'static) {
    let (done, waiter) = mpsc::channel();
    let worker = thread::spawn(move || {
        act();
        let _ = done.send(());
    });
    match waiter.recv_timeout(secs(60)) {
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => worker.join().unwrap(),
    }
}

#[test]
fn an_observer_may_look_at_the_table_and_change_it() {
    in_time(|| {
        let handle: Arc<OnceLock<Cooldowns>> = Arc::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (own, log) = (Arc::clone(&handle), Arc::clone(&seen));
        // A table of one, so that making room and being told of it meet as well.
        let layer = RetryAfterBackoffLayer::builder()
            .max_upstreams(1)
            .observer(observe::from_fn(move |event| {
                let (Event::Transition(told), Some(cooldowns)) = (event, own.get()) else {
                    return;
                };
                let upstream = told.upstream();
                let known = cooldowns.get(upstream).map(|info| info.state());
                log.lock().unwrap().push((told.to(), known));
                let _ = (cooldowns.snapshot(), cooldowns.len());
                match told.by() {
                    // Which tells again, from within.
                    Trigger::Refused => cooldowns.cool(upstream, secs(999)),
                    Trigger::Cooled => cooldowns.clear(upstream),
                    _ => {}
                }
            }))
            .build();
        handle.set(layer.cooldowns()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();

        runtime.block_on(async {
            let client = client(&layer, &Peer::always(refused()));
            ask(&client, A).await;
            layer.cooldowns().cool(&upstream(B), secs(9));
            let stays = Upstream::named("stays");
            layer.cooldowns().cool(&stays, secs(9));
            assert!(layer.cooldowns().is_empty(), "each was cleared as it was told");
        });

        let cooling = (State::Cooling, Some(State::Cooling));
        let episode = [cooling, cooling, (State::Clear, None)];
        let by_hand = [cooling, (State::Clear, None)];
        assert_eq!(*seen.lock().unwrap(), [&episode[..], &by_hand, &by_hand].concat());
    });
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_changes_nothing() {
    let layer = observed(observe::from_fn(|event| panic!("as scripted, at {event:?}")));
    let answers = [ok(), refused(), panics_in_future(), panics_in_call(), never(), ok()];
    let client = client(&layer, &Peer::says(answers));
    let cooldowns = layer.cooldowns();
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(ask(&client, A).await, Sent(429));
    assert_eq!(ask(&client, A).await, COOLING);

    // A probe that panics is given back while unwinding: a second panic out of
    // the observer would end the process.
    pass(secs(60)).await;
    let mut probe = Box::pin(call(&client, A));
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(probe.as_mut()))).is_err());
    drop(probe);
    assert_eq!(info(&cooldowns, A).retry_after(), secs(0));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call(&client, A)))).is_err());
    assert_eq!(info(&cooldowns, A).retry_after(), secs(0));
    drop(hang(&client, A));
    assert_eq!(
        (state(&cooldowns, A), info(&cooldowns, A).retry_after()),
        (Some(State::Cooling), secs(0))
    );

    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(state(&cooldowns, A), Some(State::Reopening));
    cooldowns.clear(&a());
    assert!(cooldowns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_silences_no_other() {
    fn panics() -> impl Observer {
        observe::from_fn(|event| panic!("as scripted, at {event:?}"))
    }
    let logs = [Log::default(), Log::default(), Log::default()];
    let [one, two, three] = logs.clone();
    let all: Vec<Box<dyn Observer>> = vec![Box::new(panics()), Box::new(two), Box::new(three)];
    let layer = observed(((panics(), one), all));

    layer.cooldowns().cool(&a(), secs(9));

    for log in logs {
        assert_eq!(log.take(), ["https://a.example: clear to cooling, cooled (9s)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_observer_panics_with_is_dropped_whatever_that_does() {
    struct Payload(Arc<()>);
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("as scripted, while {} are there", Arc::strong_count(&self.0));
        }
    }
    let counted = Arc::new(());
    let payload = Arc::clone(&counted);
    let layer = observed(observe::from_fn(move |_| {
        std::panic::panic_any(Payload(Arc::clone(&payload)));
    }));

    for wait in 1..=9 {
        layer.cooldowns().cool(&a(), secs(wait));
    }

    assert_eq!(Arc::strong_count(&counted), 2, "nothing piles up");
}

#[test]
fn numbers_order_what_threads_tell() {
    let changes = Changes::default();
    let cooldowns = Cooldowns::builder().max_upstreams(3).observer(changes.clone()).build();
    let upstreams: Vec<_> = (0..5).map(|name| Upstream::named(name.to_string())).collect();

    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (cooldowns, upstreams) = (&cooldowns, &upstreams);
            scope.spawn(move || {
                for step in 0..2000_usize {
                    let upstream = upstreams.get((thread + step) % upstreams.len()).unwrap();
                    match step % 3 {
                        2 => cooldowns.clear(upstream),
                        _ => cooldowns.cool(upstream, secs(60 + u64::try_from(step).unwrap())),
                    }
                }
            });
        }
    });

    let mut told = changes.take();
    told.sort_by_key(Transition::number);
    let mut states: HashMap<Upstream, State> = HashMap::new();
    for (count, told) in (1..).zip(&told) {
        assert_eq!(told.number(), count, "none is left out, and none is told twice");
        let before = states.insert(told.upstream().clone(), told.to()).unwrap_or(State::Clear);
        assert_eq!(told.from(), before, "each goes on from the one before: {told}");
    }
    for upstream in &upstreams {
        let known = cooldowns.get(upstream).map_or(State::Clear, |info| info.state());
        assert_eq!(states.get(upstream).copied().unwrap_or(State::Clear), known);
    }
}
