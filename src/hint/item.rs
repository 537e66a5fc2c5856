//! One member of a header's list: what it says, in whichever form.

use std::time::Duration;

use super::date;
use super::duration;
use super::number::{self, Decimal, MILLISECOND, SECOND};
use super::scan::{Scanner, trim};
use super::wall::WallTime;

/// Reads a wait, or a moment and how long it is until then.
pub(crate) fn wait(item: &[u8], now: WallTime) -> Option<Duration> {
    let value = bare(item)?;
    if let Some(number) = Decimal::read(value) {
        return Some(match number.epoch(now) {
            Some(moment) => now.until(moment),
            None => number::duration(number.nanos(SECOND)),
        });
    }
    duration::read(value).or_else(|| Some(now.until(date::read(value, now)?)))
}

/// Reads a number of milliseconds.
pub(crate) fn milliseconds(item: &[u8]) -> Option<Duration> {
    let number = Decimal::read(bare(item)?)?;
    Some(number::duration(number.nanos(MILLISECOND)))
}

/// Returns the value without its parameters and, if it is a string, without its quotes.
///
/// Structured fields (RFC 9651) have both, and comments behind a `;` look like the former.
fn bare(item: &[u8]) -> Option<&[u8]> {
    let mut scan = Scanner::new(trim(item));
    let is_string = scan.eat(b'"').is_some();
    let value = scan.run(|byte| byte != if is_string { b'"' } else { b';' });
    if is_string {
        // What is behind the string must be parameters, or it is no string.
        scan.eat(b'"')?;
        scan.spaces();
        if !matches!(scan.peek(), None | Some(b';')) {
            return None;
        }
    }
    Some(trim(value))
}
