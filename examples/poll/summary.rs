//! The end of the report: how many polls became what.
//!
//! Pure: counts in, text out.

use serde_json::{Value, json};

use crate::watch::{Tally, Watch};

/// What a poller without the layer would have met at the same times.
///
/// It sends every poll. What becomes of them is known only where the upstream
/// can be asked twice: our own.
pub(crate) struct Unlayered {
    pub(crate) polls: u64,
    pub(crate) ok: Option<u64>,
    pub(crate) refused: Option<u64>,
}

/// Writes the summary as a table.
pub(crate) fn table(watches: &[Watch], unlayered: &Unlayered) -> String {
    let title = "without the layer";
    let names: Vec<String> = watches.iter().map(|watch| watch.upstream.to_string()).collect();
    let width = names.iter().map(String::len).fold(title.len(), usize::max);
    let row = |name: &str, cells: [String; 6]| {
        let [polls, sent, ok, refused, failed, early] = cells;
        format!(
            "{name:<width$}  {polls:>6} {sent:>6} {ok:>6} {refused:>8} {failed:>7} {early:>15}\n"
        )
    };
    let heads = ["polls", "sent", "ok", "refused", "failed", "rejected early"];
    let mut table = row("", heads.map(str::to_owned));
    for (name, Watch { tally, .. }) in names.iter().zip(watches) {
        let Tally { polls, ok, refused, failed, rejected_early } = *tally;
        let counts = [polls, tally.sent(), ok, refused, failed, rejected_early];
        table.push_str(&row(name, counts.map(|count| count.to_string())));
    }
    let known = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let Unlayered { polls, ok, refused } = *unlayered;
    let nobody = || "-".to_owned();
    let cells =
        [polls.to_string(), polls.to_string(), known(ok), known(refused), nobody(), nobody()];
    table.push_str(&row(title, cells));
    let unanswered = total(watches, Tally::unanswered);
    if unanswered > 0 {
        let note = format!("{unanswered} of those sent had no answer yet at the end.\n");
        table.push_str(&note);
    }
    table
}

/// Writes the summary as JSON.
pub(crate) fn json(watches: &[Watch], unlayered: &Unlayered) -> Value {
    let upstreams = watches.iter().map(|Watch { upstream, tally, .. }| {
        json!({
            "upstream": upstream.to_string(),
            "polls": tally.polls,
            "sent": tally.sent(),
            "ok": tally.ok,
            "refused": tally.refused,
            "failed": tally.failed,
            "unanswered": tally.unanswered(),
            "rejected_early": tally.rejected_early,
        })
    });
    json!({
        "upstreams": upstreams.collect::<Vec<Value>>(),
        "without_layer": {
            "polls": unlayered.polls,
            "sent": unlayered.polls,
            "ok": unlayered.ok,
            "refused": unlayered.refused,
        },
    })
}

/// Adds up one count of all upstreams.
pub(crate) fn total(watches: &[Watch], count: impl Fn(&Tally) -> u64) -> u64 {
    watches.iter().fold(0, |sum, watch| sum.saturating_add(count(&watch.tally)))
}
