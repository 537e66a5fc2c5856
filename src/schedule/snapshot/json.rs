//! A snapshot as JSON.
//!
//! The version is looked at before all else: what another version wrote is told
//! from what is damaged.

use serde::{Deserialize, Serialize};

use super::cooldowns::Kept;
use super::{Snapshot, SnapshotError, TargetRecord, VERSION};
use crate::schedule::{PeerBook, SyncState};

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
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
#[serde(rename = "Snapshot", expecting = "a snapshot, an object in braces")]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename = "Snapshot", deny_unknown_fields)]
struct Read {
    #[serde(rename = "version")]
    _version: u64,
    cooldowns: Option<Vec<Kept>>,
    state: Option<SyncState>,
    book: Option<PeerBook>,
    targets: Option<Vec<TargetRecord>>,
}

/// Writes a snapshot, in lines: people mend it with an editor.
pub(super) fn write(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let Snapshot { cooldowns, state, book, targets } = snapshot;
    let written = Written {
        version: VERSION,
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
    let damaged = |error| SnapshotError::damaged(json, error);
    let Versioned { version } = serde_json::from_slice(json).map_err(damaged)?;
    if version != VERSION {
        return Err(SnapshotError::Version { path: None, found: version });
    }
    let Read { _version, cooldowns, state, book, targets } =
        serde_json::from_slice(json).map_err(damaged)?;
    Ok(Snapshot { cooldowns, state, book, targets })
}
