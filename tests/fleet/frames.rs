//! Where a frame of Redis's protocol ends, and whether it is a push.
//!
//! As much of RESP3 as that takes: what is in a frame is not read.

/// Returns the length of the first frame; nothing where it is not all there.
///
/// # Panics
///
/// Panics where it is none.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let kind = *bytes.first()?;
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let head = line + 2;
    let count = || {
        let number = std::str::from_utf8(&bytes[1..line]).unwrap();
        usize::try_from(number.parse::<i64>().unwrap()).ok()
    };
    match kind {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Some(head),
        b'$' | b'!' | b'=' => {
            let whole = count().map_or(head, |length| head + length + 2);
            (bytes.len() >= whole).then_some(whole)
        }
        b'*' | b'~' | b'>' => all(bytes, head, count().unwrap_or(0)),
        b'%' => all(bytes, head, 2 * count().unwrap()),
        // Attributes stand before what they belong to.
        b'|' => all(bytes, head, 2 * count().unwrap() + 1),
        other => panic!("no frame begins with {other}"),
    }
}

fn all(bytes: &[u8], head: usize, parts: usize) -> Option<usize> {
    (0..parts).try_fold(head, |at, _| Some(at + length(&bytes[at..])?))
}

/// Returns whether a frame is news: a push, and not the answer to a subscription.
pub(crate) fn is_news(frame: &[u8]) -> bool {
    frame.starts_with(b">3\r\n$7\r\nmessage\r\n")
}

#[test]
fn a_frame_ends_where_the_next_begins() {
    for frame in [
        "+OK\r\n",
        "$5\r\na\r\nbc\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*2\r\n:1\r\n$1\r\nx\r\n",
        "%1\r\n+a\r\n*1\r\n_\r\n",
        ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        "|1\r\n+k\r\n+v\r\n:7\r\n",
    ] {
        let bytes = frame.as_bytes();
        assert_eq!(length(&[bytes, b"+more\r\n"].concat()), Some(bytes.len()), "{frame:?}");
        for cut in 0..bytes.len() {
            assert_eq!(length(&bytes[..cut]), None, "{frame:?} cut to {cut}");
        }
        assert_eq!(is_news(bytes), frame.starts_with('>'));
    }
}
