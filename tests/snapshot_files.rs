//! Snapshots as files: what is wrong with one is said, and none is ever lost.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::arithmetic_side_effects, clippy::unchecked_time_subtraction, reason = "for tests")]

use std::error::Error as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tower_retry_after::schedule::{
    Peer, PeerBook, Snapshot, SnapshotError, SyncState, TargetRecord,
};
use tower_retry_after::{Cooldowns, Upstream};

/// A folder of a test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-retry-after-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// The names of all files, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800)
}

fn with_head(head: &str) -> Snapshot {
    let mut state = SyncState::default();
    state.begin("https://a.example", head, noon());
    Snapshot::new().with_state(&state)
}

/// A snapshot with something of everything.
fn everything() -> Snapshot {
    let cooldowns = Cooldowns::new();
    cooldowns.cool(&Upstream::named("billing"), Duration::from_secs(60));
    let mut book = PeerBook::new();
    for url in ["https://a.example", "https://b.example"] {
        book.add(Peer::new(url, noon()).unwrap()).unwrap();
    }
    let target = TargetRecord::new("feed", Duration::from_secs(60));
    with_head("h1").with_cooldowns(&cooldowns).with_book(&book).with_targets([target])
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = Folder::new();

    everything().save(folder.file()).unwrap();
    let saved = Snapshot::load(folder.file()).unwrap().unwrap();
    assert_eq!(saved.to_json(), fs::read_to_string(folder.file()).unwrap());
    with_head("h2").save(folder.file()).unwrap();
    assert_eq!(Snapshot::load(folder.file()).unwrap(), Some(with_head("h2")));
    assert_eq!(folder.names(), ["state.json"]);
}

#[test]
fn no_file_is_a_first_start_and_no_error() {
    let folder = Folder::new();

    assert_eq!(Snapshot::load(folder.file()).unwrap(), None);
    assert_eq!(Snapshot::load(folder.0.join("none/state.json")).unwrap(), None);
    assert!(folder.names().is_empty());
}

