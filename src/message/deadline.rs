//! Until when a caller wants an answer, as its request says.

use std::time::Duration;

use http::{Extensions, HeaderMap};
use tokio::time::Instant;

use crate::ambient;

/// Until when a caller wants an answer: an extension of its request.
///
/// A call that waits for its upstream ([`WaitingLayer`](crate::WaitingLayer))
/// waits no longer than this, and not at all for a cooldown that ends later. A
/// call that has been sent is not bounded by it: that is for a timeout around
/// the client.
///
/// ```
/// use std::time::Duration;
/// use tower_retry_after::message::Deadline;
///
/// let request = http::Request::get("https://api.example/")
///     .extension(Deadline::within(Duration::from_secs(5)))
///     .body(())
///     .unwrap();
/// # let _ = request;
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Instant);

impl Deadline {
    /// Creates a deadline at that instant.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// Creates a deadline that much later than now; a century at most.
    pub fn within(wait: Duration) -> Self {
        Self(ambient::later(ambient::now(), wait))
    }

    /// Returns the instant.
    pub fn instant(self) -> Instant {
        self.0
    }
}

/// Returns the earlier of the deadlines that a request sent at `now` tells.
pub(crate) fn of(
    headers: &HeaderMap,
    extensions: Option<&Extensions>,
    now: Instant,
) -> Option<Instant> {
    let own = extensions.and_then(|all| all.get::<Deadline>()).map(|deadline| deadline.0);
    let grpc = grpc_timeout(headers).map(|wait| ambient::later(now, wait));
    own.into_iter().chain(grpc).min()
}

/// The most digits of a `grpc-timeout`, by gRPC's protocol over HTTP/2.
const MOST_DIGITS: usize = 8;

/// Reads gRPC's `grpc-timeout`: up to eight digits and a unit.
///
/// What does not have that form is none; of several, the shortest counts.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("grpc-timeout").into_iter();
    values.filter_map(|value| read(value.as_bytes())).min()
}

fn read(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.trim_ascii().split_last()?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number.saturating_mul(3600))),
        b'M' => Some(Duration::from_secs(number.saturating_mul(60))),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_timeout_is_up_to_eight_digits_and_a_unit() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("03S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("100000000n", None),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("1h", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            ("1 S", None),
            ("１S", None),
        ];
        for (value, expected) in cases {
            assert_eq!(read(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn the_earlier_of_extension_and_header_counts() {
        let now = ambient::now();
        let deadline = |own: Option<u64>, grpc: &[&str]| {
            let mut request = http::Request::new(());
            if let Some(seconds) = own {
                let at = ambient::later(now, Duration::from_secs(seconds));
                request.extensions_mut().insert(Deadline::at(at));
            }
            for value in grpc {
                request.headers_mut().append("grpc-timeout", value.parse().unwrap());
            }
            of(request.headers(), Some(request.extensions()), now)
                .map(|at| at.duration_since(now).as_secs())
        };

        assert_eq!(deadline(None, &[]), None);
        assert_eq!(deadline(Some(5), &[]), Some(5));
        assert_eq!(deadline(None, &["7S"]), Some(7));
        assert_eq!(deadline(Some(5), &["7S"]), Some(5));
        assert_eq!(deadline(Some(9), &["7S"]), Some(7));
        assert_eq!(deadline(None, &["soon", "1M", "8S"]), Some(8));
        assert_eq!(deadline(None, &["soon"]), None);
    }
}
