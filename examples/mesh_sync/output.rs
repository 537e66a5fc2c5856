//! How a cycle is told on one line, and the book in a table.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use tower_retry_after::schedule::{Answer, CycleReport, Outcome, PeerBook, Tried};

use crate::clock::Stopwatch;

/// Tells what a cycle came to.
pub(crate) fn cycle(number: u32, report: &CycleReport, book: &PeerBook, clock: &Stopwatch) {
    let state = report.state();
    let tried: Vec<String> = report.tried().iter().map(|tried| told(tried, book, clock)).collect();
    let was_sent = |tried: &Tried| !matches!(tried.answer(), Answer::NotSent { .. });
    let outcome = if report.tried().iter().any(was_sent) {
        word(state.last_outcome)
    } else {
        // The state is as before: there was no run.
        "put off"
    };
    let told = if tried.is_empty() { "(nobody is free)".to_owned() } else { tried.join(", ") };
    let rungs = match state.consecutive_failures {
        0 => String::new(),
        rungs => format!(", rung {rungs}"),
    };
    let (now, due) = (clock.elapsed(), clock.at(report.due()));
    print(&format!(
        "{}  cycle {number:>2}  {outcome:<7}  next in {}{rungs:<8}  {told}\n",
        at(now),
        short(due.saturating_sub(now)),
    ));
}

fn told(tried: &Tried, book: &PeerBook, clock: &Stopwatch) -> String {
    let label = book.peer(tried.peer_url()).map_or(tried.peer_url(), |peer| &peer.label);
    match tried.answer() {
        Answer::Synced { head } => format!("{label}: {head}"),
        Answer::Forked { error, .. } => format!("{label}: {error}"),
        Answer::Refused { retry_after, .. } => {
            format!("{label}: refused for {}", short(*retry_after))
        }
        Answer::Failed { error } => format!("{label}: {}", gist(error)),
        Answer::NotSent { until } => format!("{label}: left alone until {}", at(clock.at(*until))),
        _ => label.to_owned(),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Error => "error",
        Outcome::Fork => "fork",
        Outcome::Solo => "solo",
        _ => "put off",
    }
}

/// Returns the last cause of an error, which says most, without the number that
/// it has on this system.
fn gist(error: &str) -> &str {
    let cause = error.rsplit(": ").next().unwrap_or(error);
    cause.split(" (os error").next().unwrap_or(cause)
}

/// Tells what is known of the peers in the end.
pub(crate) fn table(book: &PeerBook, now: SystemTime) {
    let mut table = format!(
        "\n{:<8}  {:<9}  {:>8}  {:<14}  {}\n",
        "peer", "last ok", "failures", "left alone for", "last error"
    );
    for peer in by_age(book) {
        let ago = peer.last_sync_ok_at.map(|time| now.duration_since(time).unwrap_or_default());
        let ago = ago.map_or("never".to_owned(), |ago| format!("{} ago", short(ago)));
        let left = peer.cooldown_until.and_then(|until| until.duration_since(now).ok());
        let left = left.map_or("-".to_owned(), short);
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "{:<8}  {ago:<9}  {:>8}  {left:<14}  {}",
            peer.label,
            peer.failure_count,
            if peer.last_error.is_empty() { "-" } else { &peer.last_error },
        );
    }
    print(&table);
}

/// Returns the peers in the order in which they were added.
fn by_age(book: &PeerBook) -> Vec<&tower_retry_after::schedule::Peer> {
    let mut peers: Vec<_> = book.peers().collect();
    peers.sort_by_key(|peer| peer.added_at);
    peers
}

fn at(elapsed: Duration) -> String {
    format!("{:>2}.{:01}s", elapsed.as_secs(), elapsed.subsec_millis() / 100)
}

/// Writes a wait in seconds and tenths, rounded up.
fn short(wait: Duration) -> String {
    let tenths = wait.as_millis().div_ceil(100);
    format!("{}.{}s", tenths / 10, tenths % 10)
}

/// Writes to standard output; if nobody reads it any more, there is nothing
/// left to do.
pub(crate) fn print(text: &str) {
    if io::stdout().lock().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}
