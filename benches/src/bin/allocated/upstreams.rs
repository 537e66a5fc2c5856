//! Bytes for each upstream, by how many there are, and what is left of them.

use serde_json::json;
use tokio::runtime::Runtime;

use crate::books::{self, Act, Book, New};

/// How many there are.
const SIZES: [usize; 4] = [1, 1_000, 100_000, 1_000_000];

/// How many have come and gone where it is measured whether a book shrinks, and how
/// many others are refused afterwards, in per cent of them.
const GONE: usize = 100_000;
const OTHERS_PERCENT: usize = 20;

/// Measures all books, with so many upstreams at most.
pub(crate) fn run(most: usize) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O");
    // The clock stands still, and goes on where a book says so.
    let _entered = runtime.enter();
    for (name, new) in books::ALL {
        let sizes = SIZES.iter().filter(|size| **size <= most);
        let refused: Vec<f64> = sizes.map(|size| each(*new, *size, Act::Refuse)).collect();
        let gone = GONE.min(most);
        let healthy = each(*new, gone, Act::Answer);
        let (left, tidied) = left(*new, gone, &runtime);
        println!(
            "{}",
            json!({ "book": name, "refused": refused, "healthy": healthy, "left": left,
                    "tidied": tidied })
        );
    }
}

/// Returns the bytes that each of so many upstreams takes that were called once.
fn each(new: New, upstreams: usize, act: fn(usize) -> Act) -> f64 {
    let mut book: Option<Book> = None;
    let counted = allocation_counter::measure(|| {
        let book = book.insert(new(upstreams));
        (0..upstreams).for_each(|n| book(act(n)));
    });
    counted.bytes_current as f64 / upstreams as f64
}

/// Returns how much is left, in per cent of what was taken, after all cooldowns have
/// run out and others have been refused; and once the book has been told to shrink,
/// where it can be told.
fn left(new: New, upstreams: usize, runtime: &Runtime) -> (f64, f64) {
    let others = (upstreams * OTHERS_PERCENT).div_ceil(100);
    let mut book: Option<Book> = None;
    let full = allocation_counter::measure(|| {
        let book = book.insert(new(upstreams + others));
        (0..upstreams).for_each(|n| book(Act::Refuse(n)));
    });
    let mut book = book.expect("it was just made");
    let later = allocation_counter::measure(|| {
        book(Act::Expire);
        runtime.block_on(tokio::time::advance(books::LONG_AFTER));
        (upstreams..upstreams + others).for_each(|n| book(Act::Refuse(n)));
    });
    let tidied = allocation_counter::measure(|| book(Act::Shrink));
    let percent = |bytes: i64| 100.0 * bytes as f64 / full.bytes_current as f64;
    let left = full.bytes_current + later.bytes_current;
    (percent(left), percent(left + tidied.bytes_current))
}
