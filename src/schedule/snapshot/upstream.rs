//! How a snapshot names an upstream: by the kind of name it is, and the name.
//!
//! So a name of the user's own never meets an origin, whatever it says.

use std::borrow::Cow;
use std::fmt;

use http::uri::Authority;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::credentials::authority;
use super::text::{self, Text};
use crate::upstream::{Kind, Upstream};

#[derive(Deserialize, Serialize)]
#[serde(rename = "Upstream", rename_all = "snake_case")]
enum Name<'a> {
    /// As in a URI.
    Origin(#[serde(with = "text")] Origin),
    Host(Cow<'a, str>),
    Part(Cow<'a, str>),
    Salted(Cow<'a, str>),
    #[serde(rename = "named")]
    Own(Cow<'a, str>),
    Unnamed,
}

pub(super) fn serialize<S: Serializer>(upstream: &Upstream, to: S) -> Result<S::Ok, S::Error> {
    let text = Cow::Borrowed(upstream.text());
    match upstream.kind() {
        Kind::Http | Kind::Https | Kind::Other | Kind::Schemeless => {
            Name::Origin(Origin(upstream.clone()))
        }
        Kind::Host => Name::Host(text),
        Kind::Part => Name::Part(text),
        Kind::Salted => Name::Salted(text),
        // One of this process's own is never written; as a name it would meet nobody.
        Kind::Named | Kind::Ephemeral => Name::Own(text),
        Kind::Unnamed => Name::Unnamed,
    }
    .serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Upstream, D::Error> {
    let (kind, text) = match Name::deserialize(from)? {
        Name::Origin(Origin(upstream)) => return Ok(upstream),
        Name::Host(text) => (Kind::Host, text),
        Name::Part(text) => (Kind::Part, text),
        Name::Salted(text) => (Kind::Salted, text),
        Name::Own(text) => return Ok(Upstream::named(text)),
        Name::Unnamed => return Ok(Upstream::unnamed()),
    };
    let authority = if kind == Kind::Host { &*text } else { authority(&text) };
    if authority.contains('@') {
        return Err(D::Error::custom(CREDENTIALS));
    }
    Ok(Upstream::new(kind, &text))
}

const CREDENTIALS: &str = "the upstream's name holds credentials, take them out";

/// An upstream that is an origin.
struct Origin(Upstream);

impl Text for Origin {
    const EXPECTED: &'static str = "an origin, as in \"https://api.example\"";

    /// Reads what may have been written by hand: in capitals, say. What we have
    /// written is read as it was, however odd the host.
    fn read(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err(CREDENTIALS.to_owned());
        }
        let (scheme, host) = match text.split_once("://") {
            _ if text.starts_with("//") => (None, text.get(2..).unwrap_or_default()),
            Some((scheme, host)) => (Some(scheme), host),
            None => return Err(text::unlike::<Self>(text)),
        };
        if host.parse::<Authority>().is_ok() {
            return Ok(Self(Upstream::origin(scheme, host)));
        }
        Ok(Self(match scheme {
            Some("http") => Upstream::new(Kind::Http, host),
            Some("https") => Upstream::new(Kind::Https, host),
            Some(_) => Upstream::new(Kind::Other, text),
            None => Upstream::new(Kind::Schemeless, host),
        }))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.text();
        match self.0.kind() {
            Kind::Http => write!(f, "http://{text}"),
            Kind::Https => write!(f, "https://{text}"),
            Kind::Schemeless => write!(f, "//{text}"),
            // The scheme is in the text.
            _ => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    struct Wrapped(#[serde(with = "super")] Upstream);

    fn written(upstream: &Upstream) -> String {
        serde_json::to_string(&Wrapped(upstream.clone())).unwrap()
    }

    fn read(json: &str) -> Result<Upstream, String> {
        let read = serde_json::from_str(json).map(|Wrapped(upstream)| upstream);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_name_is_read_as_it_was_written() {
        let long = "x".repeat(300);
        let texts = ["", "a.example", "//", "https://a.example", "a:443:443", "ä\"\\\u{7}", &long];
        for text in texts {
            for kind in [Kind::Host, Kind::Part, Kind::Salted, Kind::Named, Kind::Http, Kind::Https]
            {
                let upstream = Upstream::new(kind, text);
                assert_eq!(read(&written(&upstream)), Ok(upstream), "{kind:?} {text}");
            }
        }
        for uri in ["http://a", "https://[::1]:8", "ws://a:1", "ftp+x://a.example:21", "a:443"] {
            let upstream = Upstream::from_uri(&uri.parse().unwrap());
            assert_eq!(read(&written(&upstream)), Ok(upstream), "{uri}");
        }
        assert_eq!(read(&written(&Upstream::unnamed())), Ok(Upstream::unnamed()));
    }

    #[test]
    fn a_name_of_ones_own_never_meets_an_origin() {
        let origin = Upstream::from_uri(&"https://a.example".parse().unwrap());

        assert_eq!(written(&origin), r#"{"origin":"https://a.example"}"#);
        assert_eq!(read(r#"{"origin":"https://a.example"}"#), Ok(origin.clone()));
        assert_ne!(read(r#"{"named":"https://a.example"}"#), Ok(origin));
    }

    #[test]
    fn an_origin_written_by_hand_is_made_normal() {
        let origin = Upstream::from_uri(&"https://a.example".parse().unwrap());

        assert_eq!(read(r#"{"origin":"HTTPS://A.example:0443"}"#), Ok(origin));
    }

    #[test]
    fn credentials_are_neither_taken_nor_shown() {
        for json in [
            r#"{"origin":"https://me:secret@a.example"}"#,
            r#"{"origin":"//me:secret@a.example"}"#,
            r#"{"origin":"me:secret@a.example"}"#,
            r#"{"part":"https://me:secret@a.example/search"}"#,
            r#"{"salted":"https://me:secret@a.example#x:00"}"#,
            r#"{"host":"me:secret@a.example"}"#,
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains("credentials") && !error.contains("secret"), "{error}");
        }
        assert!(read(r#"{"part":"https://a.example/@me"}"#).is_ok());
        assert!(read(r#"{"part":"(unnamed)/a://b@c"}"#).is_ok());
        assert!(read(r#"{"named":"me@a.example"}"#).is_ok());
    }

    #[test]
    fn what_is_no_origin_is_said_to_be_none() {
        let error = read(r#"{"origin":"a.example"}"#).unwrap_err();
        assert!(error.contains("`a.example` is not an origin, as in"), "{error}");
    }
}
