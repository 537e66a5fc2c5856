//! A worker that is cut off from Redis, and messages that come twice, late or never.

use std::thread::sleep;
use std::time::Duration;

use crate::clock;
use crate::crew::{self, Settings, Worker};
use crate::proxy::{Mode, Proxy, Way};
use crate::server::{Redis, until};
use crate::site::{Reply, Site};
use crate::storm::{Episode, begin, rest, served};
use crate::support::{millis, secs};
use crate::with_redis;

const CALLERS: u64 = 8;

/// Three workers, each with a proxy of its own.
async fn crew(redis: &Redis, site: &Site) -> (Vec<Worker>, Vec<Proxy>) {
    let (mut workers, mut proxies) = (Vec::new(), Vec::new());
    for id in 0..3 {
        let proxy = Proxy::start(redis.port(), id).await;
        let settings = Settings::new(redis, site).with(|settings| {
            settings.redis = proxy.url();
            settings.id = id;
            settings.callers = CALLERS;
        });
        workers.push(Worker::start(&settings));
        proxies.push(proxy);
    }
    (workers, proxies)
}

/// One worker is cut off, all are refused, and it comes back, in step within that time.
fn cut_off(mode: Mode, within: Duration) {
    with_redis(async |redis| {
        let well = Reply::ok(millis(10));
        let site = Site::start(move |_| well).await;
        let (mut workers, proxies) = crew(redis, &site).await;
        begin(&mut workers, &site, 3 * CALLERS);

        proxies[2].set(Way::of(mode));
        sleep(millis(100));
        let logged = site.requests();
        site.answers(|worker| Reply::refused(millis(3000 + 300 * worker), millis(2)));
        let cooling = until(secs(3), || {
            crew::tables(&mut workers).iter().all(|table| table.state == "cooling")
        });
        assert!(cooling.is_some(), "{:?}", crew::tables(&mut workers));
        sleep(millis(700));
        // It learns by itself, and by its own burst only.
        let own = site.log()[logged..]
            .iter()
            .filter(|entry| entry.worker == 2 && entry.status == 429)
            .count();
        assert!(own <= usize::try_from(CALLERS).unwrap(), "{own} of one worker");
        let tables = crew::tables(&mut workers);
        let (was, longest) =
            (crew::spread(&tables), tables.iter().map(|table| table.until).max().unwrap());

        proxies[2].set(Way::default());
        let healed = clock::now();
        let in_step = until(secs(4), || workers[2].is_in_step()).map(|_| healed.elapsed());
        let mut tables = Vec::new();
        let took = until(secs(4), || {
            tables = crew::tables(&mut workers);
            crew::spread(&tables).is_some_and(|spread| spread <= 50_000)
        });
        let took = took.map(|_| healed.elapsed());
        site.answers(move |_| well);
        served(&mut workers);
        rest(&mut workers);
        let tally = crew::tally(&mut workers);

        println!(
            "partition ({mode:?}): {was:?} us apart, in step {in_step:?} after, alike {took:?}; {tally:?}"
        );
        assert!(tally.is_calm(), "{tally:?}");
        assert!(took.is_some(), "{tables:?}");
        assert!(tables.iter().all(|table| table.until + 50_000 >= longest), "{tables:?}");
        assert!(took.is_some_and(|took| took <= within), "{took:?}");
    });
}

#[test]
fn a_worker_whose_connection_stalls_goes_on_alone_and_comes_back() {
    cut_off(Mode::Stalls, secs(1));
}

#[test]
fn a_worker_whose_connection_is_deaf_goes_on_alone_and_comes_back() {
    // That it is deaf is seen by an answer that does not come for two seconds.
    cut_off(Mode::Swallows, secs(3));
}

#[test]
fn a_worker_that_is_cut_off_goes_on_alone_and_comes_back() {
    cut_off(Mode::Cuts, secs(1));
}

#[test]
fn messages_that_come_twice_late_or_never_make_no_second_probe_or_ramp() {
    with_redis(async |redis| {
        let well = Reply::ok(millis(30));
        let site = Site::start(move |_| well).await;
        let (mut workers, proxies) = crew(redis, &site).await;
        for proxy in &proxies {
            proxy.set(Way { twice: 30, late: 30, ..Way::default() });
        }
        begin(&mut workers, &site, 3 * CALLERS);

        for round in 0..2 {
            site.refuses_for(millis(900), Reply::refused(millis(700), millis(2)), well);
            let refused = until(secs(3), || crew::tables(&mut workers)[0].state == "cooling");
            assert!(refused.is_some(), "round {round}");
            served(&mut workers);
            rest(&mut workers);
            let log = site.log();
            site.forget();
            crew::tell(&mut workers, "call");

            let episode = Episode::of(&log, 500_000);
            // Who hears late is refused itself, but never in a cooldown that it knew of:
            // that is in the tally.
            assert_eq!(episode.refused, 1, "round {round}: probes that are refused");
            episode.has_one_probe_at_a_time();
            episode.has_one_ramp();
        }
        rest(&mut workers);
        let tally = crew::tally(&mut workers);
        let news: Vec<_> = proxies.iter().map(Proxy::tally).collect();
        println!("messages: {news:?}; {tally:?}");
        assert!(tally.is_calm(), "{tally:?}");
        assert!(news.iter().all(|tally| tally.twice > 0 && tally.late > 0), "{news:?}");
    });
}
