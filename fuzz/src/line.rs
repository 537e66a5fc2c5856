//! The layer whose calls wait, by scripts: who arrives, gives up, is answered and when.
//!
//! All calls go to one upstream, some of them through the rejecting layer over the same
//! table. What must hold is plain: nobody is sent into a cooldown, nobody overtakes who
//! can wait as long, nobody waits beyond its deadline, no herd leaves the line, and in
//! the end nothing is left.
//!
//! *What is no herd?* Of those that the line let go, one may be out, and one more for
//! each success since the upstream began to cool; where nothing is known of it, each
//! success ever, as the line may not have heard of a cooldown that was cleared. Who has
//! been out for a lease, or since before it cooled or was cleared, counts for nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http::Request;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_retry_after::message::Deadline;
use tower_retry_after::{Cooldowns, Error, Ladder, RetryAfterBackoffLayer, State, Upstream};
use tower_service::Service;

use crate::script::Script;
use crate::wire::{Received, Response, Wire, in_virtual_time, now};

const URI: &str = "https://a.example/";
const STEPS: usize = 300;
/// The longest that anybody waits.
const PATIENCE: Duration = Duration::from_secs(1000);
const LEASE: Duration = Duration::from_secs(30);

type Call = Pin<Box<dyn Future<Output = Result<Response, Error>>>>;

/// Remembers that somebody was woken.
#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Caller {
    call: Call,
    bell: Arc<Bell>,
    waiting: Option<Instant>,
    wire: Option<Received>,
    /// When the line let it go, if it counts.
    let_go: Option<Instant>,
}

/// How a call came to the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    /// It was admitted as it arrived.
    Arrival,
    Line,
}

struct World {
    layer: RetryAfterBackoffLayer,
    cooldowns: Cooldowns,
    upstream: Upstream,
    wire: Wire,
    /// In the order in which they came.
    callers: BTreeMap<usize, Caller>,
    arrived: usize,
    /// Successes ever, and before the upstream began to cool.
    succeeded: (usize, usize),
    was_cooling: bool,
}

/// The waiting layer and its line, by any script.
pub fn line(data: &[u8]) {
    in_virtual_time(async {
        let mut script = Script::new(data);
        let mut world = World::new(script.pick(&[4, 2, 0, 64]));
        let mut steps = 0;
        while !script.is_done() && steps < STEPS {
            steps += 1;
            world.play(&mut script).await;
            world.settle();
            world.check();
        }
        world.heal().await;
    });
}

impl World {
    fn new(reopen_width: u32) -> Self {
        let second = Duration::from_secs(1);
        let layer = RetryAfterBackoffLayer::builder()
            .ladder(Ladder::new(second, 8 * second))
            .max_retry_after(40 * second)
            .forget_after(600 * second)
            .probe_lease(LEASE)
            .reopen_width(reopen_width)
            .build();
        let upstream = Upstream::from_uri(&http::Uri::from_static(URI));
        let (cooldowns, wire) = (layer.cooldowns(), Wire::default());
        let (callers, arrived, succeeded, was_cooling) = (BTreeMap::new(), 0, (0, 0), false);
        Self { layer, cooldowns, upstream, wire, callers, arrived, succeeded, was_cooling }
    }

    fn is_cooling(&self) -> bool {
        let info = self.cooldowns.get(&self.upstream);
        info.is_some_and(|info| info.state() == State::Cooling)
    }

    /// Looks whether a cooldown has begun, which starts the line again at one.
    fn look(&mut self) {
        let is_cooling = self.is_cooling();
        if is_cooling && !self.was_cooling {
            self.succeeded.1 = self.succeeded.0;
            self.disregard();
        } else if self.cooldowns.get(&self.upstream).is_none() {
            self.succeeded.1 = 0;
        }
        self.was_cooling = is_cooling;
    }

    /// Those who are out count for nothing any more.
    fn disregard(&mut self) {
        self.callers.values_mut().for_each(|caller| caller.let_go = None);
    }

    async fn play(&mut self, script: &mut Script<'_>) {
        match script.byte() {
            0..=99 => {
                let most = match script.byte() {
                    0 => Duration::ZERO,
                    seconds @ 1..=60 => Duration::from_secs(seconds.into()),
                    _ => PATIENCE,
                };
                self.arrive(most, script.byte() < 16);
            }
            100..=169 => {
                if let Some(who) = self.out(script) {
                    self.answer(who, reply(script));
                }
            }
            170..=184 => {
                if !self.callers.is_empty() {
                    let nth = script.below(self.callers.len());
                    let who = self.callers.keys().nth(nth).copied().expect("one of them");
                    drop(self.callers.remove(&who));
                }
            }
            185..=189 => {
                let wait = Duration::from_secs(u64::from(script.byte()) % 40);
                self.cooldowns.cool(&self.upstream, wait);
                self.look();
            }
            190..=194 => {
                self.cooldowns.clear(&self.upstream);
                self.look();
                self.disregard();
            }
            195..=224 => self.wait(Duration::from_millis(u64::from(script.byte()) * 100)).await,
            225.. => {
                let left = self.cooldowns.get(&self.upstream).map(|info| info.retry_after());
                self.wait(left.unwrap_or_default()).await;
            }
        }
    }

    fn arrive(&mut self, most: Duration, rejecting: bool) {
        let who = self.arrived;
        self.arrived += 1;
        let mut request = Request::new(who);
        *request.uri_mut() = http::Uri::from_static(URI);
        let deadline = now() + most;
        request.extensions_mut().insert(Deadline::at(deadline));
        // Who is admitted at once is on the wire when `call` returns.
        let call: Call = if rejecting {
            Box::pin(self.layer.layer(self.wire.clone()).call(request))
        } else {
            Box::pin(self.layer.waiting(PATIENCE).layer(self.wire.clone()).call(request))
        };
        let waiting = (!rejecting).then_some(deadline);
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        self.callers.insert(who, Caller { call, bell, waiting, wire: None, let_go: None });
        self.receive(Route::Arrival);
    }

