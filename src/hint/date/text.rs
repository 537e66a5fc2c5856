//! Dates with a month's name: HTTP's own three forms, RFC 5322, cookies, `date(1)`, JavaScript.

use super::calendar::{Parts, Year};
use super::time;
use crate::hint::scan::Scanner;
use crate::hint::wall::WallTime;

const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Reads a date whose month has a name.
///
/// A weekday may lead and a comment may follow. A zone is required, save in asctime's order, which
/// is in UTC without one.
pub(super) fn read(text: &[u8], now: WallTime) -> Option<WallTime> {
    let mut scan = Scanner::new(text);
    let weekday = weekday(&mut scan);
    let parts = match scan.peek()? {
        b'0'..=b'9' => day_first(&mut scan)?,
        _ => month_first(&mut scan)?,
    };
    scan.spaces();
    match scan.run(|_| true) {
        [] | [b'(', .., b')'] => parts.moment(weekday, now),
        _ => None,
    }
}

/// Says whether a text begins as a date does behind its weekday: with a day and a month.
pub(crate) fn begins_with_day(text: &[u8]) -> bool {
    let mut scan = Scanner::new(text);
    if scan.number(1, 2).is_some() {
        scan.spaces().or_else(|| scan.eat(b'-'));
    }
    month(&mut scan).is_some()
}

/// Takes `15 Jun 2026 12:05:00 GMT` or `15-Jun-2026 12:05:00 GMT`.
fn day_first(scan: &mut Scanner<'_>) -> Option<Parts> {
    let day = scan.number(1, 2)?;
    let has_dashes = scan.peek() == Some(b'-');
    let divide = |scan: &mut Scanner<'_>| {
        if has_dashes { scan.eat(b'-') } else { scan.spaces() }
    };
    divide(scan)?;
    let month = month(scan)?;
    divide(scan)?;
    let (year, time, zone) = year_first(scan)?;
    Some(Parts { year, month, day, time, zone })
}

/// Takes `June 15, 2026 12:05:00 GMT` or `Jun 15 12:05:00 2026`.
fn month_first(scan: &mut Scanner<'_>) -> Option<Parts> {
    let month = month(scan)?;
    scan.spaces()?;
    let day = scan.number(1, 2)?;
    comma_or_spaces(scan)?;

    let mut ahead = *scan;
    let is_time = ahead.number(1, 2).is_some() && ahead.eat(b':').is_some();
    let (year, time, zone) = if is_time { year_last(scan)? } else { year_first(scan)? };
    Some(Parts { year, month, day, time, zone })
}

/// Takes `2026 12:05:00 GMT`.
fn year_first(scan: &mut Scanner<'_>) -> Option<(Year, i128, i128)> {
    let year = year(scan)?;
    scan.spaces()?;
    let time = time::with_colons(scan)?;
    scan.spaces();
    let zone = time::zone(scan)?;
    Some((year, time, zone))
}

/// Takes `12:05:00 2026` or `12:05:00 GMT 2026`.
fn year_last(scan: &mut Scanner<'_>) -> Option<(Year, i128, i128)> {
    let time = time::with_colons(scan)?;
    scan.spaces()?;
    let is_year = scan.peek()?.is_ascii_digit();
    let zone = if is_year { 0 } else { time::zone(scan)? };
    scan.spaces();
    let year = year(scan)?;
    Some((year, time, zone))
}

/// Takes a weekday, counted from Monday, and what divides it from the day; or nothing.
fn weekday(scan: &mut Scanner<'_>) -> Option<usize> {
    let mut ahead = *scan;
    let weekday = place(&WEEKDAYS, ahead.letters())?;
    comma_or_spaces(&mut ahead)?;
    *scan = ahead;
    Some(weekday)
}

/// Takes a month, counted from January, 1.
fn month(scan: &mut Scanner<'_>) -> Option<i64> {
    let place = place(&MONTHS, scan.letters())?;
    i64::try_from(place).ok()?.checked_add(1)
}

/// Takes a year of four digits or two, and no other number.
fn year(scan: &mut Scanner<'_>) -> Option<Year> {
    let mut ahead = *scan;
    match ahead.digits().len() {
        4 => scan.number(4, 4).map(Year::Full),
        2 => scan.number(2, 2).map(Year::Short),
        _ => None,
    }
}

fn comma_or_spaces(scan: &mut Scanner<'_>) -> Option<()> {
    let comma = scan.eat(b',');
    scan.spaces().or(comma)
}

/// Finds a name, whole or cut to three letters, in any case.
fn place(names: &[&str], word: &[u8]) -> Option<usize> {
    let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(word);
    names.iter().position(|name| is(name) || name.get(..3).is_some_and(is))
}
