//! Where and when something was measured.

use std::process::Command;

/// Describes the machine, the compiler and the day, in a line.
pub(crate) fn describe() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model =
        model.map_or("an unknown processor", |model| model.trim_start_matches([':', '\t', ' ']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let rustc = Command::new(rustc).arg("--version").output();
    let rustc = rustc.map(|run| String::from_utf8_lossy(&run.stdout).trim().to_owned());
    format!("{model}, {cores} cores, {}, {}", rustc.unwrap_or_default(), today())
}

/// Returns the day, in UTC.
#[expect(clippy::disallowed_methods, reason = "a report says when it was made")]
fn today() -> String {
    let now = httpdate::HttpDate::from(std::time::SystemTime::now()).to_string();
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    now.get(5..16).unwrap_or_default().to_owned()
}
