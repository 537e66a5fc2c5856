//! A wall clock that is stepped, or was wrong: it neither stalls nor hurries
//! anything.

use tokio::time::sleep_until;
use tower::{Service, ServiceExt};
use tower_retry_after::schedule::{Outcome, Peer, SyncCycle, SyncState};

use crate::support::{now, pass, poll_once, secs};
use crate::world::{Mesh, Reply, Wall, after, book, policy, run, urls};
use crate::{A, B};

/// An hour back, and a day ahead.
const STEPS: [fn(&Wall); 2] = [|wall| wall.back(secs(3600)), |wall| wall.ahead(secs(86_400))];

#[tokio::test(start_paused = true)]
async fn a_step_between_cycles_moves_neither_the_due_time_nor_the_cooldowns() {
    for step in STEPS {
        let (mesh, wall) = (Mesh::default(), Wall::new());
        mesh.says(A, [Reply::Refused(900)]);
        let mut cycle = mesh.builder(&wall, &[A, B]).build();
        let report = run(&mut cycle).await;

        step(&wall);

        assert_eq!(cycle.due(), report.due());
        assert_eq!(cycle.state().next_sync_due_at, Some(wall.now() + secs(300)));
        let until = cycle.book().peer(A).unwrap().cooldown_until;
        assert_eq!(until, Some(wall.now() + secs(900)));
        // What was recorded stays as it was.
        assert_eq!(cycle.state().last_sync_ok_at, report.state().last_sync_ok_at);

        sleep_until(report.due()).await;
        mesh.says(B, [Reply::Down; 1]);
        let report = run(&mut cycle).await;
        assert_eq!(urls(&report), [B], "A is not free yet");
        assert_eq!(report.due(), now() + secs(60));
        pass(secs(599)).await;
        assert!(!cycle.book().peer(A).unwrap().is_eligible(wall.now()));
        pass(secs(1)).await;
        assert!(cycle.book().peer(A).unwrap().is_eligible(wall.now()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_during_a_cycle_moves_nothing_either() {
    for step in STEPS {
        let (mesh, wall) = (Mesh::default(), Wall::new());
        mesh.says(A, [after(5, Reply::Refused(900))]);
        mesh.says(B, [after(10, Reply::Early(400))]);
        let mut cycle = mesh.builder(&wall, &[A, B]).build();
        let other = cycle.clone();
        let Ok(ready) = cycle.ready().await;
        let mut call = Box::pin(ready.call(()));
        assert!(poll_once(call.as_mut()).is_pending());
        let started = other.state().last_sync_started_at.unwrap();
        assert_eq!(started, wall.now());

        // Once while the first is called, and back again while the second is.
        step(&wall);
        // The lease counts from the start, and goes on as it was.
        assert_eq!(other.state().last_sync_started_at, Some(wall.now()));
        assert!(!other.state().is_due(&policy(), wall.now() + secs(1799)));
        pass(secs(5)).await;
        assert!(poll_once(call.as_mut()).is_pending());
        step(&wall);
        let Ok(report) = call.await;

        assert_eq!(report.state().last_outcome, Outcome::Error);
        assert_eq!(report.due(), now() + secs(400));
        assert_eq!(report.state().next_sync_due_at, Some(wall.now() + secs(400)));
        let until = other.book().peer(A).unwrap().cooldown_until;
        assert_eq!(until, Some(wall.now() + secs(890)));
    }
}

#[tokio::test(start_paused = true)]
async fn many_small_steps_add_up_to_nothing() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let report = run(&mut cycle).await;

    for _ in 0..10_000 {
        wall.ahead(std::time::Duration::from_micros(900));
        assert!(report.due() - cycle.due() == secs(0));
    }
    assert!(cycle.state().next_sync_due_at.unwrap() > wall.now() + secs(299));
    assert!(cycle.state().next_sync_due_at.unwrap() < wall.now() + secs(301));
}

#[tokio::test(start_paused = true)]
async fn the_systems_clock_beside_tokios_paused_time_changes_nothing() {
    let mesh = Mesh::default();
    mesh.says(A, [Reply::Refused(900)]);
    let mut cycle = SyncCycle::new(mesh.service(), book(&[A, B]));

    let report = run(&mut cycle).await;
    assert_eq!(report.due(), now() + secs(300));
    sleep_until(cycle.due()).await;
    assert_eq!(now(), report.due());

    let report = run(&mut cycle).await;
    assert_eq!(urls(&report), [B], "A is not free yet");
    assert_eq!(report.due(), now() + secs(300));

    pass(secs(600)).await;
    cycle.set_enabled(B, false).unwrap();
    assert_eq!(urls(&run(&mut cycle).await), [A]);
}

#[tokio::test(start_paused = true)]
async fn deadlines_from_a_wrong_clock_are_bounded_when_they_are_taken_over() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let far = wall.now() + secs(10 * 365 * 86_400);
    let mut peers = book(&[A, B]);
    peers.mark_cooling(A, far).unwrap();
    peers.mark_cooling(B, wall.now() + secs(3000)).unwrap();
    let mut state = SyncState::default();
    state.next_sync_due_at = Some(far);

    let cycle = mesh.builder(&wall, &[]).book(peers).state(state.clone()).build();

    // An hour: what a peer may ask for at most.
    let book = cycle.book();
    assert_eq!(book.peer(A).unwrap().cooldown_until, Some(wall.now() + secs(3600)));
    assert_eq!(book.peer(B).unwrap().cooldown_until, Some(wall.now() + secs(3000)));
    assert_eq!(cycle.due(), now() + secs(3600));

    let mut wrong = Peer::new("https://d.example", wall.now()).unwrap();
    wrong.cooldown_until = Some(far);
    cycle.merge(wrong).unwrap();
    let until = cycle.book().peer("https://d.example").unwrap().cooldown_until;
    assert_eq!(until, Some(wall.now() + secs(3600)));

    let short = mesh.builder(&wall, &[A]).state(state).max_retry_after(secs(0)).build();
    assert_eq!(short.due(), now() + secs(1800), "the ladder's cap");
}

#[tokio::test(start_paused = true)]
async fn a_restored_loop_goes_on_where_it_was() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, [Reply::Down]);
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let report = run(&mut cycle).await;
    pass(secs(20)).await;

    // The process was away for 20 s.
    let mut restored = mesh.builder(&wall, &[]).book(cycle.book()).state(cycle.state()).build();

    assert_eq!(restored.due(), report.due());
    assert_eq!(restored.state(), *report.state());
    mesh.says(A, [Reply::Down]);
    sleep_until(restored.due()).await;
    assert_eq!(run(&mut restored).await.state().consecutive_failures, 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_restored_state_tells_of_keeps_its_lease() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut state = SyncState::default();
    state.finish_err(&policy(), A, "", "down", secs(0), wall.now());
    state.begin(A, "", wall.now());

    let mut cycle = mesh.builder(&wall, &[A]).state(state.clone()).build();
    assert_eq!(cycle.state(), state);
    assert_eq!(cycle.due(), now() + policy().run_lease);

    // Whoever asks for a cycle before gets one; given back, the turn leaves no trace.
    let mut other = cycle.clone();
    other.ready().await.unwrap();
    drop(other);
    assert_eq!(cycle.state(), state);
    assert_eq!(run(&mut cycle).await.state().last_outcome, Outcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn after_a_step_back_the_order_follows_what_happens_from_then_on() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    mesh.says(A, std::iter::once(Reply::Ok).chain(std::iter::repeat_n(Reply::Down, 30)));
    let mut cycle = mesh.builder(&wall, &[A, B]).build();
    run(&mut cycle).await;

    wall.back(secs(86_400));
    let mut first = Vec::new();
    for _ in 0..20 {
        sleep_until(cycle.due()).await;
        first.push(urls(&run(&mut cycle).await)[0].to_owned());
    }

    // A comes first once, for it was synced with last; then B has been.
    assert_eq!(first.iter().filter(|url| *url == A).count(), 1, "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_from_the_future_does_not_poison_a_peer_that_has_recovered() {
    let (mesh, wall) = (Mesh::default(), Wall::new());
    let mut cycle = mesh.builder(&wall, &[A]).build();
    let decade = secs(10 * 365 * 86_400);
    let mut wrong = Peer::new(A, wall.now()).unwrap();
    wrong.failure_count = 20;
    wrong.observed_at = Some(wall.now() + decade);
    wrong.cooldown_until = Some(wall.now() + decade);
    wrong.last_seen_at = Some(wall.now() + decade);
    cycle.merge(wrong.clone()).unwrap();
    pass(secs(3601)).await;
    assert_eq!(run(&mut cycle).await.state().last_outcome, Outcome::Ok);

    // The same record comes round again.
    pass(secs(60)).await;
    cycle.merge(wrong).unwrap();

    let peer = cycle.book().peer(A).unwrap().clone();
    assert_eq!(peer.failure_count, 0);
    assert!(peer.is_eligible(wall.now()));
    assert!(peer.last_seen_at <= Some(wall.now()));
}
