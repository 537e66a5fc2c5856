//! URLs and URIs name the same upstreams.

use std::convert::Infallible;

use http::{Method, Uri};
use proptest::prelude::*;
use reqwest::{Body, Request, Response, ResponseBuilderExt, Url};
use tower::{Layer, Service};
use tower_retry_after::message::{Incoming, Outgoing};
use tower_retry_after::{RetryAfterBackoffLayer, Upstream};

use crate::support::{at_once, now, secs};

fn request(url: &str) -> Request {
    Request::new(Method::GET, url.parse().unwrap())
}

/// Who a request goes to, as the layer says who has refused it.
fn asked(url: &str) -> Upstream {
    let layer = RetryAfterBackoffLayer::new();
    let mut service = layer.layer(tower::service_fn(async |_: Request| {
        let refusal = http::Response::builder().status(429).body(Body::default()).unwrap();
        Ok::<_, Infallible>(Response::from(refusal))
    }));
    at_once(service.call(request(url))).unwrap();
    layer.cooldowns().snapshot().first().unwrap().upstream().clone()
}

fn response_from(url: &str) -> Response {
    let url: Url = url.parse().unwrap();
    http::Response::builder().url(url).body(Body::default()).unwrap().into()
}

fn from_uri(uri: &str) -> Upstream {
    Upstream::from_uri(&uri.parse::<Uri>().unwrap())
}

#[track_caller]
fn assert_names(url: &str, upstream: &str) {
    let expected = from_uri(upstream);
    assert_eq!(asked(url), expected, "{url}");
    assert_eq!(response_from(url).answered_by(), Some(expected.clone()), "{url}");
    assert_eq!(Upstream::from_uri(&Outgoing::uri(&request(url))), expected, "{url}");
}

#[test]
fn a_url_and_a_uri_name_the_same_upstream() {
    assert_names("https://API.example:443/v1?q=1#top", "https://api.example/");
    assert_names("http://api.example:0080/", "http://api.example");
    assert_names("http://api.example:443/", "http://api.example:443");
    assert_names("https://me:se%40cret@api.example/", "https://api.example");
    assert_names("http://[2001:DB8::0:1]:80/", "http://[2001:db8::1]");
    assert_names("http://[::FFFF:127.0.0.1]:8080/", "http://[::ffff:7f00:1]:8080");
    assert_names("http://b\u{fc}cher.example/", "http://xn--bcher-kva.example");
    assert_names("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example");
    assert_names("http://api.example./", "http://api.example.");
    let long = format!("http://{}.example/", "label.".repeat(30).trim_end_matches('.'));
    assert_names(&long, &long);
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-zA-Z0-9]{0,9}(\\.[a-zA-Z][a-zA-Z0-9]{0,30}){0,4}",
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
    ]
}

proptest! {
    #[test]
    fn whatever_both_can_read_they_name_alike(
        scheme in "(https?|HTTPS?|wss?|ftp)",
        credentials in "([a-z]{1,4}(:[a-z]{0,4})?@)?",
        host in host(),
        port in "(:(0{0,2}(80|443)|[0-9]{1,4}))?",
        path in "(/[a-z]{0,4})?(\\?[a-z]{0,3})?(#[a-z]{0,3})?",
    ) {
        let text = format!("{scheme}://{credentials}{host}{port}{path}");
        if let (Ok(url), Ok(uri)) = (text.parse::<Url>(), text.parse::<Uri>()) {
            // The one difference: to `url`, 21 is the port of ftp.
            prop_assume!(url.scheme() != "ftp" || uri.port_u16() != Some(21));
            let expected = Upstream::from_uri(&uri);
            prop_assert_eq!(asked(&text), expected.clone());
            prop_assert_eq!(response_from(&text).answered_by(), Some(expected.clone()));
            prop_assert_eq!(Upstream::from_uri(&Outgoing::uri(&request(&text))), expected);
        }
    }

    #[test]
    fn no_url_at_all_is_too_odd(text in "(http|https|data|mailto|file|x):(//)?\\PC{0,40}") {
        if let Ok(url) = text.parse::<Url>() {
            let _ = asked(url.as_str());
            let _ = response_from(url.as_str()).answered_by();
            let _ = Outgoing::uri(&request(url.as_str()));
        }
    }
}

#[test]
fn credentials_are_no_part_of_the_authority() {
    let request = request("https://me:secret@api.example:8443/");

    assert_eq!(request.scheme(), Some("https"));
    assert_eq!(request.authority(), Some("api.example:8443"));
}

#[test]
fn a_key_sees_the_whole_uri_and_the_origin_of_one_that_http_cannot_read() {
    let uri = |url: &str| Outgoing::uri(&request(url)).into_owned();

    assert_eq!(uri("https://api.example/v1?q=1#top"), "https://api.example/v1?q=1");
    let too_long = format!("https://me@api.example/{}", "v".repeat(70_000));
    assert_eq!(uri(&too_long), "https://api.example/");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_requests_timeout() {
    let mut request = request("https://api.example/");
    assert_eq!(Outgoing::deadline(&request, now()), None);

    *request.timeout_mut() = Some(secs(7));
    assert_eq!(Outgoing::deadline(&request, now()), Some(now() + secs(7)));

    *request.timeout_mut() = Some(std::time::Duration::MAX);
    assert_eq!(Outgoing::deadline(&request, now()), None);
}
