//! Reads how long a quota that is used up stays so.
//!
//! A quota that has anything left says nothing here, however little it is.

use std::time::Duration;

use http::HeaderMap;

use super::item;
use super::number::{Decimal, MILLISECOND, SECOND, duration};
use super::rate_limit;
use super::wall::WallTime;

/// In which unit an upstream says when its quota is there again.
///
/// The wire does not tell: under one header's name some send a wait and others a
/// moment, in seconds or milliseconds. What says its unit itself is read alike in
/// every dialect: durations (`6m0s`), dates, `x-ratelimit-reset-after` and the
/// `RateLimit` field.
///
/// | dialect | for example |
/// |---|---|
/// | [`Any`](Self::Any) | all of those below but Prisjakt; what sends dates or durations: Anthropic, Atlassian, Mastodon, `OpenAI` |
/// | [`EpochSeconds`](Self::EpochSeconds) | Discord, GitHub, GitLab, Okta, X |
/// | [`EpochMilliseconds`](Self::EpochMilliseconds) | Rocket.Chat |
/// | [`DeltaSeconds`](Self::DeltaSeconds) | Envoy, Reddit, Zendesk, the drafts of `RateLimit-Reset` |
/// | [`DeltaMilliseconds`](Self::DeltaMilliseconds) | Prisjakt |
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// By the look of it: a number within 366 days of now is a moment, a small one
    /// a wait in seconds; dates and durations by their form.
    #[default]
    Any,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// Seconds from now.
    DeltaSeconds,
    /// Milliseconds from now.
    DeltaMilliseconds,
}

impl Dialect {
    /// Returns the wait that a number without a unit means.
    pub(crate) fn wait(self, number: Decimal<'_>, now: WallTime) -> Option<Duration> {
        let until = |unit| now.until(WallTime::from_epoch(number.nanos(unit)));
        let for_this = |unit| duration(number.nanos(unit));
        match self {
            Self::Any => match number.epoch(now) {
                Some(moment) => Some(now.until(moment)),
                // Else a moment would be taken for a wait wherever a clock is wrong.
                None => number.is_small().then(|| for_this(SECOND)),
            },
            Self::EpochSeconds => Some(until(SECOND)),
            Self::EpochMilliseconds => Some(until(MILLISECOND)),
            Self::DeltaSeconds => Some(for_this(SECOND)),
            Self::DeltaMilliseconds => Some(for_this(MILLISECOND)),
        }
    }
}

/// A quota of which nothing remains.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UsedUp<'a> {
    /// Two headers tell, and their names share these ends: `remaining` stands between
    /// them in the one, `reset` in the other.
    Pair(&'a str, &'a str),
    /// The `RateLimit` field tells.
    Field(Option<Duration>),
}

impl UsedUp<'_> {
    /// Returns how long it stays so, if that can be read.
    pub(crate) fn reset(
        self,
        headers: &HeaderMap,
        now: WallTime,
        dialect: Dialect,
    ) -> Option<Duration> {
        let (before, behind) = match self {
            Self::Field(reset) => return reset,
            Self::Pair(before, behind) => (before, behind),
        };
        let read = |word, dialect| {
            let mut room = [0; LONGEST_NAME];
            let name = join([before, word, behind], &mut room)?;
            super::longest(headers, name, |item| item::reset(item, now, dialect))
        };
        // It needs no clock.
        read("reset-after", Dialect::DeltaSeconds).or_else(|| read("reset", dialect))
    }
}

/// Finds the quotas that are used up.
pub(crate) fn used_up(headers: &HeaderMap) -> impl Iterator<Item = UsedUp<'_>> {
    headers.keys().filter_map(|name| {
        let lines = || headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes);
        match name.as_str() {
            "ratelimit" => rate_limit::used_up(lines()).map(UsedUp::Field),
            name => {
                let (before, behind) = around_remaining(name)?;
                lines().all(item::is_nothing).then_some(UsedUp::Pair(before, behind))
            }
        }
    })
}

/// Where the word `remaining` comes directly behind the beginning.
const BEGINNINGS: [&str; 3] = ["x-ratelimit-", "x-rate-limit-", "ratelimit-"];

/// Splits the name of a header that counts what remains of a quota around that word.
///
/// `x-ratelimit-remaining-tokens` and `anthropic-ratelimit-tokens-remaining` both name
/// a quota. In `x-ratelimit-requests-remaining` the word stands behind the name of one
/// that may be overdrawn, for money; and `beta-` says that a field is not to be obeyed.
fn around_remaining(name: &str) -> Option<(&str, &str)> {
    const WORD: &str = "remaining";

    if name.starts_with("anthropic-ratelimit-") {
        let before = name.strip_suffix(WORD).filter(|before| before.ends_with('-'))?;
        return Some((before, ""));
    }
    let beginning = BEGINNINGS.into_iter().find(|beginning| name.starts_with(beginning))?;
    let (before, rest) = name.split_at_checked(beginning.len())?;
    let behind = rest.strip_prefix(WORD)?;
    (behind.is_empty() || behind.starts_with('-')).then_some((before, behind))
}

/// The longest name of a reset that is looked up; those in use have half of that.
const LONGEST_NAME: usize = 64;

/// Joins a header's name of its parts.
fn join<'a>(parts: [&str; 3], room: &'a mut [u8; LONGEST_NAME]) -> Option<&'a str> {
    let mut length = 0_usize;
    for part in parts {
        let end = length.checked_add(part.len())?;
        room.get_mut(length..end)?.copy_from_slice(part.as_bytes());
        length = end;
    }
    str::from_utf8(room.get(..length)?).ok()
}
