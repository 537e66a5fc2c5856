//! What the example counts, and how it shows it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use tower_retry_after::{Cooldowns, Error, Reason};

use crate::clock;
use crate::site::{Manner, NAMES};
use crate::{FEEDS, INTERVAL};

/// How often a line is written where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// What became of the polls of all names of one manner.
#[derive(Clone, Copy, Default)]
struct Row {
    answered: u64,
    refused: u64,
    rejected: u64,
    failed: u64,
    longest_overdue: Duration,
}

pub(crate) struct Tally {
    rows: Vec<(Manner, Row)>,
    cooldowns: Cooldowns,
    began: Instant,
    lasting: Duration,
    bar: ProgressBar,
    next_line: Duration,
}

impl Tally {
    pub(crate) fn new(lasting: Duration, cooldowns: Cooldowns) -> Self {
        print(&format!(
            "{FEEDS} feeds on {NAMES} names, each polled every {INTERVAL:?}, for {lasting:?}\n"
        ));
        // It shows itself on a terminal only.
        let bar = ProgressBar::new(u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        Self {
            rows: Manner::ALL.map(|manner| (manner, Row::default())).to_vec(),
            cooldowns,
            began: clock::now(),
            lasting,
            bar,
            next_line: Duration::ZERO,
        }
    }

    /// Counts what became of a poll that was due then.
    pub(crate) fn count(
        &mut self,
        manner: Manner,
        result: &Result<usize, Error>,
        due_at: Option<SystemTime>,
    ) {
        if let Some(row) = self.row(manner) {
            match result {
                Ok(_) => row.answered = row.answered.saturating_add(1),
                Err(Error::RateLimited(limited)) if limited.reason() == Reason::Refused => {
                    row.refused = row.refused.saturating_add(1);
                }
                Err(Error::RateLimited(_)) => row.rejected = row.rejected.saturating_add(1),
                Err(_) => row.failed = row.failed.saturating_add(1),
            }
        }
        if let Some(due_at) = due_at {
            self.waits(manner, due_at);
        }
        self.show();
    }

    /// Notes how long a poll waited that was due then.
    pub(crate) fn waits(&mut self, manner: Manner, due_at: SystemTime) {
        let overdue = clock::wall_clock().duration_since(due_at).unwrap_or_default();
        if let Some(row) = self.row(manner) {
            row.longest_overdue = row.longest_overdue.max(overdue);
        }
    }

    fn row(&mut self, manner: Manner) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.0 == manner).map(|row| &mut row.1)
    }

    fn show(&mut self) {
        let elapsed = clock::now().saturating_duration_since(self.began);
        self.bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        self.bar.set_message(self.line());
        if !std::io::stderr().is_terminal() && elapsed >= self.next_line {
            self.next_line = self.next_line.saturating_add(LINE_EVERY);
            print(&format!("{:>3} s  {}\n", elapsed.as_secs(), self.line()));
        }
    }

    fn line(&self) -> String {
        let sum = |count: fn(&Row) -> u64| self.rows.iter().map(|row| count(&row.1)).sum::<u64>();
        let (answered, refused) = (sum(|row| row.answered), sum(|row| row.refused));
        let polls = answered.saturating_add(refused);
        let cooling = self.cooldowns.len();
        format!("{polls:>5} polls, {refused:>3} refused, {cooling:>2} names not clear")
    }

    /// Writes the table.
    pub(crate) fn sum_up(&self) {
        self.bar.finish_and_clear();
        let took = clock::now().saturating_duration_since(self.began).max(self.lasting);
        let mut table = format!(
            "\nafter {} s\n{:<24} {:>5} {:>6} {:>8} {:>10} {:>6} {:>15}\n",
            took.as_secs(),
            "limit of a name",
            "names",
            "polls",
            "refusals",
            "rejections",
            "failed",
            "longest overdue"
        );
        for (manner, row) in &self.rows {
            let names = (0..NAMES).filter(|name| Manner::of(*name) == *manner).count();
            let overdue = row.longest_overdue.as_secs_f64();
            // Writing to a text does not fail.
            let _ = writeln!(
                table,
                "{:<24} {names:>5} {:>6} {:>8} {:>10} {:>6} {overdue:>13.2} s",
                manner.words(),
                row.answered.saturating_add(row.refused),
                row.refused,
                row.rejected,
                row.failed,
            );
        }
        table.push_str(
            "\nA refusal cools its name: the other feeds of that name are put off together,\n\
             and a single probe goes first when the time is over.\n",
        );
        print(&table);
    }
}

/// Writes to standard output; if nobody reads it any more, there is nothing left to do.
fn print(text: &str) {
    if std::io::stdout().lock().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}
