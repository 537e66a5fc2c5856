//! What a call costs through the layer and through what people use today, side by
//! side in one run; and what is remembered of each upstream.
//!
//! `cargo run -p tower-retry-after-benches --release --bin cost`, with `--markdown`
//! for the tables as the README has them, and `--quick` to see that all of it still
//! works. Reports, and judges nothing but a few counts.

mod calls;
mod machine;
mod ratios;
mod table;
mod timed;
mod upstreams;

use std::process::ExitCode;

use lexopt::{Arg, ValueExt};

use table::Style;

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Windows of each case, with one thread and with two.
    windows: usize,
    /// Upstreams at most.
    upstreams: usize,
    /// Which cases' instructions are counted; all, if nothing is said.
    counted: Option<&'static str>,
}

const FULL: Effort = Effort { windows: 600, upstreams: 1_000_000, counted: None };

/// What a step of CI has time for.
const QUICK: Effort = Effort { windows: 10, upstreams: 1_000, counted: Some("*::case_[0-1]") };

fn main() -> ExitCode {
    let (mut effort, mut style, mut rows) = (FULL, Style::Terminal, None);
    let mut args = lexopt::Parser::from_env();
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Long("quick"))) => effort = QUICK,
            Ok(Some(Arg::Long("markdown"))) => style = Style::Markdown,
            // How it runs itself, in a build with other features.
            Ok(Some(Arg::Long("rows"))) => rows = args.value().ok().and_then(|n| n.parse().ok()),
            _ => {
                eprintln!("cost [--quick] [--markdown]");
                return ExitCode::FAILURE;
            }
        }
    }
    if let Some(windows) = rows {
        timed::rows(windows);
        return ExitCode::SUCCESS;
    }
    println!("{}\n", machine::describe());
    let rows = calls::measure(effort);
    calls::print(&rows, style);
    println!();
    let complete = upstreams::run(effort, style);
    let held = ratios::judge(&rows);
    if complete && held && !rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
