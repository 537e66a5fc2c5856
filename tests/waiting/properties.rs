//! Random histories: whatever comes and goes, the line keeps its promises.
//!
//! Each call is a task of its own; a history says who arrives, who gives up, what
//! is answered and when. What must hold is plain: nobody is sent into a cooldown,
//! nobody overtakes, nobody waits too long or for nothing, and in the end nothing
//! is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use tower_retry_after::{Cooldowns, Error, Ladder, State};

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody calls who waits that many seconds, behind the door or not.
    Arrive {
        most: u64,
        behind: bool,
    },
    /// One of those who have not been answered gives up.
    GiveUp(usize),
    Answer(usize, Reply),
    Cool(u64),
    Clear,
    Door {
        open: bool,
    },
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Success,
    Refusal(u64),
    Neutral,
    Failure,
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let reply = prop_oneof![
        6 => Just(Reply::Success),
        2 => (0_u64..40).prop_map(Reply::Refusal),
        1 => Just(Reply::Neutral),
        1 => Just(Reply::Failure),
    ];
    let most = prop_oneof![1 => Just(0), 3 => 1_u64..50, 6 => Just(1000)];
    let step = prop_oneof![
        9 => (most, prop::bool::weighted(0.2))
            .prop_map(|(most, behind)| Step::Arrive { most, behind }),
        3 => any::<usize>().prop_map(Step::GiveUp),
        9 => (any::<usize>(), reply).prop_map(|(who, reply)| Step::Answer(who, reply)),
        1 => (1_u64..40).prop_map(Step::Cool),
        1 => Just(Step::Clear),
        1 => any::<bool>().prop_map(|open| Step::Door { open }),
        4 => (0_u64..30_000).prop_map(Step::Wait),
    ];
    // Whether everybody may act before the next step.
    proptest::collection::vec((step, prop::bool::weighted(0.7)), 1..120)
}

/// How many successes a line needs before those who find nobody waiting pass it by.
const REOPEN_WIDTH: usize = 4;

/// What a caller is at.
#[derive(Debug)]
enum Stage {
    /// It may yet be sent at once.
    Arrives {
        behind: bool,
    },
    Waits {
        deadline: Instant,
        behind: bool,
    },
    /// Its answer may be given.
    Out {
        answer: Option<oneshot::Sender<Reply>>,
        since: Option<Instant>,
    },
    Ended,
}

/// What all calls share.
struct Inside {
    cooldowns: Cooldowns,
    callers: BTreeMap<usize, Stage>,
    /// Since the last cooldown, or none since the upstream was well.
    since: Option<Since>,
    door: bool,
    /// Since when everybody has had the time to notice the door.
    door_known: bool,
    behind: Vec<std::task::Waker>,
    until: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Since {
    out: Vec<usize>,
    successes: usize,
}

type World = Arc<Mutex<Inside>>;

impl Inside {
    /// Somebody's request is on the wire.
    fn sent(&mut self, who: usize) -> oneshot::Receiver<Reply> {
        self.look();
        assert_ne!(state(&self.cooldowns, A), Some(State::Cooling), "{who} sent into a cooldown");
        let (door, known) = (self.door, self.door_known);
        let overtaken = self.callers.iter().find(|(_, stage)| match stage {
            Stage::Waits { behind, .. } => !behind || door && known,
            Stage::Arrives { .. } | Stage::Out { .. } | Stage::Ended => false,
        });
        let (arrives, is_behind) = match self.callers[&who] {
            Stage::Arrives { behind } => (true, behind),
            Stage::Waits { behind, .. } => (false, behind),
            Stage::Out { .. } | Stage::Ended => panic!("{who} is sent twice"),
        };
        assert!(!is_behind || door || arrives, "{who} is sent through a shut door");
        assert!(overtaken.is_none_or(|(&first, _)| first >= who), "{who} overtakes {overtaken:?}");
        // Calls that leave as they arrive, where nobody waits, are the table's business;
        // so they are where a line has gone on for long, and is about to be over.
        let waits = self.callers.values().any(|stage| matches!(stage, Stage::Waits { .. }));
        let is_wide = self.since.as_ref().is_some_and(|since| since.successes >= REOPEN_WIDTH);
        let counts = !arrives || self.has_line() && (waits || !is_wide);
        if let Some(since) = self.since.as_mut().filter(|_| counts) {
            since.out.push(who);
            let (out, allowed) = (since.out.len(), 1 + since.successes);
            assert!(out <= allowed, "{out} in flight, {allowed} allowed");
        }
        let (answer, answered) = oneshot::channel();
        self.callers.insert(who, Stage::Out { answer: Some(answer), since: self.until });
        answered
    }

    fn arrives(&mut self, behind: bool) -> usize {
        let who = self.callers.len();
        self.callers.insert(who, Stage::Arrives { behind });
        who
    }

