//! What the documents name is there: tests, files, and the peers' lines.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The documents that name tests and files.
const DOCUMENTS: [&str; 13] = [
    "README.md",
    "DESIGN.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "docs/comparison.md",
    "docs/cookbook/api-keys.md",
    "docs/cookbook/crawling.md",
    "docs/cookbook/fleet.md",
    "docs/cookbook/grpc.md",
    "docs/cookbook/operating.md",
    "docs/cookbook/polling.md",
    "docs/cookbook/testing.md",
    "docs/mutants.md",
];

/// Where files are that are not published with the crate.
const UNPUBLISHED: [&str; 5] = [".ci", "benches", "fuzz", "tests/interop", "tests/loom"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// Returns whether a path may be missing, as in the package that is published.
fn may_be_missing(path: &str) -> bool {
    UNPUBLISHED.iter().any(|part| path.starts_with(part) && !root().join(part).exists())
}

/// Returns what stands between backticks, outside of code blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut quoted = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            quoted.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    quoted
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut named = BTreeSet::new();
    for document in DOCUMENTS {
        for quote in quoted(&read(document)) {
            let Some((file, name)) = quote.split_once(".rs::") else { continue };
            let file = format!("{file}.rs");
            if may_be_missing(&file) {
                continue;
            }
            let source = fs::read_to_string(root().join(&file))
                .unwrap_or_else(|error| panic!("{document} names {file}: {error}"));
            let is_there = source.contains(&format!("fn {name}("));
            assert!(is_there, "{document} names {quote}, and there is no such function");
            named.insert(quote);
        }
    }
    assert!(named.len() >= 90, "no more than {} tests are named", named.len());
}

#[test]
fn every_file_that_is_named_is_there() {
    let beginnings = ["src/", "tests/", "benches/", "docs/", "examples/", "fuzz/", ".ci/"];
    for document in DOCUMENTS {
        for quote in quoted(&read(document)) {
            let is_path = beginnings.iter().any(|beginning| quote.starts_with(beginning))
                && !quote.contains([' ', '*', '{', '<', '…']);
            let file = quote.split("::").next().unwrap_or_default();
            if is_path && !may_be_missing(file) {
                assert!(root().join(file).exists(), "{document} names {file}, which is not there");
            }
        }
    }
}

/// A row of a table: its cells.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The rows of the comparison's large table: the number, and a word for each crate.
fn compared(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("| no. |"));
    let owned = |line: &str| cells(line).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let header = owned(lines.next().unwrap());
    (header, lines.skip(1).take_while(|line| line.starts_with('|')).map(owned).collect())
}

/// What a crate's section says of which rows: their numbers, and the evidence.
fn evidence<'a>(text: &'a str, name: &str) -> Vec<(BTreeSet<String>, &'a str)> {
    let heading = |line: &&str| line.starts_with("## ");
    let section = text.lines().skip_while(|line| *line != format!("## {name}")).skip(1);
    let rows = section.take_while(|line| !heading(line)).filter(|line| line.starts_with("| "));
    rows.filter(|line| line.contains(".rs"))
        .map(|line| {
            let cells = cells(line);
            let numbers = cells.first().unwrap().split(", ").map(str::to_owned).collect();
            (numbers, *cells.get(1).unwrap())
        })
        .collect()
}

#[test]
fn every_cell_of_the_comparison_has_its_evidence() {
    let text = read("docs/comparison.md");
    let (header, rows) = compared(&text);
    assert!(rows.len() >= 20, "{} rows", rows.len());
    for (column, name) in header.iter().enumerate().skip(2) {
        let evidence = evidence(&text, name);
        for row in &rows {
            assert_eq!(row.len(), header.len(), "{row:?}");
            let [number, feature, ..] = row.as_slice() else { panic!("{row:?}") };
            // A dash: the question does not arise.
            if row.get(column).unwrap() == "–" {
                continue;
            }
            let is_backed = evidence.iter().any(|(numbers, _)| numbers.contains(number));
            assert!(is_backed, "{name}: nothing is said of {number}, {feature}");
        }
    }
}

/// Where cargo keeps the sources of other crates.
fn registry() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let indices = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    indices.into_iter().flatten().filter_map(|index| Some(index.ok()?.path())).collect()
}

/// Lines are quoted as `crate-version/path.rs:line`, and what stands there follows.
///
/// What is not on this machine cannot be looked up: `cargo fetch` brings what is in
/// `Cargo.lock`, which has to be here under `CI=true`.
#[test]
fn the_peers_lines_read_as_they_are_quoted() {
    let text = read("docs/comparison.md");
    let (mut looked_up, lock) = (0, read("Cargo.lock"));
    let is_ci = env::var("CI").is_ok_and(|value| value == "true");
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let quotes = quoted(line);
        for pair in quotes.windows(2) {
            let [place, words] = pair else { panic!("{pair:?}") };
            let Some((file, number)) = place.split_once(".rs:") else { continue };
            if number.starts_with(':') {
                continue; // a test of ours
            }
            let number: usize = number.parse().unwrap_or_else(|_| panic!("{place}"));
            assert!(!words.contains(".rs"), "{place} is quoted without its words");
            let before = looked_up;
            for index in registry() {
                if let Ok(source) = fs::read_to_string(index.join(format!("{file}.rs"))) {
                    let found = source.lines().nth(number.saturating_sub(1)).unwrap_or_default();
                    assert!(found.contains(words.as_str()), "{place} is: {}", found.trim());
                    looked_up += 1;
                }
            }
            let source = file.split('/').next().and_then(|name| name.rsplit_once('-'));
            let (name, version) = source.unwrap_or_else(|| panic!("{place}"));
            let is_locked = lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\""));
            let is_missing = is_locked && looked_up == before;
            assert!(!(is_ci && is_missing), "{name} is not here: `cargo fetch` brings it");
        }
    }
    println!("{looked_up} lines were looked up");
}
