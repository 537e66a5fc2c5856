use super::*;
use crate::ambient;

fn limited(reason: Reason, status: Option<u16>, retry_after: Duration) -> RateLimited {
    let status = status.map(|status| StatusCode::from_u16(status).unwrap());
    RateLimited {
        upstream: Upstream::from_uri(&"https://me:secret@peer.example/".parse().unwrap()),
        born: ambient::now(),
        met: Moment::START,
        until: Moment::START.after(retry_after),
        cause: Cause { rung: 3, status, hint: Some(Duration::from_secs(7)) },
        reason,
        said: None,
    }
}

fn refused() -> RateLimited {
    limited(Reason::Refused, Some(429), Duration::from_secs(120))
}

/// An error around another.
#[derive(Debug)]
struct Wrapper(BoxError);

impl fmt::Display for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl StdError for Wrapper {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

fn wrapped(error: impl Into<BoxError>) -> Wrapper {
    Wrapper(Wrapper(error.into()).into())
}

#[test]
fn the_text_says_what_happened_and_when_to_come_back() {
    let minutes = Duration::from_secs(120);
    for (reason, status, text) in [
        (Reason::Refused, Some(429), "HTTP 429 from https://peer.example"),
        (Reason::Refused, Some(200), "https://peer.example refused with HTTP 200"),
        (Reason::Refused, None, "https://peer.example refused"),
        (
            Reason::Cooling,
            Some(503),
            "not sent, https://peer.example is cooling down after HTTP 503",
        ),
        (
            Reason::Cooling,
            Some(200),
            "not sent, https://peer.example is cooling down after a refusal with HTTP 200",
        ),
        (Reason::Cooling, None, "not sent, https://peer.example is cooling down"),
        (Reason::Probing, Some(429), "not sent, a probe of https://peer.example is out"),
        (Reason::Reopening, None, "not sent, https://peer.example is reopening and has no room"),
    ] {
        let limited = limited(reason, status, minutes);

        assert_eq!(limited.to_string(), format!("{text} (retry after 120s)"));
        assert_eq!(Error::from(limited.clone()).to_string(), limited.to_string());
    }
}

#[test]
fn the_text_ends_with_what_the_upstream_said() {
    let said = |said: &str| RateLimited { said: Some(Arc::new(said.to_owned())), ..refused() };

    let text = "HTTP 429 from https://peer.example (retry after 120s)";
    assert_eq!(said("slow down").to_string(), format!("{text}: slow down"));
    assert_eq!(said("").to_string(), text);
    assert_eq!(said("slow down").said(), Some("slow down"));
}

#[test]
fn a_wait_is_shown_rounded_up() {
    let nano = Duration::from_nanos(1);
    let second = Duration::from_secs(1);
    for (wait, text) in [
        (nano, "1ms"),
        (Duration::from_millis(1), "1ms"),
        (Duration::from_millis(1) + nano, "2ms"),
        (Duration::from_millis(900), "900ms"),
        (Duration::from_nanos(999_999_999), "1s"),
        (second, "1s"),
        (second + nano, "2s"),
        (Duration::from_millis(119_001), "120s"),
        (Duration::MAX, "18446744073709551616s"),
    ] {
        assert_eq!(Rounded(wait).to_string(), text);
    }
}

#[test]
fn a_rate_limit_is_found_through_any_number_of_wrappers() {
    let bare = wrapped(refused());
    let as_error = wrapped(Error::from(refused()));
    let as_inner = wrapped(Error::Inner(wrapped(Error::Inner(refused().into())).into()));

    for error in [&bare, &as_error, &as_inner] {
        let found = RateLimited::find(error).unwrap();
        assert_eq!((found.reason(), found.consecutive_failures()), (Reason::Refused, 3));
    }
    assert!(RateLimited::find(&refused()).is_some());
    assert!(RateLimited::find(&Error::from(refused())).is_some());
}

#[test]
fn where_there_is_no_rate_limit_none_is_found() {
    let other = || io::Error::other("broken pipe");

    assert!(RateLimited::find(&other()).is_none());
    assert!(RateLimited::find(&wrapped(other())).is_none());
    assert!(RateLimited::find(&Error::inner(other())).is_none());
}

#[test]
fn the_inner_error_is_the_source_and_its_text_is_not_repeated() {
    let error = Error::inner(io::Error::other("broken pipe"));

    let source = error.source().unwrap();

    assert!(source.is::<io::Error>());
    assert_eq!(source.to_string(), "broken pipe");
    assert!(!error.to_string().contains("broken pipe"));
    assert!(error.rate_limited().is_none());
}

#[test]
fn a_rate_limit_has_no_source() {
    assert!(Error::from(refused()).source().is_none());
    assert!(refused().source().is_none());
}

#[test]
fn an_error_of_ours_is_not_wrapped_a_second_time() {
    let again = Error::inner(Error::from(refused()));
    assert!(again.rate_limited().is_some());

    let boxed: BoxError = Box::new(Error::inner(io::Error::other("broken pipe")));
    let again = Error::inner(boxed);
    assert!(again.source().is_some_and(<dyn StdError>::is::<io::Error>));
}

#[test]
fn all_facts_can_be_asked_for() {
    let limited = limited(Reason::Cooling, Some(429), Duration::from_secs(5));

    assert_eq!(limited.upstream().to_string(), "https://peer.example");
    assert_eq!(limited.retry_after(), Duration::from_secs(5));
    assert_eq!(limited.until(), limited.born + Duration::from_secs(5));
    assert_eq!(limited.consecutive_failures(), 3);
    assert_eq!(limited.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(limited.hint(), Some(Duration::from_secs(7)));
    assert_eq!(limited.reason(), Reason::Cooling);
    assert_eq!(limited.said(), None);
}

#[test]
fn credentials_are_shown_in_no_form() {
    for shown in [
        format!("{:?}", refused()),
        format!("{:#?}", Error::from(refused())),
        refused().to_string(),
    ] {
        assert!(shown.contains("peer.example"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[test]
fn a_rate_limit_is_found_inside_an_io_error() {
    let error = wrapped(io::Error::other(wrapped(refused())));

    assert_eq!(RateLimited::find(&error).map(RateLimited::reason), Some(Reason::Refused));
}
