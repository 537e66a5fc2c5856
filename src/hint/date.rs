//! Dates in every form that names one moment.
//!
//! Numeric dates such as `15/06/2026` are ambiguous, a day without a time is no moment: both are
//! unreadable.

mod calendar;
mod iso;
mod text;
mod time;

use super::number::{Decimal, SECOND};
use super::scan::Scanner;
use super::wall::WallTime;

pub(crate) use self::text::begins_with_day;

/// Reads a date in any form; a two-digit year is settled by where `now` is.
pub(crate) fn read(text: &[u8], now: WallTime) -> Option<WallTime> {
    structured(text).or_else(|| iso::read(text, now)).or_else(|| text::read(text, now))
}

/// Reads one of HTTP's three forms, as strictly as RFC 9110 §5.6.7 has them.
///
/// The weekday must be right. So a fixed pivot for two-digit years, which `httpdate` has, may
/// refuse an RFC 850 date but never misreads one.
pub(crate) fn http_date(text: &[u8]) -> Option<WallTime> {
    const LEAP_SECOND: &str = "23:59:60";

    let text = str::from_utf8(text).ok()?;
    if let Ok(time) = httpdate::parse_http_date(text) {
        return Some(WallTime::from(time));
    }
    // `httpdate` refuses leap seconds, which are legal: read the second before.
    if !text.contains(LEAP_SECOND) {
        return None;
    }
    let before = text.replace(LEAP_SECOND, "23:59:59");
    let before = httpdate::parse_http_date(&before).ok()?;
    Some(WallTime::from(before).plus(SECOND))
}

/// Reads a Date item of structured fields, RFC 9651 §3.3.7: `@1781525100`.
fn structured(text: &[u8]) -> Option<WallTime> {
    let mut scan = Scanner::new(text.strip_prefix(b"@")?);
    let is_before = scan.eat(b'-').is_some();
    let nanos = Decimal::scan(&mut scan)?.nanos(SECOND);
    if !scan.is_done() {
        return None;
    }
    let nanos = if is_before { nanos.saturating_neg() } else { nanos };
    Some(WallTime::from_epoch(nanos))
}
