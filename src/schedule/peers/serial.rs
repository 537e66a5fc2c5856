//! How peers are read and written: what could not be added to a book cannot be
//! read into one either.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Peer, PeerBook, check};
use crate::ladder::Ladder;
use crate::schedule::snapshot::object::Object;

/// A peer is enabled unless it says otherwise, as one that is made anew.
pub(super) fn enabled() -> bool {
    true
}

pub(super) fn peer_url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_string(Url)
}

struct Url;

impl Visitor<'_> for Url {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a url, as in \"https://peer.example\"")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<String, E> {
        check(url).map_err(E::custom)?;
        Ok(url.to_owned())
    }
}

#[derive(Serialize)]
#[serde(rename = "PeerBook")]
struct Written<'a> {
    ladder: Ladder,
    peers: Vec<&'a Peer>,
}

#[derive(Deserialize)]
#[serde(rename = "PeerBook", deny_unknown_fields)]
struct Read {
    #[serde(default)]
    ladder: Ladder,
    #[serde(default)]
    peers: Added,
}

impl Serialize for PeerBook {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Written { ladder: self.ladder, peers: self.peers().collect() }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for PeerBook {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Read { ladder, peers: Added(book) } = Read::deserialize(from)?;
        Ok(Self { ladder, ..book })
    }
}

/// Peers that have been added to a book, one by one.
#[derive(Default)]
struct Added(PeerBook);

impl<'de> Deserialize<'de> for Added {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Adding)
    }
}

struct Adding;

impl<'de> Visitor<'de> for Adding {
    type Value = Added;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of peers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut peers: A) -> Result<Added, A::Error> {
        let mut book = PeerBook::new();
        while let Some(Object(peer)) = peers.next_element()? {
            book.add(peer).map_err(A::Error::custom)?;
        }
        Ok(Added(book))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_peer_is_told_what_one_looks_like() {
        let peer = serde_json::from_str::<Peer>(r#"{"peer_url": 5}"#).unwrap_err().to_string();
        let book = serde_json::from_str::<PeerBook>(r#"{"peers": 5}"#).unwrap_err().to_string();

        assert!(peer.contains("expected a url, as in \"https://peer.example\""), "{peer}");
        assert!(book.contains("expected a list of peers"), "{book}");
    }
}
