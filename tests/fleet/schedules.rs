//! Random schedules of faults: three tables with a proxy each, an upstream that limits,
//! callers, people, and a Redis that forgets.
//!
//! In real time, with short cooldowns. All of a schedule happens on one thread: so what
//! a table says as a call is sent, is what the call was let go by. Two things are held:
//! never a call in a cooldown that its process knew of; and never a wedged upstream:
//! after the faults have ended each table lets a call through within its cooldown, a
//! lease and a second, also where Redis never comes back.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::{Future as _, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response, Uri};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, service_fn};
use tower_retry_after::observe::{self, Event};
use tower_retry_after::{
    Cooldowns, Error, Fleet, Ladder, RetryAfterBackoff, RetryAfterBackoffLayer, State, Upstream,
};

use crate::book::Book;
use crate::chance::Chance;
use crate::clock;
use crate::proxy::{Mode, Proxy, Way};
use crate::server::Redis;
use crate::support::{millis, secs};
use crate::witness::{Stage, Witness};

const URI: &str = "http://upstream.example/";
const MEMBERS: u64 = 3;
const CALLERS: u64 = 3;

/// How long faults come.
const FAULTS: Duration = millis(1200);
const LEASE: Duration = millis(150);

/// How long a Redis that does not answer is waited for, at most.
const DEAF: Duration = secs(2);

/// How many schedules are played at once. They mostly sleep.
const AT_ONCE: u64 = 20;

fn upstream() -> Upstream {
    Upstream::from_uri(&Uri::from_static(URI))
}

/// The upstream, as all members of a schedule reach it.
struct Wire {
    chance: Chance,
    /// Until when it refuses, and how long it asks to stay away.
    refuses: Option<(Instant, Option<Duration>)>,
    /// What may be answered besides: neutral, or nothing at all.
    is_well: bool,
    sent: u64,
    refused: u64,
}

enum Answer {
    Status(u16, Option<Duration>),
    Nothing,
}

impl Wire {
    fn answer(&mut self) -> (Duration, Answer) {
        self.sent += 1;
        let after = millis(self.chance.below(12));
        let answer = match self.refuses {
            Some((until, hint)) if clock::now() < until => {
                self.refused += 1;
                Answer::Status(429, hint)
            }
            _ if !self.is_well && self.chance.once_in(30) => Answer::Status(500, None),
            _ if !self.is_well && self.chance.once_in(40) => Answer::Nothing,
            _ => Answer::Status(200, None),
        };
        (after, answer)
    }
}

async fn answer(wire: Rc<RefCell<Wire>>) -> io::Result<Response<()>> {
    let (after, answer) = wire.borrow_mut().answer();
    sleep(after).await;
    match answer {
        Answer::Nothing => std::future::pending().await,
        Answer::Status(status, hint) => {
            let mut response = Response::builder().status(status);
            if let Some(hint) = hint {
                response = response.header("retry-after-ms", hint.as_millis().to_string());
            }
            Ok(response.body(()).unwrap())
        }
    }
}

/// What happened, in numbers: a schedule in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    sent: u64,
    refused: u64,
    held: u64,
    heard: u64,
    twice: u64,
    late: u64,
    lost: u64,
    connections: u64,
    /// The longest from the end of the faults until a table let a call through.
    longest: Duration,
}

/// A process, as it were: a table in the fleet, behind a proxy of its own.
struct Member {
    layer: RetryAfterBackoffLayer,
    table: Cooldowns,
    book: Arc<Book>,
    proxy: Proxy,
    namespace: String,
    fleet: RefCell<Option<Fleet>>,
    seen: Mutex<Seen>,
    heard: Arc<AtomicU64>,
}

#[derive(Default)]
struct Seen {
    held: u64,
    /// When a call was last answered well.
    served: Option<Instant>,
    problem: Option<String>,
}

