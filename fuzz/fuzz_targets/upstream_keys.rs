#![cfg_attr(fuzzing, no_main)]
//! The target `upstream_keys`, for libFuzzer or by itself.

tower_retry_after_fuzz::target!(upstream_keys);
