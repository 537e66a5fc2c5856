//! What the example writes: a line a second, what happens in between, and the sums.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use crate::team::{Tally, Team};
use crate::upstream::{ANSWERED, WINDOW};
use crate::worker::{CALLERS, PAUSE};

pub(crate) struct Show {
    /// What was counted when the last line was written: of each worker of the team that
    /// is shown in full, and of the other one together.
    before: Vec<Tally>,
    next_line: Duration,
    sums: Sums,
    is_coloured: bool,
}

/// What the fleet met while it was in step, and while it was not.
#[derive(Default)]
struct Sums {
    in_step: Met,
    apart: Met,
    before: Met,
    is_apart: bool,
}

/// What became of a team's calls in some time, and how often its upstream had enough.
#[derive(Clone, Copy, Default)]
struct Met {
    lasting: Duration,
    tally: Tally,
    shut: u64,
}

impl Show {
    /// Tells what is going to be seen.
    pub(crate) fn begin(teams: &[Team]) -> Self {
        let workers = teams.first().map_or(0, Team::size);
        let mut text = format!(
            "{workers} processes share an upstream that answers {ANSWERED} requests in {WINDOW:?} and refuses\n\
             more. Each has {CALLERS} callers, which pause for {PAUSE:?} or a little more between two calls.\n",
        );
        if let [fleet, alone] = teams {
            let (fleet, alone) = (fleet.size(), alone.size());
            // Writing to a text does not fail.
            let _ = writeln!(
                text,
                "These {fleet} are a fleet; {alone} others, each for itself, share another such upstream.",
            );
        }
        text.push_str(
            "Each second: requests sent, those refused with a 429, calls held back instead.\n\n",
        );
        text.push_str(&heads(teams));
        print(&text);
        Self {
            before: vec![Tally::default(); shown(teams).len()],
            next_line: Duration::from_secs(1),
            sums: Sums::default(),
            is_coloured: is_coloured(),
        }
    }

    /// Writes a line if a second is over.
    pub(crate) fn look(&mut self, now: Duration, teams: &[Team]) {
        if now < self.next_line {
            return;
        }
        let tallies = shown(teams);
        let mut line = format!("{:>3} s ", self.next_line.as_secs());
        for (tally, before) in tallies.iter().zip(&self.before) {
            let Tally { sent, refused, rejected } = tally.since(*before);
            let refused = if refused == 0 { "-".to_owned() } else { refused.to_string() };
            let _ = write!(line, " {sent:>4} {refused:>3} {rejected:>4} ");
        }
        print(&format!("{}\n", line.trim_end()));
        self.before = tallies;
        self.next_line = self.next_line.saturating_add(Duration::from_secs(1));
    }

    /// Writes what has happened.
    pub(crate) fn mark(&self, now: Duration, what: &str) {
        let (colour, plain) = if self.is_coloured { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
        print(&format!("{colour}{:>6.2} s  {what}{plain}\n", now.as_secs_f64()));
    }

    /// From now on the fleet is in step, or is not.
    pub(crate) fn turn(&mut self, now: Duration, fleet: &Team, is_apart: bool) {
        self.sums.turn(met(fleet, now), is_apart);
    }

    /// Writes the sums.
    pub(crate) fn sum_up(&mut self, now: Duration, teams: &[Team]) {
        let mut table = format!(
            "\nafter {:.1} s\n{:<23}{:>7}{:>7}{:>10}{:>9}{:>9}{:>10}\n",
            now.as_secs_f64(),
            "",
            "time",
            "sent",
            "answered",
            "refused",
            "used up",
            "each time",
        );
        for team in teams {
            if team.is_fleet() {
                self.sums.turn(met(team, now), false);
                let Sums { in_step, apart, .. } = self.sums;
                table.push_str(&row("the fleet", in_step));
                table.push_str(&row("the fleet, Redis away", apart));
            } else {
                table.push_str(&row("without a fleet", met(team, now)));
            }
        }
        table.push_str(
            "\nUsed up: in how many of its windows the upstream had to refuse. What was on its way\n\
             when it began to is refused with a fleet as well.\n",
        );
        print(&table);
    }
}

impl Sums {
    fn turn(&mut self, met: Met, is_apart: bool) {
        let sum = if self.is_apart { &mut self.apart } else { &mut self.in_step };
        let Met { lasting, tally, shut } = self.before;
        sum.lasting = sum.lasting.saturating_add(met.lasting.saturating_sub(lasting));
        sum.tally = sum.tally.plus(met.tally.since(tally));
        sum.shut = sum.shut.saturating_add(met.shut.saturating_sub(shut));
        (self.before, self.is_apart) = (met, is_apart);
    }
}

/// What a team has met so far.
fn met(team: &Team, lasting: Duration) -> Met {
    Met { lasting, tally: together(team), shut: team.site.shut() }
}

fn together(team: &Team) -> Tally {
    team.tallies().into_iter().fold(Tally::default(), Tally::plus)
}

/// The tallies that a line shows: the first team's one by one, and the other's as one.
fn shown(teams: &[Team]) -> Vec<Tally> {
    let mut teams = teams.iter();
    let mut shown = teams.next().map_or_else(Vec::new, Team::tallies);
    shown.extend(teams.map(together));
    shown
}

fn heads(teams: &[Team]) -> String {
    let mut names: Vec<String> = Vec::new();
    for team in teams {
        if names.is_empty() {
            names.extend((1..=team.size()).map(|number| format!("worker {number}")));
        } else {
            names.push("without a fleet".to_owned());
        }
    }
    let above: Vec<String> = names.iter().map(|name| format!("{name:^15}")).collect();
    let below = " sent 429 held ".repeat(names.len());
    format!("      {}\n      {}\n", above.concat().trim_end(), below.trim_end())
}

fn row(name: &str, met: Met) -> String {
    let Met { lasting, tally: Tally { sent, refused, .. }, shut } = met;
    let seconds = lasting.as_secs_f64();
    let answered = sent.saturating_sub(refused);
    let each = if shut == 0 { "-".to_owned() } else { format!("{:.1}", share(refused, shut)) };
    format!("{name:<23}{seconds:>5.1} s{sent:>7}{answered:>10}{refused:>9}{shut:>9}{each:>10}\n")
}

#[expect(clippy::cast_precision_loss, reason = "small numbers, for people")]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

/// On a terminal whose owner has not set `NO_COLOR`.
fn is_coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && io::stdout().is_terminal()
}

/// Writes to standard output; if nobody reads it any more, there is nothing left to do.
///
/// The workers and Redis end by themselves then, as their owner is gone.
pub(crate) fn print(text: &str) {
    if io::stdout().lock().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}
