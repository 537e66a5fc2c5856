//! A snapshot as JSON.
//!
//! The version is looked at before all else: what another version wrote is told
//! from what is damaged.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::cooldowns::Kept;
use super::object::{Distinct, Object};
use super::{Snapshot, SnapshotError, TargetRecord, VERSION};
use crate::schedule::{PeerBook, SyncState};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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
    cooldowns: Option<Distinct<Kept>>,
    state: Option<Object<SyncState>>,
    book: Option<Object<PeerBook>>,
    targets: Option<Distinct<TargetRecord>>,
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
    // Some editors put it there.
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
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
        cooldowns: cooldowns.map(|Distinct(all)| all),
        state: state.map(|Object(state)| state),
        book: book.map(|Object(book)| book),
        targets: targets.map(|Distinct(all)| all),
    })
}
