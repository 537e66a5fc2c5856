//! A snapshot as JSON.
//!
//! The version is looked at before all else: what another version wrote is told
//! from what is damaged.

use std::fmt;
use std::marker::PhantomData;
use std::time::SystemTime;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::cooldowns::Kept;
use super::{Snapshot, SnapshotError, TargetRecord, VERSION};
use crate::schedule::{PeerBook, SyncState};

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    #[serde(with = "super::text::option", skip_serializing_if = "Option::is_none")]
    taken_at: Option<SystemTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldowns: Option<&'a [Kept]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a SyncState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    book: Option<&'a PeerBook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<&'a [TargetRecord]>,
}

#[derive(Deserialize)]
#[serde(rename = "Snapshot")]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename = "Snapshot", deny_unknown_fields)]
struct Read {
    #[serde(rename = "version")]
    _version: u64,
    #[serde(default, with = "super::text::option")]
    taken_at: Option<SystemTime>,
    cooldowns: Option<Vec<Object<Kept>>>,
    state: Option<Object<SyncState>>,
    book: Option<Object<PeerBook>>,
    targets: Option<Vec<Object<TargetRecord>>>,
}

/// What stands in braces. A list would do as well where fields go by their order,
/// and an empty one would pass for a new state.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Braces(PhantomData))
    }
}

struct Braces<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Braces<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, in braces")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// Writes a snapshot, in lines: people mend it with an editor.
pub(super) fn write(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let Snapshot { cooldowns, taken_at, state, book, targets } = snapshot;
    let written = Written {
        version: VERSION,
        taken_at: *taken_at,
        cooldowns: cooldowns.as_deref(),
        state: state.as_ref(),
        book: book.as_ref(),
        targets: targets.as_deref(),
    };
    let mut json = serde_json::to_string_pretty(&written)?;
    json.push('\n');
    Ok(json)
}

pub(super) fn read(json: &[u8]) -> Result<Snapshot, SnapshotError> {
    if json.trim_ascii().is_empty() {
        return Err(SnapshotError::Empty { path: None });
    }
    let damaged = |error| SnapshotError::damaged(json, &error);
    let Object(Versioned { version }) = serde_json::from_slice(json).map_err(damaged)?;
    if version != VERSION {
        return Err(SnapshotError::Version { path: None, found: version });
    }
    let Object(Read { _version, taken_at, cooldowns, state, book, targets }) =
        serde_json::from_slice(json).map_err(damaged)?;
    Ok(Snapshot {
        taken_at,
        cooldowns: cooldowns.map(all),
        state: state.map(|Object(state)| state),
        book: book.map(|Object(book)| book),
        targets: targets.map(all),
    })
}

fn all<T>(objects: Vec<Object<T>>) -> Vec<T> {
    objects.into_iter().map(|Object(value)| value).collect()
}
