//! Makes inputs out of seeds: by chance, and repeatably.
//!
//! Without coverage to guide it, it stays near the seeds: a few small changes each time,
//! words of one seed in another, and now and then bytes of chance alone.

use fastrand::Rng;

/// The longest input that is made.
const LONGEST: usize = 4096;

/// What is known to be odd, in texts of any kind.
const WORDS: [&str; 24] = [
    "0",
    "-1",
    ".5",
    "1e3",
    "18446744073709551616",
    "9223372036854775807",
    "1781524800",
    "1781524800000",
    "31622400",
    "31622401",
    ", ",
    ";",
    "\"",
    "\\",
    "@",
    ":",
    "//",
    "\n",
    "\t",
    "\u{7f}",
    "é",
    "\u{202e}",
    "Mon, 15 Jun 2026 12:05:00 GMT",
    "Monday, 15-Jun-26 12:05:00 GMT",
];

/// The seeds of a target, and the words in them.
#[derive(Debug)]
pub(crate) struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    words: Vec<&'a [u8]>,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(seeds: &'a [Vec<u8>]) -> Self {
        let is_end = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-.+".contains(byte);
        let mut words: Vec<&[u8]> = seeds
            .iter()
            .flat_map(|seed| seed.split(is_end).chain(seed.split(|byte| *byte == b'\n')))
            .filter(|word| !word.is_empty() && word.len() < 128)
            .collect();
        words.extend(WORDS.iter().map(|word| word.as_bytes()));
        words.sort_unstable();
        words.dedup();
        Self { seeds, words }
    }

    /// Makes an input.
    pub(crate) fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let is_new = self.seeds.is_empty() || rng.u8(..) < 24;
        let mut input = if is_new { chance(rng) } else { self.seed(rng).clone() };
        for _ in 0..=rng.usize(..8) {
            self.change(&mut input, rng);
        }
        input.truncate(LONGEST);
        input
    }

    fn seed(&self, rng: &mut Rng) -> &'a Vec<u8> {
        &self.seeds[rng.usize(..self.seeds.len())]
    }

    fn change(&self, input: &mut Vec<u8>, rng: &mut Rng) {
        let at = rng.usize(..=input.len());
        let end = (at + rng.usize(..16)).min(input.len());
        match rng.u8(..10) {
            0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
            1 if at < input.len() => input[at] = rng.u8(..),
            // The next digit or letter: numbers are where the edges are.
            2 if at < input.len() => {
                input[at] = input[at].wrapping_add(rng.u8(..3)).wrapping_sub(1);
            }
            3 => drop(input.drain(at..end)),
            4 => {
                let part = input[at..end].to_vec();
                drop(input.splice(at..at, part));
            }
            5 => input.insert(at, rng.u8(..)),
            6 | 7 => {
                let word = self.words[rng.usize(..self.words.len())].iter().copied();
                let end = if rng.bool() { at } else { end };
                drop(input.splice(at..end, word));
            }
            8 if !self.seeds.is_empty() => {
                let other = self.seed(rng);
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(..64)).min(other.len());
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
            _ => {
                let length = rng.usize(..8);
                input.extend(std::iter::repeat_with(|| rng.u8(..)).take(length));
            }
        }
    }
}

/// Bytes of chance alone, often few.
fn chance(rng: &mut Rng) -> Vec<u8> {
    let longest = rng.choice([8, 64, 512]).unwrap_or(8);
    let length = rng.usize(..longest);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

/// Makes a failing input shorter, as long as it fails.
pub(crate) fn shrink(mut input: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut part = input.len() / 2;
    let mut tries = 3000;
    while part > 0 {
        let mut at = 0;
        while at < input.len() && tries > 0 {
            let end = (at + part).min(input.len());
            let shorter = [&input[..at], &input[end..]].concat();
            tries -= 1;
            if fails(&shorter) {
                input = shorter;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    input
}
