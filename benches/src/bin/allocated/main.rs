//! What the compared cases allocate: how often in a call, and how many bytes for
//! each upstream. One line of JSON for each case and book; the `cost` program makes
//! the tables.
//!
//! A program of its own: its allocator counts, which takes time. `--calls` counts
//! calls, `--upstreams N` fills books up to that many.

mod books;
mod upstreams;

use std::process::ExitCode;

use serde_json::json;
use tower_retry_after_benches::{CALLS, cases};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--calls"] => calls(),
        ["--upstreams", most] => match most.parse() {
            Ok(most) => upstreams::run(most),
            Err(_) => return ExitCode::FAILURE,
        },
        _ => {
            eprintln!("--calls or --upstreams N");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Counts the allocations of a call, once one has been made.
fn calls() {
    for case in cases::all() {
        let prepared = case.make().prepare(CALLS);
        let mut kept = None;
        let counted = allocation_counter::measure(|| kept = Some(prepared.run()));
        let each = counted.count_total as f64 / CALLS as f64;
        println!("{}", json!({ "case": case.name, "allocations": each }));
    }
}
