//! What each answer means for the book, the state, and the time of the next cycle.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep_until;
use tower::{Service, service_fn};
use tower_retry_after::schedule::{
    Answer, Bucket, CycleReport, Next, Outcome, Peer, PeerError, SyncCycle, SyncPolicy, Synced,
    judge,
};
use tower_retry_after::{Cooldowns, Ladder, Upstream};

use crate::support::{now, pass, secs, upstream};
use crate::world::{Mesh, Reply, Wall, after, book, policy, run, urls};
use crate::{A, B, C};

/// How long it is from now until the next cycle.
fn wait(report: &CycleReport) -> Duration {
    report.due().duration_since(now())
}

/// The time of the next cycle is the same on both clocks.
fn assert_due(report: &CycleReport, wall: &Wall, seconds: u64) {
    assert_eq!(wait(report), secs(seconds));
    assert_eq!(report.state().next_sync_due_at, Some(wall.now() + secs(seconds)));
}

#[tokio::test(start_paused = true)]
async fn the_first_that_answers_ends_the_cycle() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut cycle = mesh.builder(&wall, &[A, B]).build();

    let report = run(&mut cycle).await;

    assert_eq!(mesh.called(), [A]);
    assert_eq!(report.tried().len(), 1);
    assert_eq!(report.tried()[0].answer(), &Answer::Synced { head: "here".into() });
    assert_eq!(report.state().last_outcome, Outcome::Ok);
    assert_eq!(report.state().last_peer_url, A);
    assert_eq!(report.state().current_head, "here");
    assert_eq!(report.state().last_sync_started_at, Some(wall.now()));
    assert_due(&report, &wall, 300);
    assert_eq!(cycle.book().peer(A).unwrap().last_sync_ok_at, Some(wall.now()));
    assert_eq!(cycle.state(), *report.state());
    assert_eq!(cycle.due(), report.due());
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_followed_by_the_next_in_order() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Down]);
    mesh.says(B, [Reply::Refused(90)]);
    let mut cycle = mesh.builder(&wall, &[A, B, C]).build();

    let report = run(&mut cycle).await;

    assert_eq!(mesh.called(), [A, B, C]);
    assert_eq!(urls(&report), [A, B, C]);
    assert_eq!(
        report.tried()[0].answer(),
        &Answer::Failed { error: "the sync failed: connection refused".into() }
    );
    assert_eq!(report.state().consecutive_failures, 0);
    assert_due(&report, &wall, 300);
    assert_eq!(cycle.book().peer(A).unwrap().failure_count, 1);

    // Whoever answered last comes first.
    sleep_until(report.due()).await;
    assert_eq!(urls(&run(&mut cycle).await), [C]);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_in_which_all_fail_is_one_rung() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    for url in [A, B, C] {
        mesh.says(url, vec![Reply::Down; 3]);
    }
    let mut cycle = mesh.builder(&wall, &[A, B, C]).build();

    for (failures, seconds) in [(1, 60), (2, 120), (3, 240)] {
        let report = run(&mut cycle).await;

        assert_eq!(report.tried().len(), 3);
        assert_eq!(report.state().last_outcome, Outcome::Error);
        assert_eq!(report.state().last_error, "the sync failed: connection refused");
        assert_eq!(report.state().last_peer_url, *urls(&report)[2]);
        assert_eq!(report.state().consecutive_failures, failures);
        assert_due(&report, &wall, seconds);
        sleep_until(report.due()).await;
    }
    assert_eq!(run(&mut cycle).await.state().consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_anywhere_in_the_error_is_a_failure_with_its_wait() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Refused(600)]);
    let mut cycle = mesh.builder(&wall, &[A]).build();

    let report = run(&mut cycle).await;

    let Answer::Refused { error, retry_after } = report.tried()[0].answer() else {
        panic!("{:?}", report.tried());
    };
    assert_eq!(*retry_after, secs(600));
    let says = "the sync failed: HTTP 429 from https://limited.example (retry after 600s)";
    assert_eq!(error, says);
    let peer = cycle.book().peer(A).unwrap().clone();
    assert_eq!((peer.failure_count, peer.last_error.as_str()), (1, says));
    assert_eq!(peer.cooldown_until, Some(wall.now() + secs(600)));
    // The ladder alone would come back after a minute, when nobody is free.
    assert_due(&report, &wall, 600);
    assert_eq!(report.state().consecutive_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_cycle_the_longer_of_ladder_and_first_return_counts() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Refused(900)]);
    mesh.says(B, [Reply::Refused(700)]);
    let mut cycle = mesh.builder(&wall, &[A, B]).build();
    assert_due(&run(&mut cycle).await, &wall, 700);

    let steep = SyncPolicy { ladder: Ladder::new(secs(1000), secs(9000)), ..policy() };
    mesh.says(A, [Reply::Refused(900)]);
    mesh.says(B, [Reply::Refused(700)]);
    let mut cycle = mesh.builder(&wall, &[A, B]).policy(steep).build();
    assert_due(&run(&mut cycle).await, &wall, 1000);
}

