//! No input panics, wraps, or comes back early.

use super::*;

const LAST: Moment = Moment::from_nanos(u64::MAX);

fn boundless() -> Rules {
    Rules {
        ladder: Ladder::new(Duration::MAX, Duration::MAX),
        max_retry_after: Duration::MAX,
        jitter: 1.0,
        probe_lease: Duration::MAX,
        reopen_width: u32::MAX,
        ..Rules::default()
    }
}

#[test]
fn an_endless_hint_cools_until_the_end_of_time() {
    let forever = Refusal { hint: Some(Duration::MAX), ..BARE };
    let sample = 1.0 - f64::EPSILON;
    for trust_hints in [false, true] {
        let mut scene = Scene::new(Rules { trust_hints, ..boundless() });
        scene.on(Event::Settled(CURRENT, Ending::Refused { refusal: forever, sample }), at(5));

        assert_eq!(scene.until(), LAST);
        assert_eq!(scene.on(Event::Asked, at(1 << 33)), Effect::Reject(Reason::Cooling));
        assert_eq!(scene.state.forgotten_at(Duration::MAX), LAST);
    }
}

#[test]
fn the_highest_rung_and_the_widest_way_stay_where_they_are() {
    let mut scene = cooling();
    scene.state.cause.rung = u32::MAX;
    let scene = scene.then(refused(CURRENT, BARE), 900);
    assert_eq!((scene.until(), scene.rung()), (at(2700), u32::MAX));

    let rules = Rules { reopen_width: u32::MAX, ..Rules::default() };
    let mut wide = Scene { rules, ..reopening() };
    wide.state.phase = open(u32::MAX, u32::MAX);
    assert_eq!(wide.then(succeeded(CURRENT), 1011).phase(), open(u32::MAX, u32::MAX));
}

#[test]
fn every_event_is_taken_in_at_the_last_moment_of_all() {
    let sample = 0.999;
    let endless = Refusal { hint: Some(Duration::MAX), ..BARE };
    let endings = [
        Ending::Refused { refusal: endless, sample },
        Ending::Refused { refusal: BARE, sample },
        Ending::Exhausted { reset: Duration::MAX, sample },
        Ending::Succeeded,
        Ending::Neutral,
        Ending::Dropped,
    ];
    let memories = [(Moment::START, 0), (LAST, u32::MAX)].map(|(until, rung)| {
        let cause = Cause { rung, ..cooling().state.cause };
        Event::Restored(Record { until, cause, by_hand: rung == 0 })
    });
    let events: Vec<Event> = endings
        .iter()
        .flat_map(|ending| {
            [CURRENT, STALE, place(), probe(2)].map(|by| Event::Settled(by, *ending))
        })
        .chain([Event::Asked, Event::Cooled(Duration::MAX)])
        .chain(memories)
        .collect();

    for rules in [boundless(), Rules::default()] {
        for forget in [Duration::ZERO, FORGET, Duration::MAX] {
            for base in [clear(), cooling(), probing(), reopening()] {
                for event in &events {
                    for now in [Moment::START, at(900), LAST] {
                        let mut scene = Scene { rules, forget, ..base };
                        scene.on(*event, now);
                        let state = scene.state;

                        assert!(state.gate(forget) <= state.forgotten_at(forget));
                        assert!(state.gate(forget).since(LAST).is_zero());
                        assert!(told(Reason::Cooling, state.gate(forget), now) >= now);
                        assert!(!state.told_refused(Some(Duration::MAX), now, &rules).is_zero());
                    }
                }
            }
        }
    }
}

#[test]
fn jitter_on_an_endless_wait_does_not_wrap() {
    for stretch in [0.0, 1.0, f32::INFINITY, f32::NAN, -1.0] {
        for wait in [Duration::ZERO, Duration::from_nanos(1), secs(60), Duration::MAX] {
            assert!(stretched(wait, stretch) >= wait, "{wait:?} {stretch}");
        }
    }
}
