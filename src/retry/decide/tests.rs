use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ambient;

/// Where the seconds of these tests count from.
static START: LazyLock<Instant> = LazyLock::new(ambient::now);

fn after(seconds: u64) -> Instant {
    START.checked_add(Duration::from_secs(seconds)).unwrap()
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::HeldBack),
        Just(Outcome::Refused(Again::Any)),
        Just(Outcome::Refused(Again::Idempotent)),
        Just(Outcome::Refused(Again::Never)),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let instant = || prop::option::of((0..6_u64).prop_map(after));
    (outcome(), any::<bool>(), 0..5_u32, 1..5_u32, instant(), instant()).prop_map(
        |(outcome, is_idempotent, sent, attempts, earliest, deadline)| Case {
            outcome,
            is_idempotent,
            sent,
            attempts,
            earliest,
            deadline,
        },
    )
}

/// The rules as the documentation has them, one after the other.
fn may_go_again(case: &Case) -> bool {
    let is_in_time = match case.earliest {
        None => false,
        Some(at) => case.deadline.is_none_or(|deadline| at < deadline),
    };
    let was_sent = case.outcome != Outcome::HeldBack;
    let has_attempts_left = case.sent < case.attempts;
    let is_forbidden = case.outcome == Outcome::Refused(Again::Never);
    let may_have_begun = case.outcome == Outcome::Refused(Again::Idempotent);
    is_in_time
        && !is_forbidden
        && (!was_sent || has_attempts_left)
        && (!may_have_begun || case.is_idempotent)
}

proptest! {
    #[test]
    fn a_call_goes_again_exactly_where_the_rules_allow_it(case in case()) {
        match decide(&case) {
            Decision::GiveUp => prop_assert!(!may_go_again(&case)),
            Decision::Again { at, withdraws } => {
                prop_assert!(may_go_again(&case));
                prop_assert_eq!(Some(at), case.earliest);
                prop_assert_eq!(withdraws, case.outcome != Outcome::HeldBack);
            }
        }
    }
}

fn refused() -> Case {
    Case {
        outcome: Outcome::Refused(Again::Any),
        is_idempotent: false,
        sent: 1,
        attempts: 3,
        earliest: Some(after(10)),
        deadline: Some(after(11)),
    }
}

#[test]
fn an_attempt_that_would_begin_at_the_deadline_is_not_made() {
    let again = Decision::Again { at: after(10), withdraws: true };
    assert_eq!(decide(&refused()), again);
    assert_eq!(decide(&Case { deadline: Some(after(10)), ..refused() }), Decision::GiveUp);
    assert_eq!(decide(&Case { deadline: None, ..refused() }), again);
}

#[test]
fn what_was_not_sent_is_no_attempt_and_withdraws_nothing() {
    let held_back = Case { outcome: Outcome::HeldBack, sent: 3, ..refused() };

    assert_eq!(decide(&held_back), Decision::Again { at: after(10), withdraws: false });
}

#[test]
fn what_was_sent_as_often_as_it_may_be_is_given_up() {
    for again in [Again::Any, Again::Idempotent] {
        let case = Case { outcome: Outcome::Refused(again), is_idempotent: true, ..refused() };

        assert_ne!(decide(&Case { sent: 2, ..case }), Decision::GiveUp, "{again:?}");
        for sent in [3, 4] {
            assert_eq!(decide(&Case { sent, ..case }), Decision::GiveUp, "{again:?} {sent}");
        }
    }
}
