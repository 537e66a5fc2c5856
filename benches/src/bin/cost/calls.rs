//! The table of calls: one row for each case of both builds.

use std::collections::HashMap;
use std::process::Stdio;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower_retry_after_benches::run;

use crate::Effort;
use crate::table::{Style, number, table};

/// The features of each build.
const BUILDS: [&[&str]; 2] = [&[], &["--features", "every"]];

/// A case, measured.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    over: String,
    build: String,
    nanos: f64,
    nanos_over: f64,
    scaling: Option<f64>,
    #[serde(skip)]
    instructions: Option<f64>,
    #[serde(skip)]
    pub(crate) instructions_over: Option<f64>,
    #[serde(skip)]
    allocations: Option<f64>,
    #[serde(skip)]
    pub(crate) allocations_over: Option<f64>,
}

impl Row {
    fn is_measured_over_itself(&self) -> bool {
        self.case == self.over
    }
}

/// What the allocator was asked for.
#[derive(Debug, Deserialize)]
struct Allocated {
    case: String,
    allocations: f64,
}

/// Measures all cases, in a build by default and in one with every feature.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let missing = run::missing_tool();
    if let Some((tool, install)) = missing {
        println!("instructions NOT COUNTED: {tool} is missing, install {install}\n");
    }
    let mut all = Vec::new();
    for features in BUILDS {
        let windows = effort.windows.to_string();
        let mut rows: Vec<Row> = lines("cost", features, &["--rows", &windows]);
        let allocated: Vec<Allocated> = lines("allocated", features, &["--calls"]);
        let allocated: HashMap<String, f64> =
            allocated.into_iter().map(|case| (case.case, case.allocations)).collect();
        let counted = match missing {
            None => run::instructions("peers", features, effort.counted),
            Some(_) => HashMap::new(),
        };
        // The bench knows the cases by their number.
        for (n, row) in rows.iter_mut().enumerate() {
            row.instructions = counted.get(&format!("case_{n}")).copied();
            row.allocations = allocated.get(&row.case).copied();
        }
        let under: HashMap<String, Row> =
            rows.iter().map(|row| (row.case.clone(), row.clone())).collect();
        for row in &mut rows {
            let Some(under) = under.get(&row.over) else { continue };
            let over = |own: Option<f64>, under| own.zip(under).map(|(own, under)| own - under);
            row.instructions_over = over(row.instructions, under.instructions);
            row.allocations_over = over(row.allocations, under.allocations);
        }
        all.extend(rows);
    }
    all
}

/// Runs another program of this package; reads its lines.
pub(crate) fn lines<T: DeserializeOwned>(bin: &str, features: &[&str], args: &[&str]) -> Vec<T> {
    let mut program = run::cargo(&["run", "--release", "--bin", bin]);
    let run = program.args(features).arg("--").args(args).stderr(Stdio::inherit()).output();
    let stdout = run.map(|run| run.stdout).unwrap_or_default();
    let lines = String::from_utf8_lossy(&stdout);
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(crate) fn print(rows: &[Row], style: Style) {
    let header = ["a call", "over", "build", "ns", "instructions", "allocations", "2 threads"];
    let cells = rows.iter().map(|row| {
        let itself = row.is_measured_over_itself();
        let cell = |own: Option<f64>, over: Option<f64>| {
            let text = number(if itself { own } else { over }, 0);
            if itself || text.starts_with(['-', '–', '0']) { text } else { format!("+{text}") }
        };
        vec![
            row.case.clone(),
            if itself { String::new() } else { row.over.clone() },
            row.build.clone(),
            cell(Some(row.nanos), Some(row.nanos_over)),
            cell(row.instructions, row.instructions_over),
            cell(row.allocations, row.allocations_over),
            number(row.scaling, 2),
        ]
    });
    println!("{}", table(style, &header, cells.collect(), 3..7));
    if rows.iter().all(|row| row.scaling.is_none()) {
        println!("\n2 threads NOT MEASURED: they did not get two cores, try on a quieter machine");
    }
}
