//! Whom to sync with next: the order of the vectors, and the book's rules.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests"
)]
#![cfg(feature = "schedule")]

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tower_retry_after::Ladder;
use tower_retry_after::schedule::{Bucket, Peer, PeerBook, PeerError, Role, Source};

const A: &str = "https://a.example";
const B: &str = "https://b.example";
const NO_HINT: Duration = Duration::ZERO;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn book(urls: &[&str]) -> PeerBook {
    let mut book = PeerBook::new();
    for url in urls {
        book.add(Peer::new(*url, at(100)).unwrap()).unwrap();
    }
    book
}

fn eligible(book: &PeerBook, now: SystemTime) -> Vec<&str> {
    book.eligible(now).into_iter().map(|peer| peer.peer_url.as_str()).collect()
}

/// The time of a vector, in which zero is never.
fn time(value: &Value) -> Option<SystemTime> {
    Some(value.as_u64().expect("a time")).filter(|&time| time > 0).map(at)
}

fn read(value: &Value) -> Peer {
    let text = |field: &str| value[field].as_str().expect("a text");
    let added_at = at(value["added_at"].as_u64().expect("a time"));
    let mut peer = Peer::new(text("peer_url"), added_at).expect("a url");
    peer.bucket = match text("bucket") {
        "bootstrap" => Bucket::Bootstrap,
        "sync" => Bucket::Sync,
        "push" => Bucket::Push,
        other => panic!("no bucket: {other}"),
    };
    peer.source = match text("source") {
        "operator" => Source::Operator,
        "bundle" => Source::Bundle,
        "bootstrap_promoted" => Source::BootstrapPromoted,
        "runtime" => Source::Runtime,
        other => panic!("no source: {other}"),
    };
    peer.role = match text("role") {
        "participant" => Role::Participant,
        "relay" => Role::Relay,
        "seed" => Role::Seed,
        other => panic!("no role: {other}"),
    };
    peer.enabled = value["enabled"].as_bool().expect("yes or no");
    peer.last_sync_ok_at = time(&value["last_sync_ok_at"]);
    peer.failure_count = value["failure_count"].as_u64().unwrap().try_into().unwrap();
    peer.cooldown_until = time(&value["cooldown_until"]);
    peer
}

