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
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tower_retry_after::schedule::{Snapshot, SyncState, TargetRecord};

/// Tells the child in which folder to save, and the first round.
const FOLDER: &str = "TOWER_RETRY_AFTER_CRASH_FOLDER";
const FIRST: &str = "TOWER_RETRY_AFTER_CRASH_FIRST";

/// How many parents there are, each with a folder of its own: a disk is slow for one.
const PARENTS: u32 = 3;

/// How often each of them kills a child.
const KILLS: u32 = 70;

/// How many killed saves leave temporary files at most: those that may lie about,
/// and the last one's own.
const TEMPORARY: usize = 17;

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
    for round in first.. {
        nth(round).save(folder.join("state.json")).unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(&[SAVED]).and_then(|()| out.flush()).unwrap();
    }
    unreachable!()
}

/// Lets a child save from a round on, and kills it in the midst: within the time that
/// two saves take. How long that is on this machine is measured where it is not known.
#[expect(clippy::disallowed_methods, reason = "a test's stopwatch")]
fn kill_one(folder: &Path, first: u64, known: Option<Duration>) -> Duration {
    let mut child = Command::new(std::env::current_exe().unwrap())
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

/// Returns the names of the temporary files in a folder, and of those that were kept.
fn beside(folder: &Path) -> (usize, usize) {
    let entries = fs::read_dir(folder).unwrap();
    let names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let count = |what| names.iter().filter(|name| name.contains(what)).count();
    (count(".saving"), count(".kept"))
}

/// Kills children in a folder; returns how often that came in the midst of a save.
fn kill_many(folder: &Path) -> u32 {
    let (mut next, mut in_the_midst) = (0, 0);
    let mut two = Duration::ZERO;
    for kill in 0..KILLS {
        let before = beside(folder).0;
        let known = (kill % 10 != 0).then_some(two);
        two = kill_one(folder, next, known);

        let loaded = Snapshot::load(folder.join("state.json"));
        let loaded = loaded.unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        // What the child has said to be saved is there, or something newer.
        let round = round_of(&loaded.unwrap());
        assert!(round >= next, "kill {kill}: {round} is older than what was saved");
        next = round + 1;
        let (temporary, kept) = beside(folder);
        assert_eq!(kept, 0, "kill {kill}: the file was not readable at some time");
        assert!(temporary <= TEMPORARY, "kill {kill}: {temporary} temporary files");
        in_the_midst += u32::from(temporary > before || temporary == TEMPORARY);
    }
    in_the_midst
}

#[test]
fn a_killed_save_leaves_the_old_file_or_the_new_one_and_never_half() {
    if let (Some(folder), Ok(first)) = (std::env::var_os(FOLDER), std::env::var(FIRST)) {
        save_without_end(Path::new(&folder), first.parse().unwrap());
    }
    let name = format!("tower-retry-after-crash-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);

    let in_the_midst: u32 = std::thread::scope(|scope| {
        let parents: Vec<_> = (0..PARENTS)
            .map(|parent| {
                let folder = folder.join(parent.to_string());
                fs::create_dir_all(&folder).unwrap();
                scope.spawn(move || kill_many(&folder))
            })
            .collect();
        parents.into_iter().map(|parent| parent.join().unwrap()).sum()
    });

    assert!(in_the_midst > 0, "no kill came in the midst of a save");
    fs::remove_dir_all(&folder).unwrap();
}
