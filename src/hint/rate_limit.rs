//! The `RateLimit` field, of which two forms live side by side.
//!
//! A dictionary, `limit=100, remaining=0, reset=5`, and a list of quotas,
//! `"default";r=50;t=30, "burst";r=0;t=2`. Both are structured fields ([RFC 9651]); this
//! reads as much of those as the two need, and a field with anything else in it is malformed.
//!
//! [RFC 9651]: https://www.rfc-editor.org/rfc/rfc9651

use std::time::Duration;

use super::number::{self, Decimal, SECOND};
use super::scan::{Scanner, trim};

/// Returns how long the longest of the quotas stays that are used up, if any is.
///
/// The inner value is none where none of those says how long. A field that is malformed in any
/// of its lines tells of no quota: the drafts say to ignore it.
#[expect(clippy::option_option, reason = "used up, and for how long")]
pub(crate) fn used_up<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Option<Duration>> {
    let mut told = Told::default();
    for line in lines {
        read(line, &mut told)?;
    }
    told.used_up()
}

/// What the members of a field tell, all of its lines together.
#[derive(Default)]
struct Told {
    /// A quota of the list is used up.
    is_listed: bool,
    /// The longest wait for one of those.
    listed: Option<Duration>,
    /// The dictionary says that nothing remains; it says so without exception.
    remains_nothing: Option<bool>,
    /// The dictionary's reset.
    reset: Option<Duration>,
}

impl Told {
    fn take(&mut self, member: &Member<'_>) {
        match (member.name, member.value) {
            (name, Some(value)) if name == b"remaining" => {
                let nothing = value.is_zero() && self.remains_nothing != Some(false);
                self.remains_nothing = Some(nothing);
            }
            (name, Some(value)) if name == b"reset" => self.reset = self.reset.max(value.seconds()),
            (_, None) if member.remaining.is_some_and(Value::is_zero) => {
                self.is_listed = true;
                self.listed = self.listed.max(member.wait.and_then(Value::seconds));
            }
            _ => {}
        }
    }

    #[expect(clippy::option_option, reason = "used up, and for how long")]
    fn used_up(self) -> Option<Option<Duration>> {
        let is_in_dictionary = self.remains_nothing == Some(true);
        let reset = self.reset.filter(|_| is_in_dictionary);
        (self.is_listed || is_in_dictionary).then(|| self.listed.max(reset))
    }
}

/// A member of the list, or of the dictionary where it has a value.
struct Member<'a> {
    name: &'a [u8],
    value: Option<Value<'a>>,
    /// The parameter `r`.
    remaining: Option<Value<'a>>,
    /// The parameter `t`.
    wait: Option<Value<'a>>,
}

/// A bare item: a number, not below zero, or anything else.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(Decimal<'a>),
    Other,
}

impl Value<'_> {
    fn is_zero(self) -> bool {
        matches!(self, Self::Number(number) if number.is_zero())
    }

    fn seconds(self) -> Option<Duration> {
        match self {
            Self::Number(number) => Some(number::duration(number.nanos(SECOND))),
            Self::Other => None,
        }
    }
}

/// Reads one line; none if it is malformed.
fn read(line: &[u8], told: &mut Told) -> Option<()> {
    let mut scan = Scanner::new(trim(line));
    while !scan.is_done() {
        told.take(&member(&mut scan)?);
        scan.spaces();
        if scan.is_done() {
            break;
        }
        scan.eat(b',')?;
        scan.spaces();
        // No comma comes last.
        scan.peek()?;
    }
    Some(())
}

fn member<'a>(scan: &mut Scanner<'a>) -> Option<Member<'a>> {
    let name = match scan.peek()? {
        b'"' => string(scan)?,
        _ => word(scan)?,
    };
    let value = equals_value(scan)?;
    let mut member = Member { name, value, remaining: None, wait: None };
    loop {
        scan.spaces();
        if scan.eat(b';').is_none() {
            return Some(member);
        }
        scan.spaces();
        let key = word(scan)?;
        let value = equals_value(scan)?;
        match key {
            b"r" => member.remaining = value,
            b"t" => member.wait = value,
            _ => {}
        }
    }
}

/// Takes a value behind a `=`, if there is one.
#[expect(clippy::option_option, reason = "a value that may be left out, or be malformed")]
fn equals_value<'a>(scan: &mut Scanner<'a>) -> Option<Option<Value<'a>>> {
    match scan.eat(b'=') {
        Some(()) => Some(Some(value(scan)?)),
        None => Some(None),
    }
}

fn value<'a>(scan: &mut Scanner<'a>) -> Option<Value<'a>> {
    match scan.peek()? {
        b'0'..=b'9' => return Decimal::scan(scan).map(Value::Number),
        // Numbers below zero, and dates.
        b'-' | b'@' => {
            scan.eat(b'@');
            scan.eat(b'-');
            Decimal::scan(scan)?;
        }
        b'"' => {
            string(scan)?;
        }
        // Bytes, in base64.
        b':' => {
            scan.eat(b':')?;
            scan.run(|byte| byte != b':');
            scan.eat(b':')?;
        }
        b'?' => {
            scan.eat(b'?')?;
            scan.eat(b'0').or_else(|| scan.eat(b'1'))?;
        }
        _ => {
            word(scan)?;
        }
    }
    Some(Value::Other)
}

/// Takes a string with its quotes and returns what stands between them, escaped as it is.
fn string<'a>(scan: &mut Scanner<'a>) -> Option<&'a [u8]> {
    scan.eat(b'"')?;
    let mut is_escaped = false;
    let text = scan.run(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        !is_end
    });
    scan.eat(b'"')?;
    Some(text)
}

/// Takes a token or a key; names in the wild begin with a digit as well.
fn word<'a>(scan: &mut Scanner<'a>) -> Option<&'a [u8]> {
    let word =
        scan.run(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
    (!word.is_empty()).then_some(word)
}
