//! How lines reach people and programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tower_retry_after::Upstream;

use crate::event::{Event, millis};

/// The manner of writing.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Output {
    Plain,
    Coloured,
    Json,
}

impl Output {
    /// JSON if asked for; colours on a terminal whose owner has not set `NO_COLOR`.
    pub(crate) fn choose(json: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match json {
            true => Self::Json,
            false if !unwanted && io::stdout().is_terminal() => Self::Coloured,
            false => Self::Plain,
        }
    }

    /// Writes an event; `width` is that of the column of upstreams.
    pub(crate) fn event(self, at: Duration, upstream: &Upstream, width: usize, event: &Event) {
        let word = event.word();
        let upstream = upstream.to_string();
        let (colour, plain) = match self {
            Self::Json => {
                return json_line(at, word, [json!({ "upstream": upstream }), event.json()]);
            }
            Self::Coloured => (event.colour(), "\x1b[0m"),
            Self::Plain => ("", ""),
        };
        let (seconds, millis) = (at.as_secs(), at.subsec_millis());
        print(&format!(
            "{seconds:>3}.{millis:03}s  {colour}{word:<14}{plain}  {upstream:<width$}  {event}\n",
        ));
    }
}

/// Writes all the fields of some objects as one line.
pub(crate) fn json_line<const N: usize>(at: Duration, event: &str, objects: [Value; N]) {
    let mut line = Map::new();
    line.insert("at_ms".to_owned(), millis(at).into());
    line.insert("event".to_owned(), event.replace(' ', "_").into());
    for object in objects {
        if let Value::Object(fields) = object {
            line.extend(fields);
        }
    }
    print(&format!("{}\n", Value::Object(line)));
}

/// Writes to standard output; if nobody reads it any more, there is nothing
/// left to do.
pub(crate) fn print(text: &str) {
    if io::stdout().lock().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}
