//! A process may be killed at any point of a save: there is the old file or the
//! new one, whole.
//!
//! One test plays both parts. The parent starts this very binary again with an
//! environment variable set; then it is the child, which saves without end, and is
//! killed. Only here do tests sleep: another process has no virtual time.
#![cfg(all(feature = "serde", unix))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests")]
#![allow(clippy::arithmetic_side_effects, reason = "for tests")]

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tower_retry_after::schedule::{Snapshot, SnapshotError, SyncState, TargetRecord};

/// Tells the child in which folder to save, and the first round.
const FOLDER: &str = "TOWER_RETRY_AFTER_CRASH_FOLDER";
const FIRST: &str = "TOWER_RETRY_AFTER_CRASH_FIRST";

/// How many parents there are, each with a folder of its own: a disk is slow for one.
const PARENTS: u32 = 3;

/// How often each of them kills a child.
const KILLS: u32 = 70;

/// How many temporary files that are older than a minute outlive a save.
const LYING_ABOUT: usize = 16;

/// Set where the child damages the file before each save.
const DAMAGING: &str = "TOWER_RETRY_AFTER_CRASH_DAMAGING";

/// What a damaged file holds.
const DAMAGED: &str = "{\"version\": 1, \"sta";

/// What a child says when it has saved, so that the harness's own words are none.
const SAVED: u8 = 0;

/// A snapshot that tells its round in each of its parts. Every other one is large:
/// some 300 kB.
fn nth(round: u64) -> Snapshot {
    let (words, targets) = if round.is_multiple_of(2) { (30_000, 20) } else { (1, 1) };
    let mut state = SyncState::default();
    state.current_head = round.to_string();
    state.last_error = format!("{round:>10}").repeat(words);
    let targets = (0..targets)
        .map(|index| TargetRecord::new(format!("{round}/{index}"), Duration::from_secs(round)));
    Snapshot::new().with_state(&state).with_targets(targets)
}

/// Returns the round of a snapshot that must be whole.
fn round_of(snapshot: &Snapshot) -> u64 {
    let round = snapshot.state().unwrap().current_head.parse().unwrap();
    assert!(*snapshot == nth(round), "the snapshot of round {round} is not whole");
    round
}

fn save_without_end(folder: &Path, first: u64) -> ! {
    let is_damaging = std::env::var_os(DAMAGING).is_some();
    for round in first.. {
        if is_damaging {
            let damaged = folder.join("damaged.json");
            fs::write(&damaged, DAMAGED).unwrap();
            fs::rename(damaged, folder.join("state.json")).unwrap();
        }
        nth(round).save(folder.join("state.json")).unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(&[SAVED]).and_then(|()| out.flush()).unwrap();
    }
    unreachable!()
}

/// Lets a child save from a round on, and kills it in the midst: within the time that
/// two saves take. How long that is on this machine is measured where it is not known.
#[expect(clippy::disallowed_methods, reason = "a test's stopwatch")]
fn kill_one(folder: &Path, first: u64, is_damaging: bool, known: Option<Duration>) -> Duration {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if is_damaging {
        command.env(DAMAGING, "");
    }
    let mut child = command
        .args(["--exact", "a_killed_save_leaves_the_old_file_or_the_new_one_and_never_half"])
        .args(["--nocapture", "--quiet"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut says = BufReader::new(child.stdout.take().unwrap()).bytes();
    let mut saved = || while says.next().unwrap().unwrap() != SAVED {};
    saved();
    let two = known.unwrap_or_else(|| {
        // A large one and a small one.
        let start = Instant::now();
        saved();
        saved();
        start.elapsed()
    });
    let most = u64::try_from(two.as_micros()).unwrap().max(1);
    sleep(Duration::from_micros(RandomState::new().hash_one(0) % most));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    two
}

/// Returns the files in a folder whose names have that in them.
fn files(folder: &Path, what: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().contains(what));
    files
}

/// Checks that the file is there and damaged, or a snapshot that is whole, and that
/// what was kept of it is as it was.
fn check_damaged(folder: &Path) {
    let path = folder.join("state.json");
    match Snapshot::load(&path) {
        Ok(Some(snapshot)) => drop(round_of(&snapshot)),
        Err(SnapshotError::Damaged { .. }) => {
            assert_eq!(fs::read_to_string(path).unwrap(), DAMAGED);
        }
        other => panic!("{other:?}"),
    }
    for kept in files(folder, ".kept-") {
        assert_eq!(fs::read_to_string(&kept).unwrap(), DAMAGED);
        fs::remove_file(kept).unwrap();
    }
}

/// A folder that is removed at the end, whatever that is.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Kills children in a folder; returns how often that came in the midst of a save.
fn kill_many(folder: &Path, is_damaging: bool) -> usize {
    let mut next = 0;
    let mut two = Duration::ZERO;
    for kill in 0..KILLS {
        let known = (kill % 10 != 0).then_some(two);
        two = kill_one(folder, next, is_damaging, known);

        if is_damaging {
            check_damaged(folder);
            next += 1;
            continue;
        }
        let loaded = Snapshot::load(folder.join("state.json"));
        let loaded = loaded.unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        // What the child has said to be saved is there, or something newer.
        let round = round_of(&loaded.unwrap());
        assert!(round >= next, "kill {kill}: {round} is older than what was saved");
        next = round + 1;
        let kept = files(folder, ".kept-").len();
        assert_eq!(kept, 0, "kill {kill}: the file was not readable at some time");
    }
    let temporary = files(folder, ".saving");
    let left = temporary.len();
    for path in temporary {
        let file = fs::File::options().write(true).open(path).unwrap();
        let made = file.metadata().unwrap().modified().unwrap();
        file.set_modified(made.checked_sub(Duration::from_secs(120)).unwrap()).unwrap();
    }
    nth(next).save(folder.join("state.json")).unwrap();
    assert!(files(folder, ".saving").len() <= LYING_ABOUT);
    left
}

#[test]
fn a_killed_save_leaves_the_old_file_or_the_new_one_and_never_half() {
    if let (Some(folder), Ok(first)) = (std::env::var_os(FOLDER), std::env::var(FIRST)) {
        save_without_end(Path::new(&folder), first.parse().unwrap());
    }
    let name = format!("tower-retry-after-crash-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));

    let in_the_midst: usize = std::thread::scope(|scope| {
        let parents: Vec<_> = (0..PARENTS)
            .map(|parent| {
                let folder = folder.0.join(parent.to_string());
                fs::create_dir_all(&folder).unwrap();
                // The last one's files are damaged before each save.
                scope.spawn(move || kill_many(&folder, parent + 1 == PARENTS))
            })
            .collect();
        parents.into_iter().map(|parent| parent.join().unwrap()).sum()
    });

    assert!(in_the_midst > 0, "no kill came in the midst of a save");
}
