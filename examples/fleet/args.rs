//! The command line.

use http::Uri;
use lexopt::{Arg, Error, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Lets processes share their cooldowns through Redis, and kills some of it midway.

usage: cargo run --example fleet --features redis -- [options]

  --alone       each process for itself, and no Redis
  --workers N   how many processes there are, 2 to 8 (default: 4)
  --help        this
";

/// What to do.
pub(crate) enum Command {
    Run(Args),
    /// Be one of the processes.
    Work(Job),
    Help,
}

/// What to show.
#[derive(Clone, Copy)]
pub(crate) struct Args {
    pub(crate) is_alone: bool,
    pub(crate) workers: usize,
}

/// What a process is to do.
pub(crate) struct Job {
    pub(crate) number: usize,
    pub(crate) url: Uri,
    /// None for a process by itself.
    pub(crate) redis: Option<String>,
}

/// Reads the command line.
pub(crate) fn parse(mut parser: Parser) -> Result<Command, Error> {
    let mut args = Args { is_alone: false, workers: 4 };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("alone") => args.is_alone = true,
            Arg::Long("workers") => {
                let value = parser.value()?.string()?;
                let number = value.parse().ok().filter(|number| (2..=8).contains(number));
                args.workers = number
                    .ok_or_else(|| format!("--workers {value:?} is not a number from 2 to 8"))?;
            }
            // How this program starts itself anew.
            Arg::Value(word) if word == "work" => return job(&mut parser).map(Command::Work),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(arg.unexpected()),
        }
    }
    Ok(Command::Run(args))
}

/// Reads the rest of `work <number> <url> [redis]`.
fn job(parser: &mut Parser) -> Result<Job, Error> {
    let number = parser.value()?.parse()?;
    let url = parser.value()?.parse()?;
    let redis = match parser.next()? {
        Some(Arg::Value(redis)) => Some(redis.string()?),
        Some(arg) => return Err(arg.unexpected()),
        None => None,
    };
    Ok(Job { number, url, redis })
}
