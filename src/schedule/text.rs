//! What is kept of an error: its chain of causes as one short line.
//!
//! Much of it comes from upstreams, so it is escaped and cut.

use std::error::Error as StdError;
use std::fmt::{self, Display, Write as _};

use crate::error::Error;

/// How many characters of an error are kept: three lines of a log, as of a
/// refusal's body.
const MOST: usize = 256;

/// How many causes are followed, should a chain bite its own tail.
const MOST_CAUSES: usize = 32;

/// Writes an error with all that is behind it, on one line.
///
/// A cause that was named already, as by errors that show their source
/// themselves, is not named again.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    let mut cause = Some(error);
    for _ in 0..MOST_CAUSES {
        let Some(current) = cause else {
            break;
        };
        // Our own wrapper says nothing that its source does not.
        if !matches!(current.downcast_ref(), Some(Error::Inner(_))) {
            let text = short(current);
            if !line.contains(&text) {
                let colon = if line.is_empty() { "" } else { ": " };
                line.push_str(colon);
                line.push_str(&text);
            }
        }
        cause = current.source();
    }
    cut(line.trim(), MOST)
}

/// Writes what is kept of a text.
pub(crate) fn short(text: &(impl Display + ?Sized)) -> String {
    cut(escaped(text, MOST).trim(), MOST)
}

/// Writes a text that may be of any length, escaped and cut to `most` characters.
#[cfg(feature = "serde")]
pub(crate) fn shown(text: &(impl Display + ?Sized), most: usize) -> String {
    cut(&escaped(text, most), most)
}

/// Writes the start of a text, escaped: `most` characters and a little more.
fn escaped(text: &(impl Display + ?Sized), most: usize) -> String {
    let mut start = Start { text: String::new(), room: most.saturating_add(1) };
    // It ends early when there is no more room.
    let _ = write!(start, "{text}");
    start.text
}

/// Cuts a text that is longer than `most` characters, and shows where.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The start of a text that may be of any length, escaped.
struct Start {
    text: String,
    /// How many characters still fit.
    room: usize,
}

impl fmt::Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for symbol in text.chars() {
            self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
            match symbol {
                // What else a debugger would escape is fit to be read.
                '"' | '\'' | '\\' => self.text.push(symbol),
                _ => self.text.extend(symbol.escape_debug()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BoxError;

    /// An error whose text and source are given.
    #[derive(Debug)]
    struct Link(String, Option<Box<Link>>);

    impl Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl StdError for Link {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.1.as_deref().map(|link| link as _)
        }
    }

    fn linked(texts: &[&str]) -> Link {
        let (first, rest) = texts.split_first().unwrap();
        Link((*first).to_owned(), (!rest.is_empty()).then(|| Box::new(linked(rest))))
    }

    #[test]
    fn causes_follow_each_other_and_none_is_named_twice() {
        assert_eq!(chain(&linked(&["sync", "connect", "refused"])), "sync: connect: refused");
        assert_eq!(chain(&linked(&["sync: refused", "refused"])), "sync: refused");
        assert_eq!(chain(&linked(&[" sync\n", "", "refused"])), "sync\\n: refused");
    }

    #[test]
    fn our_own_wrapper_is_left_out() {
        let inner: BoxError = linked(&["connect", "refused"]).into();

        assert_eq!(chain(&Error::Inner(inner)), "connect: refused");
    }

    #[test]
    fn what_could_deceive_is_escaped() {
        let text = short("say \"no\"\r\n\x1b[31m\u{202e}é\\n");

        assert_eq!(text, "say \"no\"\\r\\n\\u{1b}[31m\\u{202e}é\\n");
    }

    #[test]
    fn no_text_is_longer_than_is_kept() {
        let long = "é".repeat(100_000);
        for text in [short(&long), chain(&linked(&[&long, "refused"])), short(&"\0".repeat(300))] {
            assert_eq!(text.chars().count(), MOST);
            assert!(text.ends_with('…'));
        }
        #[cfg(feature = "serde")]
        assert_eq!(shown(" \n\"é ", 4), " \\n…");
        let whole = "é".repeat(MOST);
        assert_eq!(short(&whole), whole);
    }

    #[test]
    fn a_chain_that_bites_its_tail_has_an_end() {
        #[derive(Debug)]
        struct Tail;
        impl Display for Tail {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tail")
            }
        }
        impl StdError for Tail {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&Tail)
            }
        }

        assert_eq!(chain(&Tail), "tail");
    }
}
