//! One hour: who plays, and what must be so in the end.

use std::any::Any;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use tower_retry_after::classify::{self, Verdict};
use tower_retry_after::hint::Dialect;
use tower_retry_after::observe::{Event, Observer, Trigger};
use tower_retry_after::{Cooldowns, Ladder, RetryAfterBackoffLayer, State};

use super::callers::{self, Kind, Planned};
use super::chance::{Chance, Transcript};
use super::judge::{Judge, Tally};
use super::upstreams::{Upstream, aligned};
use super::wire::Net;
use super::{ALIGNED, END, FORGET_AFTER, HEALED, ROOM, Rules, UPSTREAMS, now, upstream};

/// How many callers there are of each kind.
const CALLERS: [(Kind, u64); 6] = [
    (Kind::Rejected, 14),
    (Kind::Trusting, 8),
    (Kind::Waiting, 14),
    (Kind::Retrying, 6),
    (Kind::Ready, 3),
    (Kind::Polling, 3),
];

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// When the judge finds fault with nothing at all, to see what becomes of that.
    pub(crate) quarrels_at: Option<Duration>,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, quarrels_at: None }
    }
}

/// What an hour brought.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) transcript: Transcript,
    pub(crate) tally: Tally,
    pub(crate) polls: u64,
    /// How many requests arrived at the most popular upstream.
    pub(crate) busiest: u64,
}

/// The line that plays one seed again.
pub(crate) fn replay_line(seed: u64) -> String {
    format!("CHAOS_SEEDS={seed} cargo test --all-features --test chaos -- hours_of_other_seeds")
}

/// Reads `7` or `1000..2000`.
pub(crate) fn seeds_of(named: &str) -> Option<Range<u64>> {
    let number = |text: &str| text.parse::<u64>().ok();
    match named.split_once("..") {
        Some((first, end)) => Some(number(first)?..number(end)?),
        None => number(named).map(|seed| seed..seed + 1),
    }
}

/// How long an hour may take in real time; most take seconds.
const PATIENCE: Duration = Duration::from_secs(600);

/// Plays a plan, in a thread of its own: what the crate counts by thread starts anew,
/// and one that never ends can be told.
///
/// # Errors
///
/// Fails with what went wrong, and with the line that plays it again.
pub(crate) fn play(plan: Plan) -> Result<Report, String> {
    let (ends, is_over) = mpsc::channel();
    let hour = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        ends.send(runtime.block_on(hour(plan))).unwrap();
    });
    let ended = match is_over.recv_timeout(PATIENCE) {
        Ok(ended) => ended,
        Err(RecvTimeoutError::Timeout) => Err(format!("has not ended within {PATIENCE:?}")),
        Err(RecvTimeoutError::Disconnected) => {
            Err(hour.join().map_or_else(|panic| said(&panic), |()| "is over".to_owned()))
        }
    };
    let seed = plan.seed;
    ended.map_err(|violation| format!("seed {seed} {violation}\nreplay: {}", replay_line(seed)))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// What all callers share.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) net: Arc<Net>,
    pub(crate) cooldowns: Cooldowns,
    pub(crate) careful: RetryAfterBackoffLayer,
    pub(crate) trusting: RetryAfterBackoffLayer,
}

/// Tells the judge of whom the table forgets, and panics now and then.
struct Ear(Arc<Net>, Mutex<u64>);

impl Observer for Ear {
    fn on(&self, event: &Event<'_>) {
        let Event::Transition(told) = event else {
            return;
        };
        let name = told.upstream().to_string();
        let of = name.strip_prefix("https://").and_then(|name| name.split('.').next());
        let of = of.and_then(|of| of.parse().ok()).unwrap_or_default();
        match told.by() {
            Trigger::Evicted => self.0.judge(|judge| judge.evicted(of, true)),
            Trigger::Displaced => self.0.judge(|judge| judge.evicted(of, false)),
            Trigger::Forgotten => self.0.judge(|judge| judge.said_forgotten(of)),
            _ => {}
        }
        let heard = {
            let mut heard = self.1.lock().unwrap();
            *heard += 1;
            *heard
        };
        if heard % 50 == 0 {
            std::panic::resume_unwind(Box::new(Planned));
        }
    }
}

fn classifier(head: &classify::Head<'_>) -> Verdict {
    if head.headers().contains_key("x-panic") {
        std::panic::resume_unwind(Box::new(Planned));
    }
    classify::standard(head)
}

impl Stage {
    fn new(plan: Plan) -> Self {
        let start = now();
        let net = Arc::new(Net {
            start,
            seed: plan.seed,
            upstreams: Mutex::new((0..UPSTREAMS).map(|of| Upstream::new(plan.seed, of)).collect()),
            judge: Mutex::new(Judge::new(start, UPSTREAMS, FORGET_AFTER)),
        });
        let cooldowns = Cooldowns::builder()
            .max_upstreams(ROOM)
            .forget_after(FORGET_AFTER)
            .observer(Ear(Arc::clone(&net), Mutex::new(0)))
            .build();
        let layer = |rules: Rules| {
            RetryAfterBackoffLayer::builder()
                .cooldowns(cooldowns.clone())
                .ladder(Ladder::new(rules.base, rules.cap))
                .max_retry_after(rules.max_retry_after)
                .trust_hints(rules.trust_hints)
                .probe_lease(rules.probe_lease)
                .reopen_width(u32::try_from(rules.reopen_width).unwrap())
        };
        let careful = layer(Rules::CAREFUL).classify(classify::from_fn(classifier)).build();
        let trusting = layer(Rules::TRUSTING).quota_signals(Dialect::Any).build();
        Self { net, cooldowns, careful, trusting }
    }

