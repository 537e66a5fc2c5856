//! What the table and the schedule know, kept across restarts.
//!
//! A snapshot is taken before the process ends, or now and then, and given back
//! when the next one starts. It is JSON, in words that people can read and mend.
//! It keeps nothing that is not its business: no requests, no secrets, no clocks.

mod cooldowns;
pub(super) mod credentials;
mod disk;
mod error;
mod file;
mod json;
mod ladder;
pub(super) mod object;
mod place;
mod status;
mod target;
pub(super) mod text;
mod upstream;

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use self::cooldowns::Kept;
pub use self::error::SnapshotError;
pub use self::target::TargetRecord;
use super::wall::{Reading, WallClock};
use super::{PeerBook, SyncState};
use crate::ambient;
use crate::cooldowns::Cooldowns;
use crate::layer::RetryAfterBackoffLayer;

/// The format that is written, and the only one that is read.
///
/// Another number for every change that this version would not understand: within
/// one format no field is unknown, so that a slip of the pen is noticed.
const VERSION: u64 = 1;

/// What is kept across restarts: cooldowns, the state of a loop, its peers, and the
/// targets of a poll set; as much of it as you put in.
///
/// Times are on the wall clock, so that the time in which nothing ran counts as
/// well.
///
/// ```
/// use std::path::Path;
/// use std::time::Duration;
/// use tower_retry_after::RetryAfterBackoffLayer;
/// use tower_retry_after::schedule::{Snapshot, SnapshotError, SyncState};
///
/// fn start(path: &Path, layer: &RetryAfterBackoffLayer) -> Result<SyncState, SnapshotError> {
///     // No file: a first start.
///     let snapshot = Snapshot::load(path)?.unwrap_or_default();
///     snapshot.restore_cooldowns(layer);
///     Ok(snapshot.state().cloned().unwrap_or_default())
/// }
///
/// fn stop(
///     path: &Path,
///     layer: &RetryAfterBackoffLayer,
///     state: &SyncState,
/// ) -> Result<(), SnapshotError> {
///     Snapshot::new().with_cooldowns(&layer.cooldowns()).with_state(state).save(path)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("snapshot-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("state.json");
/// # let upstream = tower_retry_after::Upstream::named("billing");
/// let layer = RetryAfterBackoffLayer::new();
/// let state = start(&path, &layer)?;
/// // The upstream asks for a pause, and the process ends.
/// layer.cooldowns().cool(&upstream, Duration::from_secs(600));
/// stop(&path, &layer, &state)?;
///
/// // The next one heeds it.
/// let layer = RetryAfterBackoffLayer::new();
/// let state = start(&path, &layer)?;
/// assert!(layer.cooldowns().get(&upstream).is_some());
/// # assert_eq!(state, SyncState::default());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
///
/// Reading and writing files blocks. In async code:
///
/// ```
/// use std::path::PathBuf;
/// use tower_retry_after::schedule::{Snapshot, SnapshotError};
///
/// async fn save(snapshot: Snapshot, path: PathBuf) -> Result<(), SnapshotError> {
///     let saved = tokio::task::spawn_blocking(move || snapshot.save(path));
///     saved.await.expect("saving does not panic")
/// }
/// # let folder = std::env::temp_dir().join(format!("snapshot-async-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # tokio::runtime::Builder::new_current_thread()
/// #     .build()
/// #     .unwrap()
/// #     .block_on(save(Snapshot::new(), folder.join("state.json")))
/// #     .unwrap();
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
///
/// # The format
///
/// JSON in UTF-8, for people to read and to mend. Times are in UTC, as RFC 3339 writes
/// them; durations are sums of d, h, m, s, ms, us and ns. Only `version` has to be
/// there; what a part leaves out is as in a new one, but for `upstream` and `until`,
/// `peer_url` and `added_at`, `name` and `interval`. No field may be there that is not
/// known, and no upstream, peer or target twice.
///
/// ```
/// use tower_retry_after::schedule::Snapshot;
///
/// let json = r#"{
///   "version": 1,
///   "taken_at": "2026-01-31T12:00:00Z",
///   "cooldowns": [
///     {
///       "upstream": { "origin": "https://api.example" },
///       "until": "2026-01-31T12:01:30Z",
///       "rung": 1,
///       "status": 429,
///       "hint": "1m 30s",
///       "by_hand": false
///     }
///   ],
///   "state": { "last_outcome": "ok", "next_sync_due_at": "2026-01-31T12:05:00Z" },
///   "book": {
///     "ladder": { "base": "1m", "cap": "30m" },
///     "peers": [{ "peer_url": "https://peer.example", "added_at": "2026-01-01T00:00:00Z" }]
///   },
///   "targets": [{ "name": "blog", "interval": "10m", "due_at": "2026-01-31T12:03:00Z" }]
/// }"#;
///
/// let snapshot = Snapshot::from_json(json)?;
/// assert_eq!(snapshot.targets().unwrap().len(), 1);
/// assert_eq!(Snapshot::from_json(snapshot.to_json())?, snapshot);
/// # Ok::<(), tower_retry_after::schedule::SnapshotError>(())
/// ```
///
/// - `version` is the format's number.
/// - `taken_at` is what the clock showed when the cooldowns were put in.
/// - `cooldowns` has the upstreams in trouble. `upstream` is an `origin`, a `host`, a
///   `part` or `salted` (the crate's other keys), `named` (your own), or the word
///   `"unnamed"`. `until` is when the cooldown ends or ended, `rung` how many refusals
///   there were in a row, `status` and `hint` what the last one said. `by_hand` says that
///   its end was set by [`Cooldowns::cool`], and so is believed however late.
/// - `state`, `book` and `targets` have the fields of [`SyncState`], [`PeerBook`] and its
///   [`Peer`](super::Peer)s, and [`TargetRecord`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    cooldowns: Option<Vec<Kept>>,
    /// What the wall clock showed when the cooldowns were put in.
    taken_at: Option<SystemTime>,
    state: Option<SyncState>,
    book: Option<PeerBook>,
    targets: Option<Vec<TargetRecord>>,
}

