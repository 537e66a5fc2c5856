//! The table by scripts: calls through the layer, their answers in any order, time,
//! and people who cool and clear by hand.
//!
//! Beside it stands a judge (`table/judge.rs`) who keeps books by the promises alone, and
//! somebody (`table/told.rs`) who only hears what an observer is told. Tables are tiny
//! here, and a client may be sent on to another upstream than it asked.

mod judge;
mod told;

use std::collections::VecDeque;
use std::time::Duration;

use http::{Request, Uri};
use tower_layer::Layer;
use tower_retry_after::hint::Dialect;
use tower_retry_after::{
    Cooldowns, Error, Ladder, ResponseFuture, RetryAfterBackoff, RetryAfterBackoffLayer, State,
    Upstream,
};
use tower_service::Service;

use self::judge::Judge;
use self::told::Told;
use crate::script::Script;
use crate::wire::{self, Answer, Received, Reply, Response, Wire, in_virtual_time};

/// How many upstreams a script deals with; a tiny table has room for fewer.
const UPSTREAMS: usize = 4;

/// How many steps are played; an input has no reason to be longer.
const STEPS: usize = 400;

/// What the layer and its table are set to.
#[derive(Clone, Copy, Debug)]
struct Settings {
    ladder: Ladder,
    max_retry_after: Duration,
    trust_hints: bool,
    probe_lease: Duration,
    reopen_width: u32,
    forget_after: Duration,
    max_upstreams: usize,
    heeds_quotas: bool,
}

impl Settings {
    fn read(script: &mut Script<'_>) -> Self {
        let mut pick = |choices: &[u64]| Duration::from_millis(script.pick(choices));
        let ladder = Ladder::new(pick(&[1000, 0, 1, 300, 60_000]), pick(&[8000, 0, 1000]));
        let max_retry_after = pick(&[10_000, 0, 2000]);
        let probe_lease = pick(&[3000, 1, 500, 30_000]);
        let forget_after = pick(&[60_000, 0, 1000, 4000]);
        Self {
            ladder,
            max_retry_after,
            probe_lease,
            forget_after,
            trust_hints: script.flag(),
            reopen_width: script.pick(&[4, 0, 1, 2, 64]),
            max_upstreams: script.pick(&[100, 1, 2, 3]),
            heeds_quotas: script.flag(),
        }
    }

    fn ladder(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        self.ladder.base().saturating_mul(1 << doublings.min(16)).min(self.ladder.cap())
    }

    /// The hint as far as it is believed; zero is none.
    fn usable(&self, hint: Option<Duration>) -> Option<Duration> {
        hint.map(|hint| hint.min(self.max_retry_after)).filter(|hint| !hint.is_zero())
    }

    /// The wait of a refusal that counts.
    fn wait(&self, failures: u32, hint: Option<Duration>) -> Duration {
        let wait = match self.usable(hint) {
            None => self.ladder(failures),
            Some(hint) if self.trust_hints => hint.max(self.ladder(failures - 1)),
            Some(hint) => hint.max(self.ladder(failures)),
        };
        if wait.is_zero() { Duration::from_secs(1) } else { wait }
    }
}

/// A call that is out.
struct Out {
    to: usize,
    /// The step in which it was sent.
    sent: usize,
    wire: Received,
    future: ResponseFuture<Answer>,
}

/// How a call ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Refused(Option<Duration>),
    Exhausted(Duration),
    Succeeded,
    Neutral,
    Dropped,
}

struct World {
    settings: Settings,
    layer: RetryAfterBackoffLayer,
    clients: Vec<RetryAfterBackoff<Wire>>,
    cooldowns: Cooldowns,
    wire: Wire,
    uris: Vec<Uri>,
    upstreams: Vec<Upstream>,
    out: VecDeque<Out>,
    judge: Judge,
    told: Told,
    step: usize,
}

/// The layer and its table, by any script.
pub fn table(data: &[u8]) {
    in_virtual_time(async {
        let mut script = Script::new(data);
        let mut world = World::new(Settings::read(&mut script));
        while !script.is_done() && world.step < STEPS {
            world.step += 1;
            world.play(&mut script).await;
            world.check();
        }
        world.heal().await;
    });
}

