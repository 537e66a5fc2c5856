//! From the parts of a date to the moment it names, in the Gregorian calendar.

use crate::hint::number::DAY;
use crate::hint::wall::WallTime;

/// The parts of a date as they stand in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) year: Year,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
    /// Nanoseconds since midnight.
    pub(super) time: i128,
    /// Nanoseconds that the zone is ahead of UTC.
    pub(super) zone: i128,
}

/// A year as it stands in a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Year {
    /// All four digits.
    Full(i64),
    /// The last two digits, of any century.
    Short(i64),
}

impl Parts {
    /// Returns the moment that is meant, if there is such a day; `weekday` counts from Monday, 0.
    ///
    /// A full year stands by itself: a wrong weekday changes nothing.
    ///
    /// A short year means the date that was last or the one that comes next. The weekday tells
    /// which, if it fits just one of them. Otherwise RFC 9110 §5.6.7 does: the next, unless that is
    /// more than fifty years away.
    pub(super) fn moment(self, weekday: Option<usize>, now: WallTime) -> Option<WallTime> {
        let ending = match self.year {
            Year::Full(year) => return Some(self.in_year(year)?.moment),
            Year::Short(ending) => ending,
        };
        let centuries = (0..100_i64).map(|century| century.saturating_mul(100));
        let mut dates =
            centuries.filter_map(|century| self.in_year(century.saturating_add(ending)));
        let last = dates.clone().take_while(|date| date.moment < now).last();
        let next = dates.find(|date| date.moment >= now);

        let (last, next) = match (last, next) {
            (Some(last), Some(next)) => (last, next),
            (last, next) => return Some(last.or(next)?.moment),
        };
        let fits = |date: &Date| weekday == Some(date.weekday);
        let is_next = match (fits(&last), fits(&next)) {
            (true, false) => false,
            (false, true) => true,
            _ => self.fifty_years_before(&next) <= now,
        };
        Some(if is_next { next.moment } else { last.moment })
    }

    /// Returns the date in this year, unless the year has no such day.
    fn in_year(self, year: i64) -> Option<Date> {
        let exists = (1..=month_length(year, self.month)?).contains(&self.day);
        let days = days(year, self.month, self.day);
        // 1970 began on a Thursday.
        let weekday = usize::try_from(days.saturating_add(3).rem_euclid(7)).ok()?;
        exists.then(|| Date { year, weekday, moment: self.on_day(days) })
    }

    /// Returns the moment fifty years before a date; 29 February becomes 1 March.
    fn fifty_years_before(self, date: &Date) -> WallTime {
        self.on_day(days(date.year.saturating_sub(50), self.month, self.day))
    }

    /// Returns the moment at this time of a day, which counts from 1970.
    fn on_day(self, days: i64) -> WallTime {
        let midnight = i128::from(days).saturating_mul(DAY);
        WallTime::from_epoch(midnight.saturating_add(self.time).saturating_sub(self.zone))
    }
}

/// A date with its year settled.
#[derive(Clone, Copy, Debug)]
struct Date {
    year: i64,
    weekday: usize,
    moment: WallTime,
}

/// Counts the days from 1970 to a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    const FROM_YEAR_1_TO_1970: i64 = 719_162;
    let years = year.saturating_sub(1);
    let leap_days = years
        .div_euclid(4)
        .saturating_sub(years.div_euclid(100))
        .saturating_add(years.div_euclid(400));
    let months: i64 = (1..month).filter_map(|month| month_length(year, month)).sum();
    years
        .saturating_mul(365)
        .saturating_add(leap_days)
        .saturating_add(months)
        .saturating_add(day)
        .saturating_sub(1)
        .saturating_sub(FROM_YEAR_1_TO_1970)
}

fn month_length(year: i64, month: i64) -> Option<i64> {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_weekdays_are_those_of_the_calendar() {
        let cases = [
            ((1, 1, 1), -719_162, 0),
            ((1900, 1, 1), -25_567, 0),
            ((1969, 12, 31), -1, 2),
            ((1970, 1, 1), 0, 3),
            ((2000, 2, 29), 11_016, 1),
            ((2000, 3, 1), 11_017, 2),
            ((2026, 6, 15), 20_619, 0),
            ((9999, 12, 31), 2_932_896, 4),
        ];
        for ((year, month, day), since_1970, weekday) in cases {
            let parts = Parts { year: Year::Full(year), month, day, time: 0, zone: 0 };
            let date = parts.in_year(year).unwrap();
            assert_eq!(days(year, month, day), since_1970, "{date:?}");
            assert_eq!(date.weekday, weekday, "{date:?}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = days(-400, 1, 1).saturating_sub(1);
        for year in -400..2401 {
            for month in 1..=12 {
                for day in 1..=month_length(year, month).unwrap() {
                    let today = days(year, month, day);
                    assert_eq!(today, before.saturating_add(1), "{year}-{month}-{day}");
                    before = today;
                }
            }
        }
    }
}
