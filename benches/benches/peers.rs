//! Instructions of a call in every case of the comparison, counted by callgrind.
//!
//! Each makes `CALLS` calls with requests built beforehand; the `cost` program
//! divides, and subtracts what the case is measured over.
#![allow(missing_docs, reason = "the harness makes public items")]

use std::any::Any;

use gungraun::prelude::*;
use tower_retry_after_benches::CALLS;
use tower_retry_after_benches::cases::{self, Prepared};

/// Prepares the case of that number; all others remain unmade.
fn prepare(number: usize) -> Prepared {
    cases::all()[number].make().prepare(CALLS)
}

#[library_benchmark]
#[benches::case(iter = 0..cases::all().len(), setup = prepare)]
fn calls(prepared: Prepared) -> impl Any {
    prepared.run()
}

library_benchmark_group!(name = peers, benchmarks = [calls]);
main!(library_benchmark_groups = peers);
