//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

/// How to call it.
pub(crate) const USAGE: &str = "\
usage: storm [--csv FILE] [--plots FOLDER] [--scenario NAME]… [--strategy NAME]…
             [--seed N] [--quick]
       storm --real-time [--quick]
       storm --list

  --csv FILE        also write all figures to FILE
  --plots FOLDER    also draw each scenario: a timeline and bars, as SVG
  --scenario NAME   play this one; all where none is named
  --strategy NAME   play with this one; with all where none is named
  --seed N          another chance; 1 by default
  --quick           a third of the scenarios, one of each kind; of real time some seconds
  --real-time       the peers that read a clock of their own, for some minutes
  --list            name all scenarios and strategies, and play nothing

Where all strategies play, the program fails if a bar is missed.";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Args {
    /// Where the figures go beside the terminal.
    pub(crate) csv: Option<PathBuf>,
    /// Where the pictures go, if any are wanted.
    pub(crate) plots: Option<PathBuf>,
    /// The scenarios to play; none means all.
    pub(crate) scenarios: Vec<String>,
    /// The strategies to play with; none means all.
    pub(crate) strategies: Vec<String>,
    /// What all chance comes from.
    pub(crate) seed: u64,
    /// Whether to play but a few scenarios.
    pub(crate) quick: bool,
    /// Whether to play what cannot be played in virtual time.
    pub(crate) real_time: bool,
    /// Whether to name what there is.
    pub(crate) list: bool,
}

impl Args {
    /// Reads the command line of this process.
    ///
    /// # Errors
    ///
    /// Returns what cannot be understood.
    pub(crate) fn read() -> Result<Self, lexopt::Error> {
        let mut args = Self {
            csv: None,
            plots: None,
            scenarios: Vec::new(),
            strategies: Vec::new(),
            seed: 1,
            quick: false,
            real_time: false,
            list: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("csv") => args.csv = Some(parser.value()?.into()),
                Long("plots") => args.plots = Some(parser.value()?.into()),
                Long("scenario") => args.scenarios.push(parser.value()?.string()?),
                Long("strategy") => args.strategies.push(parser.value()?.string()?),
                Long("seed") => args.seed = parser.value()?.parse()?,
                Long("quick") => args.quick = true,
                Long("real-time") => args.real_time = true,
                Long("list") => args.list = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(args)
    }
}
