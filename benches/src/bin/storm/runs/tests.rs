//! That the same seed makes the same run, and callers do what they say.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::callers::Callers;
use crate::strategy::Limits;
use crate::upstream::{FixedWindow, Outages, Telling, Upstream};
use crate::{scenarios, strategies};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A strategy of which each figure is the same in every run.
fn strategy(name: &str) -> Box<dyn Strategy> {
    strategies::all().into_iter().find(|one| one.name() == name).expect("it is in the tables")
}

/// Plays with an upstream that always serves.
fn served(callers: Callers, length: Duration) -> Run {
    let scenario = Scenario {
        name: "served",
        about: "",
        upstream: |_| Upstream::new(Outages::new(secs(1), secs(0)), Telling::Nothing),
        callers,
        limits: Limits { quota: 1, window: secs(1) },
        bars: &[],
        length,
    };
    play(&scenario, strategy("fixed pace").as_ref(), 1)
}

#[test]
fn the_same_seed_is_the_same_run() {
    let names = ["fixed pace", "the original fix", "ours, rejecting", "ours, waiting"];
    for mut scenario in scenarios::all() {
        scenario.length = secs(180);
        for strategy in names.map(strategy) {
            let [one, other] = [1, 1].map(|seed| play(&scenario, strategy.as_ref(), seed));

            assert_eq!(one.tally, other.tally, "{} with {}", scenario.name, one.strategy);
            let seen = |run: &Run| -> Vec<_> {
                run.log.iter().map(|one| (one.at, one.upstream, one.sender, one.status)).collect()
            };
            assert!(seen(&one) == seen(&other), "{} with {}", scenario.name, one.strategy);
        }
    }
}

#[test]
fn another_seed_is_another_run_where_there_is_chance() {
    for name in ["sliding-arrivals", "shared", "crawler"] {
        let mut all = scenarios::all().into_iter();
        let mut scenario = all.find(|one| one.name == name).expect("it is in the tables");
        scenario.length = secs(180);

        let [one, other] =
            [1, 2].map(|seed| play(&scenario, strategy("ours, rejecting").as_ref(), seed));

        assert_ne!(one.tally, other.tally, "{name}");
    }
}

#[test]
fn runs_come_in_the_order_of_the_tables_however_many_threads_play_and_keep_what_is_asked() {
    let mut scenarios = scenarios::all();
    scenarios.truncate(3);
    for scenario in &mut scenarios {
        scenario.length = secs(30);
    }
    let strategies = ["ours, waiting", "fixed pace"].map(strategy);

    let played = all(&scenarios, &strategies, 1, secs(10), |_| {});

    for (played, scenario) in played.iter().zip(&scenarios) {
        assert_eq!(played.scenario.name, scenario.name);
        let names: Vec<_> = played.runs.iter().map(|run| run.strategy).collect();
        assert_eq!(names, ["ours, waiting", "fixed pace"]);
        for run in &played.runs {
            assert!(!run.log.is_empty() && run.log.iter().all(|one| one.at < secs(10)));
        }
        let fixed_pace = &played.runs[1];
        assert!(fixed_pace.log.len() < fixed_pace.tally.sent, "of the log the beginning is kept");
    }
    assert_eq!(played.len(), 3);
}

#[test]
fn loops_call_at_their_pace_and_do_not_begin_in_one_instant() {
    let run = served(Callers::Loops { callers: 4, pace: secs(2) }, secs(10));

    // A round trip of 50 ms and a rest of 2 s, from 0, 0.5, 1 and 1.5 s on.
    let first = run.log.iter().take(4).map(|one| one.at.as_millis());
    assert_eq!(first.collect::<Vec<_>>(), [25, 525, 1_025, 1_525]);
    assert_eq!((run.tally.sent, run.tally.fairness), (20, Some(1.0)));
}

#[test]
fn arrivals_come_at_their_rate_each_with_a_caller_of_its_own() {
    let run = served(Callers::Arrivals { per_second: 2.0 }, secs(3600));

    assert!((6_900..7_500).contains(&run.tally.sent), "{}", run.tally.sent);
    assert!(run.log.iter().enumerate().all(|(number, one)| one.sender == number));
}

#[test]
fn a_crawler_asks_for_each_host_as_its_popularity_says() {
    let pace = Duration::from_millis(150);
    let run = served(Callers::Crawler { workers: 16, hosts: 1_000, pace }, secs(3600));

    // Eighty pages a second, of which the first host has 1 in 7.485, H(1000).
    assert!((287_000..289_000).contains(&run.tally.sent), "{}", run.tally.sent);
    let share = |host| run.log.iter().filter(|one| one.upstream == host).count() as f64;
    for (host, times) in [(0, 38_476.0), (1, 19_238.0), (9, 3_847.6)] {
        let is = share(host) / times;
        assert!((0.95..1.05).contains(&is), "host {host}: {is} of what is due");
    }
    assert!(share(999) > 0.0);
}

#[test]
fn who_arrives_and_hears_nothing_for_a_minute_goes() {
    let scenario = Scenario {
        name: "down",
        about: "",
        upstream: |_| Upstream::new(FixedWindow::new(0, secs(20)), Telling::Seconds),
        callers: Callers::Arrivals { per_second: 1.0 },
        limits: Limits { quota: 1, window: secs(20) },
        bars: &[],
        length: secs(600),
    };

    let run = play(&scenario, strategy("ours, waiting").as_ref(), 1);

    // Nobody stays in line, and nothing is wedged by those who went.
    assert!(run.log.iter().all(|one| one.status == StatusCode::TOO_MANY_REQUESTS));
    assert!(run.tally.held_back > 0 && run.tally.wasted > 3);
}
