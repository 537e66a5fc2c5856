//! What `hint::from_headers` promises: every row of the vectors, its rules, and any input at all.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that overflows or unwraps nothing has failed"
)]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use tower_retry_after::hint::from_headers;

/// Mon, 15 Jun 2026 12:00:00 GMT.
const NOON: u64 = 1_781_524_800;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a hint is compared with")]
fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// Reads header lines received at noon.
fn read(lines: &[(&'static str, &str)]) -> Option<Duration> {
    from_headers(&headers(lines), at(NOON))
}

/// Reads one `Retry-After` received at noon.
fn retry_after(value: &str) -> Option<Duration> {
    read(&[("retry-after", value)])
}

mod vectors {
    use super::*;

    /// Stands for "at least that much": the most that all JSON readers agree on.
    const AT_LEAST: u64 = 9_007_199_254_740_991;

    /// Returns the bytes that a text may stand for in a header.
    fn encodings(text: &str) -> Vec<Vec<u8>> {
        let latin_1: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        let utf_8 = text.as_bytes().to_vec();
        match latin_1 {
            Ok(latin_1) if latin_1 != utf_8 => vec![utf_8, latin_1],
            _ => vec![utf_8],
        }
    }

    fn is_as_told(hint: Option<Duration>, told: &Value) -> bool {
        match (hint, told) {
            (None, Value::Null) => true,
            (Some(hint), told) if told.as_u64() == Some(AT_LEAST) => hint.as_secs() >= AT_LEAST,
            (Some(hint), told) => told.as_f64().is_some_and(|told| {
                hint.abs_diff(Duration::from_secs_f64(told)) <= Duration::from_micros(1)
            }),
            _ => false,
        }
    }

    #[test]
    fn every_vector_reads_as_the_table_says() {
        let rows = include_str!("vectors/retry_after.jsonl").lines();
        let rows: Vec<Value> = rows.map(|row| serde_json::from_str(row).unwrap()).collect();
        assert_eq!(rows.len(), 133);

        for row in rows {
            let now = at(row["now"].as_u64().unwrap());
            for value in encodings(row["value"].as_str().unwrap()) {
                let mut headers = HeaderMap::new();
                headers.insert("retry-after", HeaderValue::from_bytes(&value).unwrap());
                if let Some(date) = row["date"].as_str() {
                    headers.insert("date", date.parse().unwrap());
                }

                let hint = from_headers(&headers, now);

                assert!(is_as_told(hint, &row["wait_s"]), "{hint:?} for {row}");
            }
        }
    }
}

mod lines_and_lists {
    use super::*;

    #[test]
    fn without_a_header_there_is_no_hint() {
        assert_eq!(from_headers(&HeaderMap::new(), at(NOON)), None);
    }

    #[test]
    fn the_longest_of_several_lines_wins() {
        let lines = [("retry-after", "60"), ("retry-after", "120"), ("retry-after", "90")];
        assert_eq!(read(&lines), seconds(120));
    }

    #[test]
    fn the_longest_of_joined_dates_wins() {
        let sooner = "Mon, 15 Jun 2026 12:05:00 GMT";
        let later = "Monday, 15-Jun-26 12:10:00 GMT";
        let latest = "Mon, June 15, 2026 12:15:00 GMT";
        assert_eq!(retry_after(&format!("{sooner}, {later}")), seconds(600));
        assert_eq!(retry_after(&format!("{later},{sooner}")), seconds(600));
        assert_eq!(retry_after(&format!("{latest}, {sooner}, 1h")), seconds(3600));
        assert_eq!(retry_after(&format!("7, {sooner}, {latest}")), seconds(900));
    }

    #[test]
    fn an_unreadable_member_hides_no_other() {
        for list in ["soon, 120", "120, soon", "-1,120", ",,120,,", "\"120\", \"60", "\u{b2}, 120"]
        {
            assert_eq!(retry_after(list), seconds(120), "{list}");
        }
        let lines = [("retry-after", "soon"), ("retry-after", "120")];
        assert_eq!(read(&lines), seconds(120));
    }

    #[test]
    fn the_rest_of_an_unreadable_date_is_no_date() {
        let unknown_weekday = "Foo, 15 Jun 2026 12:05:00 GMT";
        let unknown_zone = "Mon, 15 Jun 2026 14:05:00 CEST";
        let us_order = "Foo, June 15, 2026 12:05:00 GMT";
        for date in [unknown_weekday, unknown_zone, us_order] {
            assert_eq!(retry_after(date), None, "{date}");
            assert_eq!(retry_after(&format!("{date}, 60")), seconds(60), "{date}");
            assert_eq!(retry_after(&format!("60, {date}")), seconds(60), "{date}");
        }
    }

    #[test]
    fn behind_what_is_no_word_a_day_begins_a_date() {
        for list in ["", "-1", "15", "soon-ish"] {
            let list = format!("{list}, 15 Jun 2026 12:05:00 GMT");
            assert_eq!(retry_after(&list), seconds(300), "{list}");
        }
    }

    #[test]
    fn half_a_string_is_no_hint() {
        for value in ["\"120", "120\"", "\"120;q=1\"", "\"120\"0"] {
            assert_eq!(retry_after(value), None, "{value}");
        }
    }

    #[test]
    fn a_date_in_a_string_is_read() {
        assert_eq!(retry_after("\"Mon, 15 Jun 2026 12:05:00 GMT\";w=1"), seconds(300));
    }
}

mod milliseconds {
    use super::*;

    #[test]
    fn the_exact_headers_go_before_retry_after() {
        let lines = [
            ("retry-after", "30"),
            ("x-amz-retry-after", "400"),
            ("x-ms-retry-after-ms", "300"),
            ("retry-after-ms", "292.052427053"),
        ];
        let nanos = |nanos| Some(Duration::from_nanos(nanos));
        assert_eq!(read(&lines), nanos(292_052_428)); // rounded up
        assert_eq!(read(&lines[..3]), nanos(300_000_000));
        assert_eq!(read(&lines[..2]), nanos(400_000_000));
        assert_eq!(read(&lines[..1]), seconds(30));
    }

    #[test]
    fn an_unreadable_header_falls_through_to_the_next() {
        for garbage in ["", "-5", "NaN", "1e3", "500ms", "00:00:00.033"] {
            let lines = [("retry-after-ms", garbage), ("retry-after", "2")];
            assert_eq!(read(&lines), seconds(2), "{garbage}");
            assert_eq!(read(&lines[..1]), None, "{garbage}");
        }
    }

    #[test]
    fn zero_hides_no_hint_behind_it_and_is_one_by_itself() {
        let lines = [("retry-after-ms", "0"), ("retry-after", "2"), ("x-ms-retry-after-ms", "0")];
        assert_eq!(read(&lines), seconds(2));
        assert_eq!(read(&lines[..1]), seconds(0));
        assert_eq!(read(&[lines[0], ("retry-after", "garbage")]), seconds(0));
        assert_eq!(read(&[lines[0], ("x-amz-retry-after", "7000"), lines[1]]), seconds(7));
    }

    #[test]
    fn the_longest_of_several_values_wins() {
        let lines = [("retry-after-ms", "1000, 3000"), ("retry-after-ms", "2000")];
        assert_eq!(read(&lines), seconds(3));
    }

    #[test]
    fn a_number_of_milliseconds_is_never_an_epoch() {
        let lines = [("retry-after-ms", "1781525100000")];
        assert_eq!(read(&lines), seconds(1_781_525_100));
    }
}

mod dates {
    use super::*;

    const DATE: &str = "Mon, 15 Jun 2026 12:05:00 GMT";
    const MINUTE_BEFORE: &str = "Mon, 15 Jun 2026 12:04:00 GMT";

    #[test]
    fn a_date_is_measured_against_the_responses_own_date() {
        let forms = [MINUTE_BEFORE, "Monday, 15-Jun-26 12:04:00 GMT", "Mon Jun 15 12:04:00 2026"];
        let clocks = [at(0), at(NOON), at(u64::from(u32::MAX))];
        for now in forms {
            let headers = headers(&[("retry-after", DATE), ("date", now)]);
            for clock in clocks {
                assert_eq!(from_headers(&headers, clock), seconds(60), "{now}");
            }
        }
    }

    #[test]
    fn every_form_that_names_a_moment_is_measured_alike() {
        for moment in ["2026-06-15T12:05:00Z", "@1781525100", "1781525100", "1781525100000"] {
            let lines = [("retry-after", moment), ("date", MINUTE_BEFORE)];
            assert_eq!(read(&lines), seconds(60), "{moment}");
            assert_eq!(read(&lines[..1]), seconds(300), "{moment}");
        }
    }

    #[test]
    fn a_wait_never_depends_on_the_date() {
        for wait in ["120", "120.0", "2m", "PT2M", "120 seconds"] {
            let lines = [("retry-after", wait), ("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
            assert_eq!(read(&lines), seconds(120), "{wait}");
        }
    }

    #[test]
    fn with_age_the_date_header_is_no_now() {
        let lines = [("retry-after", DATE), ("date", MINUTE_BEFORE), ("age", "0")];
        assert_eq!(read(&lines), seconds(300));
    }

    #[test]
    fn an_invalid_date_header_is_no_now() {
        let invalid = [
            "",
            "Mon, 15 Jun 2026 12:04:00 +0000",
            "Mon, 15 Jun 2026 12:04:00 UTC",
            "Mon, 15 Jun 2026 12:04:00",
            "Tue, 15 Jun 2026 12:04:00 GMT",
            "15 Jun 2026 12:04:00 GMT",
            "2026-06-15T12:04:00Z",
            "Mon, 15 Jun 2026 12:04:60 GMT",
            "1781525040",
            "\u{b2}",
        ];
        for date in invalid {
            let lines = [("retry-after", DATE), ("date", date)];
            assert_eq!(read(&lines), seconds(300), "{date}");
        }
    }

    #[test]
    fn two_date_headers_are_no_now() {
        let lines = [("retry-after", DATE), ("date", MINUTE_BEFORE), ("date", DATE)];
        assert_eq!(read(&lines), seconds(300));
    }

    #[test]
    fn a_leap_second_is_a_now() {
        let midnight = "Sun, 01 Jan 2017 00:01:00 GMT";
        for leap in ["Sat, 31 Dec 2016 23:59:60 GMT", "Sat Dec 31 23:59:60 2016"] {
            let lines = [("retry-after", midnight), ("date", leap)];
            assert_eq!(read(&lines), seconds(60), "{leap}");
        }
    }

    #[test]
    fn part_of_a_second_is_never_lost() {
        let headers = headers(&[("retry-after", "Mon, 15 Jun 2026 12:00:01 GMT")]);
        let received_at = at(NOON) + Duration::from_nanos(300_000_001);
        let wait = Duration::from_nanos(699_999_999);
        assert_eq!(from_headers(&headers, received_at), Some(wait));
    }

    #[test]
    fn clocks_before_1970_and_far_ahead_have_an_answer() {
        let headers = headers(&[("retry-after", "Thu, 01 Jan 1970 00:00:01 GMT")]);
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(from_headers(&headers, before), Some(Duration::from_millis(2500)));
        assert_eq!(from_headers(&headers, at(1 << 50)), seconds(0));
    }

    #[test]
    fn a_clock_that_was_never_set_takes_no_wait_for_an_epoch() {
        let headers = headers(&[("retry-after", "120")]);
        for uptime in [0, 1, 100, 120, 100_000, 31_622_400] {
            assert_eq!(from_headers(&headers, at(uptime)), seconds(120), "{uptime}");
        }
    }

    #[test]
    fn an_epoch_is_one_within_366_days() {
        let window = 366 * 86_400;
        assert_eq!(retry_after(&(NOON + window).to_string()), seconds(window));
        assert_eq!(retry_after(&(NOON - window).to_string()), seconds(0));
        let beyond = NOON + window + 1;
        assert_eq!(retry_after(&beyond.to_string()), seconds(beyond));
        let before = NOON - window - 1;
        assert_eq!(retry_after(&before.to_string()), seconds(before));

        let millis = Duration::from_millis(1_500);
        assert_eq!(retry_after(&(NOON * 1000 + 1500).to_string()), Some(millis));
        assert_eq!(retry_after(&format!("{}.5", NOON + 1)), Some(millis));
    }

    #[test]
    fn fifty_years_are_counted_in_instants() {
        // Without a weekday the rule alone decides.
        let year_76 = |time: &str| retry_after(&format!("15-Jun-76 {time} GMT"));
        let fifty_years = (50 * 365 + 13) * 86_400;
        assert_eq!(year_76("12:00:00"), seconds(fifty_years));
        assert_eq!(year_76("12:00:01"), seconds(0));
    }

    #[test]
    fn a_matching_weekday_outweighs_the_fifty_years() {
        let wait = retry_after("Tuesday, 15-Jun-77 12:00:00 GMT").unwrap(); // of 2077
        assert_eq!(wait.as_secs(), (51 * 365 + 13) * 86_400);
        assert_eq!(retry_after("Wednesday, 15-Jun-77 12:00:00 GMT"), seconds(0)); // of 1977
        assert_eq!(retry_after("Sunday, 15-Jun-75 12:00:00 GMT"), seconds(0)); // of 1975
        assert_eq!(retry_after("Friday, 15-Jun-26 12:05:00 GMT"), seconds(300)); // of neither
    }

    #[test]
    fn the_turn_of_a_century_is_a_second_away() {
        let headers = headers(&[("retry-after", "Friday, 01-Jan-00 00:00:00 GMT")]);
        assert_eq!(from_headers(&headers, at(4_102_444_799)), seconds(1));
    }

    #[test]
    fn a_leap_day_needs_a_leap_year() {
        assert_eq!(retry_after("29 Feb 2027 12:00:00 GMT"), None);
        assert_eq!(retry_after("29 Feb 2100 12:00:00 GMT"), None);
        assert_eq!(retry_after("29 Feb 2028 12:00:00 GMT"), seconds(624 * 86_400));
        assert_eq!(retry_after("29-Feb-00 12:00:00 GMT"), seconds(0)); // 2000, as 2100 has none
        // 2400 is the next, and like 2000 has it on a Tuesday.
        assert_eq!(retry_after("Tuesday, 29-Feb-00 12:00:00 GMT"), seconds(0));
        assert_eq!(retry_after("30-Feb-00 12:00:00 GMT"), None);
    }

    #[test]
    fn zones_of_the_standards_are_read_and_no_others() {
        let behind_utc = [
            ("UT", 0),
            ("edt", 4),
            ("EST", 5),
            ("CDT", 5),
            ("CST", 6),
            ("MDT", 6),
            ("mst", 7),
            ("PDT", 7),
            ("PST", 8),
        ];
        for (zone, hours) in behind_utc {
            let date = format!("15 Jun 2026 12:00 {zone}");
            assert_eq!(retry_after(&date), seconds(hours * 3600), "{zone}");
        }
        for zone in ["", "A", "J", "BST", "IST", "+1", "+0260", "+2400", "+02:0", "Z+0200", "GMT+"]
        {
            let date = format!("15 Jun 2026 12:05:00 {zone}");
            assert_eq!(retry_after(&date), None, "{zone}");
        }
    }

    #[test]
    fn what_is_not_a_date_and_time_is_no_hint() {
        let unreadable = [
            "2026-06-15",
            "2026-06-15T",
            "2026-06-15T12",
            "2026-06-15T1205Z",
            "20260615T12:05Z",
            "2026-0615T12:05Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-06-15T12:05:00Q",
            "2026-06-15T12:05:00Z Z",
            "12026-06-15T12:05:00Z",
            "15 Jun 02026 12:05:00 GMT",
            "15 Jun 202 12:05:00 GMT",
            "15 Jun 2026 12:05:00 PM GMT",
            "15 Jun 2026 1205 GMT",
            "15-Jun 2026 12:05:00 GMT",
            "15 Junio 2026 12:05:00 GMT",
            "Mond, 15 Jun 2026 12:05:00 GMT",
            "Mon15 Jun 2026 12:05:00 GMT",
            "Mon, 15 Jun 2026 12:05:00 GMT)",
            "Mon, 15 Jun 2026 12:05:00 GMT (",
            "Jun 2026 12:05:00 GMT",
            "6/15/2026, 12:05:00 PM",
            "@",
            "@noon",
            "@+1781525100",
        ];
        for text in unreadable {
            assert_eq!(retry_after(text), None, "{text}");
        }
    }
}

mod durations {
    use super::*;

    #[test]
    fn units_add_up() {
        let cases = [
            ("1h2m3s", 3_723_000_000_000),
            ("1d 1h", 90_000_000_000_000),
            ("1w 2d", 777_600_000_000_000),
            ("2 Minutes", 120_000_000_000),
            ("1 hour 30 mins", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("+30s", 30_000_000_000),
            ("250us", 250_000),
            ("250\u{b5}s", 250_000),
            ("250\u{3bc}s", 250_000),
            ("7ns", 7),
            ("0.1ns", 1),
            ("P1DT1H", 90_000_000_000_000),
            ("P2W", 1_209_600_000_000_000),
            ("PT0.5S", 500_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(retry_after(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_has_no_fixed_length_is_no_hint() {
        let unreadable = [
            "P",
            "PT",
            "P1",
            "PT1",
            "P1Y",
            "P1M",
            "P1DT",
            "PT1D",
            "P1H",
            "PT30S1M",
            "-PT30S",
            "P-1D",
            "PT 30S",
            "PT1M 30S",
            "1m1m",
            "1s1m",
            "6m30",
            "s",
            "30 parsecs",
            "30 S",
            "5M",
            "- 5s",
            "-5s",
            "1h-5m",
        ];
        for text in unreadable {
            assert_eq!(retry_after(text), None, "{text}");
        }
    }

    #[test]
    fn too_large_is_the_longest_there_is() {
        let nines = "9".repeat(400);
        for unit in ["", "ns", "s", " weeks", "h59m"] {
            let text = format!("{nines}{unit}");
            assert_eq!(retry_after(&text), Some(Duration::MAX), "{unit}");
        }
        assert_eq!(retry_after(&format!("PT{nines}S")), Some(Duration::MAX));
        assert_eq!(retry_after(&format!("@{nines}")), Some(Duration::MAX));
        assert_eq!(retry_after(&format!("@-{nines}")), seconds(0));
        assert_eq!(read(&[("retry-after-ms", &nines)]), Some(Duration::MAX));
        assert_eq!(retry_after("18446744073709551615"), seconds(u64::MAX));
        assert_eq!(retry_after("18446744073709551616"), Some(Duration::MAX));
    }
}

mod any_input {
    use super::*;

    const NAMES: [&str; 6] = [
        "retry-after-ms",
        "x-ms-retry-after-ms",
        "x-amz-retry-after",
        "retry-after",
        "date",
        "age",
    ];

    /// What readable values are made of, so that random ones come near to being readable.
    const PIECES: &str = "0|9|12|60|99|2026|1781524800|18446744073709551616|.|,|, |;|:|-|+| |  |\"|\
        (|)|@|T|Z|P|PT|GMT|UTC|+0200|EST|Mon|Monday|Foo|Jun|February|29|31|12:05:00|23:59:60|s|ms|\
        h|\u{b5}s|S|M|D|2026-06-15T12:05:00|15-Jun-26|Mon, 15 Jun 2026 12:05:00 GMT|\
        Sat, 31 Dec 2016 23:59:60 GMT";

    /// Any time that this platform's clock can tell.
    fn any_time() -> impl Strategy<Value = SystemTime> {
        (any::<i64>(), 0..64_u32, 0..1_000_000_000_u32).prop_map(|(seconds, shift, nanos)| {
            let seconds = seconds >> shift; // as many near 1970 as far away
            let distance = Duration::new(seconds.unsigned_abs(), nanos);
            let time = if seconds < 0 {
                SystemTime::UNIX_EPOCH.checked_sub(distance)
            } else {
                SystemTime::UNIX_EPOCH.checked_add(distance)
            };
            time.unwrap_or(SystemTime::UNIX_EPOCH)
        })
    }

    fn any_value() -> impl Strategy<Value = HeaderValue> {
        let bytes = vec(any::<u8>(), 0..64);
        let pieces = select(PIECES.split('|').collect::<Vec<_>>());
        let pieces = vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
        prop_oneof![bytes, pieces]
            .prop_filter_map("not a header's value", |bytes| HeaderValue::from_bytes(&bytes).ok())
    }

    /// A member without commas that isn't the rest of another member's date.
    fn any_member() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{0,30}\\.?[0-9]{0,12}",
            "[0-9]{1,4}(s|ms|m|h| minutes)",
            "2026-0[1-9]-[0-3][0-9]T12:05:00Z",
            "(Mon|Tue|Foo) Jun [ 1-3][0-9] 12:05:00 20[0-9]{2}",
            "[-+@\"]?[0-9a-z.]{0,8}[0-9]",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_headers_and_no_clock_panic(
            lines in vec((select(&NAMES[..]), any_value()), 0..5),
            received_at in any_time(),
        ) {
            let headers: HeaderMap = lines
                .into_iter()
                .map(|(name, value)| (name.parse().unwrap(), value))
                .collect();
            from_headers(&headers, received_at);
        }

        #[test]
        fn a_decimal_is_exact_to_the_nanosecond_and_then_rounded_up(
            whole in any::<u32>(),
            fraction in "[0-9]{0,30}",
        ) {
            let (kept, beyond) = fraction.split_at(fraction.len().min(9));
            let nanos: u64 = format!("{kept:0<9}").parse().unwrap();
            let beyond = u64::from(beyond.bytes().any(|digit| digit != b'0'));
            let wait = Duration::from_secs(whole.into()) + Duration::from_nanos(nanos + beyond);

            let headers = headers(&[("retry-after", &format!("{whole}.{fraction}"))]);
            prop_assert_eq!(from_headers(&headers, SystemTime::UNIX_EPOCH), Some(wait));
        }

        #[test]
        fn milliseconds_are_exact_to_the_nanosecond_and_then_rounded_up(
            whole in any::<u32>(),
            fraction in "[0-9]{0,30}",
        ) {
            let (kept, beyond) = fraction.split_at(fraction.len().min(6));
            let nanos: u64 = format!("{kept:0<6}").parse().unwrap();
            let beyond = u64::from(beyond.bytes().any(|digit| digit != b'0'));
            let wait = Duration::from_millis(whole.into()) + Duration::from_nanos(nanos + beyond);

            let lines = [("retry-after-ms", &*format!("{whole}.{fraction}"))];
            prop_assert_eq!(read(&lines), Some(wait));
        }

        #[test]
        fn fractions_of_long_units_are_rounded_up_once(fraction in 1..100_000_000_000_000_000_u64) {
            let (unit, scale) = (3600 * 1_000_000_000_u128, 100_000_000_000_000_000_u128);
            let nanos = (u128::from(fraction) * unit).div_ceil(scale);
            let wait = Duration::from_nanos(nanos.try_into().unwrap());

            prop_assert_eq!(retry_after(&format!("0.{fraction:017}h")), Some(wait));
        }

        #[test]
        fn a_duration_is_the_sum_of_its_parts(
            hours in any::<u32>(),
            minutes in any::<u32>(),
            seconds in any::<u32>(),
            millis in any::<u32>(),
        ) {
            let [h, m, s] = [hours, minutes, seconds].map(u64::from);
            let go = format!("{h}h{m}m{s}s{millis}ms");
            let iso = format!("PT{h}H{m}M{s}S");
            let whole = Duration::from_secs(h * 3600 + m * 60 + s);

            prop_assert_eq!(retry_after(&go), Some(whole + Duration::from_millis(millis.into())));
            prop_assert_eq!(retry_after(&iso), Some(whole));
        }

        #[test]
        fn every_moment_reads_back_from_every_form(
            moment in 0..253_402_300_800_u64,
            ahead in any::<i32>(),
            nanos in 0..1_000_000_000_u32,
            (zone_hours, zone_minutes) in (-23..=23_i64, 0..60_i64),
        ) {
            let received_at = at(moment.saturating_sub(ahead.unsigned_abs().into()));
            let received_at = received_at.checked_sub(Duration::new(0, nanos)).unwrap();
            let wait = at(moment).duration_since(received_at).unwrap();
            for text in texts::of(at(moment)) {
                let headers = headers(&[("retry-after", &text)]);
                prop_assert_eq!(from_headers(&headers, received_at), Some(wait), "{}", text);
            }

            // The same moment as a clock in another zone shows it.
            let minutes = zone_hours * 60 + zone_hours.signum() * zone_minutes;
            let shown = i64::try_from(moment).unwrap() + minutes * 60;
            let Ok(shown @ 0..253_402_300_800) = u64::try_from(shown) else { return Ok(()) };
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hh, mm) = (minutes.abs() / 60, minutes.abs() % 60);
            for text in texts::in_zone(at(shown), &format!("{sign}{hh:02}{mm:02}")) {
                let headers = headers(&[("retry-after", &text)]);
                prop_assert_eq!(from_headers(&headers, received_at), Some(wait), "{}", text);
            }
        }

        #[test]
        fn a_two_digit_year_reads_back_within_fifty_years(
            now in 0..250_000_000_000_u64,
            ahead in 0..50 * 365 * 86_400_u64,
        ) {
            let [long, short] = texts::with_two_digit_year(at(now + ahead));
            let headers = [long, short].map(|text| headers(&[("retry-after", &text)]));
            for headers in headers {
                prop_assert_eq!(from_headers(&headers, at(now)), seconds(ahead));
            }
        }

        #[test]
        fn a_list_is_as_long_as_its_longest_member(
            members in vec(any_member(), 1..8),
            received_at in any_time(),
        ) {
            let read = |values: &[&str]| {
                let lines: Vec<_> = values.iter().map(|value| ("retry-after", *value)).collect();
                from_headers(&headers(&lines), received_at)
            };
            let members: Vec<_> = members.iter().map(String::as_str).collect();
            let longest = members.iter().filter_map(|member| read(&[member])).max();

            for comma in [",", ", ", " ,\t"] {
                prop_assert_eq!(read(&[&members.join(comma)]), longest);
            }
            prop_assert_eq!(read(&members), longest);
        }

        #[test]
        fn joined_dates_are_as_late_as_the_latest(
            moments in vec(NOON..NOON + 1_000_000_000, 1..8),
        ) {
            let texts = moments.iter().enumerate().map(|(place, moment)| {
                let texts = texts::of(at(*moment));
                texts[place * 7 % texts.len()].clone()
            });
            let list = texts.collect::<Vec<_>>().join(", ");
            let latest = moments.iter().max().unwrap() - NOON;
            prop_assert_eq!(retry_after(&list), seconds(latest), "{}", list);
        }
    }

    #[test]
    fn an_endless_header_ends() {
        const LENGTH: usize = 1 << 16;
        let units = ",|9|.|9,|0.9,|, ,|a,|1h|1h,|Foo, 15 Jun,|Mon, |Jun 15,|\
            15-Jun-75 12:05:00 GMT,|\"|\",|(|;| | ,|@1,|PT1H,|\u{b5}|Mon, 15 Jun 2026 12:05:00 GMT (|23:59:60 ";
        for unit in units.split('|') {
            let text = unit.repeat(LENGTH / unit.len());
            let blank =
                format!("{}{}", unit.repeat(LENGTH / unit.len() / 2), " ".repeat(LENGTH / 2));
            for (name, text) in [
                ("retry-after-ms", &text),
                ("date", &text),
                ("retry-after", &text),
                ("retry-after", &blank),
            ] {
                let endless = [(name, &**text), ("retry-after", "Mon, 15 Jun 2026 12:05:00 GMT")];
                from_headers(&headers(&endless), at(NOON));
            }
        }
    }
}

/// Writes moments as text, with `httpdate` as the judge of what day it is.
mod texts {
    use std::time::SystemTime;

    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

    struct Parts {
        weekday: String,
        day: String,
        month: String,
        month_number: usize,
        year: String,
        time: String,
    }

    fn parts(moment: SystemTime) -> Parts {
        let fixdate = httpdate::fmt_http_date(moment);
        let [weekday, day, month, year, time, _] =
            fixdate.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        let month_number = MONTHS.iter().position(|name| **name == month).unwrap() + 1;
        Parts { weekday: weekday.replace(',', ""), day, month, month_number, year, time }
    }

    fn long(weekday: &str) -> String {
        let rest = match weekday {
            "Tue" => "sday",
            "Wed" => "nesday",
            "Thu" => "rsday",
            "Sat" => "urday",
            _ => "day",
        };
        format!("{weekday}{rest}")
    }

    /// Every form in UTC that has a full year.
    pub(super) fn of(moment: SystemTime) -> Vec<String> {
        let Parts { weekday, day, month, month_number, year, time } = &parts(moment);
        let bare_day = day.trim_start_matches('0');
        let (hours_minutes, basic_time) = (&time[..5], time.replace(':', ""));
        let long_weekday = long(weekday);
        let mut texts = vec![
            format!("{weekday}, {day} {month} {year} {time} GMT"),
            format!("{weekday} {month} {bare_day:>2} {time} {year}"),
            format!("{weekday} {month} {day} {time} UTC {year}"),
            format!("{weekday}, {day}-{month}-{year} {time} GMT"),
            format!("{long_weekday} {bare_day} {month} {year} {time} z"),
            format!("{day} {month} {year} {time} +0000 (a comment)"),
            format!("{month} {bare_day}, {year} {time} GMT"),
            format!("{weekday} {month} {day} {year} {time} GMT+0000 (Coordinated Universal Time)"),
            format!("{year}-{month_number:02}-{day}T{time}Z"),
            format!("{year}-{month_number:02}-{day} {time}.000"),
            format!("{year}{month_number:02}{day}T{basic_time}Z"),
        ];
        let since_1970 = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        texts.push(format!("@{since_1970}"));
        if time.ends_with(":00") {
            texts.push(format!("{day} {month} {year} {hours_minutes} GMT"));
        }
        texts
    }

    /// What a clock that shows `shown` in `zone` would write.
    pub(super) fn in_zone(shown: SystemTime, zone: &str) -> Vec<String> {
        let Parts { weekday, day, month, month_number, year, time } = &parts(shown);
        let (hours, minutes) = zone.split_at(3);
        vec![
            format!("{weekday}, {day} {month} {year} {time} {zone}"),
            format!("{weekday} {month} {day} {year} {time} GMT{zone} (There)"),
            format!("{year}-{month_number:02}-{day}T{time}{hours}:{minutes}"),
        ]
    }

    /// RFC 850's form, and a cookie's.
    pub(super) fn with_two_digit_year(moment: SystemTime) -> [String; 2] {
        let Parts { weekday, day, month, year, time, .. } = &parts(moment);
        let (long, year) = (long(weekday), &year[2..]);
        [
            format!("{long}, {day}-{month}-{year} {time} GMT"),
            format!("{day}-{month}-{year} {time} GMT"),
        ]
    }
}
