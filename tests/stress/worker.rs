//! What one thread does: it calls, and does everything else that one can do.

use std::fmt::Write;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use http::Request;
use tokio::runtime::Builder;
use tokio::task::{AbortHandle, JoinHandle, yield_now};
use tower::Service;
use tower_retry_after::{RetryAfterBackoff, State, Waiting};

use crate::call::{Flight, Outcome, Way};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::judge::lock;
use crate::pause;
use crate::peer::{Answer, Peer, Plan};
use crate::table::Table;

/// Calls between two pauses of all threads.
const ROUND: u64 = 25_000;

/// Calls between two steps of a thread's clock.
const BATCH: u64 = 16;

/// What a thread has out at most.
const MOST: usize = 64;

/// What all calls stand on.
pub(crate) struct Ground {
    pub(crate) clock: Clock,
    pub(crate) tables: Vec<Table>,
    /// All answers are good, and come at once.
    pub(crate) calm: Arc<AtomicBool>,
}

/// What the threads share.
pub(crate) struct Yard {
    pub(crate) ground: Arc<Ground>,
    calls: u64,
    seed: u64,
    /// Calls of all rounds that were begun.
    claimed: AtomicU64,
    barrier: Barrier,
    pub(crate) is_pausing: AtomicBool,
    /// How far each thread's clock has come.
    pub(crate) followed: Vec<AtomicU64>,
    /// What changes hands.
    exchange: Mutex<Vec<Flight>>,
    /// Tasks that anybody may abort.
    tasks: Mutex<Vec<AbortHandle>>,
    aborted: AtomicUsize,
    /// What waits, when all pause.
    left: Mutex<Vec<Flight>>,
    pub(crate) bytes: Mutex<Vec<usize>>,
    pub(crate) steps: AtomicU64,
    pub(crate) is_over: AtomicBool,
}

impl Yard {
    pub(crate) fn new(calls: u64, seed: u64, threads: usize) -> Self {
        let (tables, calm) = (Table::all(), Arc::default());
        Self {
            ground: Arc::new(Ground { clock: Clock::new(), tables, calm }),
            calls,
            seed,
            claimed: AtomicU64::new(0),
            barrier: Barrier::new(threads),
            is_pausing: AtomicBool::new(false),
            followed: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            exchange: Mutex::default(),
            tasks: Mutex::default(),
            aborted: AtomicUsize::new(0),
            left: Mutex::default(),
            bytes: Mutex::default(),
            steps: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Takes what all have left for the pause.
    pub(crate) fn take_left(&self) -> Vec<Flight> {
        let mut left = std::mem::take(&mut *lock(&self.left));
        left.append(&mut lock(&self.exchange));
        left.retain(|flight| !flight.is_sent());
        left
    }

    /// Says how often what happened.
    pub(crate) fn report(&self) -> String {
        let mut text = format!(
            "{} calls, {} tasks aborted",
            self.claimed.load(SeqCst),
            self.aborted.load(SeqCst)
        );
        for table in &self.ground.tables {
            let counts = &table.judge.counts;
            let count = |count: &AtomicU64| count.load(SeqCst);
            let _ = write!(
                text,
                "\n  {}: {} sent ({} probes, {} places, {} shadowed), {} rejected, {} waited, {} refused, \
                 {} panicked, {} displaced; \
                 {} cooldowns, {} probes and {} widths judged, {} forgotten",
                table.judge,
                count(&counts.sent),
                count(&counts.probes),
                count(&counts.places),
                count(&counts.shadowed),
                count(&counts.rejected),
                count(&counts.waited),
                count(&counts.refused),
                count(&counts.panicked),
                count(&counts.displaced),
                count(&counts.holds),
                count(&counts.paired),
                count(&counts.widths),
                count(&counts.forgotten),
            );
        }
        let (earlier, later) = self.most_bytes();
        let _ = write!(
            text,
            "\n  bytes at pauses: {earlier} at most in the first half, {later} in the second"
        );
        text
    }

    /// A run in which nothing happens proves nothing.
    pub(crate) fn assert_well_mixed(&self) {
        for table in &self.ground.tables {
            let counts = &table.judge.counts;
            let held = if table.kind.is_shadow { &counts.shadowed } else { &counts.rejected };
            let all = [
                &counts.sent,
                held,
                &counts.waited,
                &counts.refused,
                &counts.panicked,
                &counts.holds,
            ];
            let enough = self.calls / 5000;
            assert!(all.iter().all(|count| count.load(SeqCst) > enough), "{}", self.report());
            assert!(counts.forgotten.load(SeqCst) > 0, "{}", self.report());
            let watched = [&counts.probes, &counts.places, &counts.paired];
            let happened = watched.iter().all(|count| count.load(SeqCst) > enough);
            assert!(happened || !table.kind.is_watched, "{}", self.report());
        }
    }

    /// Returns how many bytes were in use at a pause, at most, in either half.
    fn most_bytes(&self) -> (usize, usize) {
        let bytes = lock(&self.bytes);
        let (earlier, later) = bytes.split_at(bytes.len() / 2);
        let most = |bytes: &[usize]| bytes.iter().copied().max().unwrap_or_default();
        (most(earlier), most(later))
    }

    /// What is forgotten is let go of: a longer run needs no more memory.
    pub(crate) fn assert_bounded(&self) {
        let (earlier, later) = self.most_bytes();
        assert!(later < earlier + earlier / 4, "{}", self.report());
    }

    fn rounds(&self) -> u64 {
        self.calls.div_ceil(ROUND)
    }

    /// Claims calls of a round; no, if all are made.
    fn claim(&self, round: u64) -> bool {
        self.steps.fetch_add(1, SeqCst);
        let until = ROUND.saturating_mul(round + 1).min(self.calls);
        self.claimed
            .fetch_update(SeqCst, SeqCst, |claimed| (claimed < until).then_some(claimed + BATCH))
            .is_ok()
    }
}

/// Runs a thread to its end.
pub(crate) fn run(yard: &Yard, number: usize) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut worker = Worker::new(yard, number);
        for round in 0..yard.rounds() {
            while yard.claim(round) {
                worker.let_time_pass();
                yard.ground.clock.follow().await;
                for _ in 0..BATCH {
                    worker.call();
                    worker.tend();
                    worker.do_something_else();
                }
            }
            worker.lay_down().await;
            yard.is_pausing.store(true, SeqCst);
            if yard.barrier.wait().is_leader() {
                pause::all(yard, round).await;
                yard.is_pausing.store(false, SeqCst);
            } else {
                // Timers of what was left go off here.
                while yard.is_pausing.load(SeqCst) {
                    yard.ground.clock.follow().await;
                    yard.followed[number].store(yard.ground.clock.here(), SeqCst);
                    thread::yield_now();
                }
            }
            yard.followed[number].store(u64::MAX, SeqCst);
            yard.barrier.wait();
            yard.followed[number].store(0, SeqCst);
        }
    });
    yard.is_over.store(true, SeqCst);
}

