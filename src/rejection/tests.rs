use super::*;

#[test]
fn a_wait_is_rounded_up_and_never_wraps() {
    let seconds = |wait| rounded_up(wait, NANOS_PER_SECOND);

    assert_eq!(seconds(Duration::ZERO), 0);
    assert_eq!(seconds(Duration::from_nanos(1)), 1);
    assert_eq!(seconds(Duration::from_secs(2)), 2);
    assert_eq!(seconds(Duration::new(2, 1)), 3);
    assert_eq!(seconds(Duration::MAX), u64::MAX);
    assert_eq!(rounded_up(Duration::MAX, NANOS_PER_MILLI), u64::MAX);
}

#[test]
fn a_message_is_printable_ascii_and_can_be_read_back() {
    let encoded = percent_encoded("100 % \u{e4}\n~");

    assert_eq!(encoded, "100 %25 %C3%A4%0A~");
    assert!(HeaderValue::try_from(encoded).is_ok());
}

#[test]
fn grpc_is_told_by_the_start_of_the_content_type() {
    let is_grpc = |content_type: &'static str| {
        let value = HeaderValue::from_static(content_type);
        grpc(&HeaderMap::from_iter([(CONTENT_TYPE, value)])).is_some()
    };

    for yes in ["application/grpc", "application/grpc+proto", "Application/gRPC-web"] {
        assert!(is_grpc(yes), "{yes}");
    }
    for no in ["", "application/grp", "application/json", "text/application/grpc"] {
        assert!(!is_grpc(no), "{no}");
    }
    assert!(grpc(&HeaderMap::new()).is_none());
}
