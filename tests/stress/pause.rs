//! What must hold while all threads pause, and nothing is out but those who wait.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use tower_retry_after::{Reason, RetryAfterBackoff, State, Waiting};

use crate::ALLOCATOR;
use crate::call::{Flight, Outcome};
use crate::judge::add;
use crate::peer::{Answer, Peer};
use crate::table::{FORGET_AFTER, Table, WIDTH};
use crate::worker::{Ground, Yard, launch};

/// More calls than it takes until all are let go of whose time has come.
const MANY: u32 = 20_000;

/// Judges the tables, and leaves them empty.
pub(crate) async fn all(yard: &Yard, round: u64) {
    let ground = &yard.ground;
    ground.clock.follow().await;
    let mut left = yard.take_left();
    let mut caller = Caller::new(yard);
    for table in 0..ground.tables.len() {
        caller.nobody_is_probing(table);
        caller.no_place_has_leaked(table);
    }
    match round % 3 {
        0 => {
            left.clear();
            caller.whoever_was_cooling_is_probed().await;
        }
        1 => whoever_waits_gets_through(yard, left),
        _ => {
            left.clear();
            caller.whoever_is_left_alone_is_forgotten().await;
        }
    }
    drop(caller);
    clear(ground);
    for table in &ground.tables {
        let cooldowns = table.cooldowns();
        assert!(cooldowns.is_empty() && table.is_empty(), "{}: {cooldowns:?}", table.judge);
        table.judge.sum_up(table.kind.is_watched);
        table.shadow_adds_up();
        nothing_is_kept_of_the_cleared(table);
    }
    yard.bytes.lock().unwrap().push(ALLOCATOR.allocated());
}

/// Clears all upstreams of all tables.
fn clear(ground: &Ground) {
    for table in &ground.tables {
        for (number, (_, upstream)) in table.upstreams.iter().enumerate() {
            table.judge.of(number).clears.during(|| table.cooldowns().clear(upstream));
        }
    }
}

/// Nobody refuses any more, and all upstreams are Clear: then nobody waits, and no
/// time has to pass for that.
fn whoever_waits_gets_through(yard: &Yard, mut left: Vec<Flight>) {
    let Yard { ground, followed, .. } = yard;
    // All timers that are due have gone off, but for this thread's own.
    let latest = ground.clock.latest();
    let has_followed = |at: &&AtomicU64| at.load(SeqCst) >= latest;
    while followed.iter().filter(has_followed).count() + 1 < followed.len() {
        thread::yield_now();
    }
    ground.calm.store(true, SeqCst);
    clear(ground);
    let mut has_moved = true;
    while has_moved {
        has_moved = false;
        left.retain_mut(|flight| {
            let is_woken = flight.is_woken();
            has_moved |= is_woken;
            !(is_woken && flight.step().is_some())
        });
    }
    ground.calm.store(false, SeqCst);
    let calls = left.iter().filter(|flight| flight.is_call()).count();
    let others = left.len() - calls;
    assert_eq!((calls, others), (0, 0), "calls, and others, that wait for Clear upstreams");
}

/// An upstream comes and goes any number of times while no time passes, and the table
/// is none the larger.
fn nothing_is_kept_of_the_cleared(table: &Table) {
    let (bytes, bystander) = (ALLOCATOR.allocated(), &table.upstreams[table.kind.upstreams].1);
    for _ in 0..1000 {
        table.cooldowns().cool(bystander, Duration::from_millis(1));
        table.cooldowns().clear(bystander);
    }
    // The judge has kept what it was told.
    table.judge.sum_up(table.kind.is_watched);
    let kept = ALLOCATOR.allocated().saturating_sub(bytes);
    assert!(kept < 64 * 1024, "{}: {kept} bytes are kept of what was cleared", table.judge);
}

/// The only one that calls.
struct Caller<'a> {
    ground: &'a std::sync::Arc<Ground>,
    clients: Vec<(RetryAfterBackoff<Peer>, Waiting<Peer>)>,
}

impl<'a> Caller<'a> {
    fn new(yard: &'a Yard) -> Self {
        let Ground { tables, calm, .. } = &*yard.ground;
        let clients =
            tables.iter().map(|table| (table.rejecting(calm), table.waiting(Duration::ZERO, calm)));
        Self { ground: &yard.ground, clients: clients.collect() }
    }