impl Snapshot {
    /// Creates a snapshot with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts in what a table knows of the upstreams in trouble.
    ///
    /// One that is being probed, or coming back, counts as one whose cooldown has
    /// run out: the next process probes it first. Upstreams told apart by a header
    /// without a salt of yours ([`key::by_header`](crate::key::by_header)) are left
    /// out, for no other process can find them.
    #[must_use]
    pub fn with_cooldowns(self, cooldowns: &Cooldowns) -> Self {
        self.take_cooldowns(cooldowns, WallClock::default().read())
    }

    /// The same, where the wall clock shows that time: for tests, and for clocks of
    /// your own.
    #[must_use]
    pub fn with_cooldowns_at(self, cooldowns: &Cooldowns, wall_clock: SystemTime) -> Self {
        self.take_cooldowns(cooldowns, Reading { wall: wall_clock, now: ambient::now() })
    }

    fn take_cooldowns(self, cooldowns: &Cooldowns, clocks: Reading) -> Self {
        let taken_at = Some(text::writable(clocks.wall));
        Self { cooldowns: Some(cooldowns::take(cooldowns, clocks)), taken_at, ..self }
    }

    /// Puts in the state of a loop.
    ///
    /// A run that is out stays out, and whoever goes on with the state waits for
    /// the rest of its lease ([`SyncPolicy::run_lease`](super::SyncPolicy)): put in
    /// the state from between two runs where you can. Credentials in the last peer's
    /// URL are taken out.
    #[must_use]
    pub fn with_state(self, state: &SyncState) -> Self {
        let mut state = state.clone();
        state.last_peer_url = credentials::removed(&state.last_peer_url).into_owned();
        Self { state: Some(state), ..self }
    }

    /// Puts in the peers of a loop.
    #[must_use]
    pub fn with_book(self, book: &PeerBook) -> Self {
        Self { book: Some(book.clone()), ..self }
    }

    /// Puts in the targets of a poll set; of several with one name, the last.
    #[must_use]
    pub fn with_targets(self, targets: impl IntoIterator<Item = TargetRecord>) -> Self {
        Self { targets: Some(target::distinct(targets.into_iter().collect())), ..self }
    }

    /// Returns the state of the loop, if it was put in.
    pub fn state(&self) -> Option<&SyncState> {
        self.state.as_ref()
    }

    /// Returns the peers of the loop, if they were put in.
    pub fn book(&self) -> Option<&PeerBook> {
        self.book.as_ref()
    }

    /// Returns the targets of the poll set, if they were put in.
    pub fn targets(&self) -> Option<&[TargetRecord]> {
        self.targets.as_deref()
    }

    /// Gives the cooldowns to a layer's table; nothing if none were put in.
    ///
    /// The table keeps the longer cooldown and the higher rung of what it knows and
    /// what it is given. A cooldown that has run out meanwhile is remembered as that:
    /// the next call is the probe, and if it is refused the ladder goes on from its
    /// rung. What the table would have forgotten by now
    /// ([`forget_after`](crate::CooldownsBuilder::forget_after)) stays forgotten.
    ///
    /// A cooldown that ends further ahead than any that the layer starts (the longer
    /// of the ladder's cap and `max_retry_after`, and the jitter) can only come from
    /// a wrong clock, and is cut to that. One that was set by hand is believed; but no
    /// cooldown is longer than it was when the snapshot was taken, though the clock may
    /// lag.
    ///
    /// Where layers share a table, the longest is that of the layer given here: give
    /// the one that waits longest.
    pub fn restore_cooldowns(&self, layer: &RetryAfterBackoffLayer) {
        self.give_cooldowns(layer, WallClock::default().read());
    }

