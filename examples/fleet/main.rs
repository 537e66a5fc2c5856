//! Four processes share one upstream, and one cooldown: what one of them is refused,
//! all of them heed. Midway Redis is killed, and then a process.
//!
//! `cargo run --example fleet --features redis` takes eighteen seconds, and needs the
//! program `redis-server` (or `valkey-server`). The same number of processes, each for
//! itself, meets an upstream of the same kind at the same time. `-- --alone` runs none
//! but those, `-- --help` tells the rest.
//!
//! How a table joins a fleet stands in `worker`, which is this program started anew.
//! Beside it: `upstream` is who limits, `server` is Redis, `team` the processes,
//! `script` what befalls them, `show` what is written, `args` the command line.

mod args;
mod clock;
mod script;
mod server;
mod show;
mod team;
mod upstream;
mod worker;

use std::error::Error as StdError;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::args::{Args, Command};
use crate::clock::Stopwatch;
use crate::script::Script;
use crate::server::Server;
use crate::show::Show;
use crate::team::Team;

/// How long it all takes.
const LASTING: Duration = Duration::from_secs(18);

/// How often we look whether it is time for something.
const TICK: Duration = Duration::from_millis(10);

/// Plays the script from its beginning to its end, or until somebody presses Ctrl-C.
async fn run(args: Args) -> Result<(), Box<dyn StdError>> {
    let mut redis = if args.is_alone { None } else { Some(Server::start().await?) };
    let mut teams = Vec::new();
    if let Some(redis) = &redis {
        teams.push(Team::start(args.workers, Some(redis.url())).await?);
    }
    teams.push(Team::start(args.workers, None).await?);

    let mut show = Show::begin(&teams);
    let mut script = Script::begin(args.workers);
    let clock = Stopwatch::start();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    while clock.elapsed() < LASTING {
        tokio::select! {
            pressed = &mut stop => {
                pressed?;
                break;
            }
            _ = ticks.tick() => {}
        }
        for team in &mut teams {
            team.check()?;
        }
        show.look(clock.elapsed(), &teams);
        script.play(clock.elapsed(), &mut teams, redis.as_mut(), &mut show).await?;
    }
    show.look(clock.elapsed(), &teams);
    show.sum_up(clock.elapsed(), &teams);
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match args::parse(lexopt::Parser::from_env()) {
        Ok(Command::Run(args)) => run(args).await,
        Ok(Command::Work(job)) => worker::work(job).await,
        Ok(Command::Help) => {
            show::print(args::HELP);
            Ok(())
        }
        Err(error) => {
            eprintln!("fleet: {error} (--help tells what there is)");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}
