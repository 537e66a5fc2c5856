//! Dates from the largest part to the smallest, RFC 3339 and ISO 8601: `2026-06-15T12:05:00Z`.
//!
//! Without a zone they are in UTC, as HTTP's own dates are.

use super::calendar::{Parts, Year};
use super::time;
use crate::hint::scan::Scanner;
use crate::hint::wall::WallTime;

/// Reads a date and time in the extended form (`2026-06-15`) or the basic one (`20260615`).
pub(super) fn read(text: &[u8], now: WallTime) -> Option<WallTime> {
    let mut scan = Scanner::new(text);
    let year = scan.number(4, 4).map(Year::Full)?;
    let is_extended = scan.eat(b'-').is_some();
    let month = scan.number(2, 2)?;
    if is_extended {
        scan.eat(b'-')?;
    }
    let day = scan.number(2, 2)?;
    scan.eat(b'T').or_else(|| scan.eat(b't')).or_else(|| scan.eat(b' '))?;
    let time =
        if is_extended { time::with_colons(&mut scan)? } else { time::without_colons(&mut scan)? };
    scan.spaces();
    let zone = if scan.is_done() { 0 } else { time::zone(&mut scan)? };
    if !scan.is_done() {
        return None;
    }
    Parts { year, month, day, time, zone }.moment(None, now)
}