impl Member {
    async fn new(plan: &Plan, redis: u16, number: u64) -> Self {
        let book = Arc::new(if plan.clears { Book::with_clearing() } else { Book::default() });
        let heard = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&heard);
        let counts = observe::from_fn(move |event: &Event<'_>| {
            if matches!(event, Event::Transition(it) if it.by() == observe::Trigger::Heard) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let layer = RetryAfterBackoffLayer::builder()
            .ladder(Ladder::new(plan.base, millis(200)))
            .max_retry_after(millis(200))
            .trust_hints(plan.trusts)
            .jitter(plan.jitter)
            .probe_lease(LEASE)
            .reopen_width(plan.width)
            .forget_after(secs(60))
            .observer((Arc::clone(&book), counts))
            .build();
        let member = Self {
            table: layer.cooldowns(),
            layer,
            book,
            proxy: Proxy::start(redis, plan.seed * MEMBERS + number).await,
            namespace: plan.namespace(),
            fleet: RefCell::new(None),
            seen: Mutex::default(),
            heard,
        };
        member.join();
        member
    }

    fn join(&self) {
        let fleet = Fleet::join(self.proxy.url(), &self.namespace, &self.table).unwrap();
        *self.fleet.borrow_mut() = Some(fleet);
    }

    fn is_in_step(&self) -> bool {
        self.fleet.borrow().as_ref().is_some_and(Fleet::is_in_step)
    }

    fn join_anew(&self) {
        *self.fleet.borrow_mut() = None;
        self.join();
    }

    /// Makes a call, and takes note of what becomes of it.
    async fn call<S>(&self, mut client: RetryAfterBackoff<S>) -> Option<Duration>
    where
        S: Service<Request<()>, Response = Response<()>, Error = io::Error> + Clone,
    {
        let stage = Stage::default();
        let request = Request::get(URI).extension(stage.clone()).body(()).unwrap();
        poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
        let answered = {
            let mut call = pin!(client.call(request));
            let answer = poll_fn(|cx| {
                let polled = call.as_mut().poll(cx);
                if polled.is_pending() && !stage.is_sent() {
                    self.problem("a call waits for something else than its answer");
                }
                polled
            });
            timeout(millis(60), answer).await
        };
        self.book.notes(self.table.get(&upstream()));
        let mut seen = self.seen.lock().unwrap();
        match answered {
            Ok(Ok(response)) if response.status() == 200 => seen.served = Some(clock::now()),
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(Error::RateLimited(limited))) => {
                seen.held += 1;
                return Some(limited.retry_after());
            }
            Ok(Err(error)) => {
                drop(seen);
                self.problem(&format!("a call fails: {error:?}"));
            }
        }
        None
    }

    fn problem(&self, what: &str) {
        self.seen.lock().unwrap().problem.get_or_insert_with(|| what.to_owned());
    }

    fn served(&self) -> Option<Instant> {
        self.seen.lock().unwrap().served
    }
}

/// What a seed makes of a schedule.
struct Plan {
    seed: u64,
    base: Duration,
    trusts: bool,
    jitter: f64,
    width: u32,
    /// People clear by hand as well.
    clears: bool,
    /// How the way to Redis is at the end, for ever: as it should be, or not.
    last: Mode,
}

impl Plan {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 1_000_000);
        Self {
            seed,
            base: millis(20 + chance.below(40)),
            trusts: chance.once_in(3),
            jitter: if chance.once_in(3) { 0.3 } else { 0.0 },
            width: [0, 4, 8][chance.index(3)],
            clears: chance.once_in(4),
            last: [Mode::Passes, Mode::Passes, Mode::Cuts, Mode::Swallows, Mode::Stalls]
                [chance.index(5)],
        }
    }

    fn namespace(&self) -> String {
        format!("schedule-{}", self.seed)
    }
}

