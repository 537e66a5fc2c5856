//! The table of bytes for each upstream that is remembered.

use serde::Deserialize;

use crate::Effort;
use crate::calls::lines;
use crate::table::{Style, number, table, thousands};

/// How many upstreams there are, as the program that fills the books has it.
const SIZES: [usize; 4] = [1, 1_000, 100_000, 1_000_000];

/// How many books there are.
const BOOKS: usize = 6;

/// What a book takes, in bytes, and what is left of it, in per cent.
#[derive(Debug, Deserialize)]
struct Filled {
    book: String,
    refused: Vec<f64>,
    healthy: f64,
    left: f64,
    tidied: f64,
}

impl Filled {
    /// Says whether it ever shrinks; a fifth as many others have come meanwhile, so
    /// that 20 is all that is needed.
    fn shrinks(&self) -> String {
        let (left, tidied) = (number(Some(self.left), 0), number(Some(self.tidied), 0));
        if self.left < 60.0 {
            format!("by itself: {left} % left")
        } else if self.tidied < 60.0 {
            format!("when told: {left} % left, then {tidied} %")
        } else {
            format!("no: {left} % left")
        }
    }
}

/// Measures and prints all books; whether none is missing.
pub(crate) fn run(effort: Effort, style: Style) -> bool {
    let most = effort.upstreams.to_string();
    let all: Vec<Filled> = lines("allocated", &[], &["--upstreams", &most]);
    let sizes = SIZES.map(|size| format!("{} refusing", thousands(size)));
    let mut header = vec!["bytes for each upstream"];
    header.extend(sizes.iter().map(String::as_str));
    header.extend(["answering", "shrinks"]);
    let rows = all.iter().map(|book| {
        let mut row = vec![book.book.clone()];
        row.extend((0..SIZES.len()).map(|n| number(book.refused.get(n).copied(), 0)));
        row.extend([number(Some(book.healthy), 0), book.shrinks()]);
        row
    });
    println!("{}", table(style, &header, rows.collect(), 1..6));
    all.len() == BOOKS
}
