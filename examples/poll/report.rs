//! The report that all pollers write: tells what happens as it happens, and
//! sums up in the end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Uri;
use serde_json::json;
use tower_retry_after::{Cooldowns, Upstream};

use crate::args::Args;
use crate::clock::Stopwatch;
use crate::event::{Short, millis};
use crate::limiter::{Limit, Limiter};
use crate::output::{Output, json_line, print};
use crate::summary::{self, Unlayered, total};
use crate::upstream::LIMIT;
use crate::watch::{Outcome, Watch};

pub(crate) struct Report {
    cooldowns: Cooldowns,
    clock: Stopwatch,
    output: Output,
    seen: Mutex<Seen>,
}

struct Seen {
    watches: Vec<Watch>,
    /// Meets every poll, as our own upstream would without the layer.
    twin: Option<Twin>,
}

struct Twin {
    limiter: Limiter,
    ok: u64,
    refused: u64,
}

impl Report {
    pub(crate) fn new(args: &Args, urls: &[Uri], is_own: bool, cooldowns: Cooldowns) -> Self {
        let mut watches: Vec<Watch> = Vec::new();
        for upstream in urls.iter().map(Upstream::from_uri) {
            // Two URLs of one upstream share a cooldown, and a place here.
            if watches.iter().all(|watch| watch.upstream != upstream) {
                watches.push(Watch::new(upstream));
            }
        }
        let twin = is_own.then(|| Twin { limiter: Limiter::new(LIMIT), ok: 0, refused: 0 });
        let seen = Mutex::new(Seen { watches, twin });
        let output = Output::choose(args.json);
        let report = Self { cooldowns, clock: Stopwatch::start(), output, seen };
        report.introduce(args, is_own);
        report
    }

    /// Returns the place of a URL's upstream.
    pub(crate) fn place(&self, url: &Uri) -> usize {
        let upstream = Upstream::from_uri(url);
        let place = self.seen().watches.iter().position(|watch| watch.upstream == upstream);
        place.unwrap_or_default()
    }

    /// A poll begins.
    pub(crate) fn started(&self, place: usize) {
        let mut seen = self.seen();
        if let Some(watch) = seen.watches.get_mut(place) {
            watch.started();
        }
        if let Some(Twin { limiter, ok, refused }) = &mut seen.twin {
            let answer = limiter.request(self.clock.elapsed());
            let count = if answer.is_ok() { ok } else { refused };
            *count = count.saturating_add(1);
        }
    }

    /// A poll has ended.
    pub(crate) fn ended(&self, place: usize, outcome: &Outcome) {
        self.observe(place, Some(outcome));
    }

    /// The state of an upstream may have changed.
    pub(crate) fn look(&self, place: usize) {
        self.observe(place, None);
    }

    fn observe(&self, place: usize, outcome: Option<&Outcome>) {
        // One at a time, so that the lines stand in the order of the states.
        let mut seen = self.seen();
        let names = seen.watches.iter().map(|watch| watch.upstream.to_string().len());
        let width = names.max().unwrap_or_default();
        let Some(watch) = seen.watches.get_mut(place) else {
            return;
        };
        let ended = outcome.and_then(|outcome| watch.ended(outcome));
        let info = self.cooldowns.get(&watch.upstream);
        let changed = watch.look(info.as_ref(), outcome.and_then(Outcome::said));
        for event in [ended, changed].into_iter().flatten() {
            self.output.event(self.clock.elapsed(), &watch.upstream, width, &event);
        }
    }

    fn introduce(&self, args: &Args, is_own: bool) {
        let seen = self.seen();
        let names = seen.watches.iter().map(|watch| watch.upstream.to_string());
        let names: Vec<String> = names.collect();
        if self.output == Output::Json {
            let start = json!({
                "upstreams": names,
                "own": is_own,
                "every_ms": millis(args.every),
                "for_ms": millis(args.lasting),
                "base_ms": millis(args.base),
                "cap_ms": millis(args.cap),
                "concurrency": args.concurrency,
                "reopen_width": args.reopen_width(),
            });
            return json_line(self.clock.elapsed(), "start", [start]);
        }
        if is_own {
            let Limit { requests, window, penalty } = LIMIT;
            print(&format!(
                "{} is an upstream of our own. It answers {requests} requests in {window:?}\n\
                 and refuses more; each refused one keeps it shut for another {penalty:?}, at least.\n",
                names.join(", "),
            ));
        }
        let pollers = match args.concurrency {
            1 => String::new(),
            many => format!(" by each of {many} pollers"),
        };
        print(&format!(
            "A poll every {}{pollers} for {}; a ladder from {} to {}; Clear again {} answers after \
             the probe's (by default 63).\n\n",
            Short(args.every),
            Short(args.lasting),
            Short(args.base),
            Short(args.cap),
            args.reopen_width().saturating_sub(1),
        ));
    }

    /// Tells how many polls became what, and what would have been without the layer.
    pub(crate) fn sum_up(&self) {
        let seen = self.seen();
        let twin = seen.twin.as_ref();
        let unlayered = Unlayered {
            polls: total(&seen.watches, |tally| tally.polls),
            ok: twin.map(|twin| twin.ok),
            refused: twin.map(|twin| twin.refused),
        };
        if self.output == Output::Json {
            let summary = summary::json(&seen.watches, &unlayered);
            return json_line(self.clock.elapsed(), "summary", [summary]);
        }
        let lasted = Short(self.clock.elapsed());
        let table = summary::table(&seen.watches, &unlayered);
        let note = match twin {
            Some(_) => {
                "(the same upstream at the same times, where each early poll prolongs the wait)\n"
            }
            None => "",
        };
        print(&format!("\nafter {lasted}\n{table}{note}"));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
