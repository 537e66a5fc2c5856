//! The schedule's pure parts by scripts: a loop's state, and its book of peers.

use std::time::{Duration, SystemTime};

use tower_retry_after::Ladder;
use tower_retry_after::schedule::{
    Bucket, Outcome, Peer, PeerBook, Role, Source, SyncPolicy, SyncState,
};

use crate::script::Script;

/// How far ahead a due time may lie: a century, with a day for what it counts from.
const FAR: Duration = Duration::from_secs(36_526 * 24 * 3600);

const URLS: [&str; 4] =
    ["https://a.example", "https://b.example", "http://c.example:8080", "https://d.example"];

/// [`SyncState`] and [`PeerBook`] through histories of any kind.
pub fn schedule(data: &[u8]) {
    let mut script = Script::new(data);
    let policy = SyncPolicy {
        interval: wait(&mut script),
        ladder: Ladder::new(wait(&mut script), wait(&mut script)),
        run_lease: wait(&mut script),
    };
    let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut state = SyncState::default();
    let mut book = PeerBook::with_ladder(policy.ladder);
    while !script.is_done() {
        let passed = wait(&mut script);
        if script.flag() {
            now = now.checked_add(passed.min(FAR)).unwrap_or(now);
        }
        if script.flag() {
            run(&mut state, &policy, &mut script, now);
        } else {
            meet(&mut book, &policy.ladder, &mut script, now);
            in_order(&book, now);
        }
    }
}

/// A wait of any length, most often one of minutes.
fn wait(script: &mut Script<'_>) -> Duration {
    match script.byte() {
        seconds @ 0..=199 => Duration::from_secs(u64::from(seconds) * 10),
        200..=253 => script.duration(),
        254.. => Duration::MAX,
    }
}

/// The due time that follows from a wait; nothing where the clock may not reach that far.
fn due(now: SystemTime, wait: Duration) -> Option<SystemTime> {
    now.checked_add(wait).filter(|_| wait < FAR)
}

fn run(state: &mut SyncState, policy: &SyncPolicy, script: &mut Script<'_>, now: SystemTime) {
    let (peer, head) = (script.pick(&["", URLS[0], URLS[1]]), script.pick(&["", "h1", "h2"]));
    let error = script.pick(&["", "refused", "  timed out \n"]);
    let before = state.clone();
    let op = script.below(6);
    let hint = wait(script);
    match op {
        0 => {
            state.begin(peer, head, now);
            assert_eq!(state.last_outcome, Outcome::Running);
            assert_eq!(state.last_sync_started_at, Some(now));
            assert_eq!(state.next_sync_due_at, before.next_sync_due_at);
            assert!(state.last_error.is_empty() && !state.fork_detected);
        }
        1 => {
            state.finish_ok(policy, peer, head, now);
            ended(state, Outcome::Ok, now, policy.interval);
            assert_eq!((state.last_sync_ok_at, state.consecutive_failures), (Some(now), 0));
        }
        2 | 3 => {
            let outcome = if op == 2 { Outcome::Error } else { Outcome::Fork };
            if op == 2 {
                state.finish_err(policy, peer, head, error, hint, now);
            } else {
                state.finish_fork(policy, peer, head, error, hint, now);
            }
            let failures = before.consecutive_failures + 1;
            ended(state, outcome, now, ladder(&policy.ladder, failures).max(hint));
            assert_eq!(state.consecutive_failures, failures);
            assert_eq!(state.last_sync_ok_at, before.last_sync_ok_at);
            assert_eq!((&*state.last_error, state.fork_detected), (error.trim(), op == 3));
        }
        4 => {
            state.finish_solo(policy, head, now);
            ended(state, Outcome::Solo, now, policy.interval);
            assert_eq!((&*state.last_peer_url, state.consecutive_failures), ("", 0));
        }
        _ => {
            let until = due(now, hint).unwrap_or(now);
            state.put_off(until, now);
            assert_eq!(state.next_sync_due_at, Some(until));
            assert_eq!(state.consecutive_failures, before.consecutive_failures);
            assert_ne!(state.last_outcome, Outcome::Running);
        }
    }
    if !head.is_empty() && op != 5 {
        assert_eq!(state.current_head, head);
    }
    let leased = state.last_outcome != Outcome::Running;
    let time = if leased { state.next_sync_due_at } else { state.last_sync_started_at };
    let since = if leased { Duration::ZERO } else { policy.run_lease };
    if let Some(due) = time.and_then(|time| due(time, since)) {
        let just_before = due - Duration::from_nanos(1);
        assert!(state.is_due(policy, due) && !state.is_due(policy, just_before), "{state:?}");
    }
}

