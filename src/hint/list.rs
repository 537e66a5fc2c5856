//! Lists joined with commas, in which a member may hold commas of its own.
//!
//! It knows no header; what a member says is the business of the reader passed in.

use std::time::Duration;

use super::date;
use super::scan::trim;

/// The most pieces that a member is cut into by its own commas.
///
/// `Mon, June 15, 2026 12:05:00 GMT` is the most that anyone writes.
const MOST_PIECES: usize = 3;

/// Returns the longest wait among the members that `read` can read.
pub(crate) fn longest(list: &[u8], read: impl Fn(&[u8]) -> Option<Duration>) -> Option<Duration> {
    let mut longest = None;
    let mut rest = Some(list);
    while let Some(list) = rest {
        let (wait, behind) = first(list, &read);
        longest = longest.max(wait); // `None` is less than any wait
        rest = behind;
    }
    longest
}

/// Reads the first member, and returns what comes behind it.
fn first(
    list: &[u8],
    read: impl Fn(&[u8]) -> Option<Duration>,
) -> (Option<Duration>, Option<&[u8]>) {
    let commas = list.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    let ends = commas.chain([list.len()]).take(MOST_PIECES);
    for end in ends {
        let (member, rest) = split(list, end);
        if let Some(wait) = read(member) {
            return (Some(wait), rest);
        }
    }
    (None, skip(list))
}

/// Passes over the first piece of an unreadable list.
///
/// A day behind a word belongs to it: in `Foo, 15 Jun 2026 12:05:00 GMT` the weekday is unknown,
/// so the date is unreadable as a whole.
fn skip(list: &[u8]) -> Option<&[u8]> {
    let (first, rest) = piece(list);
    let first = trim(first);
    let is_word = !first.is_empty() && first.iter().all(u8::is_ascii_alphabetic);
    match rest {
        Some(rest) if is_word && date::begins_with_day(rest.trim_ascii_start()) => piece(rest).1,
        rest => rest,
    }
}

/// Splits at the first comma, if there is one.
fn piece(list: &[u8]) -> (&[u8], Option<&[u8]>) {
    let comma = list.iter().position(|byte| *byte == b',');
    split(list, comma.unwrap_or(list.len()))
}

/// Splits around the comma that stands at `comma`, or at the end.
fn split(list: &[u8], comma: usize) -> (&[u8], Option<&[u8]>) {
    let (piece, rest) = list.split_at_checked(comma).unwrap_or((list, &[]));
    (piece, rest.get(1..))
}