impl World {
    fn new(settings: Settings) -> Self {
        let told = Told::default();
        let layer = RetryAfterBackoffLayer::builder()
            .ladder(settings.ladder)
            .max_retry_after(settings.max_retry_after)
            .trust_hints(settings.trust_hints)
            .probe_lease(settings.probe_lease)
            .reopen_width(settings.reopen_width)
            .forget_after(settings.forget_after)
            .max_upstreams(settings.max_upstreams)
            .observer(told.clone());
        let layer = if settings.heeds_quotas {
            layer.quota_signals(Dialect::DeltaMilliseconds).build()
        } else {
            layer.build()
        };
        let wire = Wire::default();
        let uris: Vec<Uri> = (0..UPSTREAMS)
            .map(|to| format!("https://{to}.example/").parse().expect("a uri"))
            .collect();
        let upstreams: Vec<Upstream> = uris.iter().map(Upstream::from_uri).collect();
        let clients = vec![layer.layer(wire.clone())];
        let cooldowns = layer.cooldowns();
        let judge = Judge::new(settings, UPSTREAMS);
        let (out, step) = (VecDeque::new(), 0);
        Self { settings, layer, clients, cooldowns, wire, uris, upstreams, out, judge, told, step }
    }

    async fn play(&mut self, script: &mut Script<'_>) {
        match script.byte() {
            0..=99 => {
                let to = script.below(UPSTREAMS);
                self.call(to);
            }
            100..=169 => {
                if let Some(out) = self.pick(script) {
                    self.answer(out, script);
                }
            }
            170..=179 => {
                if let Some(out) = self.pick(script) {
                    self.drop_call(out);
                }
            }
            180..=184 => {
                let (to, wait) = (script.below(UPSTREAMS), millis(script));
                self.cooldowns.cool(&self.upstreams[to], wait);
                self.judge.cooled(to, wait, self.step);
            }
            185..=189 => {
                let to = script.below(UPSTREAMS);
                self.cooldowns.clear(&self.upstreams[to]);
                self.judge.cleared(to);
            }
            190..=199 => {
                let client = self.clients[script.below(self.clients.len())].clone();
                self.clients.push(client);
                self.clients.truncate(3);
            }
            200..=204 => self.clients[0] = self.layer.layer(self.wire.clone()),
            205..=224 => self.wait(millis(script)).await,
            // Until an upstream may change by itself; or a nanosecond before.
            225.. => {
                let (to, early) = (script.below(UPSTREAMS), script.flag());
                let next = self.cooldowns.get(&self.upstreams[to]).map(|info| info.retry_after());
                let early = Duration::from_nanos(u64::from(early));
                self.wait(next.unwrap_or_default().saturating_sub(early)).await;
            }
        }
    }

    fn call(&mut self, to: usize) {
        let client = self.step % self.clients.len();
        let mut request = Request::new(to);
        *request.uri_mut() = self.uris[to].clone();
        let heard = self.told.counts();
        let mut future = self.clients[client].call(request);
        let first = wire::poll(&mut future);
        let received = self.wire.received.borrow_mut().pop_front();
        match (received, first) {
            (Some(received), std::task::Poll::Pending) => {
                assert_eq!(received.body, to, "sent to another");
                assert_eq!(self.told.counts(), (heard.0 + 1, heard.1), "told of it once");
                self.judge.sent(to, self.step);
                self.out.push_back(Out { to, sent: self.step, wire: received, future });
            }
            (None, std::task::Poll::Ready(Err(Error::RateLimited(limited)))) => {
                assert_eq!(self.told.counts(), (heard.0, heard.1 + 1), "told of it once");
                self.judge.held(to, &limited);
            }
            (received, first) => panic!("sent: {received:?}, and its answer is {first:?}"),
        }
    }

    fn pick(&mut self, script: &mut Script<'_>) -> Option<Out> {
        let length = self.out.len();
        if length == 0 { None } else { self.out.remove(script.below(length)) }
    }

    fn answer(&mut self, out: Out, script: &mut Script<'_>) {
        let (reply, ending) = reply(script, self.settings.heeds_quotas);
        // Sometimes the client was sent on to another.
        let other = match script.byte() {
            240.. if reply.is_some() => script.below(UPSTREAMS),
            _ => out.to,
        };
        self.end(out, reply, ending, other);
    }

    fn end(&mut self, mut out: Out, reply: Reply, ending: Ending, other: usize) {
        out.wire.answer(reply.map(|response| Response {
            answered_by: (other != out.to).then(|| self.upstreams[other].clone()),
            ..response
        }));
        assert!(wire::poll(&mut out.future).is_ready(), "an answer that does not arrive");
        drop(out.future);
        self.judge.ended((out.to, other), out.sent, ending, self.step);
    }

