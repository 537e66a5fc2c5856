//! The command line.

use std::time::Duration;

use http::Uri;
use lexopt::{Arg, Error, Parser, ValueExt};
use tower_retry_after::Upstream;

pub(crate) const HELP: &str = "\
Polls HTTP upstreams through RetryAfterBackoffLayer, and shows what happens.

usage: cargo run --example poll -- [options]

  --url URL         what to poll, http:// only; may be given several times
                    (default: an upstream of the example's own, on loopback)
  --every TIME      the pause between two polls of a poller (default: 250ms)
  --for TIME        how long to poll (default: 15s); Ctrl-C ends it sooner
  --base TIME       the first rung of the ladder (default: 1s)
  --cap TIME        the last rung of the ladder (default: 8s); 0s: no ladder
  --concurrency N   how many pollers each URL gets, 1 to 1000 (default: 1)
  --json            one line of JSON for each event, and one for the summary
  --help            this

TIME is a whole number with its unit, ms, s, m or h, and a day at most.
";

/// What to do.
pub(crate) enum Command {
    Poll(Args),
    Help,
}

/// How to poll.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    /// None for the example's own upstream.
    pub(crate) urls: Vec<Uri>,
    pub(crate) every: Duration,
    pub(crate) lasting: Duration,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) concurrency: usize,
    pub(crate) json: bool,
}

impl Args {
    /// Returns how many calls in flight make a Reopening upstream Clear again.
    ///
    /// The layer's default, 64, suits a busy client. A single poller needs 63
    /// answers for it, which is more than this example has time for.
    pub(crate) fn reopen_width(&self) -> u32 {
        u32::try_from(self.concurrency).unwrap_or(u32::MAX).max(4)
    }
}

/// Reads the command line.
pub(crate) fn parse(mut parser: Parser) -> Result<Command, Error> {
    let mut args = Args {
        urls: Vec::new(),
        every: Duration::from_millis(250),
        lasting: Duration::from_secs(15),
        base: Duration::from_secs(1),
        cap: Duration::from_secs(8),
        concurrency: 1,
        json: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("url") => args.urls.push(url(&parser.value()?.string()?)?),
            Arg::Long("every") => {
                args.every = time("--every", &mut parser)?;
                if args.every.is_zero() {
                    return Err("--every 0 would never pause".into());
                }
            }
            Arg::Long("for") => args.lasting = time("--for", &mut parser)?,
            Arg::Long("base") => args.base = time("--base", &mut parser)?,
            Arg::Long("cap") => args.cap = time("--cap", &mut parser)?,
            Arg::Long("concurrency") => {
                let value = parser.value()?.string()?;
                let number = value.parse().ok().filter(|number| (1..=1000).contains(number));
                args.concurrency = number.ok_or_else(|| {
                    format!("--concurrency {value:?} is not a number from 1 to 1000")
                })?;
            }
            Arg::Long("json") => args.json = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(arg.unexpected()),
        }
    }
    Ok(Command::Poll(args))
}

/// The longest time that makes sense here, and fits every clock.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fn time(option: &str, parser: &mut Parser) -> Result<Duration, Error> {
    let value = parser.value()?.string()?;
    duration(&value).ok_or_else(|| {
        format!("{option} {value:?} is not a time like 250ms, 20s or 5m, of a day at most").into()
    })
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|symbol: char| symbol.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        _ => return None,
    };
    let time = Duration::from_millis(number.checked_mul(millis)?);
    (time <= LONGEST).then_some(time)
}

/// Reads a URL that this example can poll.
fn url(text: &str) -> Result<Uri, String> {
    // What stands before an `@` may be a password.
    let shown =
        text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"));
    let not_one = || format!("--url {shown:?} is not a URL like http://host:port/path");
    let url: Uri = text.parse().map_err(|_| not_one())?;
    let authority = url.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(not_one)?;
    match url.scheme_str() {
        Some("http") => {}
        Some("https") => {
            let upstream = Upstream::from_uri(&url);
            return Err(format!("--url {upstream}: this example has no TLS, use http://"));
        }
        _ => return Err(not_one()),
    }
    // A port that is none would be taken for the scheme's.
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = host_and_port.strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none() {
        return Err(not_one());
    }
    Ok(url)
}
