//! Who a request goes to: names, the ready-made keys, and the layer's own ways to a name.
//!
//! An input is text: a URI, and below it, each on a line and each of which may be left
//! out, a `Host` header, the value of a header that tells tenants apart, a prefix of
//! paths, and a name of one's own.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, SystemTime};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use tower_layer::Layer;
use tower_retry_after::key::{self, Key};
use tower_retry_after::schedule::Snapshot;
use tower_retry_after::{RetryAfterBackoffLayer, Upstream};
use tower_service::Service;

use crate::wire::{self, Response, Wire, in_virtual_time};

/// What no name may ever show.
const SECRET: &str = "s3cr3t-passw0rd";

/// [`Upstream::from_uri`], [`Upstream::named`] and the keys.
pub fn upstream_keys(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let uri = lines.next().and_then(|line| Uri::try_from(line).ok());
    let rest = lines.next().unwrap_or_default();
    let host = HeaderValue::from_bytes(rest).unwrap_or(HeaderValue::from_static(""));
    let tenant = HeaderValue::from_bytes(lines.next().unwrap_or_default());
    let prefix = String::from_utf8_lossy(lines.next().unwrap_or_default());
    named(&String::from_utf8_lossy(lines.next().unwrap_or(data)));
    let Some(uri) = uri else {
        return;
    };
    let upstream = Upstream::from_uri(&uri);
    shown_as_a_line(&upstream);
    if let Some(authority) = uri.authority() {
        spelt_otherwise(&uri, authority, &upstream);
        read_again(authority, &upstream);
    }
    let mut headers = HeaderMap::new();
    headers.insert("host", host);
    by_key(&uri, &headers, tenant.ok(), &prefix);
    kept(&upstream);
    on_the_way(&uri, &headers);
}

/// Names of one's own: kept as they are, and equal to nothing else.
fn named(name: &str) {
    let named = Upstream::named(name);
    assert_eq!(named, Upstream::named(name));
    assert_ne!(named, Upstream::named(format!("{name}.")));
    shown_as_a_line(&named);
    if let Ok(uri) = name.parse() {
        assert_ne!(named, Upstream::from_uri(&uri), "a name meets an origin");
    }
    kept(&named);
}

/// Nothing in it tampers with a log.
fn shown_as_a_line(upstream: &Upstream) {
    let shown = upstream.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(format!("{upstream:?}"), format!("Upstream({shown})"));
}

fn hash(upstream: &Upstream) -> u64 {
    let mut hasher = DefaultHasher::new();
    upstream.hash(&mut hasher);
    hasher.finish()
}

fn same(one: &Upstream, other: &Upstream, why: &str) {
    assert_eq!(one, other, "{why}");
    assert_eq!((hash(one), one.to_string()), (hash(other), other.to_string()), "{why}");
}

/// The same origin, spelt otherwise.
fn spelt_otherwise(uri: &Uri, authority: &Authority, upstream: &Upstream) {
    let again = |authority: &str| {
        let mut parts = uri.clone().into_parts();
        parts.authority = Some(authority.parse().ok()?);
        Some(Upstream::from_uri(&Uri::from_parts(parts).ok()?))
    };
    let text = authority.as_str();
    let bare = text.rsplit_once('@').map_or(text, |(_, bare)| bare);
    assert!(!upstream.to_string().contains('@'), "{upstream} shows credentials");
    let credentials = format!("me:{SECRET}@{bare}");
    if let Some(with) = again(&credentials) {
        same(&with, upstream, "credentials are no part of a name");
    }
    for spelling in [bare.to_ascii_uppercase(), bare.to_ascii_lowercase()] {
        if let Some(spelt) = again(&spelling) {
            same(&spelt, upstream, "neither is the case");
        }
    }
    if let Some((host, port)) = bare.rsplit_once(':').filter(|(_, port)| is_port(port))
        && let Some(padded) = again(&format!("{host}:0{port}"))
    {
        same(&padded, upstream, "nor are zeros before the port");
    }
    let default_port = match uri.scheme_str() {
        Some("http" | "ws") => "80",
        Some("https" | "wss") => "443",
        _ => return elsewhere(uri, upstream),
    };
    let has_port = bare.rsplit_once(':').is_some_and(|(_, port)| port.is_empty() || is_port(port));
    if !has_port && let Some(with) = again(&format!("{bare}:{default_port}")) {
        same(&with, upstream, "nor is a scheme's own port");
    }
    elsewhere(uri, upstream);
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Another path is the same upstream, another scheme is not.
fn elsewhere(uri: &Uri, upstream: &Upstream) {
    let Some(scheme) = uri.scheme() else {
        return;
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/elsewhere?q=1"));
    let path = Uri::from_parts(parts).expect("a path");
    same(&Upstream::from_uri(&path), upstream, "a path is no part of a name");
    assert_ne!(&Upstream::from_uri(&under_another_scheme(uri, scheme)), upstream);
}

fn under_another_scheme(uri: &Uri, scheme: &Scheme) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(if *scheme == Scheme::HTTP { Scheme::HTTPS } else { Scheme::HTTP });
    Uri::from_parts(parts).expect("a scheme")
}

/// What is shown of an origin reads as the same one.
fn read_again(authority: &Authority, upstream: &Upstream) {
    let shown = upstream.to_string();
    let text = shown.strip_prefix("//").unwrap_or(&shown);
    let read = if text == shown {
        text.parse::<Uri>().ok()
    } else {
        text.parse::<Authority>().ok().map(authority_form)
    };
    let bare = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, bare)| bare);
    if let Some(read) = read {
        return same(&Upstream::from_uri(&read), upstream, "what is shown is read again");
    }
    // The parser takes hosts that are empty, and an `@` in brackets; what is behind it is
    // nobody's host. And what had to be escaped was never fit to be read.
    let is_odd = authority.host().is_empty() || bare.parse::<Authority>().is_err();
    assert!(is_odd || text.contains('\\'), "{shown:?} is unreadable");
}

