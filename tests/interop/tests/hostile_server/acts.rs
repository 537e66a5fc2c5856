//! What a server may do to a client that has only asked.

use std::time::Duration;

use self::Means::{Answer, Nothing, Refusal, RefusalOrNothing};
use self::Then::{Closes, Resets, Stalls};

/// What a server does with a connection.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) hears: Hears,
    pub(crate) says: Vec<u8>,
    pub(crate) then: Then,
    pub(crate) means: Means,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hears {
    TheRequest,
    Nothing,
}

/// How it goes on when it has said what it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    Closes,
    Resets,
    Stalls,
}

/// What the layer may make of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Means {
    /// Nothing is learned: no head can be read, or it says no more than that.
    Nothing,
    /// A head that is no refusal.
    Answer,
    /// A head that is one, with that hint.
    Refusal(Option<Duration>),
    /// It is a race whether the refusal is read, with that hint, or nothing is.
    RefusalOrNothing(Option<Duration>),
}

const TWO_MINUTES: Option<Duration> = Some(Duration::from_mins(2));

/// How long a [proper refusal](Act::refusal) asks for.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(40);

impl Act {
    fn of(name: &'static str, says: impl Into<Vec<u8>>, then: Then, means: Means) -> Self {
        Self { name, hears: Hears::TheRequest, says: says.into(), then, means }
    }

    fn unheard(self) -> Self {
        Self { hears: Hears::Nothing, ..self }
    }

    /// An answer as it should be.
    pub(crate) fn sane() -> Self {
        let says = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        Self::of("sane", says, Closes, Answer)
    }

    /// A refusal as it should be, for [a moment](A_MOMENT).
    pub(crate) fn refusal() -> Self {
        let says = "HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 40\r\n\
                    connection: close\r\ncontent-length: 4\r\n\r\nslow";
        Self::of("refusal", says, Closes, Refusal(Some(A_MOMENT)))
    }

    /// Everything else.
    pub(crate) fn hostile() -> Vec<Self> {
        [breaking_off(), stalling(), nonsense(), refusing(), answering()].concat()
    }
}

fn refusal(lines: &str) -> String {
    format!("HTTP/1.1 429 Too Many Requests\r\n{lines}\r\n")
}

fn many(lines: u32) -> String {
    let lines: Vec<_> = (0..lines).map(|n| format!("x-{n}: {n}\r\n")).collect();
    lines.concat()
}

/// It breaks off.
fn breaking_off() -> Vec<Act> {
    vec![
        Act::of("closes at once", "", Closes, Nothing).unheard(),
        Act::of("closes when it has heard", "", Closes, Nothing),
        Act::of("resets at once", "", Resets, Nothing).unheard(),
        Act::of("resets when it has heard", "", Resets, Nothing),
        Act::of("closes in the head", "HTTP/1.1 200 OK\r\ncontent-le", Closes, Nothing),
        Act::of("closes in a refusal's head", &refusal("retry-after: 120")[..], Closes, Nothing),
        Act::of(
            "closes after a refusal's first line",
            &b"HTTP/1.1 429 No\r\n"[..],
            Closes,
            Nothing,
        ),
        Act::of(
            "truncates a body",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
            Closes,
            Answer,
        ),
        Act::of(
            "truncates a refusal's body",
            refusal("retry-after: 120\r\ncontent-length: 900\r\n") + "slow",
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "resets after a refusal",
            refusal("retry-after: 120\r\ncontent-length: 900\r\n") + "slow",
            Resets,
            RefusalOrNothing(TWO_MINUTES),
        ),
    ]
}

/// It stalls.
fn stalling() -> Vec<Act> {
    vec![
        Act::of("stalls before the head", "", Stalls, Nothing),
        Act::of("hears nothing and stalls", "", Stalls, Nothing).unheard(),
        Act::of("stalls in a refusal's head", "HTTP/1.1 429 No\r\nretry-af", Stalls, Nothing),
        Act::of("stalls after interim answers", "HTTP/1.1 103 x\r\n\r\n", Stalls, Nothing),
        Act::of(
            "stalls in a body",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
            Stalls,
            Answer,
        ),
        Act::of(
            "stalls in a refusal's body",
            refusal("retry-after: 120\r\ncontent-length: 900\r\n") + "slow",
            Stalls,
            Refusal(TWO_MINUTES),
        ),
    ]
}

