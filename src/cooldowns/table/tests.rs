use http::StatusCode;

use super::forgetting::LINGERING;
use super::*;
use crate::cooldown::{Ending, Reason, Refusal};

const FORGET: Duration = Duration::from_secs(7200);

const FREE: Role = Role::Free;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Moment {
    Moment::START.after(secs(seconds))
}

fn named(name: impl std::fmt::Display) -> Upstream {
    Upstream::named(name.to_string())
}

fn table() -> Table {
    Table::new(1000, FORGET)
}

fn unwatched() -> Changes {
    Changes::kept(false)
}

fn refusal(hint: Option<Duration>) -> Ending {
    let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, hint };
    Ending::Refused { refusal, sample: 0.0 }
}

impl Table {
    /// Reads the generation and asks, as a call does.
    fn ask_at(&self, name: &str, seconds: u64) -> Admission {
        self.admit_at(name, self.generation(), seconds)
    }

    fn admit_at(&self, name: &str, generation: u64, seconds: u64) -> Admission {
        let (upstream, rules) = (named(name), Rules::default());
        let ask = |now| self.ask(&upstream, generation, now, &rules, &mut unwatched());
        self.admit(&upstream, generation, || at(seconds), ask)
    }

    /// Admits a call that must be admitted.
    fn leave(&self, name: &str, seconds: u64) -> (u64, Role) {
        match self.ask_at(name, seconds) {
            Admission::Admitted { generation, role } => (generation, role),
            Admission::Rejected { notice, .. } => panic!("{name} rejected: {notice:?}"),
        }
    }

    fn settle_at(&self, name: &str, admitted: (u64, Role), ending: Ending, seconds: u64) {
        self.settle(
            &named(name),
            admitted,
            ending,
            at(seconds),
            &Rules::default(),
            &mut unwatched(),
        );
    }

    fn refuse(&self, name: &str, admitted: (u64, Role), seconds: u64) {
        self.settle_at(name, admitted, refusal(None), seconds);
    }

    /// Cools an upstream from 0 s until then.
    fn cool_until(&self, name: &str, seconds: u64) {
        self.cool(&named(name), secs(seconds), at(0), &mut unwatched());
    }

    fn rung(&self, name: &str) -> Option<u32> {
        self.get(&named(name), at(0)).map(|state| state.cause.rung)
    }

    fn knows(&self, name: &str) -> bool {
        self.map.get(&named(name)).is_some()
    }

    /// Returns how many ranks the order holds, those of removed entries too.
    fn ranks(&self) -> usize {
        self.order().len()
    }
}

#[test]
fn a_burst_is_one_rung() {
    let table = table();
    let burst: Vec<_> = (0..50).map(|_| table.leave("a", 0)).collect();
    for admitted in burst {
        table.refuse("a", admitted, 1);
    }

    assert_eq!(table.rung("a"), Some(1));
    assert_eq!((table.tracked(), table.generation()), (1, 1));
}

#[test]
fn a_burst_that_straddles_the_probe_is_one_rung_each() {
    let table = table();
    let early = [table.leave("a", 0), table.leave("a", 0)];
    table.refuse("a", early[0], 0);
    let probe = table.leave("a", 60);
    assert_eq!(probe, (1, Role::Probe(1)));

    table.refuse("a", early[1], 61);
    assert_eq!(table.rung("a"), Some(1));
    table.refuse("a", probe, 62);
    assert_eq!(table.rung("a"), Some(2));
    table.refuse("a", probe, 63);
    assert_eq!(table.rung("a"), Some(2));
}

#[test]
fn a_refusal_makes_older_permits_stale_for_its_own_upstream_alone() {
    let table = table();
    table.cool_until("b", 10);
    let probe_of_b = table.leave("b", 10);
    let call_to_a = table.leave("a", 10);

    table.refuse("a", call_to_a, 11);
    table.settle_at("b", probe_of_b, Ending::Succeeded, 12);

    assert!(table.generation() > probe_of_b.0);
    assert!(matches!(table.leave("b", 12).1, Role::Place));
}

