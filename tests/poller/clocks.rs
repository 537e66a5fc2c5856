//! A wall clock that jumps.

use super::support::pass;
use super::*;

/// A wall clock that goes with tokio's, and can be stepped.
#[derive(Clone)]
pub(super) struct Wall {
    began: Instant,
    /// Seconds since 1970 when it began.
    offset: Arc<Mutex<i64>>,
}

impl Wall {
    pub(super) fn at(seconds: i64) -> Self {
        Self { began: now(), offset: Arc::new(Mutex::new(seconds)) }
    }

    pub(super) fn step(&self, seconds: i64) {
        *self.offset.lock().unwrap() += seconds;
    }

    pub(super) fn read(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
        let wall = self.clone();
        move || at(u64::try_from(*wall.offset.lock().unwrap()).unwrap()) + (now() - wall.began)
    }
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_neither_stalls_nor_hurries_it() {
    for step in [-HOUR, HOUR, DAY, -30 * DAY] {
        let script = Script::new([Play::Answers, Play::Fails]);
        let wall = Wall::at(100 * DAY);
        let mut poller = Poller::builder(script.service(), unit)
            .policy(policy())
            .wall_clock(wall.read())
            .build();

        polls(&mut poller, 1).await;
        wall.step(step);
        polls(&mut poller, 1).await;
        wall.step(-step);
        polls(&mut poller, 2).await;

        assert_eq!(script.seconds(), [0, 60, 70, 130], "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_shows_the_wall_clock_as_it_stands_now() {
    let script = Script::new([]);
    let wall = Wall::at(100 * DAY);
    let mut poller =
        Poller::builder(script.service(), unit).policy(policy()).wall_clock(wall.read()).build();
    let polled = polls(&mut poller, 1).await.remove(0);
    let day = at(100 * 86_400);
    assert_eq!(polled.state.last_sync_ok_at, Some(day));
    assert_eq!(polled.state.next_sync_due_at, Some(day + secs(60)));

    pass(secs(20)).await;
    wall.step(HOUR);

    // Still forty seconds away; what has happened stays as it was written down.
    let state = poller.state();
    assert_eq!(state.next_sync_due_at, Some(day + secs(3600 + 60)));
    assert_eq!(state.last_sync_ok_at, Some(day));
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_run_that_is_out_goes_with_the_wall_clock() {
    let script = Script::new([Play::Hangs]);
    let wall = Wall::at(100 * DAY);
    let mut poller =
        Poller::builder(script.service(), unit).policy(policy()).wall_clock(wall.read()).build();
    assert!(super::support::poll_once(std::pin::pin!(poller.next())).is_pending());

    wall.step(HOUR);

    // Half an hour from when it began, which was just now.
    let state = poller.state();
    let begun = at(100 * 86_400 + 3600);
    assert!(!state.is_due(&policy(), begun + secs(1799)));
    assert!(state.is_due(&policy(), begun + secs(1800)));
}

#[tokio::test(start_paused = true)]
async fn hours_of_sleep_are_one_poll() {
    // A machine that was suspended: timers are late by hours, and so are both clocks.
    let script = Script::new([]);
    let mut poller = Poller::builder(script.service(), unit).policy(policy()).build();
    polls(&mut poller, 1).await;

    pass(secs(8 * 3600)).await;
    polls(&mut poller, 2).await;

    assert_eq!(script.seconds(), [0, 8 * 3600, 8 * 3600 + 60]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_begins_after_a_step_shows_when_it_was_due() {
    let script = Script::lasting([(Play::Answers, secs(0)), (Play::Answers, secs(10))]);
    let wall = Wall::at(100 * DAY);
    let mut poller =
        Poller::builder(script.service(), unit).policy(policy()).wall_clock(wall.read()).build();
    let handle = poller.handle();
    polls(&mut poller, 1).await;
    wall.step(DAY);

    tokio::spawn(async move { poller.next().await });
    sleep(secs(65)).await;

    let state = handle.state();
    assert_eq!(state.last_outcome, tower_retry_after::schedule::Outcome::Running);
    assert_eq!(state.next_sync_due_at, Some(at(101 * 86_400 + 60)));
}
