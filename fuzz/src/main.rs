#![cfg_attr(fuzzing, no_main)]
//! Replays the seeds of all targets, and fuzzes each for as long as it is told.

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tower_retry_after_fuzz::run(None)
}

// Under libFuzzer the first byte chooses the target, so that this links as well.
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, rest)) = data.split_first() {
        let targets = tower_retry_after_fuzz::TARGETS;
        (targets[usize::from(*first) % targets.len()].check)(rest);
    }
});