    /// The same, where the wall clock shows that time: for tests, and for clocks of
    /// your own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::{Duration, SystemTime};
    /// use tower_retry_after::schedule::Snapshot;
    /// use tower_retry_after::{RetryAfterBackoffLayer, Upstream};
    ///
    /// let minute = Duration::from_secs(60);
    /// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800);
    /// let upstream = Upstream::named("billing");
    /// let layer = RetryAfterBackoffLayer::new();
    /// layer.cooldowns().cool(&upstream, 10 * minute);
    /// let snapshot = Snapshot::new().with_cooldowns_at(&layer.cooldowns(), noon);
    ///
    /// // Three minutes later another process starts.
    /// let layer = RetryAfterBackoffLayer::new();
    /// snapshot.restore_cooldowns_at(&layer, noon + 3 * minute);
    /// assert_eq!(layer.cooldowns().get(&upstream).unwrap().retry_after(), 7 * minute);
    /// # }
    /// ```
    pub fn restore_cooldowns_at(&self, layer: &RetryAfterBackoffLayer, wall_clock: SystemTime) {
        self.give_cooldowns(layer, Reading { wall: wall_clock, now: ambient::now() });
    }

    fn give_cooldowns(&self, layer: &RetryAfterBackoffLayer, clocks: Reading) {
        // It is no earlier than when they were put in, whatever the clock shows.
        let wall = self.taken_at.map_or(clocks.wall, |taken_at| taken_at.max(clocks.wall));
        let kept = self.cooldowns.as_deref().unwrap_or_default();
        cooldowns::give(kept, layer, Reading { wall, ..clocks });
    }

    /// Writes the snapshot as JSON.
    ///
    /// Times before 1970 and after the year 9999 have no place in it; the nearest
    /// that has is written.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to be written.
        json::write(self).unwrap_or_default()
    }

    /// Reads a snapshot from JSON.
    ///
    /// # Errors
    ///
    /// Returns [`SnapshotError`] where there is nothing, where it is in another
    /// format, and where anything in it is wrong: nothing is guessed.
    ///
    /// ```
    /// use tower_retry_after::schedule::{Outcome, Snapshot};
    ///
    /// let snapshot = Snapshot::from_json(r#"{"version": 1, "state": {"last_outcome": "ok"}}"#)?;
    /// assert_eq!(snapshot.state().unwrap().last_outcome, Outcome::Ok);
    ///
    /// let error = Snapshot::from_json("{\"version\": 1,\n \"state\": {\"last_outcome\": \"good\"}}")
    ///     .unwrap_err()
    ///     .to_string();
    /// assert!(error.contains("state.last_outcome, line 2, column 33: unknown variant `good`"));
    /// # Ok::<(), tower_retry_after::schedule::SnapshotError>(())
    /// ```
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, SnapshotError> {
        json::read(json.as_ref())
    }

    /// Replaces the file at `path` by this snapshot; at any moment, and after any
    /// crash, there is the old one or the new one, whole.
    ///
    /// It blocks: use `spawn_blocking` in async code. It also reads the old file, whole,
    /// to see whether it is a snapshot: with a hundred thousand targets that takes a good
    /// part of a second. Saves of one process wait for each other.
    ///
    /// The folder must exist. The permissions of an old file are kept; a symbolic link is
    /// followed. A file that is no readable snapshot (damaged, from another version) is
    /// not lost: it stays beside the new one as `name.kept-1`, or the next number. What
    /// earlier saves left behind that were killed, `.name.0123456789abcdef.saving`, is
    /// removed by and by.
    ///
    /// # Errors
    ///
    /// Returns [`SnapshotError::Write`], and leaves the old file as it is. Where the
    /// very last step fails, to bring the new name to the disk, the new file is
    /// there, but may not outlast a power cut.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
        let path = path.as_ref();
        json::write(self)
            .map_err(io::Error::from)
            .and_then(|text| file::replace(path, text.as_bytes(), |old| json::read(old).is_ok()))
            .map_err(|source| SnapshotError::Write { path: path.to_owned(), source })
    }

    /// Reads the snapshot at `path`; nothing where there is no file, as at a first
    /// start. It never touches the file.
    ///
    /// It blocks: use `spawn_blocking` in async code.
    ///
    /// # Errors
    ///
    /// Returns [`SnapshotError::Read`] where the file cannot be read; otherwise as
    /// [`from_json`](Self::from_json).
    pub fn load(path: impl AsRef<Path>) -> Result<Option<Self>, SnapshotError> {
        let path = path.as_ref();
        match std::fs::read(path) {
            Ok(text) => json::read(&text).map(Some).map_err(|error| error.at(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SnapshotError::Read { path: path.to_owned(), source }),
        }
    }
}