struct Worker<'a> {
    yard: &'a Yard,
    chance: Chance,
    clients: Vec<(RetryAfterBackoff<Peer>, Waiting<Peer>)>,
    flights: Vec<Flight>,
    tasks: Vec<JoinHandle<Outcome>>,
}

impl<'a> Worker<'a> {
    fn new(yard: &'a Yard, number: usize) -> Self {
        let Ground { tables, calm, .. } = &*yard.ground;
        let patience = Duration::from_millis(20 << number);
        let clients = tables
            .iter()
            .map(|table| (table.rejecting(calm), table.waiting(patience, calm)))
            .collect();
        let chance = Chance::new(yard.seed, number as u64);
        Self { yard, chance, clients, flights: Vec::new(), tasks: Vec::new() }
    }

    fn let_time_pass(&mut self) {
        let micros = match self.chance.below(5000) {
            0 => 3_000_000,
            1..100 => self.chance.below(60_000),
            _ => self.chance.below(400),
        };
        self.yard.ground.clock.pass(Duration::from_micros(micros));
    }

    /// Some upstream of some table; a few of them are busier.
    fn somewhere(&mut self) -> (usize, usize) {
        let tables = &self.yard.ground.tables;
        let table = self.chance.index(tables.len());
        let all = tables[table].kind.upstreams;
        let few = if self.chance.once_in(2) { 8 } else { all };
        (table, self.chance.index(few))
    }

    fn call(&mut self) {
        let place = self.somewhere();
        let answer = match self.chance.below(100) {
            0..70 => Answer::Good,
            70..80 => Answer::Refusal {
                hint: [None, Some("5"), Some("90"), Some("250")][self.chance.index(4)],
            },
            80..83 => Answer::LastOfQuota,
            83..90 => Answer::Error,
            90..95 => Answer::Failure,
            95..97 => Answer::Panic { when_called: self.chance.once_in(2) },
            _ => Answer::Never,
        };
        let polls = if self.chance.once_in(2) {
            0
        } else {
            1 + u32::try_from(self.chance.below(4)).unwrap()
        };
        let is_patient = self.chance.once_in(3);
        let mut flight =
            launch(&self.yard.ground, &mut self.clients, place, (answer, polls), is_patient);
        match self.chance.below(64) {
            0 => {
                let task = tokio::spawn(flight);
                lock(&self.yard.tasks).push(task.abort_handle());
                self.tasks.push(task);
            }
            1 => drop(flight),
            _ => {
                if flight.step().is_none() {
                    self.flights.push(flight);
                }
            }
        }
    }

