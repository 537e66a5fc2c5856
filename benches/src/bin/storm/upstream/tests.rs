//! Each limit beside a model that is too simple to be wrong, and the headers.

use std::time::SystemTime;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tower_retry_after::hint;

use super::*;

const NANO: Duration = Duration::from_nanos(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Ten thousand times of arrival in order, some of them the same, some far apart.
fn arrivals(seed: u64) -> Vec<Duration> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut at = Duration::ZERO;
    let mut next = || {
        at += match chance.random_range(0..10) {
            0 => Duration::ZERO,
            9 => ms(chance.random_range(0..40_000)),
            _ => ms(chance.random_range(0..2_000)),
        };
        at
    };
    (0..10_000).map(|_| next()).collect()
}

/// Holds that a limit serves what the model serves, as many as it says remain, and
/// lifts exactly when it says so.
fn holds<L: Limit + Clone>(mut limit: L, mut model: impl FnMut(Duration) -> bool) {
    let mut served = 0;
    for at in arrivals(7) {
        let before = limit.clone();
        let is_served = limit.admit(at);
        served += usize::from(is_served);

        assert_eq!(is_served, model(at), "at {at:?}: {before:?}");
        assert_eq!(is_served, before.remaining(at) > 0, "at {at:?}: {before:?}");
        assert_eq!(is_served, before.lifts_at(at) == at, "at {at:?}: {before:?}");
        let mut burst = limit.clone();
        assert!((0..limit.remaining(at).min(100)).all(|_| burst.admit(at)));

        let lifts = limit.lifts_at(at);
        assert!(limit.clone().admit(lifts), "at {lifts:?}: {limit:?}");
        assert!(
            lifts == at || !limit.clone().admit(lifts.saturating_sub(NANO)),
            "before {lifts:?}: {limit:?}"
        );
    }
    assert!(
        (1_000..9_900).contains(&served),
        "{served} of 10,000 served: the test is worth little"
    );
}

#[test]
fn a_fixed_window_serves_its_quota_in_each_window() {
    let mut served: Vec<Duration> = Vec::new();
    holds(FixedWindow::new(20, secs(60)), |at| {
        let window = at.as_secs() / 60;
        let used = served.iter().filter(|served| served.as_secs() / 60 == window).count();
        served.push(at);
        if used == 20 {
            served.pop();
        }
        used < 20
    });
}

#[test]
fn a_sliding_window_serves_its_quota_in_any_stretch() {
    let mut served: Vec<Duration> = Vec::new();
    holds(SlidingWindow::new(20, secs(60)), |at| {
        let used = served.iter().filter(|&&served| served + secs(60) > at).count();
        served.push(at);
        if used == 20 {
            served.pop();
        }
        used < 20
    });
}

/// A bucket that gains a unit in each millisecond; a request takes, or pours in, so
/// many of them.
struct Drops {
    units: u128,
    full: u128,
    now: u128,
}

impl Drops {
    fn flow(&mut self, at: Duration, drop: impl Fn(u128) -> u128) {
        while self.now < at.as_millis() {
            self.now += 1;
            self.units = drop(self.units).min(self.full);
        }
    }
}

#[test]
fn a_token_bucket_serves_what_has_flowed_in() {
    let mut bucket = Drops { units: 80_000, full: 80_000, now: 0 };
    holds(TokenBucket::new(20, secs(4)), |at| {
        bucket.flow(at, |units| units + 1);
        let is_served = bucket.units >= 4_000;
        bucket.units -= if is_served { 4_000 } else { 0 };
        is_served
    });
}

#[test]
fn a_charged_bucket_takes_from_those_whom_it_refuses() {
    let mut bucket = Drops { units: 60_000, full: 60_000, now: 0 };
    holds(ChargedBucket::full(20, secs(3)), |at| {
        bucket.flow(at, |units| units.saturating_sub(1));
        let is_served = bucket.units + 3_000 <= 60_000;
        bucket.units = (bucket.units + 3_000).min(60_000);
        is_served
    });
}

#[test]
fn whoever_goes_on_at_a_pace_faster_than_the_leak_is_never_served() {
    let mut bucket = ChargedBucket::full(5, secs(90));

    assert!((1..1_000).all(|minute| !bucket.admit(secs(60 * minute))));
    assert!(bucket.admit(secs(60 * 999 + 90)), "and whoever waits is");
}

#[test]
fn outages_are_over_when_they_say() {
    let mut outages = Outages::new(secs(600), secs(300));
    let is_up = |at: Duration| at.as_secs() % 900 < 600;

    for at in arrivals(3) {
        assert_eq!(outages.admit(at), is_up(at), "at {at:?}");
        let lifts = outages.lifts_at(at);
        assert!(
            is_up(lifts) && (lifts == at || !is_up(lifts.saturating_sub(NANO))),
            "at {at:?}: {lifts:?}"
        );
    }
    assert_eq!(outages.refusal(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn what_others_use_up_is_not_there_for_us() {
    let mut shared = Shared::new(FixedWindow::new(60, secs(60)), 1.0, 1);

    let served = (0..3_600).filter(|&second| shared.admit(secs(second))).count();

    // Two a second in the mean, of which half are ours, for sixty places a minute.
    assert!((1_700..1_900).contains(&served), "{served}");
}

#[test]
fn chance_is_the_same_for_the_same_seed_alone() {
    let served = |seed| {
        let mut shared = Shared::new(TokenBucket::new(5, secs(2)), 0.5, seed);
        (0..1_000).map(|second| shared.admit(secs(second))).collect::<Vec<_>>()
    };

    assert_eq!(served(1), served(1));
    assert_ne!(served(1), served(2));
}

/// What a client reads from a refusal that comes so long before the limit lifts.
fn read(telling: Telling, wait: Duration) -> Option<Duration> {
    let mut upstream = Upstream::new(Outages::new(secs(0), secs(100)), telling);
    let response = upstream.answer(secs(100).saturating_sub(wait));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    hint::from_headers(response.headers(), SystemTime::UNIX_EPOCH)
}

#[test]
fn each_telling_says_what_its_name_says() {
    let wait = ms(10_300) + NANO;

    assert_eq!(read(Telling::Exact, wait), Some(ms(10_301)));
    assert_eq!(read(Telling::Seconds, wait), Some(secs(11)));
    assert_eq!(read(Telling::Nothing, wait), None);
    assert_eq!(read(Telling::TooShort, wait), Some(ms(5_150)));
    assert_eq!(read(Telling::TooLong, wait), Some(ms(20_601)));
}

#[test]
fn a_date_is_by_the_clock_of_its_upstream_and_never_too_early() {
    for fast in [-420, 0, 420] {
        for wait in [ms(1), ms(999), secs(1), ms(10_300), secs(99)] {
            let read = read(Telling::Date { fast }, wait).expect("a date and its `Date`");

            assert!(read >= wait && read < wait + secs(2), "{wait:?} read as {read:?}");
        }
    }
}

#[test]
fn quota_fields_say_what_is_left_on_every_answer() {
    let bucket = TokenBucket::new(2, ms(1_500));
    let mut upstream = Upstream::with_quota_fields(bucket, Telling::Nothing);
    let fields = |response: &Response<()>| {
        let field =
            |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        ["ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(field)
    };
    let some = |text: &str| Some(text.to_owned());

    let [first, last, refused] = [0, 0, 0].map(|_| fields(&upstream.answer(secs(0))));

    assert_eq!(first, [some("\"default\";r=1"), some("1"), None]);
    assert_eq!(last, [some("\"default\";r=0;t=2"), some("0"), some("2")]);
    assert_eq!(refused, last);
}
