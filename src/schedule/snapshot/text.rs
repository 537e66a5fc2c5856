//! How a snapshot writes times and durations: so that people can read and mend
//! them, and exact to the nanosecond.
//!
//! Modules for `#[serde(with = "…")]`. What cannot be read is an error that says
//! how it is written.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use super::credentials::veiled;
use crate::schedule::text::shown;

/// The last second that an RFC 3339 time can tell, or that the platform's clock
/// can: the end of the year 9999, or early in 2038.
const LAST_SECOND: u64 = if cfg!(all(target_pointer_width = "32", not(windows))) {
    0x7fff_ffff
} else {
    253_402_300_799
};

/// The longest text that is shown of what could not be read.
const SHOWN: usize = 60;

/// What is written as a text.
pub(in crate::schedule) trait Text: Sized {
    /// What is expected, with an example.
    const EXPECTED: &'static str;

    /// Reads it, or says what is wrong.
    fn read(text: &str) -> Result<Self, String>;

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Writes a value as its text.
pub(in crate::schedule) fn serialize<T: Text, S: Serializer>(
    value: &T,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(&Written(value))
}

/// Reads a value from its text.
pub(in crate::schedule) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    from.deserialize_str(Reader(PhantomData))
}

/// The same for what may be missing.
pub(in crate::schedule) mod option {
    use std::marker::PhantomData;

    use serde::{Deserializer, Serializer};

    use super::{OptionReader, Text, Written};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(in crate::schedule) fn serialize<T: Text, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            None => to.serialize_none(),
            Some(value) => to.serialize_some(&Written(value)),
        }
    }

    pub(in crate::schedule) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        from.deserialize_option(OptionReader(PhantomData))
    }
}

impl Text for SystemTime {
    const EXPECTED: &'static str = "a time in UTC, as in \"2026-01-31T12:00:00Z\"";

    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339(text).map_err(|_| unlike::<Self>(text))
    }

    /// What is before 1970 or after 9999 cannot be written; the nearest time is.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_rfc3339(writable(*self)))
    }
}

/// Returns the nearest time that can be written.
pub(super) fn writable(time: SystemTime) -> SystemTime {
    let last = Duration::new(LAST_SECOND, 999_999_999);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(last);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl Text for Duration {
    const EXPECTED: &'static str = "a duration in d, h, m, s, ms, us and ns, as in \"1h 30m\"";

    fn read(text: &str) -> Result<Self, String> {
        total(text).ok_or_else(|| unlike::<Self>(text))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        let mut rest = self.as_nanos();
        let mut space = "";
        for (unit, nanos) in UNITS {
            let whole = rest.checked_div(nanos).unwrap_or_default();
            rest = rest.checked_rem(nanos).unwrap_or_default();
            if whole > 0 {
                write!(f, "{space}{whole}{unit}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

/// The units of durations, in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Adds the parts of a duration up, if all can be read and the sum is one.
fn total(text: &str) -> Option<Duration> {
    let mut total: u128 = 0;
    let mut rest = text.trim();
    loop {
        let (number, after) = split(rest, |symbol| symbol.is_ascii_digit());
        let (unit, after) = split(after, |symbol| symbol.is_ascii_alphabetic());
        let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let number = u128::from(number.parse::<u64>().ok()?);
        total = total.checked_add(number.checked_mul(nanos)?)?;
        rest = after.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    let nanos = u32::try_from(total % 1_000_000_000).ok()?;
    Some(Duration::new(u64::try_from(total / 1_000_000_000).ok()?, nanos))
}

/// Splits off what a text begins with.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|symbol| !belongs(symbol)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Says that a text is not what it should be.
pub(super) fn unlike<T: Text>(text: &str) -> String {
    format!("`{}` is not {}", shown(&veiled(text), SHOWN), T::EXPECTED)
}

/// A value as its text.
struct Written<'a, T>(&'a T);

impl<T: Text> fmt::Display for Written<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl<T: Text> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: Text> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }
}

struct OptionReader<T>(PhantomData<T>);

impl<'de, T: Text> Visitor<'de> for OptionReader<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or null", T::EXPECTED)
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
        deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests;
