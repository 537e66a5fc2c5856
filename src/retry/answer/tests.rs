use std::fmt;

use http::HeaderName;

use super::*;
use crate::cooldown::{Refusal, Rules};
use crate::cooldowns::Cooldowns;

fn limited() -> RateLimited {
    let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, hint: None };
    Cooldowns::new().refusal(Upstream::named("a"), refusal, &Rules::default())
}

fn is_found<E: 'static>(error: &E) -> bool {
    rate_limited(error).is_some()
}

/// An error that wraps another.
#[derive(Debug)]
struct Around(BoxError);

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("around")
    }
}

impl StdError for Around {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

#[test]
fn a_rate_limit_is_found_in_every_error_that_stacks_have() {
    assert!(is_found(&limited()));
    assert!(is_found(&Error::from(limited())));
    assert!(is_found(&Error::inner(Around(limited().into()))));
    assert!(is_found::<BoxError>(&limited().into()));
    assert!(is_found::<BoxError>(&Around(Error::from(limited()).into()).into()));
    assert!(is_found(&io::Error::other(limited())));

    assert!(!is_found(&Error::inner("reset")));
    assert!(!is_found::<BoxError>(&"reset".into()));
    assert!(!is_found(&io::Error::other("reset")));
    assert!(!is_found(&()));
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn a_rate_limit_is_found_in_a_middlewares_error() {
    let around = Around(limited().into());

    assert!(is_found(&reqwest_middleware::Error::middleware(around)));
    assert!(!is_found(&reqwest_middleware::Error::middleware(io::Error::other("reset"))));
}

fn allows<const N: usize>(status: u16, headers: [(&'static str, &'static str); N]) -> Again {
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    again(StatusCode::from_u16(status).unwrap(), &headers.into_iter().map(header).collect())
}

#[test]
fn only_what_was_not_begun_goes_again_whatever_its_method() {
    assert_eq!(allows(429, []), Again::Any);
    assert_eq!(allows(200, [("grpc-status", "8")]), Again::Any);
    for status in [403, 420, 503, 529] {
        assert_eq!(allows(status, []), Again::Idempotent, "{status}");
    }
    assert_eq!(allows(200, [("grpc-status", "14")]), Again::Idempotent);
    assert_eq!(allows(503, [("grpc-status", "8")]), Again::Idempotent);
}

#[test]
fn a_pushback_below_zero_or_unreadable_forbids_it() {
    let pushback = |value| allows(429, [("grpc-retry-pushback-ms", value)]);

    for never in ["-1", "-2147483648", "", "soon", "1.5", "2147483648"] {
        assert_eq!(pushback(never), Again::Never, "{never:?}");
    }
    for wait in ["0", "150", "2147483647"] {
        assert_eq!(pushback(wait), Again::Any, "{wait:?}");
    }
}