fn authority_form(authority: Authority) -> Uri {
    Uri::builder().authority(authority).build().expect("an authority")
}

/// The ready-made keys.
fn by_key(uri: &Uri, headers: &HeaderMap, tenant: Option<HeaderValue>, prefix: &str) {
    let head = key::Head::new(uri, headers, None);
    let origin = head.origin();
    assert_eq!(key::by_origin().upstream(&head), origin);
    let asked = uri.authority().filter(|authority| !authority.as_str().is_empty());
    if asked.is_some() {
        same(&origin, &Upstream::from_uri(uri), "the authority goes before `Host`");
    }

    let host = key::by_host().upstream(&head);
    if let (Some(_), Some(scheme)) = (asked, uri.scheme()) {
        let other = under_another_scheme(uri, scheme);
        let other = key::by_host().upstream(&key::Head::new(&other, headers, None));
        same(&host, &other, "a host has every scheme");
        assert_ne!(host, origin);
    }

    let part = key::by_path_prefix([prefix]).upstream(&head);
    let wanted: &str = prefix.trim_matches('/');
    let path = uri.path().trim_start_matches('/');
    let is_part = !wanted.is_empty() && (path == wanted || path.starts_with(&format!("{wanted}/")));
    assert_eq!(part == origin, !is_part, "{path:?} below {wanted:?}");

    let Some(tenant) = tenant else {
        return;
    };
    let key = key::by_header("x-api-key".parse().expect("a name")).salt("salt");
    assert_eq!(key.upstream(&head), origin, "without the header it is the origin");
    let of = |tenant: &HeaderValue| {
        let mut headers = headers.clone();
        headers.insert("x-api-key", tenant.clone());
        key.upstream(&key::Head::new(uri, &headers, None))
    };
    let one = of(&tenant);
    same(&one, &of(&tenant), "a tenant stays itself");
    assert_ne!(one, origin);
    let more = [tenant.as_bytes(), b"x"].concat();
    assert_ne!(one, of(&HeaderValue::from_bytes(&more).expect("a value")));
    let secret = HeaderValue::from_static(SECRET);
    assert!(!of(&secret).to_string().contains(SECRET), "a secret is shown");
    for named in [host, part, one] {
        shown_as_a_line(&named);
        kept(&named);
    }
}

/// A snapshot finds it again.
fn kept(upstream: &Upstream) {
    in_virtual_time(async {
        let layer = RetryAfterBackoffLayer::new();
        layer.cooldowns().cool(upstream, Duration::from_secs(60));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let json = Snapshot::new().with_cooldowns_at(&layer.cooldowns(), time).to_json();
        assert!(!json.contains(SECRET));
        let next = RetryAfterBackoffLayer::new();
        let snapshot = Snapshot::from_json(&json);
        let snapshot = snapshot.unwrap_or_else(|error| panic!("{error} in {json}"));
        snapshot.restore_cooldowns_at(&next, time);
        assert!(next.cooldowns().get(upstream).is_some(), "{upstream} is lost in {json}");
    });
}

/// Whichever way the layer takes to a name, it is the one that the key says.
fn on_the_way(uri: &Uri, headers: &HeaderMap) {
    let origin = key::Head::new(uri, headers, None).origin();
    let request = || {
        let mut request = Request::new(0);
        *request.uri_mut() = uri.clone();
        headers.clone_into(request.headers_mut());
        request
    };
    in_virtual_time(async {
        let (layer, wire) = (RetryAfterBackoffLayer::new(), Wire::default());
        let mut client = layer.layer(wire.clone());
        // The first by the way of a healthy table, the second while another is in trouble.
        for others in 0..2 {
            let mut call = Box::pin(client.call(request()));
            assert!(wire::poll(&mut call).is_pending());
            let received = wire.received.borrow_mut().pop_front().expect("a request");
            received.answer(Some(Response::new(429)));
            assert!(wire::poll(&mut call).is_ready());
            let known = layer.cooldowns().get(&origin);
            assert!(known.is_some(), "{origin} was refused, and {:?}", layer.cooldowns());
            let mut held = Box::pin(client.call(request()));
            let held = wire::poll(&mut held);
            assert!(matches!(held, std::task::Poll::Ready(Err(_))), "{origin} is not held back");
            layer.cooldowns().clear(&origin);
            let known = layer.cooldowns().len();
            assert_eq!(known, others, "another than {origin} is in trouble");
            layer.cooldowns().cool(&Upstream::named("another"), Duration::from_secs(1));
        }
    });
}