    fn verdict(&self) -> Result<(), String> {
        self.net.judge(|judge| judge.violation().map_or(Ok(()), |what| Err(what.to_owned())))
    }
}

async fn hour(plan: Plan) -> Result<Report, String> {
    let stage = Stage::new(plan);
    let mut players: JoinSet<u64> = JoinSet::new();
    let mut number = 0;
    for (kind, count) in CALLERS {
        for _ in 0..count {
            number += 1;
            players.spawn(callers::play(stage.clone(), kind, number));
        }
    }
    players.spawn(by_hand(stage.clone()));
    players.spawn(looks(stage.clone(), plan));
    let mut polls = 0;
    while let Some(ended) = players.join_next().await {
        polls += ended.map_err(|error| error.to_string())?;
        stage.verdict()?;
    }
    stage.verdict()?;
    let transcript = stage.net.judge(|judge| judge.transcript());
    let tally = stage.net.judge(|judge| judge.tally);
    well_again(&stage).await?;
    let upstreams = stage.net.upstreams.lock().unwrap();
    let busiest = upstreams.iter().map(Upstream::requests).max().unwrap_or_default();
    drop(upstreams);
    nothing_is_left(stage)?;
    Ok(Report { transcript, tally, polls, busiest })
}

/// Somebody who cools and clears upstreams, each time in a millisecond in which no
/// upstream answers.
async fn by_hand(stage: Stage) -> u64 {
    let mut chance = Chance::new(stage.net.seed, &[3]);
    loop {
        let at = stage.net.millis() + chance.within(5_000..40_000);
        let at = aligned(at, usize::try_from(ALIGNED - 1).unwrap());
        if at > HEALED {
            return 0;
        }
        sleep_until(stage.net.start + Duration::from_millis(at)).await;
        let of = chance.skewed(UPSTREAMS);
        if chance.percent(50) {
            let wait = Duration::from_millis(chance.within(1..30_000));
            stage.net.judge(|judge| judge.cooled(of, wait));
            stage.cooldowns.cool(&upstream(of), wait);
        } else {
            stage.net.judge(|judge| judge.cleared(of));
            stage.cooldowns.clear(&upstream(of));
        }
    }
}

/// Somebody who looks at the table now and then, and leaves where something is wrong.
async fn looks(stage: Stage, plan: Plan) -> u64 {
    loop {
        sleep(Duration::from_secs(1)).await;
        if stage.net.millis() > END || stage.verdict().is_err() {
            return 0;
        }
        let (len, all) = (stage.cooldowns.len(), stage.cooldowns.snapshot());
        stage.net.judge(|judge| {
            judge.expect(len <= ROOM, "the table has outgrown its bound");
            judge.expect(all.iter().count() == len, "the snapshot is another table");
            if plan.quarrels_at.is_some_and(|at| now() >= stage.net.start + at) {
                judge.violated("nothing, as planned");
            }
        });
    }
}

/// Each upstream takes ten calls that wait, and is Clear then.
async fn well_again(stage: &Stage) -> Result<(), String> {
    for of in 0..UPSTREAMS {
        if let Some(info) = stage.cooldowns.get(&upstream(of)) {
            let longest = Rules::CAREFUL.cap.max(Rules::CAREFUL.max_retry_after);
            if info.retry_after() > longest {
                return Err(format!("{of} is held back for too long: {info:?}"));
            }
        }
        let mut calls = JoinSet::new();
        for caller in 0..10 {
            calls.spawn(callers::one_that_waits(stage.clone(), of, 1000 + caller));
        }
        while let Some(served) = calls.join_next().await {
            served.map_err(|error| error.to_string())??;
        }
        stage.verdict()?;
        if let Some(info) = stage.cooldowns.get(&upstream(of)).filter(|i| i.state() != State::Clear)
        {
            return Err(format!("{of} is well, and not clear: {info:?}"));
        }
    }
    Ok(())
}

/// No upstream is tracked, nobody stands in line, and nobody holds the wire.
fn nothing_is_left(stage: Stage) -> Result<(), String> {
    let shown = format!("{:?}", stage.cooldowns);
    if !stage.cooldowns.is_empty() || !shown.contains("tracked: 0, lines: 0") {
        return Err(format!("something is left in {shown}: {}", stage.cooldowns.snapshot()));
    }
    let Stage { net, cooldowns, careful, trusting } = stage;
    let left = std::panic::catch_unwind(AssertUnwindSafe(|| {
        drop((cooldowns, careful, trusting));
        Arc::strong_count(&net)
    }));
    match left {
        Ok(1) => Ok(()),
        left => Err(format!("somebody still holds the wire: {left:?}")),
    }
}
