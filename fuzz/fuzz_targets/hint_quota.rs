#![cfg_attr(fuzzing, no_main)]
//! The target `hint_quota`, for libFuzzer or by itself.

tower_retry_after_fuzz::target!(hint_quota);
