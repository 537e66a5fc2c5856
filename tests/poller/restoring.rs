//! A poller that goes on where an earlier one stopped.

use tower_retry_after::schedule::{Outcome, SyncState};

use super::clocks::Wall;
use super::*;

const NOW: u64 = 100 * 86_400;

/// Returns when a poller that takes over a state first polls, in seconds.
async fn first_poll(state: SyncState) -> u64 {
    let script = Script::new([]);
    let wall = Wall::at(i64::try_from(NOW).unwrap());
    let mut poller = Poller::builder(script.service(), unit)
        .policy(policy())
        .wall_clock(wall.read())
        .state(state)
        .build();
    polls(&mut poller, 1).await;
    script.seconds()[0]
}

fn due(at: SystemTime) -> SyncState {
    let mut state = SyncState::default();
    state.last_outcome = Outcome::Ok;
    state.next_sync_due_at = Some(at);
    state
}

#[tokio::test(start_paused = true)]
async fn what_was_due_is_due_at_once_and_what_was_not_waits() {
    assert_eq!(first_poll(due(at(NOW - 500))).await, 0);
    assert_eq!(first_poll(due(at(NOW + 45))).await, 45);
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_wait_can_reach_is_cut() {
    // An hour is the longest of interval, ladder and hints.
    assert_eq!(first_poll(due(at(NOW + 10 * 86_400))).await, 3600);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_ended_keeps_its_lease() {
    let mut state = SyncState::default();
    state.begin("", "", at(NOW - 600));
    assert_eq!(first_poll(state.clone()).await, 1200);

    // Begun in the future, by a clock that was wrong.
    state.begin("", "", at(NOW + 10 * 86_400));
    assert_eq!(first_poll(state).await, 1800);
}

#[tokio::test(start_paused = true)]
async fn the_rung_is_remembered() {
    let mut state = SyncState::default();
    state.finish_err(&policy(), "", "", "down", Duration::ZERO, at(NOW - 100));
    state.finish_err(&policy(), "", "", "down", Duration::ZERO, at(NOW - 50));
    let script = Script::new([Play::Fails]);
    let wall = Wall::at(i64::try_from(NOW).unwrap());
    let mut poller = Poller::builder(script.service(), unit)
        .policy(policy())
        .wall_clock(wall.read())
        .state(state)
        .build();

    let polled = polls(&mut poller, 1).await.remove(0);

    assert_eq!(polled.state.consecutive_failures, 3);
    assert_eq!(polled.state.next_sync_due_at, Some(at(NOW + 40)));
}

#[tokio::test(start_paused = true)]
async fn a_floor_may_reach_further_than_hints() {
    use super::support::{A, Peer, get, ok};
    let peer = Peer::always(ok());
    let wall = Wall::at(i64::try_from(NOW).unwrap());
    let mut poller = Poller::builder(peer.service(), || get(A))
        .policy(policy())
        .floor(secs(86_400))
        .wall_clock(wall.read())
        .state(due(at(NOW + 20_000)))
        .build();
    let began = now();

    polls(&mut poller, 1).await;

    assert_eq!(now() - began, secs(20_000));
}
