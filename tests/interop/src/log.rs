//! What a server has heard, and when.

use std::sync::Mutex;

use http::Version;
use tokio::sync::watch;
use tokio::time::Instant;

/// A request, as its server saw it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When it arrived.
    pub at: Instant,
    /// What was asked for.
    pub path: String,
    /// In which version of HTTP.
    pub version: Version,
    /// The status it was answered with; a gRPC server's is that of gRPC.
    pub answered: u16,
}

/// What a server has heard.
///
/// A server can be [held](Self::hold): then it hears, and answers nothing until
/// it is [released](Self::release).
#[derive(Debug)]
pub struct Log {
    heard: Mutex<Vec<Heard>>,
    count: watch::Sender<usize>,
    is_held: watch::Sender<bool>,
}

impl Log {
    pub(crate) fn new() -> Self {
        let heard = Mutex::new(Vec::new());
        Self { heard, count: watch::Sender::new(0), is_held: watch::Sender::new(false) }
    }

    /// Returns all that was heard so far, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Returns how many requests arrived.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until so many requests have arrived.
    pub async fn reaches(&self, count: usize) {
        self.count.subscribe().wait_for(|arrived| *arrived >= count).await.unwrap();
    }

    /// Has the server keep its answers to itself.
    pub fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// Has the server give its answers.
    pub fn release(&self) {
        self.is_held.send_replace(false);
    }

    /// Notes a request that is answered with `answered`, and waits until the
    /// answer may be given.
    pub(crate) async fn note(&self, path: &str, version: Version, answered: u16) {
        let path = path.to_owned();
        let heard = Heard { at: Instant::now(), path, version, answered };
        self.heard.lock().unwrap().push(heard);
        self.count.send_modify(|count| *count = count.saturating_add(1));
        self.is_held.subscribe().wait_for(|is_held| !is_held).await.unwrap();
    }
}
