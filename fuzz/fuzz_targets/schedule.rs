#![cfg_attr(fuzzing, no_main)]
//! The target `schedule`, for libFuzzer or by itself.

tower_retry_after_fuzz::target!(schedule);