    /// Who was not sent at once waits.
    fn waits(&mut self, who: usize, deadline: Instant) {
        if let Some(&Stage::Arrives { behind }) = self.callers.get(&who) {
            self.callers.insert(who, Stage::Waits { deadline, behind });
        }
    }

    fn ended(&mut self, who: usize, success: bool) {
        self.look();
        let was = self.callers.insert(who, Stage::Ended);
        if let (Some(since), Some(Stage::Out { since: sent, .. })) = (&mut self.since, was) {
            since.out.retain(|&out| out != who);
            since.successes += usize::from(success && sent == self.until);
        }
    }

    fn has_line(&self) -> bool {
        !format!("{:?}", self.cooldowns).contains("lines: 0")
    }

    /// Looks at the table, after each step.
    fn look(&mut self) {
        let info = self.cooldowns.get(&upstream(A));
        match info.filter(|info| info.state() == State::Cooling) {
            Some(info) if self.until != Some(info.until()) => {
                self.until = Some(info.until());
                self.since = Some(Since::default());
            }
            Some(_) => {}
            None => {
                if !self.has_line() && self.cooldowns.is_empty() {
                    self.since = None;
                }
            }
        }
    }

    /// What must hold when everybody has had the time to act.
    fn check(&self) {
        let info = self.cooldowns.get(&upstream(A));
        let mut free = 0;
        let mut out = 0;
        for (who, stage) in &self.callers {
            match stage {
                Stage::Waits { deadline, behind } => {
                    assert!(now() <= *deadline, "{who} waits beyond its deadline");
                    if let Some(info) = info.as_ref().filter(|i| i.state() == State::Cooling) {
                        let until = info.until();
                        assert!(until <= *deadline, "{who} waits in vain");
                    }
                    free += usize::from(!behind || self.door);
                }
                Stage::Out { .. } => out += 1,
                Stage::Arrives { .. } | Stage::Ended => {}
            }
        }
        if info.is_none() {
            assert!(free == 0 || out > 0, "{free} are left behind");
        }
    }
}

/// A service that is always ready or waits for the door, insists on being readied,
/// and hands each request to the history.
struct Scripted {
    world: World,
    behind: bool,
    ready: bool,
    reserved: Arc<AtomicUsize>,
}

impl Scripted {
    fn release(&mut self) -> bool {
        let was_ready = std::mem::replace(&mut self.ready, false);
        self.reserved.fetch_sub(usize::from(was_ready), Ordering::SeqCst);
        was_ready
    }
}

impl Clone for Scripted {
    fn clone(&self) -> Self {
        let (world, reserved) = (Arc::clone(&self.world), Arc::clone(&self.reserved));
        Self { world, behind: self.behind, ready: false, reserved }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.release();
    }
}

impl Service<Request<usize>> for Scripted {
    type Response = Response<()>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Response<()>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut inside = self.world.lock().unwrap();
        if self.behind && !inside.door {
            inside.behind.push(cx.waker().clone());
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.ready, true) {
            self.reserved.fetch_add(1, Ordering::SeqCst);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<usize>) -> Self::Future {
        assert!(self.release(), "called unready");
        let answered = self.world.lock().unwrap().sent(*request.body());
        Box::pin(async move {
            let response = Response::builder();
            let response = match answered.await.unwrap_or(Reply::Failure) {
                Reply::Success => response,
                Reply::Refusal(0) => response.status(429),
                Reply::Refusal(hint) => response.status(429).header("retry-after", hint),
                Reply::Neutral => response.status(500),
                Reply::Failure => return Err(std::io::Error::other("connection reset")),
            };
            Ok(response.body(()).unwrap())
        })
    }
}

struct History {
    world: World,
    layer: RetryAfterBackoffLayer,
    tasks: Vec<JoinHandle<()>>,
    reserved: Arc<AtomicUsize>,
}

impl History {
    fn new() -> Self {
        let layer = RetryAfterBackoffLayer::builder()
            .ladder(Ladder::new(secs(5), secs(20)))
            .reopen_width(u32::try_from(REOPEN_WIDTH).unwrap())
            .probe_lease(secs(100_000))
            .build();
        let inside = Inside {
            cooldowns: layer.cooldowns(),
            callers: BTreeMap::new(),
            since: None,
            door: true,
            door_known: true,
            behind: Vec::new(),
            until: None,
        };
        Self {
            world: Arc::new(Mutex::new(inside)),
            layer,
            tasks: Vec::new(),
            reserved: Arc::default(),
        }
    }

