//! How the examples tell what happens.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

/// A stopwatch with a voice.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    start: Instant,
}

impl Stage {
    /// Starts the clock.
    #[allow(clippy::new_without_default, reason = "it starts something")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns how long the clock has run.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Prints a line with the time.
    pub fn say(&self, line: impl Display) {
        let elapsed = self.elapsed();
        say(format_args!("{:>3}.{:02} s  {line}", elapsed.as_secs(), elapsed.subsec_millis() / 10));
    }
}

/// Prints a line; if nobody reads any more, there is nothing left to do.
pub fn say(line: impl Display) {
    if writeln!(io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}
