use http::HeaderValue;

use super::*;

/// Returns the verdict on a status with that `Retry-After`.
fn verdict(status: u16, retry_after: Option<&'static str>) -> Verdict {
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
    }
    let status = StatusCode::from_u16(status).unwrap();
    standard(&Head::new(status, &headers, SystemTime::UNIX_EPOCH))
}

const fn refusal(seconds: u64) -> Verdict {
    Verdict::RateLimited { hint: Some(Duration::from_secs(seconds)) }
}

const BARE: Verdict = Verdict::RateLimited { hint: None };

#[test]
fn a_429_is_a_refusal_with_or_without_a_readable_hint() {
    assert_eq!(verdict(429, None), BARE);
    assert_eq!(verdict(429, Some("120")), refusal(120));
    assert_eq!(verdict(429, Some("soon")), BARE);
    assert_eq!(verdict(429, Some("0")), refusal(0));
}

#[test]
fn some_statuses_are_refusals_only_with_an_exact_wait_above_zero() {
    for (status, otherwise) in
        [(403, Verdict::Success), (503, Verdict::Neutral), (529, Verdict::Neutral)]
    {
        assert_eq!(verdict(status, Some("120")), refusal(120), "{status}");
        for no_wait in [None, Some("0"), Some("soon"), Some("")] {
            assert_eq!(verdict(status, no_wait), otherwise, "{status} {no_wait:?}");
        }
    }
}

#[test]
fn what_is_about_one_request_alone_is_neutral() {
    for status in [408, 421, 425] {
        assert_eq!(verdict(status, None), Verdict::Neutral, "{status}");
        assert_eq!(verdict(status, Some("120")), Verdict::Neutral, "{status}");
    }
    assert_eq!(verdict(413, None), Verdict::Success);
    assert_eq!(verdict(413, Some("120")), Verdict::Neutral);
    assert_eq!(verdict(413, Some("soon")), Verdict::Neutral);
}

#[test]
fn every_other_status_below_500_is_an_upstream_that_answers() {
    let special = [403, 408, 413, 421, 425, 429];
    for status in (100..500).filter(|status| !special.contains(status)) {
        assert_eq!(verdict(status, None), Verdict::Success, "{status}");
        assert_eq!(verdict(status, Some("120")), Verdict::Success, "{status}");
    }
}

#[test]
fn every_other_status_from_500_says_nothing() {
    for status in (500..1000).filter(|status| ![503, 529].contains(status)) {
        assert_eq!(verdict(status, None), Verdict::Neutral, "{status}");
        assert_eq!(verdict(status, Some("120")), Verdict::Neutral, "{status}");
    }
}

#[test]
fn a_date_is_measured_against_the_time_of_receipt() {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("Mon, 15 Jun 2026 12:05:00 GMT"));
    let received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_781_525_000);

    let head = Head::new(StatusCode::TOO_MANY_REQUESTS, &headers, received_at);

    assert_eq!(standard(&head), refusal(100));
}

#[test]
fn a_function_sees_the_whole_head() {
    let classifier = from_fn(|head| {
        let is_known = head.extensions().is_some_and(|extensions| extensions.get::<u8>().is_some());
        match head.status().as_u16() {
            420 if is_known && head.headers().is_empty() => BARE,
            _ => standard(head),
        }
    });
    let (headers, mut extensions) = (HeaderMap::new(), Extensions::new());
    extensions.insert(1_u8);
    let status = StatusCode::from_u16(420).unwrap();

    let verdict = classifier.classify(&Head::just_now(status, &headers, Some(&extensions)));

    assert_eq!(verdict, BARE);
}

#[test]
fn the_head_shows_no_headers() {
    let mut headers = HeaderMap::new();
    headers.insert("set-cookie", HeaderValue::from_static("secret"));

    let shown = format!("{:?}", Head::new(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH));

    assert!(!shown.contains("secret"), "{shown}");
}

/// Returns the verdict on a gRPC response that ends with its head.
fn grpc_verdict(status: &'static str, pushback: Option<&'static str>) -> Verdict {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    headers.insert("grpc-status", HeaderValue::from_static(status));
    if let Some(pushback) = pushback {
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static(pushback));
    }
    standard(&Head::new(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH))
}

#[test]
fn of_grpcs_statuses_one_is_a_refusal_and_one_with_an_exact_wait_above_zero() {
    assert_eq!(grpc_verdict("8", Some("9000")), refusal(9));
    assert_eq!(grpc_verdict("14", Some("9000")), refusal(9));
    assert_eq!(grpc_verdict("8", Some("0")), refusal(0));
    for no_wait in [None, Some("-1"), Some("soon")] {
        assert_eq!(grpc_verdict("8", no_wait), BARE, "{no_wait:?}");
        assert_eq!(grpc_verdict("14", no_wait), Verdict::Neutral, "{no_wait:?}");
    }
    assert_eq!(grpc_verdict("14", Some("0")), Verdict::Neutral);
}

#[test]
fn a_pushback_of_zero_hides_no_wait_of_a_gateways() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("0"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("9"));
    for status in ["8", "14"] {
        headers.insert("grpc-status", HeaderValue::from_static(status));
        let head = Head::new(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH);
        assert_eq!(standard(&head), refusal(9), "{status}");
    }
}

#[test]
fn of_grpcs_other_statuses_those_are_neutral_that_stand_for_a_5xx() {
    for status in ["1", "2", "4", "12", "13", "15"] {
        assert_eq!(grpc_verdict(status, Some("9000")), Verdict::Neutral, "{status}");
    }
    for status in ["0", "3", "5", "6", "7", "9", "10", "11", "16", "17", "", "OK"] {
        assert_eq!(grpc_verdict(status, Some("9000")), Verdict::Success, "{status}");
    }
}

#[test]
fn only_a_2xx_is_grpcs_to_judge() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("8"));
    for (status, verdict) in [
        (StatusCode::NO_CONTENT, BARE),
        (StatusCode::TOO_MANY_REQUESTS, BARE),
        (StatusCode::NOT_FOUND, Verdict::Success),
        (StatusCode::SERVICE_UNAVAILABLE, Verdict::Neutral),
    ] {
        let head = Head::new(status, &headers, SystemTime::UNIX_EPOCH);
        assert_eq!(standard(&head), verdict, "{status}");
    }
}

#[test]
fn a_grpc_status_beside_another_type_says_nothing_though_quotas_are_heeded() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("grpc-status", HeaderValue::from_static("8"));
    let head = Head::new(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH);

    assert_eq!(standard(&head), Verdict::Success);
    assert_eq!(standard(&head.quota_signals(Some(Dialect::Any))), Verdict::Success);
}