/// Plays faults until their time is over, and then all is well, or Redis is gone.
async fn play_faults(
    plan: &Plan,
    redis: &str,
    members: &[Rc<Member>],
    wire: &RefCell<Wire>,
) -> String {
    let start = clock::now();
    let mut chance = Chance::new(plan.seed, 2_000_000);
    let mut log = String::new();
    let mut connection = redis::Client::open(redis).unwrap().get_connection().unwrap();
    while start.elapsed() < FAULTS {
        let number = chance.index(members.len());
        let member = &members[number];
        let what = match chance.below(16) {
            0..=4 => {
                let hint = (!chance.once_in(3)).then(|| millis(10 + chance.below(190)));
                let time = millis(20 + chance.below(230));
                wire.borrow_mut().refuses = Some((clock::now() + time, hint));
                format!("the upstream refuses for {time:?}, {hint:?}")
            }
            5..=11 => {
                let mode = match chance.below(10) {
                    0 | 1 => Mode::Stalls,
                    2 => Mode::Swallows,
                    3 | 4 => Mode::Cuts,
                    _ => Mode::Passes,
                };
                let mut share = |most| if chance.once_in(2) { chance.below(most) } else { 0 };
                let way = Way {
                    mode,
                    there: millis(share(150)),
                    back: millis(share(150)),
                    twice: share(50),
                    late: share(50),
                    lost: share(30),
                };
                if chance.once_in(5) {
                    for member in members {
                        member.proxy.set(way);
                    }
                    format!("the way of all: {way:?}")
                } else {
                    member.proxy.set(way);
                    format!("the way of {number}: {way:?}")
                }
            }
            12 => {
                let wait = millis(20 + chance.below(150));
                member.table.cool(&upstream(), wait);
                format!("{number} cools by hand for {wait:?}")
            }
            13 if plan.clears => {
                member.table.clear(&upstream());
                format!("{number} clears by hand")
            }
            13 => {
                let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut connection).unwrap();
                "redis forgets its scripts".to_owned()
            }
            14 => {
                let pattern = format!("*{}*", plan.namespace());
                let keys: Vec<String> =
                    redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
                if !keys.is_empty() {
                    let _: u64 = redis::cmd("DEL").arg(keys).query(&mut connection).unwrap();
                }
                "redis forgets all".to_owned()
            }
            _ => {
                member.join_anew();
                format!("{number} joins anew")
            }
        };
        writeln!(log, "  {:>4} ms: {what}", start.elapsed().as_millis()).unwrap();
        sleep(millis(15 + chance.below(85))).await;
    }
    log
}

