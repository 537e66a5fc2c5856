use http::StatusCode;

use super::super::{Course, Ending, Refusal, Role, Standing};
use super::*;

const FORGET: Duration = Duration::from_secs(7200);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Moment {
    Moment::START.after(secs(seconds))
}

fn said(state: Cooldown, word: Word, seconds: u64) -> (Cooldown, Effect) {
    state.on(Event::Fleet(word), at(seconds), &Rules::default(), FORGET)
}

fn happened(state: Cooldown, event: Event, seconds: u64) -> Cooldown {
    state.on(event, at(seconds), &Rules::default(), FORGET).0
}

fn refusal() -> Ending {
    let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, hint: None };
    Ending::Refused { refusal, sample: 0.0 }
}

fn current(role: Role) -> Standing {
    Standing { stale: false, role }
}

/// Rung 1, refused at 1000 s, until 1060 s.
fn cooling() -> Cooldown {
    happened(Cooldown::CLEAR, Event::Settled(current(Role::Free), refusal()), 1000)
}

/// The probe left at 1060 s.
fn probing() -> Cooldown {
    happened(cooling(), Event::Asked, 1060)
}

/// Since 1061 s, with one of two places taken.
fn reopening() -> Cooldown {
    let succeeded = Event::Settled(current(Role::Probe(1)), Ending::Succeeded);
    happened(happened(probing(), succeeded, 1061), Event::Asked, 1061)
}

/// News of a refusal at 1010 s, on rung 3, until then.
fn news(standing: Told, ends: u64) -> Word {
    let cause = Cause { rung: 3, status: Some(StatusCode::SERVICE_UNAVAILABLE), hint: None };
    let (began, ends) = (at(1010), at(ends));
    Word::Heard(News {
        standing,
        cause,
        began,
        ends,
        by_hand: false,
        outdates: true,
        is_echo: false,
    })
}

fn cooling_until(seconds: u64) -> Told {
    Told::Cooling { until: at(seconds) }
}

const CLEAR: Told = Told::Clear { by_hand: false };
const CLEARED: Told = Told::Clear { by_hand: true };

#[test]
fn a_cooldown_elsewhere_is_one_here_whatever_was_known() {
    for state in [Cooldown::CLEAR, cooling(), probing(), reopening()] {
        let (next, effect) = said(state, news(cooling_until(1250), 1250), 1062);

        assert_eq!(next.phase, Phase::Cooling { until: at(1250) });
        assert_eq!((next.cause.rung, next.ends), (3, at(1250)));
        assert_eq!(effect, Effect::Outdate);
    }
}

#[test]
fn a_shorter_cooldown_elsewhere_shortens_none_here() {
    let (next, _) = said(cooling(), news(cooling_until(1050), 1050), 1020);

    assert_eq!(next.phase, Phase::Cooling { until: at(1060) });
    assert_eq!(next.cause.rung, 3, "but its rung counts");
}

#[test]
fn what_comes_back_late_of_ones_own_refusal_makes_its_cooldown_no_longer() {
    // Refused at 1000 s for 60 s; by a slow Redis at 1002 s, for as long.
    let echo = |ends| {
        let until = cooling_until(ends);
        Word::Heard(News { began: at(1002), ends: at(ends), is_echo: true, ..believed(until) })
    };

    let (same, effect) = said(cooling(), echo(1062), 1004);
    assert_eq!((same.phase, same.ends, effect), (cooling().phase, at(1060), Effect::Nothing));
    assert_eq!(same.cause.rung, 3, "but the fleet counts");

    let (longer, _) = said(cooling(), echo(1063), 1004);
    assert_eq!(longer.phase, Phase::Cooling { until: at(1063) }, "somebody else's was longer");
    let others = said(cooling(), news(cooling_until(1062), 1062), 1004).0;
    assert_eq!(others.phase, Phase::Cooling { until: at(1062) });
}

#[test]
fn a_lower_rung_elsewhere_does_not_lower_a_longer_one_here() {
    let high = Cooldown { cause: Cause { rung: 5, ..cooling().cause }, ..cooling() };

    let (next, _) = said(high, news(cooling_until(1050), 1050), 1020);

    assert_eq!(next.cause.rung, 5);
}