    fn drop_call(&mut self, out: Out) {
        drop(out.future);
        self.judge.ended((out.to, out.to), out.sent, Ending::Dropped, self.step);
    }

    async fn wait(&mut self, wait: Duration) {
        tokio::time::advance(wait).await;
    }

    /// What holds after every step.
    fn check(&mut self) {
        self.judge.compare(&self.cooldowns, &self.upstreams);
        let (len, most) = (self.cooldowns.len(), self.settings.max_upstreams);
        assert!(len <= most, "{len} upstreams are tracked, {most} at most");
        let all = self.cooldowns.snapshot();
        assert_eq!(all.iter().count(), len);
        for info in &all {
            let known = self.cooldowns.get(info.upstream()).expect("it is in the snapshot");
            assert_eq!((known.state(), known.until()), (info.state(), info.until()));
        }
        self.told.agree(&self.cooldowns, &self.upstreams);
    }

    /// Nobody is wedged, though no call that is out is ever answered; and when all is
    /// well, nothing is left.
    async fn heal(&mut self) {
        let unheard = std::mem::take(&mut self.out);
        for to in 0..UPSTREAMS {
            self.step += 1;
            let upstream = self.upstreams[to].clone();
            if let Some(info) = self.cooldowns.get(&upstream) {
                let longest = self.settings.forget_after.max(Duration::from_secs(3600));
                assert!(info.retry_after() <= longest + Duration::from_secs(3600), "{info:?}");
                self.wait(info.retry_after()).await;
            }
            let is_full = |info: tower_retry_after::CooldownInfo| info.state() == State::Reopening;
            if self.cooldowns.get(&upstream).is_some_and(is_full) {
                self.wait(self.settings.forget_after).await;
            }
            let sent = self.out.len();
            self.call(to);
            assert_eq!(self.out.len(), sent + 1, "upstream {to} is wedged");
        }
        for out in unheard {
            self.step += 1;
            self.drop_call(out);
        }
        // Each goes on until as many have succeeded as make a Reopening upstream Clear.
        while let Some(out) = self.out.pop_front() {
            self.step += 1;
            let to = out.to;
            self.end(out, Some(Response::new(200)), Ending::Succeeded, to);
            self.check();
            if self.cooldowns.get(&self.upstreams[to]).is_some() {
                if let Some(info) = self.cooldowns.get(&self.upstreams[to]) {
                    self.wait(info.retry_after()).await;
                }
                let sent = self.out.len();
                self.step += 1;
                self.call(to);
                assert_eq!(self.out.len(), sent + 1, "upstream {to} is well, and wedged");
            }
            assert!(self.step < STEPS * 10, "it never ends");
        }
        assert!(self.cooldowns.is_empty(), "left behind: {}", self.cooldowns.snapshot());
        self.told.agree(&self.cooldowns, &self.upstreams);
    }
}

/// An answer, and what it says.
fn reply(script: &mut Script<'_>, heeds_quotas: bool) -> (Reply, Ending) {
    match script.byte() {
        0..=79 => (Some(Response::new(200)), Ending::Succeeded),
        80..=99 => (Some(Response::new(404)), Ending::Succeeded),
        100..=149 => (Some(Response::new(429)), Ending::Refused(None)),
        150..=189 => {
            let wait = millis(script);
            let response = Response::new(429).header("retry-after-ms", wait.as_millis());
            (Some(response), Ending::Refused(Some(wait)))
        }
        190..=199 => {
            let seconds = u64::from(script.byte());
            let response = Response::new(503).header("retry-after", seconds);
            let ending = match seconds {
                0 => Ending::Neutral,
                _ => Ending::Refused(Some(Duration::from_secs(seconds))),
            };
            (Some(response), ending)
        }
        200..=219 => {
            let reset = millis(script);
            let response = Response::new(200)
                .header("x-ratelimit-remaining", 0)
                .header("x-ratelimit-reset", reset.as_millis());
            let is_used_up = heeds_quotas && !reset.is_zero();
            let ending = if is_used_up { Ending::Exhausted(reset) } else { Ending::Succeeded };
            (Some(response), ending)
        }
        220..=239 => (Some(Response::new(503)), Ending::Neutral),
        240.. => (None, Ending::Neutral),
    }
}

fn millis(script: &mut Script<'_>) -> Duration {
    let millis = match script.byte() {
        few @ 0..=99 => u64::from(few / 50),
        some @ 100..=199 => u64::from(some - 100) * 50,
        200.. => u64::from(script.byte()) * 250,
    };
    Duration::from_millis(millis)
}
