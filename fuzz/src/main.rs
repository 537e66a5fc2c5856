//! Replays the seeds of all targets, and fuzzes each for as long as it is told.

fn main() -> std::process::ExitCode {
    tower_retry_after_fuzz::run(None)
}
