#![allow(clippy::arithmetic_side_effects, reason = "for tests")]

use proptest::prelude::*;

use super::*;

fn text<T: Text>(value: &T) -> String {
    Written(value).to_string()
}

#[test]
fn durations_are_written_so_that_people_can_read_them() {
    assert_eq!(text(&Duration::ZERO), "0s");
    assert_eq!(text(&Duration::from_secs(5400)), "1h 30m");
    assert_eq!(text(&Duration::new(1, 2_003_004)), "1s 2ms 3us 4ns");
    assert_eq!(text(&Duration::from_secs(400 * 86_400)), "400d");
}

#[test]
fn durations_are_read_as_people_write_them() {
    assert_eq!(Duration::read("300s"), Ok(Duration::from_secs(300)));
    assert_eq!(Duration::read(" 1h30m "), Ok(Duration::from_secs(5400)));
    assert_eq!(Duration::read("1500ms"), Ok(Duration::from_millis(1500)));
    for odd in ["", " ", "5", "s", "-5s", "1.5s", "5 s", "5x", "5M", "1h,30m", "5sé", "é"] {
        let error = Duration::read(odd).unwrap_err();
        assert!(error.contains("as in \"1h 30m\""), "{error}");
    }
    let sum = format!("{0}s 1000000000ns", u64::MAX);
    assert!(Duration::read(&sum).is_err());
    assert!(Duration::read("18446744073709551616s").is_err());
}

#[test]
fn times_are_written_in_utc_and_clamped_to_what_can_be_written() {
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(text(&(epoch + Duration::from_secs(86_400))), "1970-01-02T00:00:00Z");
    assert_eq!(text(&(epoch + Duration::from_nanos(1))), "1970-01-01T00:00:00.000000001Z");
    assert_eq!(text(&(epoch - Duration::from_secs(86_400))), "1970-01-01T00:00:00Z");
    let late = epoch + Duration::from_secs(1 << 40);
    assert_eq!(text(&late), "9999-12-31T23:59:59.999999999Z");
    assert!(SystemTime::read(&text(&late)).is_ok());
}

#[test]
fn what_is_no_time_is_said_to_be_none() {
    for odd in ["", "now", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+01:00"] {
        let error = SystemTime::read(odd).unwrap_err();
        assert!(error.starts_with(&format!("`{odd}` is not a time in UTC")), "{error}");
    }
    let long = "\u{7}".repeat(10_000);
    assert!(SystemTime::read(&long).unwrap_err().len() < 1000);
}

proptest! {
    #[test]
    fn every_duration_is_read_as_it_was_written(seconds: u64, nanos in 0..1_000_000_000_u32) {
        for seconds in [seconds, seconds % 100_000, u64::MAX] {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(Duration::read(&text(&duration)), Ok(duration));
        }
    }

    #[test]
    fn every_time_is_read_as_it_was_written(
        seconds in 0..=253_402_300_799_u64,
        nanos in 0..1_000_000_000_u32,
    ) {
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        prop_assert_eq!(SystemTime::read(&text(&time)), Ok(time));
    }

    #[test]
    fn no_text_is_too_odd(odd in ".*", time in "[0-9:.TZ+é-]{15,40}", wait in "[0-9dhmsnu .é-]*") {
        for text in [odd, time, wait] {
            let _ = SystemTime::read(&text);
            let _ = Duration::read(&text);
        }
    }
}
