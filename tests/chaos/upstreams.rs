//! Upstreams of all kinds: how they limit, what they say of it, and how they fail.

use std::time::{Duration, SystemTime};

use super::chance::Chance;
use super::judge::Ending;
use super::wire::Response;
use super::{ALIGNED, HEALED, UPSTREAMS};

/// How an upstream limits its callers.
#[derive(Debug)]
enum Limit {
    None,
    /// So many in each window of so many milliseconds.
    Window {
        most: u64,
        window: u64,
        current: u64,
        count: u64,
    },
    /// A token each so many milliseconds. Where refusals cost as well, who carries on at
    /// its pace is never served again.
    Bucket {
        size: u64,
        each: u64,
        charges_refusals: bool,
        tokens: u64,
        since: u64,
    },
    /// It is away for a time, and then well for a time.
    Outage {
        well: u64,
        away: u64,
    },
}

/// What a refusal says of the wait.
#[derive(Clone, Copy, Debug)]
enum Says {
    Nothing,
    Seconds,
    Milliseconds,
    /// As a date, by a clock that is wrong.
    Date {
        ahead: u64,
    },
    TooShort,
    TooLong,
}

#[derive(Debug)]
pub(crate) struct Upstream {
    number: usize,
    limit: Limit,
    says: Says,
    chance: Chance,
    requests: u64,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Fate {
    /// When the answer arrives, in milliseconds since the start.
    pub(crate) at: u64,
    /// None for a broken connection.
    pub(crate) response: Option<Response>,
    /// Who it was that answered, where the client was sent on.
    pub(crate) by: usize,
    pub(crate) says: Ending,
}

impl Upstream {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let mut chance = Chance::new(seed, &[1, number as u64]);
        let limit = match number % 6 {
            0 => Limit::Window {
                most: chance.within(3..30),
                window: chance.within(2_000..60_000),
                current: 0,
                count: 0,
            },
            1 | 2 => {
                let size = chance.within(2..12);
                Limit::Bucket {
                    size,
                    each: chance.within(300..6_000),
                    charges_refusals: number % 6 == 2,
                    tokens: size,
                    since: 0,
                }
            }
            3 | 4 => Limit::Outage {
                well: chance.within(20_000..200_000),
                away: chance.within(1_000..90_000),
            },
            _ => Limit::None,
        };
        let says = match chance.below(6) {
            0 => Says::Nothing,
            1 => Says::Seconds,
            2 => Says::Milliseconds,
            3 => Says::Date { ahead: chance.below(10_000) },
            4 => Says::TooShort,
            _ => Says::TooLong,
        };
        Self { number, limit, says, chance, requests: 0 }
    }

    /// Answers a request that arrives `now`, in milliseconds since the start.
    pub(crate) fn answer(&mut self, now: u64) -> Fate {
        self.requests += 1;
        let is_healed = now >= HEALED;
        let stalls = !is_healed && self.chance.percent(2);
        let delay = match self.chance.below(10) {
            _ if stalls => self.chance.within(11_000..70_000),
            0..=6 => self.chance.within(5..80),
            _ => self.chance.within(80..2_000),
        };
        let odd = if is_healed { 100 } else { self.chance.below(100) };
        let wait = if is_healed { None } else { self.limited(now) };
        let (response, says) = match wait {
            Some(wait) => self.refuse(now, wait),
            None => self.serve(odd),
        };
        Fate { at: aligned(now + delay, self.number), response, by: self.number, says }
    }

    /// Returns how long the limit lasts, if it is met.
    fn limited(&mut self, now: u64) -> Option<u64> {
        match &mut self.limit {
            Limit::None => None,
            Limit::Window { most, window, current, count } => {
                if now / *window != *current {
                    (*current, *count) = (now / *window, 0);
                }
                *count += 1;
                (*count > *most).then(|| *window - now % *window)
            }
            Limit::Bucket { size, each, charges_refusals, tokens, since } => {
                let drops = (now - *since) / *each;
                (*tokens, *since) = ((*tokens + drops).min(*size), *since + drops * *each);
                let is_served = *tokens > 0;
                if is_served || *charges_refusals {
                    *tokens = tokens.saturating_sub(1);
                }
                if !is_served && *charges_refusals {
                    // The next token is as far away as it was at first.
                    *since = now;
                }
                (!is_served).then(|| *each - (now - *since))
            }
            Limit::Outage { well, away } => {
                let at = now % (*well + *away);
                (at >= *well).then(|| *well + *away - at)
            }
        }
    }

    fn refuse(&mut self, now: u64, wait: u64) -> (Option<Response>, Ending) {
        let is_away = matches!(self.limit, Limit::Outage { .. });
        let status = match self.chance.below(8) {
            0 if is_away => return (None, Ending::Neutral),
            1 if is_away => return (Some(Response::new(500)), Ending::Neutral),
            2 if is_away => return (Some(Response::new(503)), Ending::Neutral),
            3..=5 if is_away => 503,
            6 => 529,
            _ => 429,
        };
        let seconds = wait.div_ceil(1000);
        let response = Response::new(status);
        let (response, hint) = match self.says {
            // Only a 429 is a refusal without a wait.
            Says::Nothing => return (Some(Response::new(429)), Ending::Refused(None)),
            Says::Seconds => (response.header("retry-after", seconds), seconds * 1000),
            Says::Milliseconds => (response.header("retry-after-ms", wait), wait),
            Says::Date { ahead } => {
                let date = wall(now) + Duration::from_secs(ahead);
                let until = date + Duration::from_secs(seconds);
                let response = response.header("date", httpdate::fmt_http_date(date));
                let until = httpdate::fmt_http_date(until);
                (response.header("retry-after", until), seconds * 1000)
            }
            Says::TooShort => (response.header("retry-after", 1), 1000),
            Says::TooLong => (response.header("retry-after", 4000), 4_000_000),
        };
        (Some(response), Ending::Refused(Some(Duration::from_millis(hint))))
    }

    fn serve(&mut self, odd: u64) -> (Option<Response>, Ending) {
        match odd {
            0 => (None, Ending::Neutral),
            1 => (Some(Response::new(500)), Ending::Neutral),
            2 => (Some(Response::new(404)), Ending::Succeeded),
            3 => (Some(Response::new(403)), Ending::Succeeded),
            4 => (Some(Response::new(200).header("x-panic", 1)), Ending::Panicked),
            5 | 6 => {
                let reset = self.chance.within(1..20);
                let quota = format!("\"default\";r=0;t={reset}");
                let response = Response::new(200).header("ratelimit", quota);
                (Some(response), Ending::Exhausted(Duration::from_secs(reset)))
            }
            _ => (Some(Response::new(200)), Ending::Succeeded),
        }
    }

    /// Sends some of its callers on to another.
    pub(crate) fn sends_on(&mut self, now: u64) -> Option<usize> {
        let is_healed = now >= HEALED;
        if is_healed || !self.number.is_multiple_of(5) || !self.chance.percent(10) {
            return None;
        }
        let other = self.chance.below(UPSTREAMS as u64);
        usize::try_from(other).ok().filter(|other| *other != self.number)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }
}

/// No two upstreams answer in the same millisecond: which of two refusals comes first may
/// decide who makes room in a full table.
pub(crate) fn aligned(at: u64, slot: usize) -> u64 {
    let slot = slot as u64;
    at.saturating_sub(slot).div_ceil(ALIGNED) * ALIGNED + slot
}

/// The wall clock of those whose clock is right.
pub(crate) fn wall(now: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(now)
}
