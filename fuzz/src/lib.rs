//! Fuzz targets: plain functions over bytes, with assertions.
//!
//! A target takes any input, and panics where the crate breaks a promise. They build on
//! stable Rust and need nothing else; README.md says how to run them, by themselves and
//! under libFuzzer.
//!
//! ```text
//! hints.rs, verdicts.rs    what a response says: inputs are heads, as text (head.rs)
//! keys.rs                  who a request goes to: a URI and a few lines
//! stored.rs                what reads stored text: JSON
//! plans.rs                 the schedule's state and peers: scripts (script.rs)
//! table.rs, line.rs        the layers and their table: scripts, in virtual time (wire.rs)
//! drive.rs, mutate.rs      replaying seeds, and making inputs of them
//! ```
#![forbid(unsafe_code)]

mod drive;
mod head;
mod hints;
mod keys;
mod line;
mod mutate;
mod plans;
mod script;
mod stored;
mod table;
mod verdicts;
mod wire;

pub use drive::{Failure, run, try_input};
pub use hints::{hint_grpc, hint_headers, hint_quota};
pub use keys::upstream_keys;
pub use line::line;
pub use plans::schedule;
pub use stored::snapshot;
pub use table::table;
pub use verdicts::classify;

use std::path::{Path, PathBuf};

/// A function over bytes, and its name.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder of seeds.
    pub name: &'static str,
    /// The function, which panics where a promise is broken.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target { name: "hint_headers", check: hint_headers },
    Target { name: "hint_quota", check: hint_quota },
    Target { name: "hint_grpc", check: hint_grpc },
    Target { name: "classify", check: classify },
    Target { name: "upstream_keys", check: upstream_keys },
    Target { name: "snapshot", check: snapshot },
    Target { name: "schedule", check: schedule },
    Target { name: "table", check: table },
    Target { name: "line", check: line },
];

impl Target {
    /// Returns the folder of its seeds.
    pub fn seeds(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(self.name)
    }
}

/// Makes the program of a target: libFuzzer's where `cargo fuzz` builds it, else one that
/// replays inputs and makes some of its own.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::run(Some(stringify!($name)))
        }
    };
}
