//! Replays inputs, and makes new ones for as long as it is told.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fastrand::Rng;
use lexopt::{Arg, ValueExt};

use crate::mutate::{Mutator, shrink};
use crate::{TARGETS, Target};

const USAGE: &str = "\
usage: tower-retry-after-fuzz [--seconds N] [--runs N] [--seed N] [TARGET | FILE | FOLDER]...

Replays the seeds of each target, or the files that are named. With `--seconds` or
`--runs` it then makes inputs of them, for so long or so many for each target.
Failing inputs are written to fuzz/artifacts, or to `--artifacts FOLDER`.";

/// A target that has failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What the assertion said.
    pub said: String,
}

/// Runs a target over one input.
///
/// # Errors
///
/// Fails where the target panics.
pub fn try_input(target: &Target, input: &[u8]) -> Result<(), Failure> {
    thread_local!(static SAID: RefCell<String> = const { RefCell::new(String::new()) });
    static HOOK: std::sync::Once = std::sync::Once::new();
    // The message is kept where the panic is: its line tells more than its text.
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| SAID.with_borrow_mut(|said| *said = info.to_string())));
    });
    panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input)))
        .map_err(|_| Failure { said: SAID.take() })
}

/// What the command line asks for.
#[derive(Debug)]
struct Orders {
    targets: Vec<Target>,
    paths: Vec<PathBuf>,
    seconds: Option<Duration>,
    runs: Option<u64>,
    seed: u64,
    artifacts: PathBuf,
}

/// The program of one target, or of all of them.
pub fn run(only: Option<&str>) -> ExitCode {
    let orders = match Orders::read(only, lexopt::Parser::from_env()) {
        Ok(orders) => orders,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    for target in &orders.targets {
        match orders.carry_out(target) {
            Ok(true) => {}
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{}: {error}", target.name);
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

impl Orders {
    fn read(only: Option<&str>, mut words: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut orders = Self {
            targets: Vec::new(),
            paths: Vec::new(),
            seconds: None,
            runs: None,
            seed: RandomState::new().hash_one(0) >> 32,
            artifacts: folder.join("artifacts"),
        };
        let named = |name: &str| TARGETS.into_iter().find(|target| target.name == name);
        while let Some(word) = words.next()? {
            match word {
                Arg::Long("seconds") => {
                    orders.seconds = Some(Duration::from_secs(words.value()?.parse()?));
                }
                Arg::Long("runs") => orders.runs = Some(words.value()?.parse()?),
                Arg::Long("seed") => orders.seed = words.value()?.parse()?,
                Arg::Long("artifacts") => orders.artifacts = words.value()?.into(),
                Arg::Value(name) => match named(&name.to_string_lossy()) {
                    Some(target) if only.is_none() => orders.targets.push(target),
                    _ => orders.paths.push(name.into()),
                },
                other => return Err(other.unexpected()),
            }
        }
        orders.targets.extend(only.and_then(named));
        if orders.targets.is_empty() {
            if !orders.paths.is_empty() {
                return Err("of which target are these the inputs?".into());
            }
            orders.targets = TARGETS.to_vec();
        }
        Ok(orders)
    }

    /// Returns whether all went well.
    fn carry_out(&self, target: &Target) -> io::Result<bool> {
        let seeds = match &*self.paths {
            [] => inputs(&target.seeds())?,
            paths => {
                paths.iter().map(|path| inputs(path)).collect::<io::Result<Vec<_>>>()?.concat()
            }
        };
        for (path, input) in &seeds {
            if let Err(failure) = try_input(target, input) {
                self.report(target, &failure, path, "");
                return Ok(false);
            }
        }
        let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, input)| input).collect();
        println!("{}: {} inputs replayed", target.name, seeds.len());
        self.fuzz(target, &seeds)
    }

    #[expect(clippy::disallowed_methods, reason = "for so many seconds, by a real clock")]
    fn fuzz(&self, target: &Target, seeds: &[Vec<u8>]) -> io::Result<bool> {
        if self.seconds.is_none() && self.runs.is_none() {
            return Ok(true);
        }
        let (mut rng, mutator) = (Rng::with_seed(self.seed), Mutator::new(seeds));
        let (start, mut runs) = (Instant::now(), 0_u64);
        while self.runs.is_none_or(|most| runs < most)
            && self.seconds.is_none_or(|most| start.elapsed() < most)
        {
            runs += 1;
            let input = mutator.input(&mut rng);
            if let Err(failure) = try_input(target, &input) {
                let fails = |input: &[u8]| try_input(target, input).is_err();
                let input = shrink(input, fails);
                let failure = try_input(target, &input).err().unwrap_or(failure);
                let path = self.keep(target, &input)?;
                let again = format!("--seed {} --runs {runs}", self.seed);
                self.report(target, &failure, &path, &again);
                return Ok(false);
            }
        }
        println!("{}: {runs} inputs made, by --seed {} --runs {runs}", target.name, self.seed);
        Ok(true)
    }

    /// Writes a failing input to a file, under a name that tells it from others.
    fn keep(&self, target: &Target, input: &[u8]) -> io::Result<PathBuf> {
        let folder = self.artifacts.join(target.name);
        fs::create_dir_all(&folder)?;
        // FNV-1a: the same name for the same input, on every machine.
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let path = folder.join(format!("crash-{hash:016x}"));
        fs::write(&path, input)?;
        Ok(path)
    }

    fn report(&self, target: &Target, failure: &Failure, path: &Path, again: &str) {
        let command = "cargo run --release -p tower-retry-after-fuzz --";
        let (name, path) = (target.name, path.display());
        let mut text = format!("{name} failed: {}\n", failure.said);
        let _ = writeln!(text, "the input:  {path}");
        let _ = writeln!(text, "replay it:  {command} {name} {path}");
        if !again.is_empty() && self.paths.is_empty() {
            let _ = writeln!(text, "find it:    {command} {name} {again}");
        }
        eprint!("{text}");
    }
}

/// Reads a file, or all files of a folder in the order of their names.
fn inputs(path: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), fs::read(path)?)]);
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    files.retain(|file| file.is_file());
    files.into_iter().map(|file| fs::read(&file).map(|input| (file, input))).collect()
}
