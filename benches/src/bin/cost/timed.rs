//! Nanoseconds of this build's cases, and how they scale to a second thread.

use std::collections::HashMap;

use serde_json::json;
use tower_retry_after_benches::cases::{self, Case, Made};
use tower_retry_after_benches::pace::{self, Maker};

/// Measures all cases in turn, in so many windows; prints a line of JSON for each.
pub(crate) fn rows(windows: usize) {
    let cases = cases::all();
    let made: Vec<Made> = cases.iter().map(Case::make).collect();
    let makers: Vec<&Maker<'static>> = made.iter().map(Made::maker).collect();
    let (measured, two_cores) = pace::windows(&makers, windows);
    let names = cases.iter().map(|case| case.name);
    let nanos: HashMap<&str, Vec<f64>> =
        names.zip(&measured).map(|(name, windows)| (name, windows.nanos().collect())).collect();
    for (case, measured) in cases.iter().zip(&measured) {
        // Window by window: what slows the machine down for long slows both.
        let (own, under) = (&nanos[case.name], &nanos[case.over]);
        let over = own.iter().zip(under).map(|(own, under)| own - under).collect();
        let scaling = measured.pace().scaling();
        let scaling = (two_cores && scaling > 0.0).then_some(scaling);
        println!(
            "{}",
            json!({ "case": case.name, "over": case.over, "build": cases::build(),
                    "nanos": median(own.clone()), "nanos_over": median(over), "scaling": scaling })
        );
    }
}

/// Returns the middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
