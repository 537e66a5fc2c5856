//! Inputs that are heads of responses, as text.
//!
//! ```text
//! @1781524800 429 any
//! retry-after: 120
//! date: Mon, 15 Jun 2026 12:00:00 GMT
//! ```
//!
//! The first line, which may be left out, has when the head was received, the status,
//! and in which dialect quotas are heeded. Bytes that no header may have are passed over
//! with their line.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_retry_after::hint::Dialect;

/// Every dialect.
pub(crate) const DIALECTS: [Dialect; 5] = [
    Dialect::Any,
    Dialect::EpochSeconds,
    Dialect::EpochMilliseconds,
    Dialect::DeltaSeconds,
    Dialect::DeltaMilliseconds,
];

/// Noon of the vectors: 2026-06-15T12:00:00Z.
const NOON: u64 = 1_781_524_800;

#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) received_at: SystemTime,
    pub(crate) status: StatusCode,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) headers: HeaderMap,
}

impl Head {
    pub(crate) fn read(data: &[u8]) -> Self {
        let mut head = Self {
            received_at: at(NOON),
            status: StatusCode::TOO_MANY_REQUESTS,
            dialect: None,
            headers: HeaderMap::new(),
        };
        for line in data.split(|byte| *byte == b'\n').take(200) {
            match line.split_first() {
                Some((b'@', first)) => head.begin(first),
                _ => head.add(line),
            }
        }
        head
    }

    fn begin(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        if let Some(seconds) = number(words.next()) {
            self.received_at = at(seconds);
        }
        if let Some(status) = words.next().and_then(|word| word.parse().ok()) {
            self.status = status;
        }
        self.dialect = words.next().and_then(|word| match word {
            "any" => Some(DIALECTS[0]),
            "epoch" => Some(DIALECTS[1]),
            "epoch-ms" => Some(DIALECTS[2]),
            "delta" => Some(DIALECTS[3]),
            "delta-ms" => Some(DIALECTS[4]),
            _ => None,
        });
    }

    fn add(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let value = line[colon + 1..].trim_ascii();
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            self.headers.append(name, value);
        }
    }

    /// The same head, with a header more.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.append(name, value.parse().expect("a value"));
        headers
    }

    /// The same head, where each value has white space around it, which is no part of it.
    pub(crate) fn padded(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = [b" \t", value.as_bytes(), b"\t  "].concat();
            headers.append(name, HeaderValue::from_bytes(&value).expect("a value"));
        }
        headers
    }

    /// The same head without the headers of which the name is not to `keep`.
    pub(crate) fn only(&self, keep: impl Fn(&str) -> bool) -> HeaderMap {
        let kept = self.headers.iter().filter(|(name, _)| keep(name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    /// The lines of each header in the opposite order.
    pub(crate) fn reversed(&self) -> HeaderMap {
        let lines: Vec<_> = self.headers.iter().collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.into_iter().rev() {
            headers.append(name, value.clone());
        }
        headers
    }

    /// The only line of a header, if it has exactly one.
    pub(crate) fn sole(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Some(line.as_bytes()),
            _ => None,
        }
    }

    /// What the response's own `Date` says, if it counts.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        let text = std::str::from_utf8(self.sole("date")?).ok()?;
        if self.headers.contains_key("age") {
            return None;
        }
        httpdate::parse_http_date(text).ok()
    }

    /// The moment that its dates are measured against, unless that is a leap second or
    /// what else `httpdate` cannot read.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        match self.date() {
            Some(date) => Some(date),
            None if self.headers.contains_key("date") => None,
            None => Some(self.received_at),
        }
    }
}

fn at(seconds: u64) -> SystemTime {
    // As far as the platform's clock goes.
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
