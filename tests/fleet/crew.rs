//! Workers as their parent sees them: processes that are told and tell, line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::server::{Redis, faketime};
use crate::site::Site;
use crate::support::{millis, secs};
use crate::worker::{MARK, SETTINGS};

/// What a worker is to be.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where its Redis is: a URL.
    pub(crate) redis: String,
    pub(crate) namespace: String,
    /// What it calls.
    pub(crate) url: String,
    pub(crate) id: u64,
    pub(crate) callers: u64,
    /// How long a caller rests between two calls.
    pub(crate) pause: Duration,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) lease: Duration,
    /// Each path is an upstream of its own.
    pub(crate) keyed: bool,
    /// How far its wall clock is off, as libfaketime reads it.
    pub(crate) clock: Option<String>,
}

impl Settings {
    pub(crate) fn new(redis: &Redis, site: &Site) -> Self {
        Self {
            redis: redis.url(),
            namespace: "bars".to_owned(),
            url: site.url(),
            id: 0,
            callers: 1,
            pause: millis(20),
            base: millis(200),
            cap: secs(10),
            lease: secs(5),
            keyed: false,
            clock: None,
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn write(&self) -> String {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        json!({
            "redis": self.redis, "namespace": self.namespace, "url": self.url, "id": self.id,
            "callers": self.callers, "pause": millis(self.pause), "base": millis(self.base),
            "cap": millis(self.cap), "lease": millis(self.lease), "keyed": self.keyed,
        })
        .to_string()
    }

    pub(crate) fn read(text: &str) -> Self {
        let all: Value = serde_json::from_str(text).unwrap();
        let text = |name: &str| all[name].as_str().unwrap().to_owned();
        let number = |name: &str| all[name].as_u64().unwrap();
        Self {
            redis: text("redis"),
            namespace: text("namespace"),
            url: text("url"),
            id: number("id"),
            callers: number("callers"),
            pause: millis(number("pause")),
            base: millis(number("base")),
            cap: millis(number("cap")),
            lease: millis(number("lease")),
            keyed: all["keyed"].as_bool().unwrap(),
            clock: None,
        }
    }
}

/// What a worker has said.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// On the clock that all processes share.
    pub(crate) at: u64,
    pub(crate) kind: String,
    pub(crate) words: Vec<String>,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(MARK)?.split_whitespace().map(str::to_owned);
        let at = words.next()?.parse().ok()?;
        Some(Self { at, kind: words.next()?, words: words.collect() })
    }

    pub(crate) fn number(&self, index: usize) -> u64 {
        self.words[index].parse().unwrap()
    }
}

/// How it stands with the upstream, as a worker says.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) state: String,
    /// On the worker's wall clock, in microseconds.
    pub(crate) until: u64,
    pub(crate) rung: u64,
}

/// What became of a worker's calls since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) held: u64,
    pub(crate) failed: u64,
    pub(crate) waited: u64,
    pub(crate) violations: u64,
}

impl Tally {
    /// Returns whether no call failed, none waited, and none was sent in a cooldown.
    pub(crate) fn is_calm(&self) -> bool {
        (self.failed, self.waited, self.violations) == (0, 0, 0)
    }
}

type Said = Arc<(Mutex<Vec<Line>>, Condvar)>;

/// A worker; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    input: ChildStdin,
    said: Said,
}

/// The longest that anything takes which a worker is asked.
const PATIENCE: Duration = Duration::from_secs(20);

impl Worker {
    /// Starts one, and waits until it is in step.
    pub(crate) fn start(settings: &Settings) -> Self {
        let worker = Self::spawn(settings);
        worker.wait_for("ready", 0);
        worker
    }

    /// Starts so many, which differ by their numbers.
    pub(crate) fn start_many(settings: &Settings, count: u64) -> Vec<Self> {
        let with_id = |id| settings.clone().with(|settings| settings.id = id);
        let workers: Vec<_> = (0..count).map(|id| Self::spawn(&with_id(id))).collect();
        for worker in &workers {
            worker.wait_for("ready", 0);
        }
        workers
    }