    /// Polls or drops some of what is out.
    fn tend(&mut self) {
        let surplus = self.flights.len().saturating_sub(MOST);
        for _ in 0..=surplus {
            if self.flights.is_empty() {
                return;
            }
            let index = self.chance.index(self.flights.len());
            let flight = &mut self.flights[index];
            let is_dropped = match self.chance.below(16) {
                0 => true,
                _ if flight.is_woken() => flight.step().is_some(),
                1..4 => flight.step().is_some(),
                _ => surplus > 0 && flight.is_sent(),
            };
            if is_dropped {
                self.flights.swap_remove(index);
            }
        }
    }

    fn do_something_else(&mut self) {
        let place @ (table, upstream) = self.somewhere();
        let ground = &self.yard.ground;
        let Table { judge, upstreams, kind, .. } = &ground.tables[table];
        let (known, name) = (judge.of(upstream), &upstreams[upstream].1);
        let cooldowns = ground.tables[table].cooldowns();
        match self.chance.below(400) {
            0..4 => known.clears.during(|| known.verdicts.during(|| cooldowns.clear(name))),
            4..8 => {
                let wait = Duration::from_millis(self.chance.below(300));
                known.verdicts.during(|| cooldowns.cool(name, wait));
                judge.learn(upstream, name, &cooldowns, &ground.clock);
            }
            8 => {
                let shown = cooldowns.snapshot();
                assert!(shown.len() <= kind.room, "{judge}: {} in trouble", shown.len());
                assert!(shown.iter().all(|info| info.state() != State::Clear));
            }
            9 => assert!(cooldowns.len() <= kind.room, "{judge}: too many in trouble"),
            10..20 => {
                let ready = || Way::Ready(ground.tables[table].ready(upstream));
                let mut flight = Flight::start(ground, place, ready);
                if flight.step().is_none() {
                    self.flights.push(flight);
                }
            }
            20..30 => {
                let mut exchange = lock(&self.yard.exchange);
                exchange.extend(self.flights.pop());
                if exchange.len() > 4 {
                    let index = self.chance.index(exchange.len());
                    self.flights.push(exchange.swap_remove(index));
                }
            }
            30..35 => {
                let mut tasks = lock(&self.yard.tasks);
                if !tasks.is_empty() {
                    let index = self.chance.index(tasks.len());
                    let task = tasks.swap_remove(index);
                    drop(tasks);
                    task.abort();
                    self.yard.aborted.fetch_add(1, SeqCst);
                }
            }
            _ => {}
        }
    }

    /// Ends what was sent, and leaves what waits to whoever leads the pause.
    async fn lay_down(&mut self) {
        lock(&self.yard.tasks).clear();
        for task in &self.tasks {
            task.abort();
        }
        while !self.tasks.iter().all(JoinHandle::is_finished) {
            yield_now().await;
        }
        self.tasks.clear();
        self.yard.ground.clock.follow().await;
        self.flights.retain(|flight| !flight.is_sent());
        lock(&self.yard.left).append(&mut self.flights);
    }
}

/// Readies a client and calls it.
pub(crate) fn launch(
    ground: &Arc<Ground>,
    clients: &mut [(RetryAfterBackoff<Peer>, Waiting<Peer>)],
    place: (usize, usize),
    (answer, polls): (Answer, u32),
    is_patient: bool,
) -> Flight {
    let (table, upstream) = place;
    let Table { judge, upstreams, .. } = &ground.tables[table];
    let mut request = Request::new(Plan { judge: Arc::clone(judge), upstream, answer, polls });
    *request.uri_mut() = upstreams[upstream].0.clone();
    let (rejecting, waiting) = &mut clients[table];
    let mut cx = Context::from_waker(Waker::noop());
    if is_patient {
        while waiting.poll_ready(&mut cx).is_pending() {}
        Flight::start(ground, place, || Way::Waiting(Box::pin(waiting.call(request))))
    } else {
        while rejecting.poll_ready(&mut cx).is_pending() {}
        Flight::start(ground, place, || Way::Rejecting(Box::pin(rejecting.call(request))))
    }
}
