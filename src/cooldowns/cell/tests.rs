use std::time::Duration;

use super::*;
use crate::cooldown::{Ending, Event, Refusal, Role, Rules, Standing};

const FORGET: Duration = Duration::from_secs(7200);

fn refused(status: u16, hint: Option<Duration>) -> Cooldown {
    let refusal = Refusal { status: StatusCode::from_u16(status).unwrap(), hint };
    let from = Standing { stale: false, role: Role::Free };
    let event = Event::Settled(from, Ending::Refused { refusal, sample: 0.0 });
    Cooldown::CLEAR.on(event, Moment::START, &Rules::default(), FORGET).0
}

fn notice(state: Cooldown) -> Option<Notice> {
    Cell::new(state, FORGET).notice()
}

#[test]
fn a_notice_tells_status_and_hint_as_they_are() {
    let nearly_a_second = Duration::from_nanos(999_999_999);
    for status in [100, 429, 503, 999] {
        for hint in [None, Some(Duration::ZERO), Some(nearly_a_second), Some(Duration::MAX)] {
            let state = refused(status, hint);

            let notice = notice(state).unwrap();

            assert_eq!(notice.cause, state.cause);
            assert_eq!((notice.gate, notice.reason), (state.gate(FORGET), Reason::Cooling));
        }
    }
}

#[test]
fn a_notice_tells_a_probe_from_a_cooldown() {
    let rules = Rules::default();
    let minute = Moment::START.after(Duration::from_secs(60));
    let (probing, _) = refused(429, None).on(Event::Asked, minute, &rules, FORGET);

    let notice = notice(probing).unwrap();

    assert_eq!(notice.reason, Reason::Probing);
    assert_eq!(notice.gate, minute.after(rules.probe_lease));
}

#[test]
fn there_is_no_notice_where_the_answer_has_to_be_thought_over() {
    let mut reopening = refused(429, None);
    reopening.phase = Phase::Reopening { width: 2, in_flight: 2 };

    assert_eq!(notice(Cooldown::CLEAR), None);
    assert_eq!(notice(reopening), None);
}

#[test]
fn there_is_no_notice_while_a_writer_is_at_it() {
    let cell = Cell::new(refused(429, None), FORGET);
    let version = cell.published.version.load(Ordering::Relaxed);
    cell.published.version.store(version.wrapping_add(1), Ordering::Relaxed);
    assert_eq!(cell.notice(), None);

    cell.published.version.store(version, Ordering::Relaxed);
    assert!(cell.notice().is_some());
}

#[test]
fn what_is_set_under_the_lock_is_published() {
    let cell = Cell::new(Cooldown::CLEAR, FORGET);
    let mut state = refused(503, None);
    cell.lock().set(state, FORGET);
    cell.lock().set_generation(7);

    assert_eq!(cell.notice().unwrap().cause, state.cause);
    state.generation = 7;
    assert_eq!(cell.lock().get(), state);
}
