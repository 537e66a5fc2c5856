//! The examples as programs, for tests that run them as a user would.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// Where cargo puts an example: beside the folder of this test.
pub(crate) fn program(example: &str) -> PathBuf {
    // `cargo test` has built them; a narrower command may not have, or long ago.
    static BUILT: Once = Once::new();
    let test = std::env::current_exe().expect("a test knows its path");
    let profile = test.ancestors().nth(2).expect("tests are built in <profile>/deps");
    let program =
        profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--examples"]);
        if cfg!(feature = "redis") {
            // One of them needs it.
            build.args(["--features", "redis"]);
        }
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo can be run");
        assert!(status.success(), "the examples do not build");
    });
    assert!(program.exists(), "no example at {}", program.display());
    program
}