    fn step(&mut self, step: Step) {
        let cooldowns = self.layer.cooldowns();
        match step {
            Step::Arrive { most, behind } => self.arrive(most, behind),
            Step::GiveUp(index) => {
                let left: Vec<_> = self.tasks.iter().filter(|task| !task.is_finished()).collect();
                if let Some(task) = left.get(index % left.len().max(1)) {
                    task.abort();
                }
            }
            Step::Answer(index, reply) => {
                let unanswered =
                    |stage: &Stage| matches!(stage, Stage::Out { answer: Some(_), .. });
                let Some(who) = self.pick(index, unanswered) else {
                    return;
                };
                let answer = match self.world.lock().unwrap().callers.get_mut(&who) {
                    Some(Stage::Out { answer, .. }) => answer.take(),
                    _ => None,
                };
                let _ = answer.map(|answer| answer.send(reply));
            }
            Step::Cool(seconds) => cooldowns.cool(&upstream(A), secs(seconds)),
            Step::Clear => {
                cooldowns.clear(&upstream(A));
                // What was just learned is forgotten; the herd's test has the rest.
                self.world.lock().unwrap().since = None;
            }
            Step::Door { open } => {
                let wakers = {
                    let mut inside = self.world.lock().unwrap();
                    inside.door_known = false;
                    inside.door = open;
                    std::mem::take(&mut inside.behind)
                };
                wakers.into_iter().for_each(std::task::Waker::wake);
            }
            Step::Wait(_) => {}
        }
    }

    fn arrive(&mut self, most: u64, behind: bool) {
        let (world, reserved) = (Arc::clone(&self.world), Arc::clone(&self.reserved));
        let inner = Scripted { world, behind, ready: false, reserved };
        let client = self.layer.waiting(secs(most)).layer(inner);
        let world = Arc::clone(&self.world);
        let task = tokio::spawn(async move {
            let mut client = client.ready_oneshot().await.unwrap();
            let deadline = now() + secs(most);
            // Counted by when they call, as the line does.
            let who = world.lock().unwrap().arrives(behind);
            let ended = Ended { who, world: Arc::clone(&world) };
            let call = client.call(Request::get(A).body(who).unwrap());
            world.lock().unwrap().waits(who, deadline);
            let answer = call.await;
            world.lock().unwrap().ended(who, matches!(&answer, Ok(ok) if ok.status() == 200));
            if let Err(Error::RateLimited(limited)) = &answer {
                let in_vain = limited.until() > deadline;
                assert!(now() == deadline || in_vain, "{who} gave up early: {limited}");
            }
            drop(ended);
        });
        self.tasks.push(task);
    }

    fn pick(&self, index: usize, which: impl Fn(&Stage) -> bool) -> Option<usize> {
        let inside = self.world.lock().unwrap();
        let some: Vec<usize> =
            inside.callers.iter().filter(|(_, stage)| which(stage)).map(|(&who, _)| who).collect();
        some.get(index % some.len().max(1)).copied()
    }

    /// Lets everybody act, and looks what comes of it.
    async fn settle(&mut self) {
        // The timer's own grain: everything that is due at this instant is done.
        rest(millis(1)).await;
        let mut inside = self.world.lock().unwrap();
        inside.door_known = true;
        inside.look();
        inside.check();
    }

    async fn run(mut self, steps: Vec<(Step, bool)>) {
        for (step, settle) in steps {
            self.step(step);
            self.world.lock().unwrap().look();
            if let Step::Wait(time) = step {
                rest(millis(time)).await;
            }
            if settle {
                self.settle().await;
            }
        }
        self.finish().await;
    }

    /// Answers everybody: all are served, or have waited too long, and nothing is
    /// left.
    async fn finish(mut self) {
        self.step(Step::Door { open: true });
        for _ in 0..10_000 {
            self.settle().await;
            if self.has(|stage| matches!(stage, Stage::Out { .. })) {
                self.step(Step::Answer(0, Reply::Success));
            } else if self.tasks.iter().any(|task| !task.is_finished()) {
                rest(secs(1)).await;
            } else {
                break;
            }
        }
        for task in self.tasks {
            assert!(task.await.map_or_else(|error| error.is_cancelled(), |()| true));
        }
        assert_eq!(self.reserved.load(Ordering::SeqCst), 0);
        let inside = self.world.lock().unwrap();
        assert!(inside.callers.values().all(|stage| matches!(stage, Stage::Ended)));
        let shown = format!("{:?}", inside.cooldowns);
        assert!(shown.contains("lines: 0"), "{shown}");
    }

    fn has(&self, which: impl Fn(&Stage) -> bool) -> bool {
        self.world.lock().unwrap().callers.values().any(which)
    }
}

/// Notes the end of a caller that gives up.
struct Ended {
    who: usize,
    world: World,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Ok(mut inside) = self.world.lock() {
            inside.ended(self.who, false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/waiting.txt",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_and_goes_the_line_keeps_its_promises(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async { History::new().run(steps).await });
    }
}
