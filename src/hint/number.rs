//! Decimals of any length: as a wait, or as a moment since 1970.
//!
//! No minus, no exponent, no digits but ASCII's: `-43`, `1e3`, `0x78` and `inf` are none here.

use std::time::Duration;

use super::scan::Scanner;
use super::wall::WallTime;

/// Units in nanoseconds, signed and wide: any time, any wait and their difference fit.
pub(crate) const MICROSECOND: i128 = 1_000;
pub(crate) const MILLISECOND: i128 = 1_000_000;
pub(crate) const SECOND: i128 = 1_000_000_000;
pub(crate) const MINUTE: i128 = 60 * SECOND;
pub(crate) const HOUR: i128 = 60 * MINUTE;
pub(crate) const DAY: i128 = 24 * HOUR;
pub(crate) const WEEK: i128 = 7 * DAY;

/// How far from now a number may lie to be read as a moment since 1970: a leap year.
///
/// A reset lies at most a year ahead, and a wait of more than fifty years is none.
const EPOCH_WINDOW: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A decimal as it stands in a text: as many digits as the sender liked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    /// Reads a text that is a decimal and nothing else; one `+` may lead it.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        let mut scan = Scanner::new(text);
        scan.eat(b'+');
        let decimal = Self::scan(&mut scan)?;
        scan.is_done().then_some(decimal)
    }

    /// Takes a decimal: `12`, `12.5`, `.5` or `5.`.
    pub(crate) fn scan(scan: &mut Scanner<'a>) -> Option<Self> {
        let whole = scan.digits();
        let fraction = if scan.eat(b'.').is_some() { scan.digits() } else { &[] };
        let has_digits = !whole.is_empty() || !fraction.is_empty();
        has_digits.then_some(Self { whole, fraction })
    }

    /// Returns so many times `unit` nanoseconds: exact, or rounded up, or the largest there is.
    pub(crate) fn nanos(self, unit: i128) -> i128 {
        let ten_times = |sum: i128| sum.saturating_mul(10);
        let digits = self.whole.iter();
        let whole = digits.fold(0, |sum, digit| ten_times(sum).saturating_add(value(*digit)));
        whole.saturating_mul(unit).saturating_add(fraction(self.fraction, unit))
    }

    /// Returns whether the number is zero, down to its last digit.
    pub(crate) fn is_zero(self) -> bool {
        self.whole.iter().chain(self.fraction).all(|digit| *digit == b'0')
    }

    /// Returns whether so many seconds are no longer than a wait may be, where moments are told
    /// from waits by their size.
    pub(crate) fn is_small(self) -> bool {
        duration(self.nanos(SECOND)) <= EPOCH_WINDOW
    }

    /// Returns the moment that is meant if the number counts from 1970, by the look of it.
    ///
    /// Seconds or milliseconds, whichever is close to `now`; both never are. What is at most as
    /// long as the window is always a wait: a clock that was never set says 1970, and to it every
    /// wait would look like a moment.
    pub(crate) fn epoch(self, now: WallTime) -> Option<WallTime> {
        [SECOND, MILLISECOND].into_iter().find_map(|unit| {
            let nanos = self.nanos(unit);
            let moment = WallTime::from_epoch(nanos);
            let is_close = moment.distance(now) <= EPOCH_WINDOW && duration(nanos) > EPOCH_WINDOW;
            is_close.then_some(moment)
        })
    }
}

/// Returns `unit` times the fraction with these digits, rounded up to whole nanoseconds.
///
/// Goes from the last digit to the first. Rounding up at every division is the same as rounding up
/// once at the end, so any number of digits is exact.
pub(crate) fn fraction(digits: &[u8], unit: i128) -> i128 {
    digits.iter().rfold(0_i128, |nanos, digit| {
        let tenths = value(*digit).saturating_mul(unit).saturating_add(nanos);
        tenths.saturating_add(9) / 10
    })
}

/// Turns nanoseconds into a duration: zero if negative, [`Duration::MAX`] if too many.
pub(crate) fn duration(nanos: i128) -> Duration {
    let nanos = nanos.max(0);
    match (u64::try_from(nanos / SECOND), u32::try_from(nanos % SECOND)) {
        (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
        _ => Duration::MAX,
    }
}

fn value(digit: u8) -> i128 {
    i128::from(digit.saturating_sub(b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Option<Decimal<'_>> {
        Decimal::read(text.as_bytes())
    }

    #[test]
    fn digits_beyond_the_nanosecond_round_up() {
        let nanos = |text| decimal(text).map(|decimal| decimal.nanos(SECOND));
        assert_eq!(nanos("1.000000001"), Some(1_000_000_001));
        assert_eq!(nanos("1.0000000010"), Some(1_000_000_001));
        assert_eq!(nanos("1.00000000100000000000001"), Some(1_000_000_002));
        assert_eq!(nanos("0.99999999999"), Some(SECOND));
        assert_eq!(nanos("."), None);
        assert_eq!(nanos("++1"), None);
    }

    #[test]
    fn a_fraction_of_any_unit_is_exact() {
        // Of a third of an hour, sixteen digits lack less than a nanosecond and twelve lack 1.2.
        assert_eq!(fraction(b"5", WEEK), WEEK / 2);
        assert_eq!(fraction(b"3333333333333333", HOUR), 20 * MINUTE);
        assert_eq!(fraction(b"333333333333", HOUR), 20 * MINUTE - 1);
    }

    #[test]
    fn a_number_is_zero_down_to_its_last_digit() {
        let is_zero = |text| decimal(text).is_some_and(Decimal::is_zero);
        assert!(["0", "00", "+0", ".0", "0.000"].into_iter().all(is_zero));
        assert!(!["1", "10", "0.0000000000001", "99"].into_iter().any(is_zero));
    }

    #[test]
    fn a_number_of_seconds_is_small_up_to_a_leap_year() {
        let is_small = |text| decimal(text).is_some_and(Decimal::is_small);
        assert!(["0", "1.5", "31622400"].into_iter().all(is_small));
        assert!(!["31622400.000000001", "1781525100"].into_iter().any(is_small));
    }

    #[test]
    fn no_wait_up_to_a_year_is_an_epoch() {
        let year = "31622400";
        for seconds in [0, 1, 31_000_000, 62_000_000] {
            let now = WallTime::from_epoch(SECOND.saturating_mul(seconds));
            assert_eq!(decimal(year).and_then(|year| year.epoch(now)), None);
        }
    }
}