    fn nobody_is_probing(&self, table: usize) {
        let table = &self.ground.tables[table];
        let shown = table.cooldowns().snapshot();
        assert!(shown.len() <= table.kind.room, "{}: {} are in trouble", table.judge, shown.len());
        let wedged = shown.iter().find(|info| info.state() == State::Probing);
        assert!(wedged.is_none(), "{}: no probe is out, but {wedged:?}", table.judge);
    }

    /// As many calls find room as there are places; and so many places there are as
    /// successes are missing until the upstream is Clear.
    fn no_place_has_leaked(&mut self, number: usize) {
        let table = &self.ground.tables[number];
        for upstream in 0..table.upstreams.len() {
            if self.state(number, upstream) != Some(State::Reopening) {
                continue;
            }
            let mut out = Vec::new();
            while let Ok(call) = self.hang((number, upstream)) {
                out.push(call);
                assert!(out.len() <= 64, "{}, upstream {upstream} has no bound", table.judge);
            }
            let places = out.len();
            drop(out);
            let mut successes = 0;
            while self.state(number, upstream) == Some(State::Reopening) {
                self.succeed((number, upstream));
                successes += 1;
            }
            let missing = (WIDTH as usize + 1).checked_sub(places + successes);
            assert_eq!(missing, Some(0), "{}, upstream {upstream}: {places} places", table.judge);
            add(&table.judge.counts.widths);
        }
    }

    /// Time jumps past all cooldowns: one call is let through, and none other; if
    /// it is given up, the next.
    async fn whoever_was_cooling_is_probed(&mut self) {
        let ground = self.ground;
        self.pass_all_cooldowns(Duration::ZERO).await;
        for (number, table) in ground.tables.iter().enumerate() {
            for upstream in 0..table.upstreams.len() {
                if self.state(number, upstream) != Some(State::Cooling) {
                    continue;
                }
                let place = (number, upstream);
                let who = format!("{}, upstream {upstream}", table.judge);
                let probe = self.hang(place).unwrap_or_else(|why| panic!("{who}: {why:?}"));
                assert!(matches!(self.hang(place), Err(Reason::Probing)), "{who}: a second probe");
                drop(probe);
                self.succeed(place);
                assert_eq!(self.state(number, upstream), Some(State::Reopening), "{who}");
            }
        }
    }

    /// Time jumps until all are forgotten. Nobody calls them any more; calls to
    /// another upstream find them, and let go of them.
    async fn whoever_is_left_alone_is_forgotten(&mut self) {
        let ground = self.ground;
        self.pass_all_cooldowns(FORGET_AFTER).await;
        for (number, table) in ground.tables.iter().enumerate() {
            assert!(table.cooldowns().is_empty(), "{}: not forgotten in time", table.judge);
            add(&table.judge.counts.forgotten);
            let mut calls = 0;
            while !table.is_empty() {
                self.succeed((number, table.kind.upstreams));
                calls += 1;
                assert!(calls < MANY, "{}: {:?} are kept", table.judge, table.cooldowns());
            }
        }
    }

    /// Time jumps to the end of all cooldowns, and so much farther.
    async fn pass_all_cooldowns(&self, farther: Duration) {
        let clock = &self.ground.clock;
        let all = self.ground.tables.iter().filter_map(|table| {
            let snapshot = table.cooldowns().snapshot();
            snapshot.iter().map(|info| clock.at(info.until())).max()
        });
        let latest = clock.latest();
        let jump = all.max().unwrap_or(latest).saturating_sub(latest);
        clock.pass(Duration::from_nanos(jump) + farther);
        clock.follow().await;
    }

    fn state(&self, table: usize, upstream: usize) -> Option<State> {
        let table = &self.ground.tables[table];
        table.cooldowns().get(&table.upstreams[upstream].1).map(|info| info.state())
    }

    /// Makes a call that hangs; fails if it is rejected.
    fn hang(&mut self, place: (usize, usize)) -> Result<Flight, Reason> {
        let mut call = launch(self.ground, &mut self.clients, place, (Answer::Never, 0), false);
        match call.step() {
            None => call.shadowed().map_or(Ok(call), Err),
            Some(Outcome::Rejected(limited)) => Err(limited.reason()),
            Some(other) => panic!("it was to hang: {other:?}"),
        }
    }

    fn succeed(&mut self, place: (usize, usize)) {
        let mut call = launch(self.ground, &mut self.clients, place, (Answer::Good, 0), false);
        let outcome = call.step();
        assert!(matches!(outcome, Some(Outcome::Answered(200))), "{place:?}: {outcome:?}");
    }
}
