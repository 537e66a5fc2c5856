//! Takes a text apart from its start.

/// What is left to read of a text.
///
/// A copy is a place to come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the next byte and leaves it there.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Takes `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Takes white space as HTTP has it, if there is any.
    pub(crate) fn spaces(&mut self) -> Option<()> {
        let spaces = self.run(|byte| matches!(byte, b' ' | b'\t'));
        (!spaces.is_empty()).then_some(())
    }

    /// Takes all digits that come next.
    pub(crate) fn digits(&mut self) -> &'a [u8] {
        self.run(|byte| byte.is_ascii_digit())
    }

    /// Takes all letters that come next.
    pub(crate) fn letters(&mut self) -> &'a [u8] {
        self.run(|byte| byte.is_ascii_alphabetic())
    }

    /// Takes a number of `min` to `max` digits; those beyond `max` stay.
    pub(crate) fn number(&mut self, min: usize, max: usize) -> Option<i64> {
        let mut ahead = *self;
        let run = ahead.digits().len().min(max);
        let (digits, rest) = self.0.split_at_checked(run)?;
        self.0 = rest;
        (run >= min).then(|| {
            digits.iter().fold(0_i64, |number, digit| {
                let digit = i64::from(digit.saturating_sub(b'0'));
                number.saturating_mul(10).saturating_add(digit)
            })
        })
    }

    /// Takes all bytes up to the first that is not to `keep`.
    pub(crate) fn run(&mut self, mut keep: impl FnMut(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !keep(*byte));
        let (run, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        run
    }
}

/// Strips white space as HTTP has it from both ends: no other space is one.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
