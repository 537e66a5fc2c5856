//! What is kept across restarts: the cooldowns, the state, the book and the targets.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]
#![allow(clippy::arithmetic_side_effects, clippy::unchecked_time_subtraction, reason = "for tests")]

mod support;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use support::{
    A, B, COOLING, Outcome as Met, PROBING, Peer as Server, ask, client, held, info, ok, pass,
    refused, refused_for, secs, state, upstream,
};
use tower_retry_after::schedule::{
    Bucket, Outcome, Peer, PeerBook, Role, Snapshot, Source, SyncPolicy, SyncState, TargetRecord,
};
use tower_retry_after::{Ladder, RetryAfterBackoffLayer, State, Upstream, key};

/// What the wall clock shows when the first process ends.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(1_769_860_800)
}

/// Writes a layer's cooldowns down at noon, and reads what was written.
fn taken(layer: &RetryAfterBackoffLayer) -> Snapshot {
    let snapshot = Snapshot::new().with_cooldowns_at(&layer.cooldowns(), noon());
    let read = Snapshot::from_json(snapshot.to_json()).unwrap();
    assert_eq!(read, snapshot);
    read
}

/// A new process with default settings that starts `away` after noon.
fn restarted(snapshot: &Snapshot, away: Duration) -> RetryAfterBackoffLayer {
    let layer = RetryAfterBackoffLayer::new();
    snapshot.restore_cooldowns_at(&layer, noon() + away);
    layer
}

/// What a snapshot says but for when it was taken.
fn undated(snapshot: &Snapshot) -> String {
    let json = snapshot.to_json();
    let (before, after) = json.split_once("\"taken_at\"").unwrap();
    format!("{before}{}", after.split_once('\n').unwrap().1)
}

