//! Where in a JSON text something is wrong: the name of the field.
//!
//! The parser tells line and column; people who mend a file look for a name.

use std::fmt::Write as _;

use super::credentials::veiled;
use crate::schedule::text::{cut, shown};

/// The longest key that is shown, and the longest way to it.
const SHOWN: usize = 60;
const WAY: usize = 120;

/// How deep fields are named: as deep as the parser goes.
const DEEPEST: usize = 128;

/// What the text is inside of.
enum Frame<'a> {
    /// An object, and its key that was read last, or that a new one follows.
    Object { key: Option<&'a [u8]> },
    /// A list, and whether a new item follows.
    List { index: usize, at_comma: bool },
}

/// Names the field that the text before that line and column is about, as in
/// `book.peers[3].role`; empty for the whole.
pub(super) fn field(json: &[u8], line: usize, column: usize) -> String {
    let start: usize = json
        .split_inclusive(|&byte| byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .fold(0, usize::saturating_add);
    let end = start.saturating_add(column).min(json.len());
    let mut frames = Vec::new();
    let mut rest = json.get(..end).unwrap_or(json);
    while let Some((&byte, after)) = rest.split_first().filter(|_| frames.len() < DEEPEST) {
        rest = after;
        if !matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') {
            begin_item(&mut frames);
        }
        match byte {
            b'{' => frames.push(Frame::Object { key: None }),
            b'[' => frames.push(Frame::List { index: 0, at_comma: false }),
            b'}' | b']' => drop(frames.pop()),
            b',' => match frames.last_mut() {
                Some(Frame::Object { key }) => *key = None,
                Some(Frame::List { at_comma, .. }) => *at_comma = true,
                None => {}
            },
            b'"' => {
                let (text, after) = rest.split_at_checked(string_end(rest)).unwrap_or((rest, &[]));
                rest = after.get(1..).unwrap_or_default();
                if let Some(Frame::Object { key: key @ None }) = frames.last_mut() {
                    *key = Some(text);
                }
            }
            _ => {}
        }
    }
    cut(&written(&frames), WAY)
}

/// Counts an item of a list once it has begun.
fn begin_item(frames: &mut [Frame<'_>]) {
    if let Some(Frame::List { index, at_comma: at_comma @ true }) = frames.last_mut() {
        *at_comma = false;
        *index = index.saturating_add(1);
    }
}

/// Returns where the string ends that has begun.
fn string_end(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn written(frames: &[Frame<'_>]) -> String {
    let mut field = String::new();
    for frame in frames {
        match frame {
            Frame::Object { key: None } => {}
            Frame::Object { key: Some(key) } => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(&shown(&veiled(&read(key)), SHOWN));
            }
            Frame::List { index, .. } => {
                // Writing to a string cannot fail.
                let _ = write!(field, "[{index}]");
            }
        }
    }
    field
}

/// Reads a key as it was meant, or else as it was written.
fn read(key: &[u8]) -> String {
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_else(|_| String::from_utf8_lossy(key).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names the field at the `!`.
    fn at_mark(marked: &str) -> String {
        let before = marked.split_once('!').unwrap().0;
        let line = before.split('\n').count();
        let column = before.rsplit('\n').next().unwrap().len();
        field(marked.replace('!', "").as_bytes(), line, column)
    }

    #[test]
    fn a_field_is_named_by_the_way_to_it() {
        assert_eq!(at_mark(r#"{"version": 2!}"#), "version");
        assert_eq!(
            at_mark("{\"state\": {\n \"a\": 1,\n \"last_outcome\": \"x\"!}}"),
            "state.last_outcome"
        );
        assert_eq!(
            at_mark(r#"{"book": {"peers": [{"role": 1}, {"role": 2!}]}}"#),
            "book.peers[1].role"
        );
        assert_eq!(at_mark(r#"{"book": {"peers": [{"role": 1}, {"role": 2}!]}}"#), "book.peers[1]");
        assert_eq!(at_mark(r#"{"book": {"peers": [{"role": 1},! {"role": 2}]}}"#), "book.peers[0]");
        assert_eq!(at_mark(r#"{"book": {"peers": [1, 2]!}}"#), "book.peers");
        assert_eq!(at_mark(r#"{"a": {"b": 1}!}"#), "a");
        assert_eq!(at_mark(r#"{"a": "\"},[{\\", "b": [3!]}"#), "b[0]");
        assert_eq!(at_mark("{}!"), "");
        assert_eq!(at_mark("!"), "");
    }

    #[test]
    fn no_text_and_no_place_is_too_odd() {
        let deep = "[".repeat(100_000);
        let odd: [&[u8]; 7] =
            [deep.as_bytes(), b"", b"}}]],,\"", b"{\"\\", b"[[[,{\"\xff", b"\n\n\n", b"{{\"a\":"];
        for json in odd {
            for line in [0, 1, 2, usize::MAX] {
                for column in [0, 1, 5, usize::MAX] {
                    assert!(field(json, line, column).chars().count() <= WAY + 1);
                }
            }
        }
    }

    #[test]
    fn a_long_or_unprintable_key_is_cut_and_escaped() {
        let key = format!("{{\"\u{7}{}\": 1!}}", "x".repeat(1000));

        let field = at_mark(&key);
        assert!(field.starts_with("\\u{7}x") && field.len() < 70, "{field}");
    }
}