/// It cannot write.
fn nonsense() -> Vec<Act> {
    vec![
        Act::of("speaks HTTP/0.9", "<html>429 Too Many Requests</html>", Closes, Nothing),
        Act::of("speaks TLS", &b"\x15\x03\x01\x00\x02\x02\x28"[..], Closes, Nothing),
        Act::of("speaks HTTP/2", &b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"[..], Closes, Nothing),
        Act::of("says nothing but NUL", vec![0; 100_000], Closes, Nothing),
        Act::of(
            "has no such version",
            "HTTP/7.7 429 No\r\nretry-after: 120\r\n\r\n",
            Closes,
            Nothing,
        ),
        Act::of(
            "has no such status",
            "HTTP/1.1 42 No\r\nretry-after: 120\r\n\r\n",
            Closes,
            Nothing,
        ),
        Act::of(
            "has a control in a name",
            &refusal("retry-after: 9\r\n\x01: 1\r\n")[..],
            Closes,
            Nothing,
        ),
        Act::of("has NUL in a value", &refusal("retry-after: 12\x000\r\n")[..], Closes, Nothing),
        Act::of("has a line without a colon", &refusal("retry-after 120\r\n")[..], Closes, Nothing),
        Act::of("has a folded line", &refusal("retry-after:\r\n 120\r\n")[..], Closes, Nothing),
        Act::of(
            "has thousands of headers",
            refusal(&(many(5000) + "retry-after: 120\r\n")),
            Closes,
            Nothing,
        ),
        Act::of("never ends its head", many(100_000), Closes, Nothing),
        Act::of(
            "has two lengths",
            refusal("content-length: 1\r\ncontent-length: 2\r\n"),
            Closes,
            Nothing,
        ),
    ]
}

/// It refuses, after all, and says so oddly.
fn refusing() -> Vec<Act> {
    let nines = "9".repeat(64 * 1024);
    vec![
        Act::of("refuses by the status alone", &b"HTTP/1.1 429\r\n\r\n"[..], Closes, Refusal(None)),
        Act::of(
            "refuses without a length",
            refusal("retry-after: 120\r\n") + "slow",
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "refuses over HTTP/1.0",
            "HTTP/1.0 429 No\r\nretry-after: 120\r\n\r\n",
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "refuses after interim answers",
            "HTTP/1.1 103 Early Hints\r\nretry-after: 9\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                .to_owned()
                + &refusal("retry-after: 120\r\n"),
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "refuses in broken chunks",
            refusal("retry-after: 120\r\ntransfer-encoding: chunked\r\n") + "zz\r\nslow",
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "refuses with many headers",
            refusal(&(many(90) + "retry-after: 120\r\n")),
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "asks for several waits",
            refusal("retry-after: 1\r\nretry-after: 120\r\nRetry-After: soon\r\n"),
            Closes,
            Refusal(TWO_MINUTES),
        ),
        Act::of(
            "asks for ages",
            refusal("retry-after: 18446744073709551615\r\n"),
            Closes,
            Refusal(Some(Duration::from_secs(u64::MAX))),
        ),
        Act::of(
            "asks for longer than numbers go",
            refusal(&format!("retry-after: {nines}\r\n")),
            Closes,
            Refusal(Some(Duration::MAX)),
        ),
        Act::of(
            "asks for no wait",
            refusal("retry-after: 0\r\n"),
            Closes,
            Refusal(Some(Duration::ZERO)),
        ),
        Act::of("asks for less than none", refusal("retry-after: -120\r\n"), Closes, Refusal(None)),
        Act::of(
            "asks in letters that are not ASCII",
            [&b"HTTP/1.1 429 \xe9\xff\r\nretry-after: \xc3\xa0 bient\xf4t\xff\r\n\r\n"[..]]
                .concat(),
            Closes,
            Refusal(None),
        ),
        Act::of(
            "refuses before it has heard",
            refusal("retry-after: 120\r\ncontent-length: 0\r\n"),
            Closes,
            RefusalOrNothing(TWO_MINUTES),
        )
        .unheard(),
    ]
}

/// It answers, and means more.
fn answering() -> Vec<Act> {
    vec![
        Act::of(
            "asks for a wait as it answers",
            "HTTP/1.1 200 OK\r\nretry-after: 120\r\ncontent-length: 2\r\n\r\nok",
            Closes,
            Answer,
        ),
        Act::of(
            "refuses what nobody has sent",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned()
                + &refusal("retry-after: 120\r\ncontent-length: 0\r\n"),
            Closes,
            Answer,
        ),
        Act::of(
            "answers with a refusal in the body",
            "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &refusal("retry-after: 120\r\n"),
            Closes,
            Answer,
        ),
        Act::of("is unwell", "HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n", Closes, Nothing),
    ]
}
