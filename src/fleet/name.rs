//! How an upstream is called in Redis: by the kind of name it is, and the name.
//!
//! So a name of the user's own never meets an origin, whatever it says. A part by a
//! credential is called by its hash, and only where the user's own salt made it: one
//! of this process's salt would mean nothing to others.

use crate::upstream::{Kind, Upstream};

const SCHEMELESS: &str = "//";

/// Returns whether other processes may mean the same upstream by its name.
pub(super) fn is_shared(upstream: &Upstream) -> bool {
    upstream.kind() != Kind::Ephemeral
}

/// Returns what an upstream is called; nothing if it means nothing to others.
pub(super) fn write(upstream: &Upstream) -> Option<String> {
    let text = upstream.text();
    Some(match upstream.kind() {
        Kind::Http => format!("origin:http://{text}"),
        Kind::Https => format!("origin:https://{text}"),
        // The scheme is in the text.
        Kind::Other => format!("origin:{text}"),
        Kind::Schemeless => format!("origin:{SCHEMELESS}{text}"),
        Kind::Host => format!("host:{text}"),
        Kind::Part => format!("part:{text}"),
        Kind::Salted => format!("salted:{text}"),
        Kind::Named => format!("named:{text}"),
        Kind::Unnamed => "unnamed:".to_owned(),
        Kind::Ephemeral => return None,
    })
}

/// Returns the upstream that is called so; nothing if no process calls one so.
pub(super) fn read(name: &str) -> Option<Upstream> {
    let (kind, text) = name.split_once(':')?;
    let (kind, text) = match kind {
        "origin" => match text.split_once("://") {
            _ if text.starts_with(SCHEMELESS) => (Kind::Schemeless, text.get(2..)?),
            Some(("http", host)) => (Kind::Http, host),
            Some(("https", host)) => (Kind::Https, host),
            Some(_) => (Kind::Other, text),
            None => return None,
        },
        "host" => (Kind::Host, text),
        "part" => (Kind::Part, text),
        "salted" => (Kind::Salted, text),
        "named" => (Kind::Named, text),
        "unnamed" if text.is_empty() => (Kind::Unnamed, text),
        _ => return None,
    };
    let upstream = Upstream::new(kind, text);
    let holds_credentials = kind != Kind::Named && authority(text).contains('@');
    (!holds_credentials).then_some(upstream)
}

/// Returns the part of an origin, or of something behind one, that may name a user.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#', ' ']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name_is_read_as_it_was_written() {
        let uri = |text: &str| Upstream::from_uri(&text.parse().unwrap());
        let upstreams = [
            uri("http://a.example"),
            uri("https://a.example:8443"),
            uri("ftp://a.example"),
            uri("https://[::1]:8443"),
            uri("a.example:443"),
            Upstream::unnamed(),
            Upstream::new(Kind::Host, "a.example"),
            Upstream::new(Kind::Part, "https://a.example/v1"),
            Upstream::new(Kind::Salted, "https://a.example 5f"),
            Upstream::named("https://a.example"),
            Upstream::named("ops@a.example: \n\u{7f}"),
            Upstream::named(""),
        ];

        for upstream in upstreams {
            let name = write(&upstream).unwrap();
            assert_eq!(read(&name).as_ref(), Some(&upstream), "{name}");
        }
    }

    #[test]
    fn an_origin_is_stored_as_it_shows_and_never_meets_a_name() {
        let origin = Upstream::from_uri(&"https://a.example:8443".parse().unwrap());
        let named = Upstream::named(origin.to_string());

        assert_eq!(write(&origin).unwrap(), "origin:https://a.example:8443");
        assert_eq!(write(&named).unwrap(), "named:https://a.example:8443");
    }

    #[test]
    fn what_means_nothing_to_others_is_not_told() {
        assert_eq!(write(&Upstream::new(Kind::Ephemeral, "https://a.example 5f")), None);
    }

    #[test]
    fn what_no_process_writes_is_not_read() {
        for name in [
            "",
            "a.example",
            "origin:a.example",
            "origin:https://me:secret@a.example",
            "part:https://me@a.example/v1",
            "host:me@a.example",
            "ephemeral:x",
            "unnamed:x",
            "Named:x",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