#[test]
fn the_fleets_rung_is_believed_once_the_cooldown_here_has_run_out() {
    let high = Cooldown { cause: Cause { rung: 5, ..cooling().cause }, ..cooling() };

    let (next, _) = said(high, news(cooling_until(1200), 1200), 1061);

    assert_eq!(next.cause.rung, 3);
}

#[test]
fn calls_become_stale_by_what_made_them_stale_elsewhere_or_where_nothing_was_known() {
    let known = Word::Heard(News { outdates: false, ..believed(cooling_until(1250)) });

    assert_eq!(said(cooling(), known, 1062).1, Effect::Nothing);
    assert_eq!(said(Cooldown::CLEAR, known, 1062).1, Effect::Outdate);
}

fn believed(standing: Told) -> News {
    match news(standing, 1250) {
        Word::Heard(news) => news,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_probe_elsewhere_holds_back_here_until_its_lease_ends() {
    for state in [Cooldown::CLEAR, cooling(), probing(), reopening()] {
        let (next, _) = said(state, news(Told::Probing { lease: at(1100) }, 1060), 1062);

        assert_eq!(next.phase, Phase::Probing { lease: at(1100) });
    }
}

#[test]
fn a_probe_or_a_success_elsewhere_does_not_end_a_cooldown_that_runs() {
    for standing in [Told::Probing { lease: at(1100) }, Told::Reopening, CLEAR] {
        assert_eq!(said(cooling(), news(standing, 1060), 1059), (cooling(), Effect::Nothing));
    }
}

#[test]
fn a_probe_here_that_another_has_superseded_is_no_longer_the_newest() {
    let (held, _) = said(probing(), news(Told::Probing { lease: at(1100) }, 1060), 1062);

    let dropped = Event::Settled(current(Role::Probe(1)), Ending::Dropped);

    assert_eq!(happened(held, dropped, 1063), held);
}

#[test]
fn an_upstream_that_reopens_elsewhere_has_no_places_here() {
    for state in [Cooldown::CLEAR, cooling(), probing()] {
        let (next, _) = said(state, news(Told::Reopening, 1060), 1062);

        assert_eq!(next.phase, Phase::Reopening { width: 0, in_flight: 0 });
        let asked = next.on(Event::Asked, at(1062), &Rules::default(), FORGET);
        assert_eq!(asked.1, Effect::Reject(Reason::Reopening));
    }
}

#[test]
fn one_that_reopens_here_keeps_its_places() {
    assert_eq!(said(reopening(), news(Told::Reopening, 1060), 1062).0, reopening());
}

#[test]
fn an_upstream_that_is_clear_elsewhere_is_clear_here() {
    for state in [Cooldown::CLEAR, cooling(), probing(), reopening()] {
        assert_eq!(said(state, news(CLEAR, 1060), 1062).0, Cooldown::CLEAR);
    }
}

#[test]
fn an_episode_that_has_ended_here_is_not_begun_again_by_its_way_back_elsewhere() {
    for standing in [cooling_until(1060), Told::Probing { lease: at(1100) }, Told::Reopening] {
        let known = Word::Heard(News { outdates: false, ends: at(1060), ..believed(standing) });

        assert_eq!(said(Cooldown::CLEAR, known, 1062), (Cooldown::CLEAR, Effect::Nothing));
    }
}

#[test]
fn a_human_who_clears_elsewhere_ends_a_cooldown_that_runs() {
    assert_eq!(said(cooling(), news(CLEARED, 1060), 1001).0, Cooldown::CLEAR);
}

#[test]
fn news_of_what_is_forgotten_are_none() {
    let long_after = 1250 + 7200;

    for standing in [cooling_until(1250), Told::Probing { lease: at(long_after + 1) }] {
        let (next, effect) = said(Cooldown::CLEAR, news(standing, 1250), long_after);
        assert_eq!((next, effect), (Cooldown::CLEAR, Effect::Nothing));
    }
    let reopened = said(Cooldown::CLEAR, news(Told::Reopening, 1250), 1010 + 7200);
    assert_eq!(reopened, (Cooldown::CLEAR, Effect::Nothing));
}

#[test]
fn while_the_lease_is_asked_for_calls_are_rejected_for_as_long_as_the_answer_may_take() {
    for state in [cooling(), happened(cooling(), Event::Asked, 1060)] {
        let late = 1060 + 30;
        let (asking, effect) = said(state, Word::Wanted(secs(1)), late);

        assert_eq!(effect, Effect::Reject(Reason::Probing));
        assert_eq!(asking.phase, Phase::Probing { lease: at(late + 1) });
        let alone = asking.on(Event::Asked, at(late + 1), &Rules::default(), FORGET);
        assert!(matches!(alone.1, Effect::Admit(Role::Probe(_))), "it goes by itself");
    }
}

#[test]
fn nobody_asks_for_a_lease_before_the_cooldown_has_run_out() {
    let (next, effect) = said(cooling(), Word::Wanted(secs(1)), 1059);

    assert_eq!((next, effect), (cooling(), Effect::Reject(Reason::Cooling)));
}

#[test]
fn a_lease_that_is_given_makes_the_next_call_the_probe_and_only_that() {
    let (asking, _) = said(cooling(), Word::Wanted(secs(1)), 1060);

    let (given, _) = said(asking, Word::Given, 1060);
    let (out, effect) = given.on(Event::Asked, at(1060), &Rules::default(), FORGET);

    assert!(matches!(effect, Effect::Admit(Role::Probe(_))));
    let second = out.on(Event::Asked, at(1060), &Rules::default(), FORGET);
    assert_eq!(second.1, Effect::Reject(Reason::Probing));
}

#[test]
fn a_lease_or_a_place_is_nothing_to_one_that_does_not_wait_for_it() {
    for state in [Cooldown::CLEAR, cooling(), reopening()] {
        assert_eq!(said(state, Word::Given, 1062), (state, Effect::Nothing));
    }
    for state in [Cooldown::CLEAR, cooling(), probing()] {
        assert_eq!(said(state, Word::Room(5), 1062), (state, Effect::Nothing));
        assert_eq!(said(state, Word::Yielded(0), 1062), (state, Effect::Nothing));
    }
}

#[test]
fn places_come_and_those_that_no_call_holds_go() {
    let (wider, _) = said(reopening(), Word::Room(5), 1062);
    assert_eq!(wider.phase, Phase::Reopening { width: 7, in_flight: 1 });

    let (narrower, _) = said(wider, Word::Yielded(3), 1062);
    assert_eq!(narrower.phase, Phase::Reopening { width: 3, in_flight: 1 });
    assert_eq!(said(narrower, Word::Yielded(9), 1062).0, narrower);
    let (narrow, _) = said(narrower, Word::Yielded(0), 1062);
    assert_eq!(narrow.phase, Phase::Reopening { width: 1, in_flight: 1 });
    assert_eq!(
        said(narrow, Word::Room(u32::MAX), 1062).0.phase,
        Phase::Reopening { width: u32::MAX, in_flight: 1 }
    );
}

#[test]
fn a_place_that_is_overdue_is_there_and_nothing_but_a_place() {
    let (taken, effect) = said(reopening(), Word::Yielded(0), 1062);
    assert_eq!(
        (taken.phase, effect),
        (Phase::Reopening { width: 1, in_flight: 1 }, Effect::Nothing)
    );

    let (taken, effect) = said(taken, Word::Overdue, 1062);

    assert_eq!(taken.phase, Phase::Reopening { width: 2, in_flight: 2 });
    assert_eq!(effect, Effect::Admit(Role::Place));
    assert_eq!(said(cooling(), Word::Overdue, 1059), (cooling(), Effect::Reject(Reason::Cooling)));
}

#[test]
fn what_is_heard_is_kept_whole_in_the_two_parts_of_a_cell() {
    let (next, _) = said(Cooldown::CLEAR, news(cooling_until(1250), 1200), 1062);
    let course: Course = next.course();

    assert_eq!(Cooldown::of(next.cause, course), next);
}