    /// Takes in who has come to the wire.
    fn receive(&mut self, route: Route) {
        while let Some(received) = self.wire.received.borrow_mut().pop_front() {
            let who = received.body;
            assert!(!self.is_cooling(), "{who} was sent into a cooldown");
            let room = 1 + self.succeeded.0 - self.succeeded.1;
            let out = self.callers.values().filter_map(|caller| caller.let_go);
            let out = out.filter(|let_go| now() < *let_go + LEASE).count();
            let caller = self.callers.get_mut(&who).expect("nobody is sent who has given up");
            assert!(caller.wire.is_none(), "{who} is sent twice");
            caller.wire = Some(received);
            let comes_late = caller.waiting.is_some_and(|deadline| now() > deadline);
            assert!(!comes_late, "{who} is sent beyond its deadline");
            // Callers of the rejecting layer stand in no line.
            let stands = caller.waiting.take().is_some();
            let overtaken = self.callers.range(..who).find(|(_, other)| other.waiting.is_some());
            assert!(!stands || overtaken.is_none(), "{who} overtakes {:?}", overtaken.map(|o| o.0));
            if stands && route == Route::Line {
                assert!(out < room, "{who} leaves the line, {out} are out and {room} may be");
                self.callers.entry(who).and_modify(|caller| caller.let_go = Some(now()));
            }
        }
    }

    /// Polls whoever was woken, until nobody is.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let rings = |caller: &Caller| caller.bell.0.swap(false, Ordering::Relaxed);
            let Some(who) =
                self.callers.iter().find(|(_, caller)| rings(caller)).map(|(who, _)| *who)
            else {
                return;
            };
            let caller = self.callers.get_mut(&who).expect("it was woken");
            let waker = Waker::from(Arc::clone(&caller.bell));
            let polled = caller.call.as_mut().poll(&mut Context::from_waker(&waker));
            self.receive(Route::Line);
            let is_success = matches!(&polled, Poll::Ready(Ok(response)) if response.status == 200);
            self.succeeded.0 += usize::from(is_success);
            self.look();
            if let Poll::Ready(result) = polled {
                let caller = self.callers.remove(&who).expect("it was polled");
                let was_held = matches!(&result, Err(Error::RateLimited(_)));
                assert_eq!(was_held, caller.wire.is_none(), "{who} is told {result:?}");
            }
        }
        panic!("they wake each other for ever");
    }

    fn check(&self) {
        let waiting = self.callers.iter().filter_map(|(who, caller)| Some((who, caller.waiting?)));
        let mut count = 0;
        let info = self.cooldowns.get(&self.upstream);
        for (who, deadline) in waiting {
            count += 1;
            assert!(now() <= deadline, "{who} waits beyond its deadline");
            if let Some(info) = info.as_ref().filter(|info| info.state() == State::Cooling) {
                assert!(
                    info.until() <= deadline,
                    "{who} waits in vain: {deadline:?} {info:?} {:?}",
                    now()
                );
            }
        }
        let out = self.callers.values().filter(|caller| caller.wire.is_some()).count();
        assert!(info.is_some() || out > 0 || count == 0, "{count} are left behind");
    }

    /// Picks one of those on the wire.
    fn out(&self, script: &mut Script<'_>) -> Option<usize> {
        let out: Vec<usize> = self.on_the_wire().collect();
        if out.is_empty() { None } else { Some(script.pick(&out)) }
    }

    fn on_the_wire(&self) -> impl Iterator<Item = usize> {
        let out = self.callers.iter().filter(|(_, caller)| caller.wire.is_some());
        out.map(|(who, _)| *who)
    }

    fn answer(&mut self, who: usize, reply: Option<Response>) {
        let caller = &self.callers[&who];
        caller.wire.as_ref().expect("it is on the wire").answer(reply);
    }

    /// Lets time pass, and everybody act when a timer of theirs fires.
    async fn wait(&mut self, wait: Duration) {
        let end = now() + wait;
        while now() < end {
            // Timers are exact to the millisecond.
            let next = (end - now()).min(Duration::from_millis(500));
            tokio::time::advance(next).await;
            self.settle();
        }
    }

    /// Whoever is on the wire is answered well: then everybody gets through, and
    /// nothing is left.
    async fn heal(&mut self) {
        let mut rounds = 0;
        while !self.callers.is_empty() {
            rounds += 1;
            assert!(rounds < 3000, "{} are wedged", self.callers.len());
            let out: Vec<usize> = self.on_the_wire().collect();
            let is_idle = out.is_empty();
            for who in out {
                self.answer(who, Some(Response::new(200)));
                self.settle();
            }
            if is_idle {
                let left = self.cooldowns.get(&self.upstream).map(|info| info.retry_after());
                let least = Duration::from_millis(500);
                self.wait(left.unwrap_or_default().clamp(least, 2 * LEASE)).await;
            }
            self.check();
        }
        let shown = format!("{:?}", self.cooldowns);
        assert!(shown.contains("lines: 0"), "somebody left a line behind: {shown}");
    }
}

fn reply(script: &mut Script<'_>) -> Option<Response> {
    match script.byte() {
        0..=149 => Some(Response::new(200)),
        150..=179 => Some(Response::new(429)),
        180..=209 => Some(Response::new(429).header("retry-after", script.byte() % 60)),
        210..=234 => Some(Response::new(503)),
        235.. => None,
    }
}
