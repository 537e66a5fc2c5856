use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::*;

fn upstream(uri: &str) -> Upstream {
    Upstream::from_uri(&uri.parse().unwrap())
}

fn hash(upstream: &Upstream) -> u64 {
    FixedState::default().hash_one(upstream)
}

/// A host that no inline name has room for.
fn long_host() -> String {
    format!("{}.example", "a".repeat(60))
}

#[test]
fn an_origin_is_written_one_way() {
    for (uri, name) in [
        ("https://api.example", "https://api.example"),
        ("https://api.example/v1?q=1#top", "https://api.example"),
        ("HTTPS://API.Example/", "https://api.example"),
        ("http://api.example:80", "http://api.example"),
        ("https://api.example:443", "https://api.example"),
        ("ws://api.example:80", "ws://api.example"),
        ("WSS://api.example:443", "wss://api.example"),
        ("http://api.example:443", "http://api.example:443"),
        ("https://api.example:80", "https://api.example:80"),
        ("ftp://api.example:21", "ftp://api.example:21"),
        ("ftp://api.example:80", "ftp://api.example:80"),
        ("https://api.example:8443", "https://api.example:8443"),
        ("https://api.example:08443", "https://api.example:8443"),
        ("https://api.example:00443", "https://api.example"),
        ("https://api.example:0", "https://api.example:0"),
        ("https://api.example:", "https://api.example"),
        ("https://127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ] {
        assert_eq!(upstream(uri).to_string(), name, "{uri}");
        assert_eq!(upstream(uri), upstream(name), "{uri}");
        assert_eq!(hash(&upstream(uri)), hash(&upstream(name)), "{uri}");
    }
}

#[test]
fn a_normal_name_stays_as_it_is_when_it_is_made_normal_again() {
    for host in ["a", "a:", "a::", ":::", "a:8", "a::8", "a:80:", "[::1]::", "[::", "me@a::"] {
        for scheme in [None, Some("http"), Some("wss")] {
            let once = Draft::origin(scheme, host).upstream();
            let rest = once.text().split_once("://").map_or(once.text(), |(_, rest)| rest);
            let again = Draft::origin(scheme, rest).upstream();
            assert_eq!(again, once, "{host} under {scheme:?}");
        }
    }
}

#[test]
fn ipv6_addresses_are_written_the_short_way() {
    for (uri, name) in [
        ("http://[::1]", "http://[::1]"),
        ("http://[::1]:", "http://[::1]"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
        ("http://[2001:0DB8:0000::00FF]", "http://[2001:db8::ff]"),
        ("https://me@[2001:db8:0:0:0:0:0:1]:443", "https://[2001:db8::1]"),
    ] {
        assert_eq!(upstream(uri).to_string(), name, "{uri}");
    }
    let longest = "http://[1111:2222:3333:4444:5555:6666:7777:8888]:65535";
    assert_eq!(upstream(longest).to_string(), longest);
}

#[test]
fn origins_that_differ_in_scheme_host_or_port_are_different() {
    let names = [
        "http://api.example",
        "https://api.example",
        "https://api.example:8443",
        "https://api.example.",
        "https://www.api.example",
        "ws://api.example",
        "wss://api.example",
        "//api.example",
    ];
    let upstreams: HashSet<Upstream> = names[..7]
        .iter()
        .map(|uri| upstream(uri))
        .chain([Upstream::origin(None, "api.example"), Upstream::unnamed()])
        .collect();

    assert_eq!(upstreams.len(), names.len() + 1);
}

#[test]
fn credentials_are_neither_kept_nor_shown() {
    for uri in [
        "https://me:secret@api.example",
        "https://secret@API.example:443/",
        "https://:secret@api.example",
        "https://secret:secret@api.example/secret",
    ] {
        let upstream = upstream(uri);

        assert_eq!(upstream.to_string(), "https://api.example");
        assert_eq!(format!("{upstream:?}"), "Upstream(https://api.example)");
        assert!(!upstream.text().contains("secret"));
    }
    for authority in ["me:se@cret@api.example", "@@secret@@api.example", "secret@api.example:443"] {
        let upstream = Upstream::origin(Some("https"), authority);
        assert_eq!(upstream.to_string(), "https://api.example", "{authority}");
    }
    let bare = Upstream::origin(None, "me:secret@api.example:443");
    assert_eq!(bare.to_string(), "//api.example:443");
}

#[test]
fn a_request_without_a_scheme_names_an_upstream_of_its_own() {
    let connect = upstream("api.example:443");

    assert_eq!(connect.to_string(), "//api.example:443");
    assert_eq!(connect, upstream("API.example:0443"));
    assert_ne!(connect, upstream("https://api.example:443"));
    assert_ne!(connect, upstream("api.example:80"));
}

#[test]
fn all_requests_without_an_authority_share_one_nameless_upstream() {
    assert_eq!(upstream("/items"), upstream("/other?q=1"));
    assert_eq!(upstream("/items").to_string(), "(unnamed)");
    assert_ne!(upstream("/items"), Upstream::named(""));
    assert_ne!(upstream("/items"), Upstream::named("(unnamed)"));
}

#[test]
fn however_long_a_host_is_its_port_is_told() {
    for length in 240..300 {
        let name = format!("https://{}:8443", "a".repeat(length));
        assert_eq!(upstream(&name).to_string(), name);
    }
}

#[test]
fn a_name_in_the_making_hashes_as_the_one_that_is_kept() {
    for host in ["API.example:8443".to_owned(), long_host(), "a".repeat(300)] {
        let draft = Draft::origin(Some("https"), &host);
        assert_eq!(FixedState::default().hash_one(&draft), hash(&draft.upstream()), "{host}");
    }
}

#[test]
fn long_names_are_equal_by_their_text_and_hash_alike() {
    let long = long_host();
    let spelled = format!("https://user@{}:0443/x", long.to_uppercase());

    let [one, other] = [upstream(&spelled), upstream(&format!("https://{long}"))];

    assert!(matches!(one.name, Name::Shared { .. }));
    assert_eq!(one.to_string(), format!("https://{long}"));
    assert_eq!((&one, hash(&one)), (&other, hash(&other)));
    assert_ne!(one, upstream(&format!("https://{long}:8443")));
    assert_ne!(one, upstream(&format!("http://{long}")));
    assert_ne!(one, Upstream::named(one.text()));
}

#[test]
fn names_of_every_length_survive_the_step_out_of_the_value() {
    for length in INLINE - 10..INLINE + 10 {
        let host = "h".repeat(length);
        let with_port = format!("https://{host}:8443");

        assert_eq!(upstream(&with_port).to_string(), with_port);
        assert_eq!(Upstream::named(&host).to_string(), host);
        assert_eq!(upstream(&with_port), upstream(&with_port.to_uppercase()));
        assert_eq!(upstream(&with_port).host(), Some(&*host));
    }
}

#[test]
fn a_name_of_ones_own_is_never_an_origin() {
    let long = format!("https://{}", long_host());
    for uri in ["https://api.example", "ftp://api.example", "http://[::1]:8080", &long, "a:1", "/"]
    {
        let origin = upstream(uri);

        for name in [origin.to_string(), origin.text().to_owned(), uri.to_owned()] {
            assert_ne!(Upstream::named(&name), origin, "{name}");
        }
    }
}

#[test]
fn a_name_of_ones_own_is_kept_as_it_is() {
    assert_eq!(Upstream::named("Tenant A"), Upstream::named(String::from("Tenant A")));
    assert_ne!(Upstream::named("Tenant A"), Upstream::named("tenant a"));
    assert_ne!(Upstream::named("a"), Upstream::named("a\0"));
    assert_eq!(Upstream::named("bücher").to_string(), "bücher");
    assert_eq!(Upstream::named("").to_string(), "");
}

#[test]
fn control_characters_are_escaped_where_they_are_shown() {
    let hostile = Upstream::named("a\r\nINFO all is well\u{1b}[2J\u{85}\0");

    let shown = hostile.to_string();

    assert_eq!(shown, "a\\r\\nINFO all is well\\u{1b}[2J\\u{85}\\0");
    assert_eq!(format!("{hostile:?}"), format!("Upstream({shown})"));
}

#[test]
fn the_host_of_an_origin_is_told_without_port_and_scheme() {
    for (uri, host) in [
        ("https://api.example:8443", Some("api.example")),
        ("ftp://api.example:21", Some("api.example")),
        ("http://[::1]:8080", Some("[::1]")),
        ("http://[::1]", Some("[::1]")),
        ("api.example:443", Some("api.example")),
        ("/items", None),
    ] {
        assert_eq!(upstream(uri).host(), host, "{uri}");
    }
    assert_eq!(Upstream::named("https://api.example").host(), None);
}

#[test]
fn a_name_is_small_enough_to_be_copied() {
    assert!(size_of::<Upstream>() <= 48);
}

#[test]
fn an_upstream_takes_no_more_than_48_bytes() {
    assert_eq!(size_of::<Upstream>(), 48);
}