    fn spawn(settings: &Settings) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        if let Some(clock) = &settings.clock {
            command.env("LD_PRELOAD", faketime().unwrap()).env("FAKETIME", clock);
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut child = command
            .args(["--exact", "worker::a_worker_is_this_very_program"])
            .args(["--nocapture", "--quiet"])
            .env(SETTINGS, settings.write())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let said = Said::default();
        let told = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(line) = Line::read(&line) {
                    told.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    told.1.notify_all();
                }
            }
        });
        Self { child, input, said }
    }

    /// Tells it something.
    pub(crate) fn say(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
        self.input.flush().unwrap();
    }

    /// Returns how many lines it has said.
    pub(crate) fn mark(&self) -> usize {
        self.said.0.lock().unwrap().len()
    }

    /// Waits for a line of that kind, among those from the given one on.
    pub(crate) fn wait_for(&self, kind: &str, from: usize) -> Line {
        let start = clock::now();
        let mut said = self.said.0.lock().unwrap();
        loop {
            if let Some(line) = said[from..].iter().find(|line| line.kind == kind) {
                return line.clone();
            }
            let left = PATIENCE.checked_sub(start.elapsed());
            let left = left.unwrap_or_else(|| panic!("no {kind}: {:?}", &said[from..]));
            said = self.said.1.wait_timeout(said, left).unwrap().0;
        }
    }

    /// Tells it something, and waits for what it says to it.
    pub(crate) fn ask(&mut self, what: &str, kind: &str) -> Line {
        let mark = self.mark();
        self.say(what);
        self.wait_for(kind, mark)
    }

    /// Returns all lines of that kind, from the given one on.
    pub(crate) fn lines(&self, kind: &str, from: usize) -> Vec<Line> {
        let said = self.said.0.lock().unwrap();
        said[from..].iter().filter(|line| line.kind == kind).cloned().collect()
    }

    pub(crate) fn table(&mut self) -> Table {
        let line = self.ask("table", "table");
        Table { state: line.words[0].clone(), until: line.number(1), rung: line.number(2) }
    }

    pub(crate) fn tally(&mut self) -> Tally {
        let mark = self.mark();
        let line = self.ask("tally", "tally");
        let tally = Tally {
            answered: line.number(0),
            refused: line.number(1),
            held: line.number(2),
            failed: line.number(3),
            waited: line.number(4),
            violations: line.number(5),
        };
        if !tally.is_calm() {
            std::thread::sleep(millis(50));
            for kind in ["violation", "failed"] {
                let lines = self.lines(kind, if kind == "failed" { 0 } else { mark });
                eprintln!("{kind}: {:?}", lines.iter().take(5).collect::<Vec<_>>());
            }
        }
        tally
    }

    /// Returns whether it is in step, as far as it knows.
    pub(crate) fn is_in_step(&mut self) -> bool {
        self.ask("step", "step").words[0] == "true"
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells all of them something.
pub(crate) fn tell(workers: &mut [Worker], what: &str) {
    for worker in workers {
        worker.say(what);
    }
}

/// Returns what became of all their calls.
pub(crate) fn tally(workers: &mut [Worker]) -> Tally {
    workers.iter_mut().map(Worker::tally).fold(Tally::default(), |sum, tally| Tally {
        answered: sum.answered + tally.answered,
        refused: sum.refused + tally.refused,
        held: sum.held + tally.held,
        failed: sum.failed + tally.failed,
        waited: sum.waited + tally.waited,
        violations: sum.violations + tally.violations,
    })
}

/// Returns how it stands with the upstream, as each of them says.
pub(crate) fn tables(workers: &mut [Worker]) -> Vec<Table> {
    workers.iter_mut().map(Worker::table).collect()
}

/// Returns how far the tables are apart, in microseconds; nothing where they do not tell
/// of the same state and rung.
pub(crate) fn spread(tables: &[Table]) -> Option<u64> {
    let first = tables.first()?;
    let alike = |table: &Table| table.state == first.state && table.rung == first.rung;
    let untils = || tables.iter().map(|table| table.until);
    tables.iter().all(alike).then(|| untils().max().unwrap() - untils().min().unwrap())
}
