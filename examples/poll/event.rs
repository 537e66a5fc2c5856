//! What is worth a line, and how it reads: to people, and as JSON.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

/// Something happened to an upstream.
pub(crate) enum Event {
    /// It answers: for the first time, or again.
    Ok { status: StatusCode },
    /// It refused, and cools down.
    Refused {
        status: Option<StatusCode>,
        hint: Option<Duration>,
        wait: Duration,
        rung: u32,
        said: Option<String>,
    },
    /// It refused a straggler too, which says to stay away longer.
    Prolonged { wait: Duration },
    /// A cooldown's first poll that was not sent.
    RejectedEarly { left: Duration },
    /// The cooldown is over, and one poll finds out.
    Probe { rejected: u64 },
    /// The probe came back without news.
    ProbeLost { wait: Duration },
    /// The probe was answered.
    Reopening,
    /// Everything is admitted again.
    Clear { rejected: u64 },
    /// It does not answer, or with an error.
    Failed { error: String },
}

impl Event {
    /// Returns the event's word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Refused { .. } => "refused",
            Self::Prolonged { .. } => "prolonged",
            Self::RejectedEarly { .. } => "rejected early",
            Self::Probe { .. } => "probe",
            Self::ProbeLost { .. } => "probe lost",
            Self::Reopening => "reopening",
            Self::Clear { .. } => "clear",
            Self::Failed { .. } => "failed",
        }
    }

    /// Returns its colour on a terminal: green, red, or yellow for what is undecided.
    pub(crate) fn colour(&self) -> &'static str {
        match self {
            Self::Ok { .. } | Self::Reopening | Self::Clear { .. } => "\x1b[32m",
            Self::Refused { .. } | Self::Failed { .. } => "\x1b[31m",
            Self::Prolonged { .. }
            | Self::RejectedEarly { .. }
            | Self::Probe { .. }
            | Self::ProbeLost { .. } => "\x1b[33m",
        }
    }

    /// Returns the details by name, for JSON.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Ok { status } => json!({ "status": status.as_u16() }),
            Self::Refused { status, hint, wait, rung, said } => json!({
                "status": status.map(|status| status.as_u16()),
                "hint_ms": hint.map(millis),
                "wait_ms": millis(*wait),
                "rung": rung,
                "said": said,
            }),
            Self::RejectedEarly { left } => json!({ "left_ms": millis(*left) }),
            Self::Probe { rejected } | Self::Clear { rejected } => {
                json!({ "rejected_early": rejected })
            }
            Self::Prolonged { wait } | Self::ProbeLost { wait } => {
                json!({ "wait_ms": millis(*wait) })
            }
            Self::Reopening => json!({}),
            Self::Failed { error } => json!({ "error": error }),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok { status } => write!(f, "HTTP {}", status.as_u16()),
            Self::Refused { status, hint, wait, rung, said } => {
                if let Some(status) = status {
                    write!(f, "HTTP {}, ", status.as_u16())?;
                }
                match hint {
                    Some(hint) => write!(f, "asks for {}", Short(*hint))?,
                    None => f.write_str("asks for no time")?,
                }
                write!(f, ", cooling for {} (rung {rung})", Short(*wait))?;
                match said.as_deref() {
                    None | Some("") => Ok(()),
                    Some(said) => write!(f, ": {said}"),
                }
            }
            Self::Prolonged { wait } => {
                write!(f, "a poll sent before was refused too: cooling for {}", Short(*wait))
            }
            Self::RejectedEarly { left } => {
                write!(f, "not sent, {} to go; the next are only counted", Short(*left))
            }
            Self::Probe { rejected } => {
                write!(f, "{} rejected early; now one is sent to find out", Polls(*rejected))
            }
            Self::ProbeLost { wait } => {
                write!(f, "nothing learned, same rung; the next probe in {}", Short(*wait))
            }
            Self::Reopening => f.write_str("the probe was answered; a few polls at a time"),
            Self::Clear { rejected: 0 } => f.write_str("every poll is sent again"),
            Self::Clear { rejected } => {
                write!(f, "every poll is sent again; {} rejected meanwhile", Polls(*rejected))
            }
            Self::Failed { error } => f.write_str(error),
        }
    }
}

struct Polls(u64);

impl fmt::Display for Polls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} poll{plural}", self.0)
    }
}

/// A time as people read it: seconds, with a tenth where there is one, or
/// milliseconds.
pub(crate) struct Short(pub(crate) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis.saturating_add(50) / 100 {
            0..10 => write!(f, "{millis}ms"),
            tenths if tenths % 10 == 0 => write!(f, "{}s", tenths / 10),
            tenths => write!(f, "{}.{}s", tenths / 10, tenths % 10),
        }
    }
}

/// Counts milliseconds, for JSON.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
