//! The few comparisons that are judged: of counts, which repeat.

use crate::calls::Row;

/// What costs less than what: with nothing cooling, than a breaker that is closed;
/// rejecting, than one that is open.
const LESS: [(&str, &str); 2] = [
    ("ours: nothing cooling", "tower-resilience breaker, closed"),
    ("ours: rejecting", "tower-resilience breaker, open"),
];

/// Judges what was counted; says so, beside the tables.
pub(crate) fn judge(rows: &[Row]) -> bool {
    let of = |name: &str| rows.iter().find(|row| row.case == name);
    let mut held = true;
    for (less, more) in LESS {
        let Some((a, b)) = of(less).zip(of(more)) else {
            eprintln!("NOT MEASURED: {less}, or {more}");
            held = false;
            continue;
        };
        for (what, a, b) in [
            ("instructions", a.instructions_over, b.instructions_over),
            ("allocations", a.allocations_over, b.allocations_over),
        ] {
            if let Some((a, b)) = a.zip(b) {
                let holds = a < b;
                held &= holds;
                let verdict = if holds { "ok" } else { "MISSED" };
                eprintln!("{what}: {less} {a:.0} < {more} {b:.0} {verdict}");
            }
        }
    }
    held
}
