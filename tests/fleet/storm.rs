//! Eight processes with 64 callers each, and one upstream that limits.

use std::thread::sleep;
use std::time::Duration;

use crate::crew::{self, Settings, Table, Worker};
use crate::server::until;
use crate::site::{Entry, Reply, Site};
use crate::support::{millis, secs};
use crate::with_redis;

pub(crate) const WORKERS: u64 = 8;
pub(crate) const CALLERS: u64 = 64;

/// How long an answer takes: so that a good part of the callers is always in flight, and
/// few calls are sent in the time that news take.
const LATENCY: Duration = millis(200);

/// Starts the crew, and lets it call until all callers are served.
pub(crate) fn storm(settings: Settings, site: &Site) -> Vec<Worker> {
    let settings = settings.with(|settings| {
        settings.callers = CALLERS;
        settings.pause = millis(400);
    });
    let mut workers = Worker::start_many(&settings, WORKERS);
    begin(&mut workers, site, WORKERS * CALLERS);
    workers
}

/// Lets the crew call until all callers are served.
pub(crate) fn begin(workers: &mut [Worker], site: &Site, callers: u64) {
    crew::tell(workers, "call");
    let callers = usize::try_from(callers).unwrap();
    assert!(until(secs(20), || site.requests() > 2 * callers).is_some(), "nobody is served");
}

/// Lets it rest until no request is in flight.
pub(crate) fn rest(workers: &mut [Worker]) {
    crew::tell(workers, "rest");
    sleep(millis(600));
}

/// Waits until all tables have heard of a cooldown, and returns them.
pub(crate) fn cooling(workers: &mut [Worker]) -> Vec<Table> {
    let mut tables = Vec::new();
    let is_cooling = until(secs(5), || {
        tables = crew::tables(workers);
        tables.iter().any(|table| table.state == "cooling")
    });
    assert!(is_cooling.is_some(), "{tables:?}");
    sleep(millis(300));
    crew::tables(workers)
}

/// Waits until all are served as ever, and returns how long that took.
pub(crate) fn served(workers: &mut [Worker]) -> Duration {
    let mut tables = Vec::new();
    let took = until(secs(20), || {
        tables = crew::tables(workers);
        tables.iter().all(|table| table.state == "clear")
    });
    took.unwrap_or_else(|| panic!("not served: {tables:?}"))
}

/// What is to be seen in a log of an episode: a burst, some probes that are refused each,
/// one that is not, and the way back.
pub(crate) struct Episode<'a> {
    pub(crate) burst: Vec<&'a Entry>,
    /// In flight when the first refusal was sent back.
    pub(crate) flying: usize,
    /// Those of the burst that arrived later than that.
    pub(crate) late: usize,
    /// The probes, and what came after.
    pub(crate) later: Vec<&'a Entry>,
    /// How many of those are probes that were refused.
    pub(crate) refused: usize,
}

impl<'a> Episode<'a> {
    /// The first one of a log; probes come that long after the burst at least.
    pub(crate) fn of(log: &'a [Entry], gap: u64) -> Self {
        let refused = log.iter().filter(|entry| entry.status == 429);
        let first = refused.clone().map(|entry| entry.answered).min().unwrap();
        let burst: Vec<&Entry> = refused.filter(|entry| entry.arrived < first + gap).collect();
        let late = burst.iter().filter(|entry| entry.arrived > first).count();
        let ends = burst.last().unwrap().arrived;
        let later: Vec<&Entry> = log.iter().filter(|entry| entry.arrived > ends).collect();
        let refused = later.iter().position(|entry| entry.status == 200).unwrap();
        // The first one itself is among them.
        let flying = log.iter().filter(|entry| entry.is_in_flight(first - 1)).count();
        Self { burst, flying, late, later, refused }
    }

    /// Checks that probes come alone: each after the answer to the one before.
    pub(crate) fn has_one_probe_at_a_time(&self) {
        for pair in self.later[..=self.refused + 1].windows(2) {
            assert!(pair[1].arrived >= pair[0].answered, "beside a probe: {pair:?}");
        }
    }

