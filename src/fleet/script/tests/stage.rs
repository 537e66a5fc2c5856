//! The scripts as the processes call them, and what stands in Redis then.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Connection, FromRedisValue, RedisError, Script};

use super::POLICY;
use super::server::Server;
use crate::fleet::script::{APPLY, READ};

pub(super) const NAME: &str = "origin:https://a.example";
pub(super) const ENTRY: &str = "{ns}:u:origin:https://a.example";
pub(super) const INDEX: &str = "{ns}:index";
pub(super) const EPOCH: &str = "{ns}:epoch";
pub(super) const CHANNEL: &str = "{ns}:news";
pub(super) const PREFIX: &str = "{ns}:u:";

/// A refusal without a hint by a call that knew of nothing.
pub(super) const REFUSED: &str = "refused 0 0 free 0 429 - 0";

/// A Redis and a process that speaks with it.
pub(super) struct Stage {
    pub(super) redis: Connection,
    apply: Script,
    read: Script,
    pub(super) server: Server,
}

/// What is told of an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    fields: BTreeMap<&'static str, String>,
    pub(super) text: String,
}

const FIELDS: [&str; 21] = [
    "v",
    "epoch",
    "number",
    "now",
    "phase",
    "gate",
    "ends",
    "began",
    "rung",
    "status",
    "hint",
    "by_hand",
    "generation",
    "probe",
    "width",
    "in_flight",
    "holder",
    "mine",
    "by",
    "from",
    "name",
];

impl Line {
    pub(super) fn read(text: &str) -> Self {
        let words: Vec<_> = text.splitn(FIELDS.len(), ' ').map(str::to_owned).collect();
        assert_eq!(words.len(), FIELDS.len(), "{text}");
        Self { fields: FIELDS.into_iter().zip(words).collect(), text: text.to_owned() }
    }

    pub(super) fn word(&self, field: &str) -> &str {
        &self.fields[field]
    }

    pub(super) fn number(&self, field: &str) -> u64 {
        self.word(field).parse().unwrap()
    }

    /// The words of some fields, in one line.
    pub(super) fn words(&self, fields: &str) -> String {
        fields.split(' ').map(|field| self.word(field)).collect::<Vec<_>>().join(" ")
    }
}

/// What a call of the script was answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) line: Line,
    pub(super) effects: Vec<String>,
}

impl Stage {
    pub(super) fn new() -> Option<Self> {
        let server = Server::start()?;
        let redis = server.connect();
        Some(Self { redis, apply: Script::new(APPLY), read: Script::new(READ), server })
    }

    /// Sends events of the process `me`, without their policy.
    pub(super) fn on(&mut self, events: &[&str]) -> Answer {
        self.by("me", events)
    }

    /// Sends events of a process, without their policy.
    pub(super) fn by(&mut self, process: &str, events: &[&str]) -> Answer {
        self.by_policy(process, POLICY, events)
    }

    pub(super) fn by_policy(&mut self, process: &str, policy: &str, events: &[&str]) -> Answer {
        self.try_by(process, policy, events).unwrap()
    }

    pub(super) fn try_on(&mut self, events: &[&str]) -> Result<Answer, String> {
        self.try_by("me", POLICY, events)
    }

    fn try_by(&mut self, process: &str, policy: &str, events: &[&str]) -> Result<Answer, String> {
        let events = events.iter().map(|event| format!("{event} {policy}"));
        let mut words = ["1", CHANNEL, NAME, process, "epoch-1"].map(str::to_owned).to_vec();
        words.extend(events);
        let answer: Vec<String> =
            self.apply(&[ENTRY, INDEX, EPOCH], &words).map_err(|error| error.to_string())?;
        let (line, effects) = answer.split_first().unwrap();
        Ok(Answer { line: Line::read(line), effects: effects.to_vec() })
    }

    /// Calls the script with those keys and arguments.
    pub(super) fn apply<T: FromRedisValue>(
        &mut self,
        keys: &[&str],
        words: &[String],
    ) -> Result<T, RedisError> {
        self.apply.key(keys).arg(words).invoke(&mut self.redis)
    }

    /// Calls the full read with those keys and arguments.
    pub(super) fn read<T: FromRedisValue>(
        &mut self,
        keys: &[&str],
        words: &[&str],
    ) -> Result<T, RedisError> {
        self.read.key(keys).arg(words).invoke(&mut self.redis)
    }

    pub(super) fn command<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query(&mut self.redis).unwrap()
    }

    /// A field of the entry, as it is written.
    pub(super) fn field(&mut self, name: &str) -> Option<String> {
        self.command(&["HGET", ENTRY, name])
    }

    /// A number in the entry.
    pub(super) fn kept(&mut self, name: &str) -> u64 {
        self.field(name).unwrap().parse().unwrap()
    }

    /// Writes into the entry by hand.
    #[expect(clippy::needless_pass_by_value, reason = "words and numbers alike")]
    pub(super) fn set(&mut self, name: &str, value: impl ToString) {
        let _: i64 = self.command(&["HSET", ENTRY, name, &value.to_string()]);
    }

    /// Redis's clock, in microseconds.
    pub(super) fn now(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = self.command(&["TIME"]);
        seconds * super::SECOND + micros
    }

    /// Lets a cooldown or a lease end: as if it had been that long ago.
    pub(super) fn run_out(&mut self) {
        let now = self.now();
        self.set("gate", now);
        let ends = self.kept("ends").min(now);
        self.set("ends", ends);
    }

    /// Reopening, whose probe was this process's, with no place taken; returns the
    /// generation.
    pub(super) fn reopen(&mut self, process: &str) -> u64 {
        self.by(process, &[REFUSED]);
        self.run_out();
        let asked = self.by(process, &["asked"]);
        let generation = asked.line.number("generation");
        let succeeded = format!("succeeded {generation} 0 probe 1");
        let reopened = self.by(process, &[&succeeded]);
        assert_eq!(reopened.line.words("phase width in_flight"), "reopening 2 0");
        generation
    }

    /// All that is published while something is done.
    pub(super) fn published(&mut self, what: impl FnOnce(&mut Self)) -> Vec<Line> {
        const END: &str = "that was all";
        let mut listener = self.server.connect();
        listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut listener = listener.as_pubsub();
        listener.subscribe(CHANNEL).unwrap();
        what(self);
        let _: i64 = self.command(&["PUBLISH", CHANNEL, END]);
        let mut lines = Vec::new();
        loop {
            let text: String = listener.get_message().unwrap().get_payload().unwrap();
            if text == END {
                return lines;
            }
            lines.push(Line::read(&text));
        }
    }

    /// All that stands in Redis, byte by byte.
    pub(super) fn everything(&mut self) -> BTreeMap<String, (Vec<u8>, i64)> {
        let keys: Vec<String> = self.command(&["KEYS", "*"]);
        keys.into_iter()
            .map(|key| {
                let value = self.command(&["DUMP", &key]);
                let expires = self.command(&["PEXPIRETIME", &key]);
                (key, (value, expires))
            })
            .collect()
    }
}
