//! Credentials in what a snapshot is made of, or read from: neither stored nor shown.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Visitor};

use crate::schedule::PeerError;

/// Returns host and port of a name that begins with an origin, credentials included;
/// nothing if it does not begin with one.
pub(super) fn authority(name: &str) -> &str {
    let is_scheme = |text: &str| {
        text.chars().all(|symbol| symbol.is_ascii_alphanumeric() || "+-.".contains(symbol))
    };
    let rest = match name.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        Some(_) | None => name.strip_prefix("//").unwrap_or_default(),
    };
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Takes the credentials out of a URL, if it holds any.
pub(super) fn removed(url: &str) -> Cow<'_, str> {
    match authority(url).rsplit_once('@') {
        None => Cow::Borrowed(url),
        // The first in the text: nothing but a scheme stands before it.
        Some((secret, _)) => Cow::Owned(url.replacen(&format!("{secret}@"), "", 1)),
    }
}

/// Reads the URL of the peer that was synced with last: whatever the user's loop calls
/// its peers, but without credentials.
pub(in crate::schedule) fn last_peer_url<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<String, D::Error> {
    from.deserialize_string(LastPeer)
}

struct LastPeer;

impl Visitor<'_> for LastPeer {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<String, E> {
        if authority(url).contains('@') {
            return Err(E::custom(PeerError::Credentials));
        }
        Ok(url.to_owned())
    }
}

/// Blanks out what may be credentials in a text that is shown: rather too much than
/// too little, for what is wrong with a text is seen without them.
pub(super) fn veiled(text: &str) -> String {
    let mut veiled = String::new();
    let mut before = "";
    for piece in text.split("//") {
        veiled.push_str(before);
        match piece.rsplit_once('@') {
            None => veiled.push_str(piece),
            Some((secret, host)) => {
                if before.is_empty() {
                    veiled.push_str(before_secret(secret));
                }
                veiled.push('…');
                veiled.push('@');
                veiled.push_str(host);
            }
        }
        before = "//";
    }
    veiled
}

/// Returns what stands before a secret that no scheme begins: up to the first quote, or
/// else the last space.
fn before_secret(text: &str) -> &str {
    let quote = text.find(['"', '`']);
    let end = quote.or_else(|| text.rfind(char::is_whitespace));
    // Quotes and spaces may be of any width.
    let width = end.and_then(|end| text.get(end..)?.chars().next()).map_or(0, char::len_utf8);
    text.get(..end.unwrap_or_default().saturating_add(width)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_credentials_is_blanked_out() {
        for (text, shown) in [
            ("", ""),
            ("unknown field `colour`", "unknown field `colour`"),
            ("at https://a.example:8/x, line 2", "at https://a.example:8/x, line 2"),
            ("me:secret@a.example", "…@a.example"),
            ("say me:secret@a.example twice", "say …@a.example twice"),
            ("a `me:secret \"word@a.example` here", "a `…@a.example` here"),
            ("\"https://me:secret@a.example\", or x", "\"https://…@a.example\", or x"),
            ("//me:sec/ret@a.example", "//…@a.example"),
            ("http://me:secret@a http://me:secret@b", "http://…@a http://…@b"),
            ("me:secret@http://me:secret@a", "…@http://…@a"),
            ("é\u{3000}me:secret@a", "é\u{3000}…@a"),
        ] {
            assert_eq!(veiled(text), shown);
            assert_eq!(veiled(shown), shown);
        }
    }
}