    /// Checks that all come back as one process would: two at first, one more with each
    /// success. Returns the most that were in flight, and how long it took.
    pub(crate) fn has_one_ramp(&self) -> (usize, u64) {
        let (probe, way) = (self.later[self.refused], &self.later[self.refused + 1..]);
        let (mut most, mut took, mut steps) = (0, 0, 0);
        for entry in way {
            let successes = way.iter().filter(|one| one.answered < entry.arrived).count();
            // Clear, or nearly: a success is counted a little later than it is sent.
            if successes >= 60 {
                break;
            }
            let flying = way.iter().filter(|one| one.is_in_flight(entry.arrived)).count();
            assert!(flying <= 2 + successes, "{flying} in flight after {successes} successes");
            (most, steps) = (most.max(flying), steps + 1);
            took = entry.arrived - probe.answered;
        }
        assert!(steps > 20, "{steps}");
        (most, took)
    }
}

#[test]
fn eight_processes_are_one_rung_one_probe_and_one_ramp() {
    with_redis(async |redis| {
        let well = Reply::ok(LATENCY);
        let site = Site::start(move |_| well).await;
        let mut workers = storm(Settings::new(redis, &site), &site);

        // Two probes are refused, the third one is not.
        site.refuses_for(millis(2500), Reply::refused(secs(1), millis(5)), well);
        let tables = cooling(&mut workers);
        let took = served(&mut workers);
        rest(&mut workers);
        let (log, tally) = (site.log(), crew::tally(&mut workers));

        let spread = crew::spread(&tables).unwrap_or_else(|| panic!("{tables:?}"));
        assert_eq!((&tables[0].state[..], tables[0].rung), ("cooling", 1));
        assert!(spread < 50_000, "{spread}: {tables:?}");
        assert!(tally.is_calm(), "{tally:?}");
        let episode = Episode::of(&log, 700_000);
        let (burst, flying, late) = (episode.burst.len(), episode.flying, episode.late);
        assert!(burst <= flying, "{burst} refused, {flying} in flight");
        assert_eq!(episode.refused, 2, "probes that are refused");
        episode.has_one_probe_at_a_time();
        let (most, way) = episode.has_one_ramp();
        println!(
            "storm: {burst} refused, {flying} in flight as the first was, {late} sent since; \
             tables {spread} us apart; at most {most} in flight in the first 60 successes, \
             which took {} ms; all clear {took:?} after; {tally:?}",
            way / 1000,
        );
    });
}

#[test]
fn a_burst_of_all_callers_is_one_rung() {
    with_redis(async |redis| {
        let well = Reply::ok(LATENCY);
        let site = Site::start(move |_| well).await;
        let mut workers = storm(Settings::new(redis, &site), &site);
        rest(&mut workers);
        site.forget();

        // So late that all have been sent when the first is refused.
        site.refuses_for(millis(1500), Reply::refused(secs(2), secs(1)), well);
        crew::tell(&mut workers, "call");
        let tables = cooling(&mut workers);
        let took = served(&mut workers);
        rest(&mut workers);
        let (log, tally) = (site.log(), crew::tally(&mut workers));

        let spread = crew::spread(&tables).unwrap_or_else(|| panic!("{tables:?}"));
        assert_eq!((&tables[0].state[..], tables[0].rung), ("cooling", 1));
        assert!(spread < 50_000, "{spread}: {tables:?}");
        assert!(tally.is_calm(), "{tally:?}");
        let episode = Episode::of(&log, 700_000);
        let (burst, flying) = (episode.burst.len(), episode.flying);
        assert!(burst >= 500, "{burst} of {}", WORKERS * CALLERS);
        assert!(burst <= flying, "{burst} refused, {flying} in flight");
        assert_eq!(episode.refused, 0, "probes that are refused");
        episode.has_one_probe_at_a_time();
        let (most, way) = episode.has_one_ramp();
        println!(
            "burst: {burst} refused; tables {spread} us apart; at most {most} in flight in the \
             first 60 successes, which took {} ms; all clear {took:?} after; {tally:?}",
            way / 1000,
        );
    });
}