/// Plays a schedule; tells what was violated, if anything.
async fn play(plan: &Plan, redis: &Redis) -> Result<Report, String> {
    let wire = Rc::new(RefCell::new(Wire {
        chance: Chance::new(plan.seed, 3_000_000),
        refuses: None,
        is_well: false,
        sent: 0,
        refused: 0,
    }));
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        let member = Rc::new(Member::new(plan, redis.port(), number).await);
        while !member.is_in_step() {
            sleep(millis(1)).await;
        }
        let inner = {
            let wire = Rc::clone(&wire);
            service_fn(move |_: Request<()>| answer(Rc::clone(&wire)))
        };
        let client =
            member.layer.layer(Witness::new(inner, Arc::clone(&member.book), Upstream::from_uri));
        for caller in 0..CALLERS {
            let (client, member) = (client.clone(), Rc::clone(&member));
            let mut chance = Chance::new(plan.seed, 10 * number + caller);
            tokio::task::spawn_local(async move {
                loop {
                    match member.call(client.clone()).await {
                        Some(wait) => sleep(wait).await,
                        None => sleep(millis(3 + chance.below(12))).await,
                    }
                }
            });
        }
        members.push(member);
    }

    let log = play_faults(plan, &redis.url(), &members, &wire).await;
    {
        let mut wire = wire.borrow_mut();
        (wire.refuses, wire.is_well) = (None, true);
    }
    for member in &members {
        member.proxy.set(Way::of(plan.last));
    }
    // What was refused before is still on its way to those who asked.
    sleep(millis(20)).await;
    let end = clock::now();
    let infos: Vec<_> = members.iter().map(|member| member.table.get(&upstream())).collect();
    // A cooldown that one of them has, may come to the others yet.
    let cooling = infos.iter().flatten().filter(|info| info.state() == State::Cooling);
    let cooldown = cooling.map(tower_retry_after::CooldownInfo::retry_after).max();
    // A connection that is deaf since some fault is noticed only by then.
    let is_heard = plan.last == Mode::Passes && !log.contains("Swallows");
    let patience = if is_heard { Duration::ZERO } else { DEAF };
    let most = cooldown.unwrap_or_default() + LEASE + secs(1) + patience;
    while end.elapsed() < most
        && !members.iter().all(|member| member.served().is_some_and(|at| at > end))
    {
        sleep(millis(10)).await;
    }

    let mut report = Report::default();
    let mut violations = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let (seen, tally) = (member.seen.lock().unwrap(), member.proxy.tally());
        report.held += seen.held;
        report.heard += member.heard.load(Ordering::Relaxed);
        report.twice += tally.twice;
        report.late += tally.late;
        report.lost += tally.lost;
        report.connections += tally.connections;
        match seen.served.and_then(|at| at.checked_duration_since(end)) {
            Some(took) => report.longest = report.longest.max(took),
            None => violations.push(format!(
                "{number} is wedged: not served for {most:?}; then {:?}, now {:?}",
                infos[number],
                member.table.get(&upstream()),
            )),
        }
        violations.extend(member.book.violations().into_iter().map(|it| format!("{number}: {it}")));
        violations.extend(seen.problem.iter().map(|it| format!("{number}: {it}")));
    }
    (report.sent, report.refused) = (wire.borrow().sent, wire.borrow().refused);
    if violations.is_empty() {
        return Ok(report);
    }
    let seed = plan.seed;
    Err(format!(
        "schedule {seed}, in the end {:?}:\n{log}  {}\n  again: FLEET_SEEDS={seed}..{} cargo test \
         --features redis --test fleet -- schedules --nocapture\n",
        plan.last,
        violations.join("\n  "),
        seed + 1,
    ))
}

/// Plays all schedules of those seeds, some at once.
fn play_all(seeds: Range<u64>, redis: &Redis) -> Vec<Result<Report, String>> {
    let next = AtomicU64::new(seeds.start);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_all().build().unwrap();
                    let local = tokio::task::LocalSet::new();
                    let result = local.block_on(&runtime, play(&Plan::new(seed), redis));
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// The seeds that the environment names, as in `FLEET_SEEDS=7..8`.
fn seeds() -> Option<Range<u64>> {
    let named = std::env::var("FLEET_SEEDS").ok()?;
    let Some((from, to)) = named.split_once("..") else {
        panic!("no seeds, as in FLEET_SEEDS=7..8: {named}");
    };
    Some(from.parse().unwrap()..to.parse().unwrap())
}

#[test]
fn a_hundred_schedules_of_faults_wedge_nothing_and_break_no_cooldown() {
    crate::with_redis(async |redis| {
        let seeds = seeds().unwrap_or(0..100);
        let is_usual = seeds == (0..100);

        let results = play_all(seeds, redis);

        let failed: Vec<&String> = results.iter().filter_map(|it| it.as_ref().err()).collect();
        let failures: String = failed.iter().map(|it| &***it).collect();
        assert!(failed.is_empty(), "{} of {}:\n{failures}", failed.len(), results.len());
        let sum = results.iter().flatten().fold(Report::default(), |sum, it| Report {
            sent: sum.sent + it.sent,
            refused: sum.refused + it.refused,
            held: sum.held + it.held,
            heard: sum.heard + it.heard,
            twice: sum.twice + it.twice,
            late: sum.late + it.late,
            lost: sum.lost + it.lost,
            connections: sum.connections + it.connections,
            longest: sum.longest.max(it.longest),
        });
        println!("schedules: {sum:?}");
        let all = [sum.sent / 5000, sum.refused / 500, sum.held / 3000, sum.heard / 300];
        let news = [sum.twice / 40, sum.late / 40, sum.lost / 15, sum.connections / 300];
        assert!(!is_usual || !all.contains(&0) && !news.contains(&0), "too quiet: {sum:?}");
    });
}
