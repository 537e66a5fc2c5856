//! How long an upstream that answers well wants to be left alone: the floor of
//! the next poll.
//!
//! Pure. A floor is no refusal: it delays one poll, and touches no ladder and no
//! cooldown.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, HeaderName};

use crate::hint;

/// GitHub's, in seconds, on events and notifications.
const POLL_INTERVAL: HeaderName = HeaderName::from_static("x-poll-interval");

/// Reads how long to stay away, at least, from the headers of a 2xx or 3xx.
///
/// The longest of `Retry-After` (RFC 9110 §10.2.3), what is left of
/// `Cache-Control: max-age` (RFC 9111 §4.2: less the `Age`; not where `no-cache`
/// or `no-store` stands beside it), and GitHub's `X-Poll-Interval`. `received_at`
/// is the wall clock's time when the response's head arrived. Unreadable means
/// none; too large for [`Duration`] means [`Duration::MAX`].
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::{HeaderMap, HeaderValue};
/// use tower_retry_after::schedule::floor;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cache-control", HeaderValue::from_static("private, max-age=300"));
/// headers.insert("x-poll-interval", HeaderValue::from_static("60"));
/// assert_eq!(
///     floor::from_headers(&headers, SystemTime::UNIX_EPOCH),
///     Some(Duration::from_secs(300)),
/// );
/// ```
pub fn from_headers(headers: &HeaderMap, received_at: SystemTime) -> Option<Duration> {
    let retry_after = hint::from_headers(headers, received_at);
    let interval = longest(headers, &POLL_INTERVAL);
    retry_after.max(max_age(headers)).max(interval)
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut longest = None;
    for line in headers.get_all(CACHE_CONTROL) {
        for directive in line.to_str().unwrap_or_default().split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-cache") || name.eq_ignore_ascii_case("no-store") {
                return None;
            }
            if name.eq_ignore_ascii_case("max-age") {
                longest = longest.max(seconds(value));
            }
        }
    }
    let age = self::longest(headers, &AGE).unwrap_or_default();
    longest.map(|max_age: Duration| max_age.saturating_sub(age))
}

/// Returns the longest time in all lines of a header.
fn longest(headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
    headers.get_all(name).into_iter().filter_map(|line| seconds(line.to_str().ok()?)).max()
}

/// Reads whole seconds, quoted or not; what does not fit is the ceiling.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.trim().trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().map_or(Duration::MAX, Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(lines: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        from_headers(&headers, SystemTime::UNIX_EPOCH).map(|floor| floor.as_secs())
    }

    #[test]
    fn the_longest_of_what_is_asked_for_counts() {
        assert_eq!(floor(&[]), None);
        assert_eq!(floor(&[("x-poll-interval", "60")]), Some(60));
        assert_eq!(floor(&[("x-poll-interval", "60"), ("retry-after", "90")]), Some(90));
        assert_eq!(
            floor(&[("cache-control", "public, Max-Age=\"120\""), ("retry-after", "90")]),
            Some(120)
        );
        assert_eq!(
            floor(&[("cache-control", "max-age=5"), ("cache-control", "max-age=7")]),
            Some(7)
        );
    }

    #[test]
    fn what_has_aged_is_fresh_for_less() {
        assert_eq!(floor(&[("cache-control", "max-age=300"), ("age", "100")]), Some(200));
        assert_eq!(floor(&[("cache-control", "max-age=300"), ("age", "400")]), Some(0));
    }

    #[test]
    fn what_must_not_be_kept_or_cannot_be_read_sets_no_floor() {
        for directives in [
            "no-store, max-age=300",
            "max-age=300, No-Cache",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1e3",
            "s-maxage=300",
            "x-max-age=300",
        ] {
            assert_eq!(floor(&[("cache-control", directives)]), None, "{directives}");
        }
        assert_eq!(floor(&[("x-poll-interval", "soon")]), None);
    }

    #[test]
    fn what_does_not_fit_is_the_ceiling() {
        let endless = "max-age=99999999999999999999999999";
        assert_eq!(floor(&[("cache-control", endless)]), Some(u64::MAX));
    }
}