#[tokio::test(start_paused = true)]
async fn each_answer_is_marked_at_its_own_time() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let start = wall.now();
    mesh.says(A, [after(5, Reply::Down)]);
    mesh.says(B, [after(7, Reply::Ok)]);
    let mut cycle = mesh.builder(&wall, &[A, B]).build();

    let report = run(&mut cycle).await;

    let book = cycle.book();
    assert_eq!(book.peer(A).unwrap().cooldown_until, Some(start + secs(65)));
    assert_eq!(book.peer(B).unwrap().last_sync_ok_at, Some(start + secs(12)));
    assert_eq!(report.state().last_sync_started_at, Some(start));
    assert_eq!(report.state().last_sync_finished_at, Some(start + secs(12)));
    assert_due(&report, &wall, 300);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_puts_a_peer_off_and_counts_nothing() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Early(40)]);
    mesh.says(B, [Reply::Early(20)]);
    let mut cycle = mesh.builder(&wall, &[A, B]).build();
    let before = cycle.state();

    let report = run(&mut cycle).await;

    assert_eq!(report.tried()[0].answer(), &Answer::NotSent { until: now() + secs(40) });
    let a = cycle.book().peer(A).unwrap().clone();
    assert_eq!((a.failure_count, a.last_error.as_str()), (0, ""));
    assert_eq!(a.cooldown_until, Some(wall.now() + secs(40)));
    assert_eq!(report.state().last_outcome, before.last_outcome);
    assert_eq!(report.state().consecutive_failures, 0);
    assert_due(&report, &wall, 20);

    sleep_until(report.due()).await;
    assert_eq!(urls(&run(&mut cycle).await), [B]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_upstream_cools_is_passed_over_without_a_call_and_without_a_mark() {
    let (mesh, wall, cooldowns) = (Mesh::default(), Wall::new(), Cooldowns::new());
    cooldowns.cool(&upstream(A), secs(100));
    let mut cycle = mesh.builder(&wall, &[A, B]).cooldowns(cooldowns.clone()).build();
    let before = cycle.book().peer(A).cloned();

    let report = run(&mut cycle).await;

    assert_eq!(mesh.called(), [B]);
    assert_eq!(report.tried()[0].answer(), &Answer::NotSent { until: now() + secs(100) });
    assert_eq!(cycle.book().peer(A).cloned(), before);

    // Nobody left: the first return is that of the upstream.
    cooldowns.cool(&upstream(B), secs(150));
    let report = run(&mut cycle).await;
    assert_eq!(mesh.called(), [""; 0]);
    assert_due(&report, &wall, 100);
    assert_eq!(report.state().last_outcome, Outcome::Ok);

    sleep_until(report.due()).await;
    assert_eq!(urls(&run(&mut cycle).await), [B, A]);
    assert_eq!(mesh.called(), [A]);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_passed_over_counts_for_the_first_return() {
    let (mesh, wall, cooldowns) = (Mesh::default(), Wall::new(), Cooldowns::new());
    cooldowns.cool(&upstream(A), secs(80));
    mesh.says(B, [Reply::Refused(600)]);
    let mut cycle = mesh.builder(&wall, &[A, B]).cooldowns(cooldowns).build();

    assert_due(&run(&mut cycle).await, &wall, 80);
}

#[tokio::test(start_paused = true)]
async fn two_peers_on_one_upstream_cost_one_refusal() {
    let cooldowns = Cooldowns::new();
    let (first, second) = ("https://a.example/x", "https://a.example/y");
    let cooling = cooldowns.clone();
    let service = service_fn(move |_: Peer| {
        cooling.cool(&upstream(A), secs(600));
        async { Err::<Synced, _>("slow down") }
    });
    let mut cycle =
        SyncCycle::builder(service).book(book(&[first, second])).cooldowns(cooldowns).build();

    let report = run(&mut cycle).await;

    assert!(matches!(report.tried()[0].answer(), Answer::Failed { .. }));
    assert!(matches!(report.tried()[1].answer(), Answer::NotSent { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_ones_own_finds_the_upstream() {
    let (mesh, wall, cooldowns) = (Mesh::default(), Wall::new(), Cooldowns::new());
    cooldowns.cool(&Upstream::named("red"), secs(100));
    let mut cycle = mesh
        .builder(&wall, &[A, B])
        .cooldowns(cooldowns)
        .upstream_by(|peer| Upstream::named(if peer.peer_url == A { "red" } else { "blue" }))
        .build();

    run(&mut cycle).await;

    assert_eq!(mesh.called(), [B]);
}

#[tokio::test(start_paused = true)]
async fn where_all_peers_cool_the_next_cycle_is_due_when_the_first_comes_free() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Refused(500)]);
    mesh.says(B, [Reply::Refused(400)]);
    let mut cycle = mesh.builder(&wall, &[A, B]).build();
    let failed = run(&mut cycle).await;
    pass(secs(30)).await;

    // Called early, as by hand.
    let report = run(&mut cycle).await;

    assert!(report.tried().is_empty());
    assert_eq!(report.state().last_outcome, Outcome::Error);
    assert_eq!(report.state().last_error, failed.state().last_error);
    assert_eq!(report.state().consecutive_failures, 1);
    assert_due(&report, &wall, 370);
}

#[tokio::test(start_paused = true)]
async fn with_nobody_to_sync_with_the_loop_is_solo() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut cycle = mesh.builder(&wall, &[A]).build();
    cycle.set_enabled(A, false).unwrap();
    let mut push = Peer::new(B, wall.now()).unwrap();
    push.bucket = Bucket::Push;
    cycle.add(push).unwrap();

    let report = run(&mut cycle).await;

    assert_eq!(report.state().last_outcome, Outcome::Solo);
    assert_due(&report, &wall, 300);

    cycle.set_enabled(A, true).unwrap();
    assert_eq!(run(&mut cycle).await.state().last_outcome, Outcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_fork_ends_the_cycle_as_one_failure_and_others_come_first() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Fork]);
    let mut cycle = mesh.builder(&wall, &[A, B]).build();

    let report = run(&mut cycle).await;

    assert_eq!(mesh.called(), [A]);
    let error = "no common block\\u{7}";
    let forked = Answer::Forked { head: "there".into(), error: error.into() };
    assert_eq!(report.tried()[0].answer(), &forked);
    assert_eq!(report.state().last_outcome, Outcome::Fork);
    assert!(report.state().fork_detected);
    assert_eq!(report.state().last_error, error);
    assert_eq!(report.state().current_head, "there");
    assert_eq!(report.state().consecutive_failures, 1);
    assert_due(&report, &wall, 60);
    assert_eq!(cycle.book().peer(A).unwrap().last_error, error);

    sleep_until(report.due()).await;
    assert_eq!(urls(&run(&mut cycle).await), [B]);
}

#[tokio::test(start_paused = true)]
async fn without_a_ladder_a_failed_cycle_waits_a_second() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let off = Ladder::new(Duration::ZERO, Duration::ZERO);
    let mut peers = tower_retry_after::schedule::PeerBook::with_ladder(off);
    peers.add(Peer::new(A, wall.now()).unwrap()).unwrap();
    mesh.says(A, [Reply::Down, Reply::Fork]);
    let builder = mesh.builder(&wall, &[]).book(peers);
    let mut cycle = builder.policy(SyncPolicy { ladder: off, ..policy() }).build();

    assert_due(&run(&mut cycle).await, &wall, 1);
    assert_due(&run(&mut cycle).await, &wall, 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_free_is_not_kept_waiting_for_one_that_cools() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let off = Ladder::new(Duration::ZERO, Duration::ZERO);
    let mut peers = tower_retry_after::schedule::PeerBook::with_ladder(off);
    for url in [A, B] {
        peers.add(Peer::new(url, wall.now()).unwrap()).unwrap();
    }
    mesh.says(A, [Reply::Down]);
    mesh.says(B, [Reply::Refused(3000)]);
    let mut cycle = mesh.builder(&wall, &[]).book(peers).build();

    // A comes free at once, so the ladder decides.
    assert_due(&run(&mut cycle).await, &wall, 60);
}

/// Never becomes ready where it has failed once, as Tower allows.
#[derive(Debug)]
struct Brittle {
    clones: Arc<Mutex<usize>>,
    broken: bool,
}

impl Clone for Brittle {
    fn clone(&self) -> Self {
        *self.clones.lock().unwrap() += 1;
        Self { clones: Arc::clone(&self.clones), broken: false }
    }
}

impl Service<Peer> for Brittle {
    type Response = Synced;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Synced, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        assert!(!self.broken, "used again");
        self.broken = true;
        Poll::Ready(Err("worn out"))
    }

    fn call(&mut self, _: Peer) -> Self::Future {
        panic!("called unready");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_is_the_peers_failure_and_not_used_again() {
    let service = Brittle { clones: Arc::default(), broken: false };
    let mut cycle = SyncCycle::new(service, book(&[A, B]));

    let report = run(&mut cycle).await;

    let worn_out = Answer::Failed { error: "worn out".into() };
    assert!(report.tried().iter().all(|tried| *tried.answer() == worn_out));
    assert_eq!(urls(&report), [A, B]);
    assert_eq!(report.state().consecutive_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_outlives_its_lease_is_given_up() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [after(1000, Reply::Down)]);
    mesh.says(B, [Reply::Never]);
    let mut cycle = mesh.builder(&wall, &[A, B, C]).build();
    let start = now();

    let report = run(&mut cycle).await;

    assert_eq!(now() - start, secs(1800));
    assert_eq!(mesh.called(), [A, B]);
    let error = "no answer, and the run was given up after 1800s";
    assert_eq!(report.tried()[1].answer(), &Answer::Failed { error: error.into() });
    assert_eq!(report.state().last_outcome, Outcome::Error);
    assert_eq!(report.state().consecutive_failures, 1);
    assert_eq!(cycle.book().peer(B).unwrap().failure_count, 1);
    assert_eq!(urls(&run(&mut cycle).await), [C]);
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_or_disabled_meanwhile_is_neither_called_nor_marked() {
    let wall = Wall::new();
    let handle: Arc<Mutex<Option<SyncCycle<_>>>> = Arc::default();
    let others = Arc::clone(&handle);
    let service = tower::util::BoxCloneSyncService::new(service_fn(move |peer: Peer| {
        let others = others.lock().unwrap();
        let cycle: &SyncCycle<tower::util::BoxCloneSyncService<_, _, _>> = others.as_ref().unwrap();
        if peer.peer_url == A {
            cycle.remove(A).unwrap();
            cycle.set_enabled(B, false).unwrap();
            cycle.add(Peer::new("https://d.example", peer.added_at).unwrap()).unwrap();
        }
        async { Err::<Synced, &str>("down") }
    }));
    let mut cycle =
        SyncCycle::builder(service).book(book(&[A, B, C])).wall_clock(move || wall.now()).build();
    *handle.lock().unwrap() = Some(cycle.clone());

    let report = run(&mut cycle).await;
    handle.lock().unwrap().take();

    assert_eq!(urls(&report), [A, C]);
    let book = cycle.book();
    assert!(book.peer(A).is_none());
    assert_eq!(book.peer(B).unwrap().failure_count, 0);
    assert_eq!(book.peer(C).unwrap().failure_count, 1);
    assert_eq!(book.peers().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_book_is_kept_through_the_handle_and_says_what_is_wrong() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let cycle = mesh.builder(&wall, &[A]).build();

    cycle.mark_seen(A).unwrap();
    assert_eq!(cycle.book().peer(A).unwrap().last_seen_at, Some(wall.now()));
    let again = cycle.add(Peer::new(A, wall.now()).unwrap()).unwrap_err();
    assert!(matches!(again, PeerError::Duplicate { .. }));
    cycle.merge(Peer::new(B, wall.now()).unwrap()).unwrap();
    assert_eq!(cycle.book().peers().count(), 2);
    assert_eq!(cycle.remove(B).unwrap().peer_url, B);
    for unknown in [cycle.remove(B).map(drop), cycle.set_enabled(B, true), cycle.mark_seen(B)] {
        let error = unknown.unwrap_err().to_string();
        assert_eq!(error, "no peer at https://b.example is in the book, add it first");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_upstream_writes_into_an_error_is_escaped_and_cut() {
    let service =
        service_fn(|_: Peer| async { Err::<Synced, _>(format!("\x1b[2J{}", "é".repeat(9999))) });
    let mut cycle = SyncCycle::new(service, book(&[A]));

    let report = run(&mut cycle).await;

    let error = &report.state().last_error;
    assert!(error.starts_with("\\u{1b}[2Jéé") && error.ends_with("é…"), "{error}");
    assert_eq!(error.chars().count(), 256);
    assert_eq!(cycle.book().peer(A).unwrap().last_error, *error);
}

#[tokio::test(start_paused = true)]
async fn the_judge_leaves_the_time_of_the_next_cycle_to_the_report() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Down]);
    let mut cycle = mesh.builder(&wall, &[A]).build();

    let report = run(&mut cycle).await;

    let due = report.due();
    assert_eq!(judge::standard(&Ok(report)), Next::DueAt(due));
}