#[test]
fn the_eligible_come_in_the_order_of_the_vectors() {
    let mut rows = 0;
    for line in include_str!("vectors/eligible.jsonl").lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let mut book = PeerBook::new();
        for peer in row["peers"].as_array().expect("peers") {
            book.add(read(peer)).expect("urls differ");
        }
        let now = at(row["now"].as_u64().expect("a time"));

        let expected: Vec<&str> =
            row["eligible"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();

        assert_eq!(eligible(&book, now), expected, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 60);
}

#[test]
fn the_same_url_is_not_added_twice() {
    let mut book = book(&[A]);

    let error = book.add(Peer::new(A, at(5)).unwrap()).unwrap_err();

    assert!(matches!(error, PeerError::Duplicate { .. }));
    assert_eq!(
        error.to_string(),
        "a peer at https://a.example is in the book already, merge it instead"
    );
}

#[test]
fn a_url_that_names_nobody_is_an_error() {
    for url in ["", "peer", "/path", "//peer.example", "http://", "http://a b", "https://[::1"] {
        assert_eq!(Peer::new(url, at(0)).unwrap_err(), PeerError::Malformed, "{url}");
    }
    let mut changed = Peer::new(A, at(0)).unwrap();
    changed.peer_url = "nobody".into();
    assert_eq!(PeerBook::new().add(changed.clone()), Err(PeerError::Malformed));
    assert_eq!(PeerBook::new().merge(changed), Err(PeerError::Malformed));
}

#[test]
fn an_unknown_peer_is_an_error_that_shows_no_password() {
    let mut book = book(&[A]);
    let url = "https://me:secret@b.example/";

    for error in [
        book.set_enabled(url, false),
        book.mark_seen(url, at(1)),
        book.mark_ok(url, at(1)),
        book.mark_failed(url, "down", NO_HINT, at(1)),
        book.mark_cooling(url, at(1)),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "no peer at https://b.example is in the book, add it first");
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[test]
fn each_peer_climbs_a_ladder_of_its_own() {
    let mut book = PeerBook::with_ladder(Ladder::new(secs(10), secs(1000)));
    for url in [A, B] {
        book.add(Peer::new(url, at(100)).unwrap()).unwrap();
    }

    book.mark_failed(A, " down ", NO_HINT, at(1000)).unwrap();
    book.mark_failed(A, "down", NO_HINT, at(1010)).unwrap();
    book.mark_failed(B, "slow down", secs(600), at(1010)).unwrap();

    let (a, b) = (book.peer(A).unwrap(), book.peer(B).unwrap());
    assert_eq!((a.failure_count, a.cooldown_until), (2, Some(at(1030))));
    assert_eq!(a.last_error, "down");
    assert_eq!((b.failure_count, b.cooldown_until), (1, Some(at(1610))));
    assert_eq!(book.next_free(at(1010)), Some(at(1030)));
    assert_eq!(eligible(&book, at(1030)), [A]);
    assert_eq!(book.next_free(at(1030)), Some(at(1610)));
    assert_eq!(book.next_free(at(1610)), None);
}

#[test]
fn a_success_forgets_the_failures() {
    let mut book = book(&[A]);
    book.mark_failed(A, "down", NO_HINT, at(1000)).unwrap();

    book.mark_ok(A, at(1100)).unwrap();

    let peer = book.peer(A).unwrap();
    assert_eq!((peer.failure_count, peer.cooldown_until, peer.last_error.as_str()), (0, None, ""));
    assert_eq!((peer.last_sync_ok_at, peer.last_seen_at), (Some(at(1100)), Some(at(1100))));
}

#[test]
fn cooling_climbs_nothing_and_shortens_nothing() {
    let mut book = book(&[A]);
    book.mark_cooling(A, at(2000)).unwrap();
    book.mark_cooling(A, at(1500)).unwrap();

    let peer = book.peer(A).unwrap();
    assert_eq!((peer.failure_count, peer.cooldown_until), (0, Some(at(2000))));
    assert_eq!(peer.last_error, "");
}

#[test]
fn a_peer_that_is_disabled_is_not_called_until_it_is_enabled_again() {
    let mut book = book(&[A, B]);

    book.set_enabled(A, false).unwrap();
    assert_eq!(eligible(&book, at(200)), [B]);

    book.set_enabled(A, true).unwrap();
    assert_eq!(eligible(&book, at(200)), [A, B]);
}

#[test]
fn nobody_who_is_disabled_or_elsewhere_comes_free() {
    let mut book = book(&[A]);
    let mut other = Peer::new(B, at(1)).unwrap();
    other.enabled = false;
    other.cooldown_until = Some(at(500));
    book.add(other).unwrap();
    book.mark_cooling(A, at(600)).unwrap();

    assert_eq!(book.next_free(at(100)), Some(at(600)));
}

/// Two books in which A failed at 1000; in the second it recovered at 1100.
fn failed_and_recovered() -> (PeerBook, PeerBook) {
    let mut failed = book(&[A]);
    failed.mark_failed(A, "down", secs(9000), at(1000)).unwrap();
    let mut recovered = failed.clone();
    recovered.mark_ok(A, at(1100)).unwrap();
    (failed, recovered)
}

#[test]
fn a_recovered_peer_is_not_poisoned_again_by_an_older_record() {
    let (failed, mut recovered) = failed_and_recovered();

    recovered.merge(failed.peer(A).unwrap().clone()).unwrap();

    let peer = recovered.peer(A).unwrap();
    assert_eq!((peer.failure_count, peer.cooldown_until), (0, None));
}

#[test]
fn a_later_record_tells_of_failures_and_of_recovery() {
    let (mut failed, mut recovered) = failed_and_recovered();
    failed.merge(recovered.peer(A).unwrap().clone()).unwrap();
    assert_eq!(failed, recovered);

    failed.mark_failed(A, "down again", NO_HINT, at(1200)).unwrap();
    recovered.merge(failed.peer(A).unwrap().clone()).unwrap();
    assert_eq!(recovered.peer(A).unwrap().failure_count, 1);
    assert_eq!(recovered.peer(A).unwrap().last_error, "down again");
}

#[test]
fn what_only_grows_takes_the_larger() {
    let mut book = book(&[A]);
    book.mark_ok(A, at(1000)).unwrap();
    let mut seen = Peer::new(A, at(50)).unwrap();
    seen.last_seen_at = Some(at(3000));
    seen.last_sync_ok_at = Some(at(500));

    book.merge(seen).unwrap();

    let peer = book.peer(A).unwrap();
    assert_eq!((peer.last_seen_at, peer.last_sync_ok_at), (Some(at(3000)), Some(at(1000))));
    assert_eq!(peer.added_at, at(50));
}

#[test]
fn merging_a_stranger_adds_it() {
    let mut book = book(&[A]);

    book.merge(Peer::new(B, at(1)).unwrap()).unwrap();

    assert_eq!(book.peers().count(), 2);
}

#[test]
fn a_url_with_a_password_is_not_kept() {
    let error = Peer::new("https://me:secret@peer.example", at(0)).unwrap_err();

    assert_eq!(error, PeerError::Credentials);
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn of_two_records_that_observed_nothing_the_longer_cooldown_counts() {
    let mut book = book(&[A]);
    let mut other = book.clone();
    book.mark_cooling(A, at(500)).unwrap();
    other.mark_cooling(A, at(900)).unwrap();

    book.merge(other.peer(A).unwrap().clone()).unwrap();

    assert_eq!(book.peer(A).unwrap().cooldown_until, Some(at(900)));
}