#[test]
fn a_probe_is_current_though_its_caller_read_the_generation_before_the_refusal() {
    let table = table();
    let read_early = table.generation();
    table.refuse("a", (0, FREE), 0);

    let probe = table.admit_at("a", read_early, 60);

    assert_eq!(probe, Admission::Admitted { generation: 1, role: Role::Probe(1) });
}

#[test]
fn a_rejection_tells_what_is_behind_it() {
    let table = table();
    let hint = Some(Duration::new(90, 5));
    table.settle_at("a", (0, FREE), refusal(hint), 10);

    let Admission::Rejected { notice, now } = table.ask_at("a", 40) else {
        panic!("admitted");
    };

    assert_eq!(now, at(40));
    assert_eq!((notice.reason, notice.gate), (Reason::Cooling, at(10).after(Duration::new(90, 5))));
    let cause = notice.cause;
    assert_eq!((cause.rung, cause.status.map(|status| status.as_u16())), (1, Some(429)));
    assert_eq!(cause.hint, hint);
}

#[test]
fn an_upstream_that_is_well_again_is_no_longer_tracked() {
    let table = table();
    let rules = Rules { reopen_width: 2, ..Rules::default() };
    table.cool_until("a", 10);
    let probe = table.leave("a", 10);
    table.settle(&named("a"), probe, Ending::Succeeded, at(11), &rules, &mut unwatched());
    assert_eq!(table.tracked(), 1);

    let place = table.leave("a", 11);
    table.settle(&named("a"), place, Ending::Succeeded, at(12), &rules, &mut unwatched());

    assert!(table.enter().is_quiet);
    assert!(!table.knows("a"));
}

#[test]
fn verdicts_that_learn_nothing_track_nothing() {
    let table = table();
    for ending in [Ending::Succeeded, Ending::Neutral, Ending::Dropped] {
        table.settle_at("a", (0, FREE), ending, 0);
    }
    table.cool(&named("a"), Duration::ZERO, at(0), &mut unwatched());

    assert!(table.enter().is_quiet);
    assert_eq!((table.generation(), table.ranks()), (0, 0));
}

#[test]
fn clearing_during_a_probe_forgets_at_once_and_the_verdict_starts_anew() {
    let table = table();
    table.refuse("a", (0, FREE), 0);
    let probe = table.leave("a", 60);

    table.clear(&named("a"), at(0), &mut unwatched());
    table.clear(&named("a"), at(0), &mut unwatched());
    assert!(table.enter().is_quiet);
    assert_eq!(table.leave("a", 60).1, Role::Free);

    table.settle_at("a", probe, Ending::Dropped, 61);
    assert!(table.enter().is_quiet);
    table.refuse("a", probe, 61);
    assert_eq!(table.rung("a"), Some(1));
}

#[test]
fn a_place_of_an_earlier_episode_is_not_given_back_to_a_later_one() {
    let table = table();
    table.cool_until("a", 10);
    table.settle_at("a", table.leave("a", 10), Ending::Succeeded, 10);
    let old_place = table.leave("a", 10);
    table.clear(&named("a"), at(0), &mut unwatched());
    table.cool_until("a", 10);
    table.settle_at("a", table.leave("a", 10), Ending::Succeeded, 10);
    let _places = [table.leave("a", 10), table.leave("a", 10)];

    table.settle_at("a", old_place, Ending::Dropped, 11);

    assert!(matches!(table.ask_at("a", 11), Admission::Rejected { .. }));
}

#[test]
fn the_bound_is_never_exceeded_and_the_longest_out_of_cooldown_goes_first() {
    let table = Table::new(3, FORGET);
    for (name, until) in [("late", 30), ("first", 10), ("second", 20)] {
        table.cool_until(name, until);
    }

    for (fresh, gone) in [("x", "first"), ("y", "second"), ("z", "late")] {
        assert!(table.knows(gone));
        table.cool(&named(fresh), secs(500), at(100), &mut unwatched());

        assert!(!table.knows(gone), "{gone}");
        assert_eq!((table.tracked(), table.evicted()), (3, 0));
    }
}

