//! Durations with units: `6m0s`, `30 seconds`, `PT1M30S`.
//!
//! Larger units come first and none comes twice. Years and months have no fixed length, so they
//! are unreadable.

use std::time::Duration;

use super::number::{self, DAY, Decimal, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND, WEEK};
use super::scan::Scanner;

/// Reads a text that is a duration with units and nothing else; one `+` may lead it.
pub(crate) fn read(text: &[u8]) -> Option<Duration> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let nanos = match text.strip_prefix(b"P") {
        Some(parts) => iso_8601(parts),
        None => sum(text, unit),
    };
    nanos.map(number::duration)
}

/// Reads what stands behind the `P` of an ISO 8601 duration.
fn iso_8601(text: &[u8]) -> Option<i128> {
    if text.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let mut halves = text.splitn(2, |byte| *byte == b'T');
    let (days, time) = (halves.next()?, halves.next());
    match time {
        None => sum(days, date_unit),
        Some(time) if days.is_empty() => sum(time, time_unit),
        Some(time) => Some(sum(days, date_unit)?.saturating_add(sum(time, time_unit)?)),
    }
}

/// Adds up amounts that are followed by their units; there must be at least one.
fn sum(text: &[u8], unit_of: fn(&[u8]) -> Option<i128>) -> Option<i128> {
    let mut scan = Scanner::new(text);
    let mut total: Option<i128> = None;
    let mut last = i128::MAX;
    while !scan.is_done() {
        let amount = Decimal::scan(&mut scan)?;
        scan.spaces();
        // A micro sign is not ASCII.
        let unit = unit_of(scan.run(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()))?;
        scan.spaces();
        if unit >= last {
            return None;
        }
        last = unit;
        total = Some(total.unwrap_or(0).saturating_add(amount.nanos(unit)));
    }
    total
}

/// Reads a unit in Go's short form, in lower case, or a word for it in any.
fn unit(name: &[u8]) -> Option<i128> {
    Some(match name {
        b"ns" => 1,
        // A micro sign or a mu in UTF-8, or the sign in Latin-1.
        b"us" | b"\xC2\xB5s" | b"\xCE\xBCs" | b"\xB5s" => MICROSECOND,
        b"ms" => MILLISECOND,
        b"s" => SECOND,
        b"m" => MINUTE,
        b"h" => HOUR,
        b"d" => DAY,
        b"w" => WEEK,
        _ => return word(name),
    })
}

fn word(name: &[u8]) -> Option<i128> {
    const WORDS: [(&str, i128); 10] = [
        ("millisecond", MILLISECOND),
        ("msec", MILLISECOND),
        ("second", SECOND),
        ("sec", SECOND),
        ("minute", MINUTE),
        ("min", MINUTE),
        ("hour", HOUR),
        ("hr", HOUR),
        ("day", DAY),
        ("week", WEEK),
    ];
    let is = |word: &str, name: &[u8]| name.eq_ignore_ascii_case(word.as_bytes());
    let singular = name.strip_suffix(b"s").or(name.strip_suffix(b"S"));
    let found = WORDS
        .into_iter()
        .find(|(word, _)| is(word, name) || singular.is_some_and(|name| is(word, name)));
    found.map(|(_, unit)| unit)
}

fn date_unit(name: &[u8]) -> Option<i128> {
    match name {
        b"W" => Some(WEEK),
        b"D" => Some(DAY),
        _ => None,
    }
}

fn time_unit(name: &[u8]) -> Option<i128> {
    match name {
        b"H" => Some(HOUR),
        b"M" => Some(MINUTE),
        b"S" => Some(SECOND),
        _ => None,
    }
}
