//! One member of a header's list: what it says, in whichever form.

use std::time::Duration;

use super::date;
use super::duration;
use super::number::{self, Decimal, MILLISECOND, SECOND};
use super::quota::Dialect;
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
    with_unit(value, now)
}

/// Reads when a quota is there again: a number in that dialect, or what says its unit itself.
pub(crate) fn reset(item: &[u8], now: WallTime, dialect: Dialect) -> Option<Duration> {
    let value = bare(item)?;
    match Decimal::read(value) {
        Some(number) => dialect.wait(number, now),
        None => with_unit(value, now),
    }
}

/// Reads a number of milliseconds.
pub(crate) fn milliseconds(item: &[u8]) -> Option<Duration> {
    let number = Decimal::read(bare(item)?)?;
    Some(number::duration(number.nanos(MILLISECOND)))
}

/// Returns whether each member of a list is zero.
///
/// Where gateways contradict each other, or one cannot be read, something may be left.
pub(crate) fn is_nothing(list: &[u8]) -> bool {
    let mut members = list.split(|byte| *byte == b',');
    members.all(|item| bare(item).and_then(Decimal::read).is_some_and(Decimal::is_zero))
}

/// Reads a duration or a date.
fn with_unit(value: &[u8], now: WallTime) -> Option<Duration> {
    duration::read(value).or_else(|| Some(now.until(date::read(value, now)?)))
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