#[test]
fn when_all_are_cooling_the_one_that_ends_soonest_goes_and_is_counted() {
    let table = Table::new(3, FORGET);
    for (name, until) in [("late", 300), ("soon", 100), ("later", 900)] {
        table.cool_until(name, until);
    }

    table.cool_until("x", 50);
    assert!(!table.knows("soon") && table.knows("x"));
    table.cool_until("y", 1000);
    assert!(!table.knows("x") && table.knows("y"));

    assert_eq!((table.tracked(), table.evicted()), (3, 2));
}

#[test]
fn who_has_been_cooled_for_longer_meanwhile_is_ranked_anew() {
    let table = Table::new(2, FORGET);
    table.cool_until("a", 10);
    table.cool_until("b", 20);
    table.cool_until("a", 500);

    table.cool(&named("x"), secs(900), at(100), &mut unwatched());

    assert!(table.knows("a") && !table.knows("b"));
    assert_eq!(table.evicted(), 0);
}

#[test]
fn a_bound_of_zero_is_one() {
    let table = Table::new(0, FORGET);
    table.cool_until("a", 10);
    table.cool_until("b", 10);

    assert_eq!((table.tracked(), table.evicted()), (1, 1));
    assert!(table.knows("b"));
}

#[test]
fn sweeping_forgets_those_whose_time_has_come_and_no_others() {
    let table = table();
    for seconds in 0..10 {
        table.cool_until(&format!("{seconds}"), 10 + seconds);
    }
    table.cool_until("0", 500);

    table.sweep(at(13 + 7200), &mut unwatched());

    let left: Vec<bool> = (0..10).map(|name| table.knows(&name.to_string())).collect();
    assert_eq!(left, [true, false, false, false, true, true, true, true, true, true]);
    assert_eq!(table.tracked(), 7);
    // A sweep takes a few, so that nobody pays for all.
    table.sweep(at(500 + 7200), &mut unwatched());
    table.sweep(at(500 + 7200), &mut unwatched());
    assert!(table.enter().is_quiet);
    assert_eq!((table.ranks(), table.evicted()), (0, 0));
}

#[test]
fn tracking_sweeps_faster_than_it_tracks() {
    let table = table();
    for name in 0..900 {
        table.cool_until(&name.to_string(), 10);
    }
    for name in 0..300 {
        table.cool(&named(format_args!("fresh {name}")), secs(10), at(10 + 7200), &mut unwatched());
    }

    assert_eq!(table.tracked(), 300);
}

#[test]
fn a_forgotten_upstream_is_neither_seen_nor_held_back() {
    let table = table();
    table.refuse("a", (0, FREE), 0);
    let forgotten = 60 + 7200;

    assert!(table.get(&named("a"), at(forgotten - 1)).is_some());
    assert!(table.get(&named("a"), at(forgotten)).is_none());
    assert!(table.all(at(forgotten)).is_empty());
    assert_eq!(table.leave("a", forgotten).1, Role::Free);
    assert!(table.enter().is_quiet);
}

#[test]
fn a_reopening_upstream_is_not_seen_once_the_last_refusal_is_long_ago() {
    let table = table();
    table.refuse("a", (0, FREE), 5);
    table.settle_at("a", table.leave("a", 65), Ending::Succeeded, 66);

    assert!(table.get(&named("a"), at(5 + 7200 - 1)).is_some());
    assert!(table.get(&named("a"), at(5 + 7200)).is_none());
}

#[test]
fn removed_upstreams_do_not_pile_up_in_the_order() {
    let table = table();
    for _ in 0..100_000 {
        table.cool_until("flapping", 10);
        table.clear(&named("flapping"), at(0), &mut unwatched());
        assert!(table.ranks() <= LINGERING + 4);
    }

    assert!(table.enter().is_quiet);
}

#[test]
fn any_number_of_hostile_names_stays_within_the_bound() {
    let table = Table::new(100, FORGET);
    for name in 0..20_000 {
        table.refuse(&format!("{name}.example"), (table.generation(), FREE), name);
        assert!(table.tracked() <= 100);
    }

    assert_eq!(table.all(at(20_000)).len(), 100);
    assert!(table.ranks() <= 2 * 100 + LINGERING);
}
