//! Processes that call one upstream.

use std::fmt;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::upstream::Site;

/// What a worker says of itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Report {
    /// How many calls were not sent.
    pub(crate) rejected: u64,
    pub(crate) is_in_step: bool,
    /// How long the upstream is held back, as far as it knows.
    pub(crate) left: Duration,
}

/// What has become of a worker's calls.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) refused: u64,
    pub(crate) rejected: u64,
}

/// The workers, and the upstream that limits them.
pub(crate) struct Team {
    pub(crate) site: Site,
    redis: Option<String>,
    workers: Vec<Worker>,
}

struct Worker {
    /// None while it is dead.
    process: Option<Process>,
    /// What those rejected that died.
    rejected_before: u64,
}

struct Process {
    child: Child,
    /// None until it has said something.
    last: Arc<Mutex<Option<Report>>>,
}

impl Team {
    /// Starts the workers, in a fleet if there is a Redis.
    pub(crate) async fn start(workers: usize, redis: Option<String>) -> io::Result<Self> {
        let site = Site::start(workers).await?;
        let mut team = Self { site, redis, workers: Vec::new() };
        for number in 0..workers {
            let process = Some(team.spawn(number)?);
            team.workers.push(Worker { process, rejected_before: 0 });
        }
        Ok(team)
    }

    pub(crate) fn size(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn is_fleet(&self) -> bool {
        self.redis.is_some()
    }

    /// Kills a worker, as `kill -9` does.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(worker) = self.workers.get_mut(number) {
            let last = worker.process.take().and_then(|process| process.last());
            let rejected = last.unwrap_or_default().rejected;
            worker.rejected_before = worker.rejected_before.saturating_add(rejected);
        }
    }

    /// Starts a worker anew.
    pub(crate) fn revive(&mut self, number: usize) -> io::Result<()> {
        let process = self.spawn(number)?;
        if let Some(worker) = self.workers.get_mut(number) {
            worker.process = Some(process);
        }
        Ok(())
    }

    /// Returns what a worker said last; nothing if it is dead or has not spoken yet.
    pub(crate) fn report(&self, number: usize) -> Option<Report> {
        self.workers.get(number)?.process.as_ref()?.last()
    }

    /// Returns whether all who live have their tables in step.
    pub(crate) fn is_in_step(&self) -> bool {
        let mut alive = self.workers.iter().filter_map(|worker| worker.process.as_ref());
        alive.all(|process| process.last().is_some_and(|report| report.is_in_step))
    }

    /// Returns an error if a worker has died by itself.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        for process in self.workers.iter_mut().filter_map(|worker| worker.process.as_mut()) {
            if let Some(status) = process.child.try_wait()? {
                return Err(io::Error::other(format!("a worker has ended: {status}")));
            }
        }
        Ok(())
    }

    /// Counts what has become of each worker's calls: what was sent and refused as the
    /// upstream has seen it, what was rejected as the worker says.
    pub(crate) fn tallies(&self) -> Vec<Tally> {
        let heard = self.site.heard().into_iter();
        let workers = self.workers.iter().enumerate();
        let tally = |(heard, (number, worker)): (_, (usize, &Worker))| {
            let rejected = self.report(number).unwrap_or_default().rejected;
            let rejected = worker.rejected_before.saturating_add(rejected);
            let crate::upstream::Heard { sent, refused } = heard;
            Tally { sent, refused, rejected }
        };
        heard.zip(workers).map(tally).collect()
    }

    fn spawn(&self, number: usize) -> io::Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["work", &number.to_string(), &self.site.url().to_string()]);
        command.args(&self.redis).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let last = Arc::new(Mutex::new(None));
        if let Some(output) = child.stdout.take() {
            let last = Arc::clone(&last);
            std::thread::spawn(move || listen(output, &last));
        }
        Ok(Process { child, last })
    }
}

impl Process {
    fn last(&self) -> Option<Report> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what a worker says, until it ends.
fn listen(output: ChildStdout, last: &Mutex<Option<Report>>) {
    for line in BufReader::new(output).lines() {
        let Ok(report) = line.map_err(drop).and_then(|line| line.parse()) else { return };
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }
}

impl Tally {
    /// Adds two up.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_add(other.sent),
            refused: self.refused.saturating_add(other.refused),
            rejected: self.rejected.saturating_add(other.rejected),
        }
    }

    /// Takes an earlier one off.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(before.sent),
            refused: self.refused.saturating_sub(before.refused),
            rejected: self.rejected.saturating_sub(before.rejected),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.rejected, self.is_in_step, self.left.as_millis())
    }
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut words = line.split(' ');
        let mut word = || words.next().ok_or(());
        let rejected = word()?.parse().map_err(drop)?;
        let is_in_step = word()?.parse().map_err(drop)?;
        let left = Duration::from_millis(word()?.parse().map_err(drop)?);
        Ok(Self { rejected, is_in_step, left })
    }
}