/// Texts that are no snapshots, and what is said of each.
fn bad() -> Vec<(String, String)> {
    let in_peer = |field: &str| {
        format!(
            r#"{{"version": 1, "book": {{"peers": [
                {{"peer_url": "https://a.example", "added_at": "2026-01-31T12:00:00Z"}},
                {{"peer_url": "https://b.example", "added_at": "2026-01-31T12:00:00Z", {field}}}
            ]}}}}"#
        )
    };
    let peer_at = |url: &str| {
        let rest = r#""added_at": "2026-01-31T12:00:00Z""#;
        format!(
            r#"{{"version": 1, "book": {{"peers": [
                {{"peer_url": "https://a.example", {rest}}}, {{"peer_url": "{url}", {rest}}}
            ]}}}}"#
        )
    };
    let in_state = |field: &str| format!("{{\"version\": 1,\n\"state\": {{{field}}}}}");
    let in_cooldown = |field: &str| {
        format!(
            r#"{{"version": 1, "cooldowns": [
                {{"upstream": {{"host": "a.example"}}, "until": "2026-01-31T12:00:00Z", {field}}}
            ]}}"#
        )
    };
    let target = |field: &str| format!(r#"{{"version": 1, "targets": [{{{field}}}]}}"#);
    let upstream = |name: &str| {
        format!(r#"{{"version": 1, "cooldowns": [{{"upstream": {name}, "until": 0}}]}}"#)
    };
    let cases: [(String, &str); 57] = [
        (String::new(), "is empty, remove it to start anew"),
        (" \n\t ".into(), "is empty"),
        ("hello".into(), "line 1, column 1: expected value"),
        ("\u{0}\u{0}\u{0}".into(), "line 1, column 1: expected value"),
        ("[]".into(), "invalid type: sequence, expected an object, in braces"),
        ("null".into(), "line 1, column 4: invalid type: null, expected an object"),
        ("\"version\"".into(), "invalid type: string \"version\", expected an object"),
        ("{}".into(), "missing field `version`"),
        (r#"{"state": {}}"#.into(), "missing field `version`"),
        (r#"{"version": 0}"#.into(), "is in format 0, and this version"),
        (r#"{"version": 2, "new": [1, {}]}"#.into(), "is in format 2, and this version"),
        (r#"{"version": "1"}"#.into(), "version, line 1, column 15: invalid type: string \"1\""),
        (r#"{"version": 1.0}"#.into(), "version, line 1, column 15: invalid type: floating"),
        (r#"{"version": -1}"#.into(), "version, line 1, column 14: invalid value: integer `-1`"),
        (r#"{"version": 1, "version": 1}"#.into(), "duplicate field `version`"),
        (r#"{"version": 1} {}"#.into(), "trailing characters"),
        (r#"{"version": 1,}"#.into(), "trailing comma"),
        (r#"{"version": 1, "stat": {}}"#.into(), "unknown field `stat`"),
        (r#"{"version": 1, "state": []}"#.into(), "state, line 1, column 24: invalid type: sequence, expected an object"),
        (in_state(r#""last_outcome": "good""#), "state.last_outcome, line 2, column 32: unknown variant `good`"),
        (in_state(r#""last_outcom": "ok""#), "state.last_outcom, line 2, column 23: unknown field"),
        (in_state(r#""last_error": 5"#), "state.last_error, line 2, column 25: invalid type: integer"),
        (in_state(r#""fork_detected": "no""#), "state.fork_detected, line 2,"),
        (in_state(r#""consecutive_failures": -1"#), "state.consecutive_failures, line 2"),
        (in_state(r#""consecutive_failures": 4294967296"#), "invalid value: integer `4294967296`"),
        (in_state(r#""consecutive_failures": NaN"#), "line 2, column 35: expected value"),
        (in_state(r#""consecutive_failures": 1e999"#), "number out of range"),
        (in_state(r#""next_sync_due_at": "tomorrow""#), "state.next_sync_due_at, line 2, column 40: `tomorrow` is not a time in UTC, as in \"2026"),
        (in_state(r#""next_sync_due_at": 1769860800"#), "invalid type: integer `1769860800`, expected a time in UTC"),
        (in_state(r#""next_sync_due_at": "1969-12-31T23:59:59Z""#), "is not a time in UTC"),
        (in_state(r#""last_error": "\ud800""#), "state.last_error, line 2,"),
        (in_peer(r#""role": "boss""#), "book.peers[1].role, line 3, column 100: unknown variant `boss`"),
        (in_peer(r#""failure_count": -1"#), "book.peers[1].failure_count, line 3"),
        (in_peer(r#""colour": "red""#), "book.peers[1].colour, line 3, column 94: unknown field `colour`"),
        (peer_at("https://a.example"), "book.peers, line 3, column"),
        (peer_at("a.example"), "book.peers[1].peer_url, line 2, column 111: the peer's url needs a scheme and a host"),
        (peer_at("https://me:secret@a.example"), "the peer's url holds credentials"),
        (in_cooldown(r#""rung": -1"#), "cooldowns[0].rung, line 2, column 95: invalid value"),
        (in_cooldown(r#""status": 9"#), "invalid value: integer `9`, expected an HTTP status"),
        (in_cooldown(r#""hint": "soon""#), "cooldowns[0].hint, line 2, column 99: `soon` is not a duration in d, h, m, s"),
        (r#"{"version": 1, "cooldowns": [{"upstream": {"origin": "https://me:secret@a.example"}}]}"#.into(), "cooldowns[0].upstream.origin, line 1, column 82: the upstream's name holds credentials"),
        (r#"{"version": 1, "cooldowns": [{"upstream": "nobody"}]}"#.into(), "unknown variant `nobody`"),
        (upstream(r#"{"origin": "me:secret@a.example"}"#), "cooldowns[0].upstream.origin, line 1, column 74: the upstream's name holds credentials"),
        (upstream(r#""https://me:secret@a.example""#), "unknown variant `https://…@a.example`"),
        (upstream(r#"{"https://me:secret@a.example": 1}"#), "cooldowns[0].upstream.https://…@a.example, line"),
        (upstream(r#"{"me:secret\u0040a.example": 1}"#), "cooldowns[0].upstream.…@a.example, line"),
        (r#"{"version": 1, "book": {"peers": ["https://me:secret@a.example"]}}"#.into(), "book.peers[0], line 1, column 63: invalid type: string \"https://…@a.example\""),
        (r#"{"version": 1, "book": {"peers": {"me:secret@a.example": {}}}}"#.into(), "book.peers, line"),
        (in_state(r#""next_sync_due_at": "me:\"secret@a.example""#), "`…@a.example` is not a time"),
        (in_state(r#""me:secret@a.example": 1"#), "state.…@a.example, line 2, column 31: unknown field `…@a.example`"),
        (in_state(r#""last_peer_url": "https://me:secret@a.example""#), "state.last_peer_url, line 2, column 56: the peer's url holds credentials"),
        (r#"{"version": 1, "book": {"peers": [["sync", "operator", "seed", true, "https://a.example", "2026-01-31T12:00:00Z", null, null, "", 0, null, "", null]]}}"#.into(), "book.peers[0], line 1, column 34: invalid type: sequence, expected an object"),
        (r#"{"version": 1, "book": {"ladder": ["1m", "2m"]}}"#.into(), "book.ladder, line 1, column 34: invalid type: sequence, expected an object"),
        (r#"{"version": 1, "targets": [{"name": "a", "interval": "1m"}, {"name": "a", "interval": "2m"}]}"#.into(), "targets, line 1, column 92: a target named `a` is in it already"),
        (r#"{"version": 1, "cooldowns": [{"upstream": {"named": "x"}, "until": "2026-01-31T12:00:00Z"}, {"upstream": {"named": "x"}, "until": "2027-01-31T12:00:00Z"}]}"#.into(), "cooldowns, line 1, column 154: a cooldown of x is in it already"),
        (target(r#""interval": "1m""#), "targets[0], line 1, column 45: missing field `name`"),
        (target(r#""name": "feed", "interval": "1m 1m1""#), "targets[0].interval"),
    ];
    let mut cases: Vec<(String, String)> =
        cases.into_iter().map(|(text, said)| (text, said.to_owned())).collect();
    let deep = format!(r#"{{"version": 1, "state": {}"#, "[".repeat(100_000));
    let whole = format!("{deep}{}}}", "]".repeat(100_000));
    cases.push((deep, "EOF while parsing".to_owned()));
    cases.push((whole, "state, line 1, column 24: invalid type: sequence".to_owned()));
    let long = format!(r#"{{"version": 1, "{}": 1}}"#, "x".repeat(100_000));
    cases.push((long, "unknown field `xxx".to_owned()));
    cases
}

#[test]
fn every_kind_of_bad_file_has_its_own_error_and_stays_as_it_is() {
    let folder = Folder::new();
    for (text, expected) in bad() {
        fs::write(folder.file(), &text).unwrap();

        let error = Snapshot::load(folder.file()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&expected), "{said}\n{expected}");
        assert!(said.contains("state.json"), "{said}");
        assert!(!said.contains("secret") && said.len() < 1000, "{said}");
        assert_eq!(error.path(), Some(&*folder.file()));
        assert!(!format!("{error:?}").contains("secret") && error.source().is_none(), "{error:?}");
        let bare = Snapshot::from_json(&text).unwrap_err();
        assert!(bare.path().is_none() && bare.to_string().contains(&expected), "{bare}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
        assert_eq!(folder.names(), ["state.json"]);
    }
}

#[test]
fn the_kinds_of_errors_can_be_told_apart() {
    let folder = Folder::new();
    let load = |text: &str| {
        fs::write(folder.file(), text).unwrap();
        Snapshot::load(folder.file()).unwrap_err()
    };

    assert!(matches!(load(""), SnapshotError::Empty { .. }));
    assert!(matches!(load(r#"{"version": 7}"#), SnapshotError::Version { found: 7, .. }));
    let field = match load("{\"version\": 1,\n\"state\": {\"last_error\": 5}}") {
        SnapshotError::Damaged { field, line: 2, column: 25, .. } => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field, "state.last_error");
    assert!(matches!(Snapshot::load(&folder.0).unwrap_err(), SnapshotError::Read { .. }));
    let nowhere = folder.0.join("none/state.json");
    let error = everything().save(nowhere).unwrap_err();
    assert!(matches!(error, SnapshotError::Write { .. }));
    assert!(error.to_string().contains("none/state.json, see that its folder is there"), "{error}");
    // What is behind it is said once, by the source.
    let source = error.source().unwrap().to_string();
    assert!(!error.to_string().contains(&source), "{error}");
}

#[test]
fn no_error_is_long_and_none_can_deceive() {
    let folder = Folder::new();
    let long = "x".repeat(100_000);
    let error = Snapshot::from_json(format!(r#"{{"version": 1, "{long}": 1}}"#)).unwrap_err();
    assert!(format!("{error:?}").len() < 1000);

    let odd = folder.0.join("a\n\u{1b}[31mb");
    fs::write(&odd, "").unwrap();
    let said = Snapshot::load(&odd).unwrap_err().to_string();
    assert!(said.contains("a\\n\\u{1b}[31mb is empty"), "{said}");
}

#[test]
fn a_duplicate_peer_is_named() {
    let (text, _) = bad().into_iter().find(|(_, said)| said.starts_with("book.peers, ")).unwrap();

    let said = Snapshot::from_json(text).unwrap_err().to_string();
    assert!(said.ends_with("a peer at https://a.example is in the book already, merge it instead"));
}

#[test]
fn a_snapshot_cut_anywhere_is_damaged_or_empty_and_never_taken_for_whole() {
    let json = everything().to_json();
    let whole = json.trim_end().len();

    for end in 0..whole {
        match Snapshot::from_json(&json[..end]) {
            Err(SnapshotError::Empty { .. }) => assert_eq!(end, 0),
            Err(SnapshotError::Damaged { reason, .. }) => {
                assert!(reason.contains("EOF"), "{reason}");
            }
            other => panic!("{end}: {other:?}"),
        }
    }
    assert!(Snapshot::from_json(&json[..whole]).is_ok());
}

#[test]
fn a_snapshot_with_any_byte_changed_is_read_or_refused_and_nothing_panics() {
    let json = everything().to_json().into_bytes();
    for index in 0..json.len() {
        for byte in [0, b'"', b'{', b']', b',', b'9', b'-', b'\\', 0xff] {
            let mut changed = json.clone();
            changed[index] = byte;
            if let Ok(snapshot) = Snapshot::from_json(&changed) {
                assert!(Snapshot::from_json(snapshot.to_json()).is_ok());
            }
        }
    }
}

#[test]
fn saving_keeps_what_it_cannot_read() {
    let folder = Folder::new();
    let foreign = r#"{"version": 2}"#;
    fs::write(folder.file(), foreign).unwrap();

    with_head("h1").save(folder.file()).unwrap();
    fs::write(folder.file(), "half a sna").unwrap();
    with_head("h2").save(folder.file()).unwrap();
    with_head("h3").save(folder.file()).unwrap();

    assert_eq!(folder.names(), ["state.json", "state.json.kept-1", "state.json.kept-2"]);
    let kept = |number| fs::read_to_string(folder.0.join(format!("state.json.kept-{number}")));
    assert_eq!(kept(1).unwrap(), foreign);
    assert_eq!(kept(2).unwrap(), "half a sna");
    assert_eq!(Snapshot::load(folder.file()).unwrap(), Some(with_head("h3")));
}

/// Puts a temporary file there as a killed process leaves it.
fn abandoned(folder: &Folder, number: usize, age: Duration) -> PathBuf {
    let path = folder.0.join(format!(".state.json.{number:016x}.saving"));
    let file = File::create(&path).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap() - age;
    file.set_modified(modified).unwrap();
    path
}

/// Returns the names of the temporary files that are left.
fn left(folder: &Folder) -> Vec<String> {
    let mut names = folder.names();
    names.retain(|name| name.starts_with(".state.json.0") && name.ends_with(".saving"));
    names
}

#[test]
fn temporary_files_of_killed_processes_do_not_pile_up() {
    let folder = Folder::new();
    let minute = Duration::from_secs(60);
    let old = abandoned(&folder, 0, 61 * minute);
    let young = abandoned(&folder, 1, 59 * minute);
    let of_others = [".state.json.saving", ".other.json.0000000000000000.saving", "notes.saving"];
    for name in of_others {
        let file = File::create(folder.0.join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }

    everything().save(folder.file()).unwrap();
    assert!(!old.exists() && young.exists());
    assert!(of_others.iter().all(|name| folder.0.join(name).exists()));

    for number in 2..50 {
        abandoned(&folder, number, 2 * minute + Duration::from_secs(number as u64));
    }
    everything().save(folder.file()).unwrap();
    // The youngest stay.
    let name = |number| format!(".state.json.{number:016x}.saving");
    assert_eq!(left(&folder), (2..18).map(name).collect::<Vec<_>>());
}

#[test]
fn temporary_files_that_somebody_may_be_at_work_on_are_left_alone_however_many() {
    let folder = Folder::new();
    for number in 0..40 {
        abandoned(&folder, number, Duration::ZERO);
    }
    everything().save(folder.file()).unwrap();
    assert_eq!(left(&folder).len(), 40);
}

#[test]
fn temporary_files_from_the_future_are_nobodys() {
    let folder = Folder::new();
    for number in 0..16 {
        let file = File::create(abandoned(&folder, number, Duration::ZERO)).unwrap();
        let made = file.metadata().unwrap().modified().unwrap();
        file.set_modified(made + Duration::from_secs(86_400)).unwrap();
    }
    everything().save(folder.file()).unwrap();
    assert_eq!(folder.names(), ["state.json"]);
}

#[test]
fn a_save_that_fails_leaves_the_old_file_and_nothing_else() {
    let folder = Folder::new();
    let is_a_folder = folder.file();
    fs::create_dir(&is_a_folder).unwrap();

    let error = everything().save(&is_a_folder).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "it is not a regular file");
    assert_eq!(folder.names(), ["state.json"]);
    for odd in ["", "/", "..", "state.json/x/.."] {
        assert!(everything().save(folder.0.join(odd)).is_err(), "{odd}");
    }
    assert!(everything().save("").is_err());
}

#[test]
fn saves_at_the_same_time_leave_one_of_them_whole() {
    let folder = Folder::new();
    let path = folder.file();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..25 {
                    with_head(&format!("{thread}-{round}")).save(path).unwrap();
                    assert!(Snapshot::load(path).unwrap().is_some());
                }
            });
        }
    });

    assert_eq!(folder.names(), ["state.json"]);
}

#[test]
fn a_file_is_saved_however_long_its_name() {
    let folder = Folder::new();
    for length in [200, 201, 230, 231, 254] {
        for name in ["x".repeat(length), "é".repeat(length / 2)] {
            let path = folder.0.join(name);
            fs::write(&path, "half a sna").unwrap();
            with_head("h1").save(&path).unwrap();
            with_head("h2").save(&path).unwrap();
            assert_eq!(Snapshot::load(path).unwrap(), Some(with_head("h2")));
        }
    }
    let names = folder.names();
    assert_eq!(names.iter().filter(|name| name.contains(".kept-")).count(), 10, "{names:?}");
    assert!(!names.iter().any(|name| name.contains("saving")), "{names:?}");
}

#[test]
fn a_file_in_the_working_folder_needs_no_more_than_its_name() {
    let name = format!("tower-retry-after-{}.json", std::process::id());
    with_head("h1").save(&name).unwrap();

    let loaded = Snapshot::load(Path::new(".").join(&name));
    fs::remove_file(&name).unwrap();
    assert_eq!(loaded.unwrap(), Some(with_head("h1")));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_permissions_of_an_old_file_are_kept() {
        let folder = Folder::new();
        for permissions in [0o600, 0o640, 0o444, 0o666] {
            with_head("h1").save(folder.file()).unwrap();
            fs::set_permissions(folder.file(), fs::Permissions::from_mode(permissions)).unwrap();

            with_head("h2").save(folder.file()).unwrap();
            assert_eq!(mode(&folder.file()), permissions);
            assert_eq!(Snapshot::load(folder.file()).unwrap(), Some(with_head("h2")));
            fs::remove_file(folder.file()).unwrap();
        }
    }

    #[test]
    fn a_link_stays_a_link_and_what_it_leads_to_is_replaced() {
        let [here, there] = [Folder::new(), Folder::new()];
        let (link, detour) = (here.file(), here.0.join("detour.json"));
        symlink("detour.json", &link).unwrap();
        symlink(there.file(), &detour).unwrap();

        // Where it leads nowhere yet, too.
        for head in ["h1", "h2"] {
            with_head(head).save(&link).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(Snapshot::load(there.file()).unwrap(), Some(with_head(head)));
        }
        assert_eq!(there.names(), ["state.json"]);
        assert_eq!(here.names(), ["detour.json", "state.json"]);
    }

    #[test]
    fn links_in_a_ring_are_an_error() {
        let folder = Folder::new();
        let other = folder.0.join("other.json");
        symlink(&other, folder.file()).unwrap();
        symlink(folder.file(), &other).unwrap();

        assert!(everything().save(folder.file()).is_err());
        assert!(matches!(Snapshot::load(folder.file()).unwrap_err(), SnapshotError::Read { .. }));
    }

    #[test]
    fn a_file_that_others_hold_by_another_name_is_not_changed_there() {
        let folder = Folder::new();
        with_head("h1").save(folder.file()).unwrap();
        let backup = folder.0.join("backup.json");
        fs::hard_link(folder.file(), &backup).unwrap();

        with_head("h2").save(folder.file()).unwrap();
        assert_eq!(Snapshot::load(backup).unwrap(), Some(with_head("h1")));
    }
}
