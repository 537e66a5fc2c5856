//! Scripts: bytes that are read as choices and numbers.
//!
//! Every input is a script. Where it has ended all choices are the first, so that a
//! shorter input is a simpler one.

use std::time::Duration;

/// What is left of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Returns a number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn word(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Returns a number of any size; small ones are as likely as large ones.
    pub(crate) fn number(&mut self) -> u64 {
        let width = u32::from(self.byte()) % 65;
        self.word() & 1_u64.checked_shl(width).unwrap_or(0).wrapping_sub(1)
    }

    /// Returns a duration of any size.
    pub(crate) fn duration(&mut self) -> Duration {
        let nanos = u32::from(self.byte()) * 3_921_568;
        Duration::new(self.number(), nanos)
    }
}