/// A snapshot of one cooldown of A that ends `ahead` of noon.
fn ends(ahead: Duration, rest: &str) -> Snapshot {
    let until = humantime::format_rfc3339(noon() + ahead);
    let cooldown =
        format!(r#"{{"upstream": {{"origin": "https://a.example"}}, "until": "{until}"{rest}}}"#);
    Snapshot::from_json(format!(r#"{{"version": 1, "cooldowns": [{cooldown}]}}"#)).unwrap()
}

/// Refuses until the third rung: 60 s, 120 s, 240 s.
async fn thrice_refused() -> RetryAfterBackoffLayer {
    let layer = RetryAfterBackoffLayer::new();
    let client = client(&layer, &Server::always(refused()));
    for wait in [60, 120, 0] {
        assert_eq!(ask(&client, A).await, Met::Sent(429));
        pass(secs(wait)).await;
    }
    layer
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_is_heeded_after_a_restart_and_the_time_away_counts() {
    let snapshot = taken(&thrice_refused().await);

    let server = Server::always(ok());
    let layer = restarted(&snapshot, secs(100));
    let client = client(&layer, &server);
    let limited = held(&client, A).await;
    assert_eq!(limited.retry_after(), secs(140));
    assert_eq!(limited.consecutive_failures(), 3);
    assert_eq!(limited.status().unwrap(), 429);

    pass(secs(139)).await;
    assert_eq!(ask(&client, A).await, COOLING);
    assert_eq!(server.calls(), 0);
    pass(secs(1)).await;
    assert_eq!(ask(&client, A).await, Met::Sent(200));
    assert_eq!(state(&layer.cooldowns(), A), Some(State::Reopening));
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_that_ran_out_meanwhile_is_probed_by_one_call() {
    let snapshot = taken(&thrice_refused().await);

    let layer = restarted(&snapshot, secs(1000));
    let client = client(&layer, &Server::always(support::never()));
    let _probe = support::hang(&client, A);
    assert_eq!(ask(&client, A).await, PROBING);
}

#[tokio::test(start_paused = true)]
async fn the_ladder_goes_on_from_its_rung() {
    let snapshot = taken(&thrice_refused().await);

    for away in [secs(0), secs(240), secs(3000)] {
        let layer = restarted(&snapshot, away);
        pass(secs(240).saturating_sub(away)).await;
        let client = client(&layer, &Server::always(refused()));
        assert_eq!(ask(&client, A).await, Met::Sent(429));

        let info = info(&layer.cooldowns(), A);
        assert_eq!((info.consecutive_failures(), info.retry_after()), (4, secs(480)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_would_be_forgotten_is_not_restored() {
    let snapshot = taken(&thrice_refused().await);
    // The default memory, two hours past the end.
    let forgotten = secs(240 + 7200);

    let layer = restarted(&snapshot, forgotten - Duration::from_nanos(1));
    assert!(!layer.cooldowns().is_empty());
    assert!(restarted(&snapshot, forgotten).cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn restarts_do_not_prolong_the_memory() {
    let mut snapshot = taken(&thrice_refused().await);

    // Seven restarts, a thousand seconds from one to the next.
    for restart in 1..=7 {
        let wall_clock = noon() + secs(1000) * restart;
        let layer = RetryAfterBackoffLayer::new();
        snapshot.restore_cooldowns_at(&layer, wall_clock);
        assert_eq!(layer.cooldowns().len(), 1, "restart {restart}");
        let again = Snapshot::new().with_cooldowns_at(&layer.cooldowns(), wall_clock);
        assert_eq!(undated(&again), undated(&snapshot));
        snapshot = again;
    }
    assert!(restarted(&snapshot, secs(240 + 7200)).cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn restarts_after_a_lost_probe_do_not_prolong_the_memory() {
    let mut layer = RetryAfterBackoffLayer::new();
    assert_eq!(ask(&client(&layer, &Server::always(refused())), A).await, Met::Sent(429));

    // Before each of two restarts a probe is dropped; the memory is two hours past
    // the refusal's minute.
    let mut wall_clock = noon();
    for known in [1, 0] {
        pass(secs(6000)).await;
        wall_clock += secs(6000);
        let stuck = client(&layer, &Server::always(support::never()));
        drop(support::hang(&stuck, A));
        tokio::task::yield_now().await;
        let snapshot = Snapshot::new().with_cooldowns_at(&layer.cooldowns(), wall_clock);
        layer = RetryAfterBackoffLayer::new();
        snapshot.restore_cooldowns_at(&layer, wall_clock);
        assert_eq!(layer.cooldowns().len(), known);
    }
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_episode_is_forgotten_in_time_after_a_restart() {
    let layer = restarted(&taken(&thrice_refused().await), secs(240 + 7000));

    pass(secs(199)).await;
    assert_eq!(layer.cooldowns().len(), 1);
    pass(secs(1)).await;
    assert!(layer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_probed_or_reopens_is_restored_as_run_out() {
    let probing = thrice_refused().await;
    pass(secs(240)).await;
    let stuck = client(&probing, &Server::always(support::never()));
    let _probe = support::hang(&stuck, A);
    let reopening = thrice_refused().await;
    pass(secs(240)).await;
    assert_eq!(ask(&client(&reopening, &Server::always(ok())), A).await, Met::Sent(200));
    assert_eq!(state(&reopening.cooldowns(), A), Some(State::Reopening));

    for (layer, rung) in [(probing, 3), (reopening, 0)] {
        let restarted = restarted(&taken(&layer), secs(1));
        let info = info(&restarted.cooldowns(), A);
        assert_eq!((info.state(), info.retry_after()), (State::Cooling, secs(0)));
        assert_eq!(info.consecutive_failures(), rung);
        let client = client(&restarted, &Server::always(support::never()));
        let _probe = support::hang(&client, A);
        assert_eq!(ask(&client, A).await, PROBING);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_further_ahead_than_any_that_the_layer_starts_is_cut_to_that() {
    let cut = |ahead, layer: RetryAfterBackoffLayer| {
        ends(ahead, r#", "rung": 1, "status": 429"#).restore_cooldowns_at(&layer, noon());
        info(&layer.cooldowns(), A).retry_after()
    };
    let ladder = Ladder::new(secs(1), secs(7200));
    let jittery = || RetryAfterBackoffLayer::builder().jitter(0.5);

    assert_eq!(cut(secs(3599), RetryAfterBackoffLayer::new()), secs(3599));
    assert_eq!(cut(secs(400_000), RetryAfterBackoffLayer::new()), secs(3600));
    assert_eq!(cut(secs(400_000), jittery().build()), secs(5400));
    assert_eq!(cut(secs(400_000), jittery().ladder(ladder).build()), secs(10_800));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_cut_though_somebody_cooled_by_hand_for_less() {
    let layer = RetryAfterBackoffLayer::new();
    let _ = ask(&client(&layer, &Server::always(refused())), A).await;
    layer.cooldowns().cool(&upstream(A), secs(1));
    let snapshot = taken(&layer);
    assert!(snapshot.to_json().contains(r#""by_hand": false"#));

    // The next process starts with a clock that was never set.
    let layer = RetryAfterBackoffLayer::new();
    snapshot.restore_cooldowns_at(&layer, SystemTime::UNIX_EPOCH);
    assert!(info(&layer.cooldowns(), A).retry_after() <= secs(3600));
}

#[tokio::test(start_paused = true)]
async fn no_cooldown_is_longer_after_a_restart_whatever_the_clock_shows() {
    let layer = thrice_refused().await;
    layer.cooldowns().cool(&upstream(B), secs(600));
    let snapshot = taken(&layer);

    for wall_clock in [SystemTime::UNIX_EPOCH, noon() - secs(86_400), noon()] {
        let restarted = RetryAfterBackoffLayer::new();
        snapshot.restore_cooldowns_at(&restarted, wall_clock);
        assert_eq!(info(&restarted.cooldowns(), A).retry_after(), secs(240));
        assert_eq!(info(&restarted.cooldowns(), B).retry_after(), secs(600));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_lags_does_not_prolong_the_memory() {
    let layer = thrice_refused().await;
    pass(secs(240 + 7000)).await;
    let snapshot = taken(&layer);

    let layer = RetryAfterBackoffLayer::new();
    snapshot.restore_cooldowns_at(&layer, SystemTime::UNIX_EPOCH);
    assert_eq!(info(&layer.cooldowns(), A).retry_after(), secs(0));
    pass(secs(199)).await;
    assert_eq!(layer.cooldowns().len(), 1);
    pass(secs(1)).await;
    assert!(layer.cooldowns().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_set_by_hand_is_believed_however_long() {
    let week = secs(7 * 86_400);
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(A), week);
    layer.cooldowns().cool(&Upstream::named("for ever"), Duration::MAX);

    let restarted = restarted(&taken(&layer), secs(60));
    let cooldowns = restarted.cooldowns();
    assert_eq!(info(&cooldowns, A).retry_after(), week - secs(60));
    let long = cooldowns.get(&Upstream::named("for ever")).unwrap().retry_after();
    assert!(long > week * 52 * 90, "{long:?}");
    // And is known to be one the next time, too.
    let again = Snapshot::new().with_cooldowns_at(&cooldowns, noon() + secs(60));
    assert_eq!(undated(&again), undated(&taken(&layer)));
}

#[tokio::test(start_paused = true)]
async fn restoring_shortens_no_cooldown_and_lowers_no_rung() {
    let layer = thrice_refused().await;
    let cooldowns = layer.cooldowns();

    ends(secs(100), r#", "rung": 1"#).restore_cooldowns_at(&layer, noon());
    let known = info(&cooldowns, A);
    assert_eq!((known.retry_after(), known.consecutive_failures()), (secs(240), 3));

    ends(secs(100), r#", "rung": 7"#).restore_cooldowns_at(&layer, noon());
    let known = info(&cooldowns, A);
    assert_eq!((known.retry_after(), known.consecutive_failures()), (secs(240), 7));

    ends(secs(1000), r#", "rung": 1"#).restore_cooldowns_at(&layer, noon());
    let known = info(&cooldowns, A);
    assert_eq!((known.retry_after(), known.consecutive_failures()), (secs(1000), 7));
}

#[tokio::test(start_paused = true)]
async fn restoring_twice_is_restoring_once() {
    let snapshot = taken(&thrice_refused().await);

    let layer = restarted(&snapshot, secs(0));
    snapshot.restore_cooldowns_at(&layer, noon());
    assert_eq!(Snapshot::new().with_cooldowns_at(&layer.cooldowns(), noon()), snapshot);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_left_before_the_restore_neither_ends_nor_climbs_the_episode() {
    for answer in [ok(), refused()] {
        let layer = RetryAfterBackoffLayer::new();
        let slow = client(&layer, &Server::always(answer.after(secs(10))));
        let call = support::hang(&slow, A);
        ends(secs(600), r#", "rung": 2"#).restore_cooldowns_at(&layer, noon());

        drop(call.await);
        let info = info(&layer.cooldowns(), A);
        assert_eq!((info.state(), info.consecutive_failures()), (State::Cooling, 2));
        assert_eq!(info.retry_after(), secs(590));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_upstream_waits_for_the_restored_cooldown() {
    let layer = RetryAfterBackoffLayer::new();
    let cooldowns = layer.cooldowns();
    cooldowns.cool(&upstream(A), secs(10));
    let waiting = tokio::spawn(async move {
        let start = support::now();
        cooldowns.ready(&upstream(A)).await;
        start.elapsed()
    });
    tokio::task::yield_now().await;
    pass(secs(5)).await;

    ends(secs(600), "").restore_cooldowns_at(&layer, noon());
    assert!(waiting.await.unwrap() >= secs(605));
}

#[tokio::test(start_paused = true)]
async fn names_are_restored_by_kind_and_those_of_this_process_alone_are_left_out() {
    let header = http::header::AUTHORIZATION;
    let head = || http::Request::get(A).header(&header, "secret").body(()).unwrap();
    let request = head();
    let seen = key::Head::new(request.uri(), request.headers(), None);
    let keys: [(&str, Box<dyn key::Key>, bool); 5] = [
        ("origin", Box::new(key::by_origin()), true),
        ("host", Box::new(key::by_host()), true),
        ("named", Box::new(key::from_fn(|_| Upstream::named("https://a.example"))), true),
        ("salted", Box::new(key::by_header(header.clone()).salt("ours")), true),
        ("ephemeral", Box::new(key::by_header(header.clone())), false),
    ];
    let layer = RetryAfterBackoffLayer::new();
    for (_, key, _) in &keys {
        layer.cooldowns().cool(&key.upstream(&seen), secs(60));
    }
    assert_eq!(layer.cooldowns().len(), 5);

    let snapshot = taken(&layer);
    assert!(!snapshot.to_json().contains("secret"));
    let restarted = restarted(&snapshot, secs(1));
    assert_eq!(restarted.cooldowns().len(), 4);
    for (name, key, kept) in &keys {
        let known = restarted.cooldowns().get(&key.upstream(&seen));
        assert_eq!(known.is_some(), *kept, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_table_keeps_its_bound_and_the_longest_cooldowns() {
    let layer = RetryAfterBackoffLayer::new();
    for index in 0..50 {
        layer.cooldowns().cool(&Upstream::named(format!("{index}")), secs(60 + index));
    }

    let small = RetryAfterBackoffLayer::builder().max_upstreams(10).build();
    taken(&layer).restore_cooldowns_at(&small, noon());
    let waits = small.cooldowns().snapshot().into_iter().map(|info| info.retry_after());
    assert_eq!(waits.collect::<Vec<_>>(), (100..110).rev().map(secs).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_out_is_bounded_by_its_lease_after_a_restart() {
    let policy = SyncPolicy::default();
    let mut state = SyncState::default();
    state.finish_err(&policy, "https://a.example", "", "HTTP 500", secs(0), noon() - secs(100));
    state.begin("https://a.example", "", noon());

    let snapshot = Snapshot::new().with_state(&state);
    let mut restored = Snapshot::from_json(snapshot.to_json()).unwrap().state().unwrap().clone();
    assert_eq!(restored, state);
    assert!(!restored.is_due(&policy, noon() + policy.run_lease - secs(1)));
    assert!(restored.is_due(&policy, noon() + policy.run_lease));

    // What the run wrote over is there too.
    restored.put_off(noon() + secs(50), noon());
    assert_eq!(restored.last_outcome, Outcome::Error);
    assert_eq!(restored.last_error, "HTTP 500");
}

#[test]
fn credentials_of_the_last_peer_are_not_written_down() {
    let url = |peer: &str| {
        let mut state = SyncState::default();
        state.begin(peer, "", noon());
        let snapshot = Snapshot::new().with_state(&state);
        assert!(!snapshot.to_json().contains("secret"));
        // What is written can be read.
        assert_eq!(Snapshot::from_json(snapshot.to_json()).unwrap(), snapshot);
        snapshot.state().unwrap().last_peer_url.clone()
    };

    assert_eq!(url("https://me:secret@a.example/sync"), "https://a.example/sync");
    assert_eq!(url("https://me:secret@me:secret@a.example"), "https://a.example");
    assert_eq!(url("https://a.example/@me"), "https://a.example/@me");
    assert_eq!(url("peer 5"), "peer 5");
}

#[test]
fn of_targets_with_one_name_the_last_is_put_in() {
    let records =
        [("a", 1), ("b", 2), ("a", 3)].map(|(name, wait)| TargetRecord::new(name, secs(wait)));

    let snapshot = Snapshot::new().with_targets(records.clone());
    assert_eq!(snapshot.targets().unwrap(), &records[1..]);
    assert_eq!(Snapshot::from_json(snapshot.to_json()).unwrap(), snapshot);
}

#[test]
fn what_was_not_put_in_is_not_there() {
    let nothing = Snapshot::from_json(Snapshot::new().to_json()).unwrap();

    assert!(nothing.state().is_none() && nothing.book().is_none() && nothing.targets().is_none());
    nothing.restore_cooldowns(&RetryAfterBackoffLayer::new());
    let state = Snapshot::new().with_state(&SyncState::default());
    assert!(Snapshot::from_json(state.to_json()).unwrap().book().is_none());
}

#[test]
fn the_system_clock_is_read_where_no_other_is_given() {
    let layer = RetryAfterBackoffLayer::new();
    layer.cooldowns().cool(&upstream(A), secs(3600));
    let snapshot = Snapshot::new().with_cooldowns(&layer.cooldowns());

    let layer = RetryAfterBackoffLayer::new();
    snapshot.restore_cooldowns(&layer);
    let left = info(&layer.cooldowns(), A).retry_after();
    assert!(left <= secs(3600) && left > secs(3000), "{left:?}");
}

#[test]
fn a_snapshot_is_written_as_people_read_it() {
    let mut state = SyncState::default();
    state.begin("https://a.example", "h1", noon());
    let mut book = PeerBook::new();
    let mut peer = Peer::new("https://a.example", noon()).unwrap();
    peer.source = Source::BootstrapPromoted;
    book.add(peer).unwrap();
    let mut target = TargetRecord::new("feed", secs(5400));
    target.due_at = Some(noon());
    let snapshot = ends(secs(60), r#", "rung": 2, "status": 503, "hint": "1m 30s""#)
        .with_state(&state)
        .with_book(&book)
        .with_targets([target]);

    let expected = r#"{
  "version": 1,
  "cooldowns": [
    {
      "upstream": {
        "origin": "https://a.example"
      },
      "until": "2026-01-31T12:01:00Z",
      "rung": 2,
      "status": 503,
      "hint": "1m 30s",
      "by_hand": false
    }
  ],
  "state": {
    "last_sync_started_at": "2026-01-31T12:00:00Z",
    "last_sync_finished_at": null,
    "last_sync_ok_at": null,
    "next_sync_due_at": null,
    "last_peer_url": "https://a.example",
    "last_error": "",
    "last_outcome": "running",
    "current_head": "h1",
    "fork_detected": false,
    "consecutive_failures": 0,
    "before": {
      "error": "",
      "outcome": "idle",
      "fork_detected": false
    }
  },
  "book": {
    "ladder": {
      "base": "1m",
      "cap": "30m"
    },
    "peers": [
      {
        "bucket": "sync",
        "source": "bootstrap_promoted",
        "role": "participant",
        "enabled": true,
        "peer_url": "https://a.example",
        "added_at": "2026-01-31T12:00:00Z",
        "last_seen_at": null,
        "last_sync_ok_at": null,
        "last_error": "",
        "failure_count": 0,
        "cooldown_until": null,
        "label": "",
        "observed_at": null
      }
    ]
  },
  "targets": [
    {
      "name": "feed",
      "due_at": "2026-01-31T12:00:00Z",
      "last_ok_at": null,
      "consecutive_failures": 0,
      "interval": "1h 30m"
    }
  ]
}
"#;
    assert_eq!(snapshot.to_json(), expected);
    assert_eq!(Snapshot::from_json(expected).unwrap(), snapshot);
}

#[test]
fn what_people_leave_out_is_as_in_a_new_one() {
    let json = r#"{"version": 1, "state": {}, "book": {"peers": [
        {"peer_url": "https://a.example", "added_at": "2026-01-31T12:00:00Z"}
    ]}, "targets": [{"name": "feed", "interval": "1m"}]}"#;

    let snapshot = Snapshot::from_json(json).unwrap();
    assert_eq!(snapshot.state(), Some(&SyncState::default()));
    let mut book = PeerBook::new();
    book.add(Peer::new("https://a.example", noon()).unwrap()).unwrap();
    assert_eq!(snapshot.book(), Some(&book));
    assert_eq!(snapshot.targets().unwrap(), [TargetRecord::new("feed", secs(60))]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_snapshot() {
    let json = Snapshot::new().with_state(&SyncState::default()).to_json();

    let marked = Snapshot::from_json(format!("\u{feff}{json}"));
    assert_eq!(marked.unwrap(), Snapshot::from_json(json).unwrap());
    assert!(Snapshot::from_json("\u{feff}").unwrap_err().to_string().contains("is empty"));
}

#[test]
fn a_policy_is_read_as_it_was_written() {
    let policy = SyncPolicy {
        interval: Duration::new(7, 1),
        ladder: Ladder::new(secs(2), secs(90)),
        run_lease: secs(61),
    };

    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<SyncPolicy>(&json).unwrap(), policy);
    assert_eq!(serde_json::from_str::<SyncPolicy>("{}").unwrap(), SyncPolicy::default());
    assert!(serde_json::from_str::<SyncPolicy>(r#"{"intervall": "1m"}"#).is_err());
}

#[test]
fn parts_are_read_by_themselves_as_well() {
    let read = |json: &str| serde_json::from_str::<Peer>(json).map_err(|error| error.to_string());
    let added = r#""added_at": "2026-01-31T12:00:00Z""#;

    let peer = read(&format!(r#"{{"peer_url": "https://a.example", {added}}}"#));
    assert_eq!(peer, Ok(Peer::new("https://a.example", noon()).unwrap()));
    let secret = read(&format!(r#"{{"peer_url": "https://me:secret@a.example", {added}}}"#));
    let error = secret.unwrap_err();
    assert!(error.contains("credentials") && !error.contains("secret"), "{error}");
    let word = |outcome: Outcome| serde_json::to_string(&outcome).unwrap();
    let outcomes = [
        Outcome::Idle,
        Outcome::Running,
        Outcome::Ok,
        Outcome::Error,
        Outcome::Fork,
        Outcome::Solo,
    ];
    assert_eq!(outcomes.map(word).join(" "), r#""idle" "running" "ok" "error" "fork" "solo""#);
}

#[test]
fn times_that_cannot_be_written_become_the_nearest_that_can() {
    let mut state = SyncState::default();
    state.last_sync_ok_at = Some(SystemTime::UNIX_EPOCH - secs(1));
    state.next_sync_due_at = SystemTime::UNIX_EPOCH.checked_add(secs(1 << 50));

    let snapshot = Snapshot::from_json(Snapshot::new().with_state(&state).to_json()).unwrap();
    let read = snapshot.state().unwrap();
    assert_eq!(read.last_sync_ok_at, Some(SystemTime::UNIX_EPOCH));
    assert!(read.next_sync_due_at > Some(noon() + secs(7000 * 365 * 86_400)));
}

fn times() -> impl Strategy<Value = SystemTime> + Clone {
    let last = 253_402_300_799_u64;
    (prop_oneof![0..=last, 1_700_000_000..1_800_000_000_u64], 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos))
}

fn durations() -> impl Strategy<Value = Duration> {
    let whole = prop_oneof![Just(0), Just(u64::MAX), 0..10_000_u64, any::<u64>()];
    (whole, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

/// Some history: each step an operation of the state.
fn states() -> impl Strategy<Value = SyncState> {
    let step = (0..6_u8, times(), ".{0,12}", durations());
    proptest::collection::vec(step, 0..6).prop_map(|steps| {
        let policy = SyncPolicy::default();
        let mut state = SyncState::default();
        for (operation, now, text, wait) in steps {
            match operation {
                0 => state.begin(&text, &text, now),
                1 => state.finish_ok(&policy, &text, &text, now),
                2 => state.finish_err(&policy, &text, "", &text, wait.min(secs(86_400)), now),
                3 => state.finish_fork(&policy, "", &text, &text, wait.min(secs(86_400)), now),
                4 => state.finish_solo(&policy, &text, now),
                _ => state.put_off(now + secs(9), now),
            }
        }
        let last = SystemTime::UNIX_EPOCH + Duration::new(253_402_300_799, 999_999_999);
        state.next_sync_due_at = state.next_sync_due_at.map(|due| due.min(last));
        state
    })
}

fn peers() -> impl Strategy<Value = Peer> {
    let kinds = (0..3_u8, 0..4_u8, 0..3_u8, any::<bool>());
    let facts = (any::<u32>(), ".{0,9}", ".{0,9}");
    let seen = proptest::option::of(times());
    (kinds, "[a-z]{1,9}", times(), [seen.clone(), seen], facts).prop_map(
        |((bucket, source, role, enabled), host, time, [seen, until], (failures, error, label))| {
            let mut peer = Peer::new(format!("https://{host}.example"), time).unwrap();
            peer.bucket = [Bucket::Bootstrap, Bucket::Sync, Bucket::Push][usize::from(bucket)];
            peer.source =
                [Source::Operator, Source::Bundle, Source::BootstrapPromoted, Source::Runtime]
                    [usize::from(source)];
            peer.role = [Role::Participant, Role::Relay, Role::Seed][usize::from(role)];
            peer.enabled = enabled;
            (peer.last_seen_at, peer.last_sync_ok_at, peer.observed_at) = (seen, until, seen);
            (peer.cooldown_until, peer.failure_count) = (until, failures);
            (peer.last_error, peer.label) = (error, label);
            peer
        },
    )
}

fn books() -> impl Strategy<Value = PeerBook> {
    let ladders = (durations(), durations()).prop_map(|(base, cap)| Ladder::new(base, cap));
    (ladders, proptest::collection::vec(peers(), 0..6)).prop_map(|(ladder, peers)| {
        let mut book = PeerBook::with_ladder(ladder);
        for peer in peers {
            book.merge(peer).unwrap();
        }
        book
    })
}

fn targets() -> impl Strategy<Value = TargetRecord> {
    let time = proptest::option::of(times());
    (".{0,20}", [time.clone(), time], any::<u32>(), durations()).prop_map(
        |(name, [due, ok], failures, interval)| {
            let mut target = TargetRecord::new(name, interval);
            (target.due_at, target.last_ok_at) = (due, ok);
            target.consecutive_failures = failures;
            target
        },
    )
}

/// What happens to an upstream: refused with that hint, or cooled by hand; how much
/// time passes then.
fn troubles() -> impl Strategy<Value = Vec<(usize, Option<u64>, u64, bool)>> {
    let hint = proptest::option::of(0..5000_u64);
    proptest::collection::vec((0..2_usize, hint, 0..2000_u64, any::<bool>()), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_saved_is_what_is_loaded(
        state in states(),
        book in books(),
        targets in proptest::collection::vec(targets(), 0..4),
    ) {
        let names: HashSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        prop_assume!(names.len() == targets.len());
        let snapshot =
            Snapshot::new().with_state(&state).with_book(&book).with_targets(targets.clone());

        let read = Snapshot::from_json(snapshot.to_json()).unwrap();
        prop_assert_eq!(read.state(), Some(&state));
        prop_assert_eq!(read.book(), Some(&book));
        prop_assert_eq!(read.targets(), Some(&*targets));
    }

    #[test]
    fn cooldowns_are_restored_as_they_would_stand(troubles in troubles(), away in 0..9000_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let layer = RetryAfterBackoffLayer::new();
            for (which, hint, wait, by_hand) in troubles {
                let uri = [A, B][which];
                match (hint, by_hand) {
                    (Some(hint), true) => layer.cooldowns().cool(&upstream(uri), secs(hint)),
                    (hint, _) => {
                        let server = Server::always(hint.map_or_else(refused, refused_for));
                        let _ = ask(&client(&layer, &server), uri).await;
                    }
                }
                pass(secs(wait)).await;
            }
            let snapshot = taken(&layer);

            pass(secs(away)).await;
            let restarted = restarted(&snapshot, secs(away));
            let known = |layer: &RetryAfterBackoffLayer, uri| {
                let info = layer.cooldowns().get(&upstream(uri))?;
                assert_eq!(info.state(), State::Cooling);
                let said = (info.consecutive_failures(), info.status(), info.hint());
                Some((info.retry_after(), info.until(), said))
            };
            for uri in [A, B] {
                assert_eq!(known(&restarted, uri), known(&layer, uri), "{uri}");
            }
        });
    }
}