fn ended(state: &SyncState, outcome: Outcome, now: SystemTime, wait: Duration) {
    assert_eq!((state.last_outcome, state.last_sync_finished_at), (outcome, Some(now)));
    match due(now, wait) {
        Some(due) => assert_eq!(state.next_sync_due_at, Some(due), "after {wait:?}"),
        None => assert!(state.next_sync_due_at >= Some(now), "{state:?}"),
    }
}

/// The ladder, by repeated doubling.
fn ladder(ladder: &Ladder, failures: u32) -> Duration {
    let doubled = (1..failures.min(17)).fold(ladder.base(), |wait, _| wait.saturating_mul(2));
    doubled.min(ladder.cap())
}

fn meet(book: &mut PeerBook, rungs: &Ladder, script: &mut Script<'_>, now: SystemTime) {
    let url = script.pick(&URLS);
    let before = book.peer(url).cloned();
    let is_known = before.is_some();
    let op = script.below(7);
    let hint = wait(script);
    match op {
        0 | 1 => {
            let added_at = due(SystemTime::UNIX_EPOCH, hint).unwrap_or(now);
            let mut peer = Peer::new(url, added_at).expect("a url");
            peer.bucket = script.pick(&[Bucket::Sync, Bucket::Push, Bucket::Bootstrap]);
            peer.role = script.pick(&[Role::Seed, Role::Participant, Role::Relay]);
            peer.source =
                script.pick(&[Source::Bundle, Source::BootstrapPromoted, Source::Runtime]);
            peer.observed_at = script.flag().then_some(now);
            peer.failure_count = u32::from(script.byte());
            if op == 0 {
                assert_eq!(book.add(peer).is_ok(), !is_known);
            } else {
                book.merge(peer).expect("a url");
                let merged = book.peer(url).expect("merged");
                let mine = before.unwrap_or_else(|| merged.clone());
                assert!(merged.last_sync_ok_at >= mine.last_sync_ok_at, "a fact was unlearnt");
                assert!(merged.observed_at >= mine.observed_at, "an older record won");
                assert_eq!(merged.enabled, mine.enabled, "an operator's say was overruled");
            }
        }
        2 => assert_eq!(book.mark_ok(url, now).is_ok(), is_known),
        3 => {
            assert_eq!(book.mark_failed(url, "refused", hint, now).is_ok(), is_known);
            let (Some(before), Some(peer)) = (before, book.peer(url)) else { return };
            assert_eq!(peer.failure_count, before.failure_count + 1);
            assert!(peer.cooldown_until >= before.cooldown_until, "a cooldown was cut");
            if let Some(until) = due(now, ladder(rungs, peer.failure_count).max(hint)) {
                assert_eq!(peer.cooldown_until, before.cooldown_until.max(Some(until)));
            }
        }
        4 => {
            let until = due(now, hint).unwrap_or(now);
            assert_eq!(book.mark_cooling(url, until).is_ok(), is_known);
            let (Some(before), Some(peer)) = (before, book.peer(url)) else { return };
            assert_eq!(peer.cooldown_until, before.cooldown_until.max(Some(until)));
            assert_eq!(peer.failure_count, before.failure_count);
        }
        5 => assert_eq!(book.set_enabled(url, script.flag()).is_ok(), is_known),
        _ => assert_eq!(book.remove(url).is_ok(), is_known),
    }
}

/// Who may be synced with, by comparing each with each.
fn in_order(book: &PeerBook, now: SystemTime) {
    let eligible = book.eligible(now);
    let is_free = |peer: &Peer| peer.cooldown_until.is_none_or(|until| until <= now);
    let may = |peer: &Peer| peer.enabled && peer.bucket == Bucket::Sync;
    let expected = book.peers().filter(|peer| may(peer) && is_free(peer)).count();
    assert_eq!(eligible.len(), expected);
    for pair in eligible.windows(2) {
        assert!(is_better(pair[0], pair[1]), "{:?} before {:?}", pair[0], pair[1]);
    }
    let cooling = book.peers().filter(|peer| may(peer) && !is_free(peer));
    assert_eq!(book.next_free(now), cooling.filter_map(|peer| peer.cooldown_until).min());
}

fn is_better(one: &Peer, other: &Peer) -> bool {
    let seed = |peer: &Peer| peer.role == Role::Seed && peer.source != Source::Runtime;
    if one.last_sync_ok_at != other.last_sync_ok_at {
        return one.last_sync_ok_at > other.last_sync_ok_at;
    }
    if seed(one) != seed(other) {
        return seed(one);
    }
    if one.failure_count != other.failure_count {
        return one.failure_count < other.failure_count;
    }
    if one.added_at != other.added_at {
        return one.added_at < other.added_at;
    }
    one.peer_url < other.peer_url
}
