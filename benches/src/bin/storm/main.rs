//! Storms: the layer beside what people use today, against the same upstreams, in
//! one run, in virtual time.
//!
//! `cargo run -p tower-retry-after-benches --release --bin storm`

mod args;
mod bars;
mod callers;
mod plot;
mod real_time;
mod report;
mod runs;
mod scenario;
mod scenarios;
mod strategies;
mod strategy;
mod tally;
mod upstream;
mod world;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use args::Args;
use bars::Judgement;
use bars::argued::ARGUED;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Does what the command line asks for; false where a bar is missed.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    if args.list {
        for scenario in scenarios::all() {
            println!("{}: {}", scenario.name, scenario.about);
        }
        for strategy in strategies::all() {
            println!("{}", strategy.name());
        }
        return Ok(true);
    }
    if args.real_time {
        real_time::run(args.quick);
        return Ok(true);
    }
    let mut scenarios = chosen(scenarios::all(), &args.scenarios, |one| one.name)?;
    if args.quick {
        scenarios.retain(|one| scenarios::QUICK.contains(&one.name));
    }
    let strategies = chosen(strategies::all(), &args.strategies, |one| one.name())?;

    let all = runs::all(
        &scenarios,
        &strategies,
        args.seed,
        if args.plots.is_some() { plot::SHOWN } else { Duration::ZERO },
        |played| {
            println!("\n{}: {}", played.scenario.name, played.scenario.about);
            println!("{}", report::table(played));
        },
    );
    if let Some(path) = &args.csv {
        report::write_csv(&all, path)?;
        println!("\nfigures written to {}", path.display());
    }
    if let Some(folder) = &args.plots {
        all.iter().try_for_each(|played| plot::write(folder, played))?;
        println!("\npictures drawn in {}", folder.display());
    }
    if !args.strategies.is_empty() {
        return Ok(true);
    }
    let judgement = Judgement::new(&all, ARGUED);
    report::print(&judgement);
    Ok(judgement.holds())
}

/// Returns those that are named, or all where none is.
fn chosen<T>(
    mut all: Vec<T>,
    names: &[String],
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, String> {
    if let Some(unknown) = names.iter().find(|named| !all.iter().any(|one| name(one) == **named)) {
        return Err(format!("there is no {unknown:?}; --list names what there is"));
    }
    all.retain(|one| names.is_empty() || names.iter().any(|named| name(one) == named));
    Ok(all)
}
