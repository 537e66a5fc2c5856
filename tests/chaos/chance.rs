//! Chance that is the same for the same seed, whatever order things come in.
//!
//! Tasks draw from streams of their own; what is shared (an upstream, a service) draws by
//! what happens to it and when. So tasks that run in another order at one instant draw
//! the same.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of one of those that share a seed.
    pub(crate) fn new(seed: u64, parts: &[u64]) -> Self {
        Self(parts.iter().fold(mixed(seed), |state, part| mixed(state ^ mixed(*part))))
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    pub(crate) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// Returns one of so many, the first far more often than the last.
    pub(crate) fn skewed(&mut self, count: usize) -> usize {
        let count = count as u64;
        let (a, b) = (self.below(count), self.below(count));
        usize::try_from(a * b / count).unwrap()
    }
}

/// `SplitMix64`'s way to make any two numbers unlike.
fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A transcript, of which only the hash is kept: FNV-1a.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Transcript(u64);

impl Transcript {
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(crate) fn note(&mut self, words: &[u64]) {
        for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn hash(self) -> u64 {
        self.0
    }
}
