//! Measures what the crate promises of speed and memory, and fails where a gate
//! is missed.

mod instructions;
mod threads;

use std::process::ExitCode;

use tower_retry_after_benches::run::cargo;

/// Whether every gate has held so far.
struct Gates {
    held: bool,
}

impl Gates {
    /// Says how a gate stands, and remembers if it is missed.
    fn hold(&mut self, held: bool) -> &'static str {
        self.held &= held;
        if held { "ok" } else { "MISSED" }
    }
}

fn main() -> ExitCode {
    let mut gates = Gates { held: true };
    threads::run(&mut gates);
    instructions::run(&mut gates);
    // Programs of their own: their allocator counts, which takes time.
    for program in ["memory", "schedule", "waiters"] {
        let run = cargo(&["run", "--release", "--bin", program]).status();
        gates.held &= run.is_ok_and(|run| run.success());
    }
    if gates.held {
        println!("\nevery gate holds");
        ExitCode::SUCCESS
    } else {
        println!("\na gate is MISSED");
        ExitCode::FAILURE
    }
}
