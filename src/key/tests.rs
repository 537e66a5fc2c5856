use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::*;

/// Returns the upstream's name by a key.
fn name(key: &impl Key, uri: &str, headers: &HeaderMap) -> String {
    upstream(key, uri, headers).to_string()
}

fn upstream(key: &impl Key, uri: &str, headers: &HeaderMap) -> Upstream {
    key.upstream(&Head::new(&uri.parse().unwrap(), headers, None))
}

fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers
}

fn token(values: &[&'static str]) -> HeaderMap {
    headers(&values.iter().map(|value| (AUTHORIZATION, *value)).collect::<Vec<_>>())
}

const API: &str = "https://api.example/v1";

#[test]
fn an_origin_comes_from_the_uri_or_else_from_the_host_header() {
    let key = by_origin();
    let host = headers(&[(HOST, "Me:Secret@Host.Example:8080")]);
    let empty = headers(&[(HOST, "")]);
    let mut unreadable = HeaderMap::new();
    unreadable.insert(HOST, HeaderValue::from_bytes(b"\xff.example").unwrap());

    assert_eq!(name(&key, API, &host), "https://api.example");
    assert_eq!(name(&key, "/v1", &host), "//host.example:8080");
    for nothing in [HeaderMap::new(), empty, unreadable] {
        assert_eq!(upstream(&key, "/v1", &nothing), Upstream::unnamed());
    }
}

#[test]
fn by_host_joins_every_scheme_and_port() {
    let key = by_host();
    let none = HeaderMap::new();
    let expected = upstream(&key, API, &none);

    for uri in ["http://api.example:8080", "wss://u:p@API.EXAMPLE", "api.example:443"] {
        assert_eq!(upstream(&key, uri, &none), expected, "{uri}");
    }
    assert_eq!(upstream(&key, "/v1", &headers(&[(HOST, "api.example:81")])), expected);
    assert_eq!(expected.to_string(), "api.example");
    assert_ne!(expected, Upstream::named("api.example"));
    assert_ne!(upstream(&key, "https://www.api.example", &none), expected);
    assert_eq!(upstream(&key, "/v1", &none), Upstream::unnamed());
}

#[test]
fn by_path_prefix_takes_the_longest_prefix_in_whole_segments() {
    let key = by_path_prefix(["/search", "search/code/", "/", ""]);
    let none = HeaderMap::new();
    for (uri, expected) in [
        ("https://api.example", "https://api.example"),
        ("https://api.example/", "https://api.example"),
        ("https://api.example/users", "https://api.example"),
        ("https://api.example/searches", "https://api.example"),
        ("https://api.example/Search", "https://api.example"),
        ("https://api.example/users/search", "https://api.example"),
        ("https://api.example/search", "https://api.example/search"),
        ("https://api.example/search/?q=1", "https://api.example/search"),
        ("https://api.example/search?q=/code", "https://api.example/search"),
        ("https://api.example/search/codes", "https://api.example/search"),
        ("https://u:p@api.example:443/search/code/x", "https://api.example/search/code"),
    ] {
        assert_eq!(name(&key, uri, &none), expected, "{uri}");
    }
    let part = upstream(&key, "https://api.example/search", &none);
    assert_ne!(part, upstream(&key, "https://other.example/search", &none));
    assert_ne!(part, Upstream::named("https://api.example/search"));
}

#[test]
fn by_header_keeps_values_apart_and_never_in_clear() {
    for key in [by_header(AUTHORIZATION), by_header(AUTHORIZATION).salt("pepper")] {
        let [one, other] = ["secret-one", "secret-two"].map(|value| token(&[value]));

        assert_eq!(upstream(&key, API, &one), upstream(&key.clone(), API, &one));
        assert_ne!(upstream(&key, API, &one), upstream(&key, API, &other));
        assert_ne!(upstream(&key, API, &one), upstream(&key, "https://other.example", &one));

        let shown = format!("{:?}", upstream(&key, API, &one));
        assert!(shown.starts_with("Upstream(https://api.example#authorization:"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("pepper"), "{shown}");
        assert!(!format!("{key:?}").contains("pepper"));
    }
}

#[test]
fn equal_salts_name_alike_and_different_salts_do_not() {
    let one = token(&["secret"]);
    let with = |salt: &str| upstream(&by_header(AUTHORIZATION).salt(salt), API, &one);

    assert_eq!(with("pepper"), with("pepper"));
    assert_ne!(with("pepper"), with("paprika"));
    assert_ne!(with("pepper"), with(""));
}

#[test]
fn a_salted_name_is_the_same_in_every_version() {
    // SHA-256 over two parts, "pepper" and "secret", each behind its length as
    // eight bytes, the greatest first.
    let key = by_header(AUTHORIZATION).salt("pepper");

    let expected = "https://api.example#authorization:ea221902767253551f684150165d220a";
    assert_eq!(name(&key, API, &token(&["secret"])), expected);
}

#[test]
fn without_a_salt_all_keys_of_a_process_have_one_and_nobody_else_has() {
    let one = token(&["secret"]);

    let [here, there] = [(); 2].map(|()| upstream(&by_header(AUTHORIZATION), API, &one));

    assert_eq!(here, there);
    assert_eq!(here.kind(), Kind::Ephemeral);
    assert_ne!(here, upstream(&by_header(AUTHORIZATION).salt([0; 32]), API, &one));
}

#[test]
fn a_request_without_the_header_belongs_to_the_origin() {
    let key = by_header(AUTHORIZATION).salt("pepper");

    assert_eq!(upstream(&key, API, &HeaderMap::new()), Upstream::from_uri(&API.parse().unwrap()));
    assert_eq!(upstream(&key, "/", &HeaderMap::new()), Upstream::unnamed());
    assert_ne!(upstream(&key, API, &token(&[""])), upstream(&key, API, &HeaderMap::new()));
}

#[test]
fn all_lines_of_the_header_count_and_so_does_their_order() {
    let key = by_header(AUTHORIZATION).salt("pepper");
    let lines: [&[&str]; 6] = [&["a"], &["a", "b"], &["b", "a"], &["ab"], &["a", ""], &["a, b"]];

    let names: std::collections::HashSet<Upstream> =
        lines.iter().map(|values| upstream(&key, API, &token(values))).collect();

    assert_eq!(names.len(), lines.len());
}

#[test]
fn the_same_value_in_another_header_is_another_upstream() {
    let other = HeaderName::from_static("x-api-key");
    let both = headers(&[(AUTHORIZATION, "secret"), (other.clone(), "secret")]);
    let [one, other] =
        [AUTHORIZATION, other].map(|name| upstream(&by_header(name).salt("pepper"), API, &both));

    assert_ne!(one, other);
}

#[test]
fn a_function_sees_uri_headers_and_extensions() {
    let key = from_fn(|head| {
        let tenant = head.extensions().and_then(|extensions| extensions.get::<&str>());
        let host = head.headers().get(HOST).and_then(|host| host.to_str().ok());
        match (tenant, host) {
            (Some(tenant), Some(host)) => {
                Upstream::named(format!("{tenant} {host} {}", head.uri().path()))
            }
            _ => head.origin(),
        }
    });
    let mut extensions = Extensions::new();
    extensions.insert("tenant");
    let (uri, host) = (Uri::from_static(API), headers(&[(HOST, "host.example")]));

    let seen = key.upstream(&Head::new(&uri, &host, Some(&extensions)));

    assert_eq!(seen, Upstream::named("tenant host.example /v1"));
    assert_eq!(name(&key, API, &host), "https://api.example");
}

#[test]
fn the_head_shows_nothing_of_the_request() {
    let uri = Uri::from_static("https://me:secret@api.example/?token=secret");

    let shown = format!("{:?}", Head::new(&uri, &token(&["secret"]), None));

    assert!(!shown.contains("secret"), "{shown}");
}
