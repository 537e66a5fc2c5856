//! Times of day and zones, which all dates write alike.

use crate::hint::number::{self, HOUR, MINUTE, SECOND};
use crate::hint::scan::Scanner;

/// Zones that the standards give one meaning, and how many hours they are ahead of UTC.
///
/// From RFC 9110 §5.6.7, RFC 3339 §5.6 and RFC 5322 §4.3. All others mean different things to
/// different people, military letters included.
const ZONES: [(&str, i64); 12] = [
    ("GMT", 0),
    ("UTC", 0),
    ("UT", 0),
    ("Z", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

/// Takes `12:05:00.5` or `12:05` and returns the nanoseconds since midnight.
pub(super) fn with_colons(scan: &mut Scanner<'_>) -> Option<i128> {
    let hour = scan.number(1, 2)?;
    scan.eat(b':')?;
    let minute = scan.number(2, 2)?;
    let second = if scan.eat(b':').is_some() { second(scan)? } else { 0 };
    since_midnight(hour, minute, second)
}

/// Takes `120500.5` or `1205` and returns the nanoseconds since midnight.
pub(super) fn without_colons(scan: &mut Scanner<'_>) -> Option<i128> {
    let hour = scan.number(2, 2)?;
    let minute = scan.number(2, 2)?;
    let has_second = scan.peek().is_some_and(|byte| byte.is_ascii_digit());
    let second = if has_second { second(scan)? } else { 0 };
    since_midnight(hour, minute, second)
}

/// Takes a second and its fraction, in nanoseconds.
///
/// Second 60 is a leap second, or lenient: either way the first one of the next minute.
fn second(scan: &mut Scanner<'_>) -> Option<i128> {
    let whole = scan.number(2, 2).filter(|second| *second <= 60)?;
    let fraction = if scan.eat(b'.').is_some() { scan.digits() } else { &[] };
    let nanos = i128::from(whole).saturating_mul(SECOND);
    Some(nanos.saturating_add(number::fraction(fraction, SECOND)))
}

fn since_midnight(hour: i64, minute: i64, second: i128) -> Option<i128> {
    let nanos = i128::from(hour)
        .saturating_mul(HOUR)
        .saturating_add(i128::from(minute).saturating_mul(MINUTE))
        .saturating_add(second);
    (hour < 24 && minute < 60).then_some(nanos)
}

/// Takes a zone and returns how many nanoseconds it is ahead of UTC.
///
/// A name, an offset (`+0200`, `+02:00`, `+02`), or both as in JavaScript's `GMT+0200`.
pub(super) fn zone(scan: &mut Scanner<'_>) -> Option<i128> {
    let name = scan.letters();
    let is = |zone: &str| name.eq_ignore_ascii_case(zone.as_bytes());
    if name.is_empty() {
        return offset(scan);
    }
    if matches!(scan.peek(), Some(b'+' | b'-')) && (is("GMT") || is("UTC")) {
        return offset(scan);
    }
    let (_, hours) = ZONES.into_iter().find(|(zone, _)| is(zone))?;
    Some(i128::from(hours).saturating_mul(HOUR))
}

fn offset(scan: &mut Scanner<'_>) -> Option<i128> {
    let is_ahead = scan.eat(b'+').is_some();
    if !is_ahead {
        scan.eat(b'-')?;
    }
    let hours = scan.number(2, 2)?;
    let has_minutes =
        scan.eat(b':').is_some() || scan.peek().is_some_and(|byte| byte.is_ascii_digit());
    let minutes = if has_minutes { scan.number(2, 2)? } else { 0 };
    let nanos = since_midnight(hours, minutes, 0)?;
    Some(if is_ahead { nanos } else { nanos.saturating_neg() })
}
