//! The figures, for the terminal and for other programs.

use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::bars::Judgement;
use crate::runs::{Played, Run};
use crate::strategy::Reach;

/// The columns of the terminal's table.
const COLUMNS: [&str; 9] = [
    "strategy",
    "shared by",
    "sent",
    "wasted",
    "held back",
    "useful/h",
    "to first success",
    "silence",
    "fairness",
];

/// Returns the table of a scenario.
pub(crate) fn table(played: &Played) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(COLUMNS);
    for run in &played.runs {
        table.add_row(row(run));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(run: &Run) -> [String; COLUMNS.len()] {
    let tally = &run.tally;
    let name = if run.is_told { format!("{} (told)", run.strategy) } else { run.strategy.into() };
    let recovery = tally
        .recovery
        .map(|recovery| format!("{} / {}", span(recovery.median), span(recovery.worst)));
    let none = || "–".to_owned();
    [
        name,
        shared_by(run.reach).to_owned(),
        tally.sent.to_string(),
        tally.wasted.to_string(),
        tally.held_back.to_string(),
        format!("{:.0}", tally.useful),
        recovery.unwrap_or_else(none),
        span(tally.silence),
        tally.fairness.map_or_else(none, |fairness| format!("{fairness:.3}")),
    ]
}

/// Returns who shares what is learned, in a word.
fn shared_by(reach: Reach) -> &'static str {
    match reach {
        Reach::Nobody => "–",
        Reach::Call => "a call",
        Reach::Caller => "a caller",
        Reach::Client => "all",
    }
}

/// Writes a time to three digits or so.
fn span(time: Duration) -> String {
    match time.as_millis() {
        0..1_000 => format!("{} ms", time.as_millis()),
        1_000..100_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{:.0} s", time.as_secs_f64()),
    }
}

/// Prints what came of the bars.
pub(crate) fn print(judgement: &Judgement) {
    let Judgement { bars, argued, missed, idle } = judgement;
    if !argued.is_empty() {
        println!("\nbars that are missed, and why that is in order:");
    }
    for (miss, why) in argued {
        println!("  {miss}\n    {why}");
    }
    for miss in missed {
        println!("MISSED: {miss}");
    }
    for (entry, strategy) in idle {
        println!("ARGUED FOR NOTHING: {strategy} in {:?}, {:?}", entry.scenarios, entry.figure);
    }
    let held = bars - argued.len() - missed.len();
    println!(
        "\n{held} of {bars} bars hold, {} are argued, {} are missed",
        argued.len(),
        missed.len()
    );
}

/// The columns of the file: times in seconds, what is not there empty.
const FIELDS: [&str; 14] = [
    "scenario",
    "strategy",
    "shared_by",
    "told",
    "ours",
    "sent",
    "wasted",
    "held_back",
    "useful_per_hour",
    "episodes",
    "recovery_median_s",
    "recovery_worst_s",
    "silence_s",
    "fairness",
];

/// Writes all figures to a file.
///
/// # Errors
///
/// Returns what the file system says.
pub(crate) fn write_csv(all: &[Played], path: &Path) -> Result<(), csv::Error> {
    let mut file = csv::Writer::from_path(path)?;
    file.write_record(FIELDS)?;
    for played in all {
        for run in &played.runs {
            file.write_record(record(played.scenario.name, run))?;
        }
    }
    Ok(file.flush()?)
}

fn record(scenario: &str, run: &Run) -> [String; FIELDS.len()] {
    let tally = &run.tally;
    let secs = |time: Duration| format!("{:.3}", time.as_secs_f64());
    let recovery = |read: fn(crate::tally::Recovery) -> Duration| {
        tally.recovery.map_or_else(String::new, |recovery| secs(read(recovery)))
    };
    [
        scenario.into(),
        run.strategy.into(),
        shared_by(run.reach).trim_matches('–').into(),
        run.is_told.to_string(),
        run.is_ours.to_string(),
        tally.sent.to_string(),
        tally.wasted.to_string(),
        tally.held_back.to_string(),
        format!("{:.1}", tally.useful),
        tally.recovery.map_or(0, |recovery| recovery.episodes).to_string(),
        recovery(|recovery| recovery.median),
        recovery(|recovery| recovery.worst),
        secs(tally.silence),
        tally.fairness.map_or_else(String::new, |fairness| format!("{fairness:.4}")),
    ]
}
