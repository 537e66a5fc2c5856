//! One run of a cycle: whom to call next, what each answer means for the book,
//! and what all of them mean for the state.
//!
//! It calls nobody; the future does.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use tokio::time::Instant;

use super::report::{Answer, CycleReport, Synced, Tried};
use super::shared::{Ledger, Shared, Turn};
use crate::ambient;
use crate::error::{BoxError, RateLimited, Reason, Rounded};
use crate::schedule::next::{LEAST, usable};
use crate::schedule::peers::Peer;
use crate::schedule::state::SyncPolicy;
use crate::schedule::text;
use crate::schedule::wall::{Reading, later};

#[derive(Debug)]
pub(super) struct Run {
    shared: Arc<Shared>,
    /// None before the run and after it.
    turn: Option<Turn>,
    /// Who has not had their turn, the best first.
    queue: vec::IntoIter<String>,
    tried: Vec<Tried>,
    has_begun: bool,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let queue = Vec::new().into_iter();
        Self { shared, turn: None, queue, tried: Vec::new(), has_begun: false }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Lines up who may be synced with now.
    pub(super) fn start(&mut self, turn: Turn) {
        self.turn = Some(turn);
        let eligible: Vec<String> = self.shared.with(|ledger, now| {
            ledger.book.eligible(now.wall).into_iter().map(|peer| peer.peer_url.clone()).collect()
        });
        self.queue = eligible.into_iter();
    }

    /// Returns whom to call next; those whose upstream is being left alone are
    /// passed over.
    pub(super) fn next(&mut self) -> Option<Peer> {
        for peer_url in self.queue.by_ref() {
            // It may have been removed or disabled while others were called.
            let peer = self.shared.with(|ledger, now| {
                let peer = ledger.book.peer(&peer_url)?;
                peer.is_eligible(now.wall).then(|| peer.clone())
            });
            let Some(peer) = peer else {
                continue;
            };
            if let Some(until) = self.shared.held_until(&peer) {
                self.tried.push(Tried { peer_url, answer: Answer::NotSent { until } });
                continue;
            }
            if !self.has_begun {
                self.has_begun = true;
                self.shared.with(|ledger, now| ledger.begin(&peer_url, now));
            }
            return Some(peer);
        }
        None
    }

    /// Takes in what a peer answered, as of now.
    pub(super) fn answered(&mut self, peer_url: String, answer: Result<Synced, BoxError>) {
        let answer = match answer {
            Ok(Synced::Ok { head }) => Answer::Synced { head },
            Ok(Synced::Fork { head, error }) => Answer::Forked { head, error: text::short(&error) },
            Err(error) => bad(&*error),
        };
        let ends = matches!(answer, Answer::Synced { .. } | Answer::Forked { .. });
        self.note(peer_url, answer);
        if ends {
            self.dismiss();
        }
    }

    /// The run has outlived its lease, and the call to that peer was given up.
    pub(super) fn outlived(&mut self, peer_url: String) {
        let lease = Rounded(self.shared.policy.run_lease);
        let error = format!("no answer, and the run was given up after {lease}");
        self.note(peer_url, Answer::Failed { error });
        self.dismiss();
    }

    /// Ends the run: moves the state, gives the turn back, and tells what happened.
    pub(super) fn finish(&mut self) -> CycleReport {
        let tried = mem::take(&mut self.tried);
        let policy = self.shared.policy;
        let held = self.held(&tried);
        let (state, due) = self.shared.with(|ledger, now| {
            conclude(ledger, &policy, &tried, &held, now);
            (ledger.state.clone(), ledger.due(&policy, now))
        });
        self.turn = None;
        CycleReport { tried, state, due }
    }

    /// Marks a peer in the book.
    fn note(&mut self, peer_url: String, answer: Answer) {
        self.shared.with(|ledger, now| {
            let Ledger { book, .. } = ledger;
            // Who was removed meanwhile has no marks, and that is no error.
            let _ = match &answer {
                Answer::Synced { .. } => book.mark_ok(&peer_url, now.wall),
                // No hint: it did not ask to be left alone, but others come first now.
                Answer::Forked { error, .. } | Answer::Failed { error } => {
                    book.mark_failed(&peer_url, error, Duration::ZERO, now.wall)
                }
                Answer::Refused { error, retry_after } => {
                    book.mark_failed(&peer_url, error, *retry_after, now.wall)
                }
                Answer::NotSent { until } => book.mark_cooling(&peer_url, now.time(*until)),
            };
        });
        self.tried.push(Tried { peer_url, answer });
    }

    /// Returns whose upstreams are being left alone, and until when.
    fn held(&self, tried: &[Tried]) -> HashMap<String, Instant> {
        let mut held = HashMap::new();
        for Tried { peer_url, answer } in tried {
            match answer {
                Answer::NotSent { until } => drop(held.insert(peer_url.clone(), *until)),
                // When the others come back makes no difference then.
                Answer::Synced { .. } | Answer::Forked { .. } => return HashMap::new(),
                Answer::Refused { .. } | Answer::Failed { .. } => {}
            }
        }
        // Those too who cool in the book, but for less than in the table.
        if self.shared.cooldowns.is_some() {
            let book = self.shared.with(|ledger, _| ledger.book.clone());
            for peer in book.peers().filter(|peer| peer.may_sync()) {
                if let Some(until) = self.shared.held_until(peer) {
                    held.insert(peer.peer_url.clone(), until);
                }
            }
        }
        held
    }

    /// Nobody else is called.
    fn dismiss(&mut self) {
        self.queue = Vec::new().into_iter();
    }
}

/// Tells what an error says. It runs the error's code.
fn bad(error: &(dyn StdError + 'static)) -> Answer {
    match RateLimited::find(error) {
        Some(limited) => match limited.reason() {
            Reason::Refused => {
                Answer::Refused { error: text::chain(error), retry_after: limited.retry_after() }
            }
            Reason::Cooling | Reason::Probing | Reason::Reopening => {
                Answer::NotSent { until: limited.until() }
            }
        },
        None => Answer::Failed { error: text::chain(error) },
    }
}

/// Moves the state by what the whole cycle came to: one rung at most.
fn conclude(
    ledger: &mut Ledger,
    policy: &SyncPolicy,
    tried: &[Tried],
    held: &HashMap<String, Instant>,
    now: Reading,
) {
    let first_return = ledger.first_return(held, now);
    ledger.is_running = false;
    let state = &mut ledger.state;
    let failures = state.consecutive_failures.saturating_add(1);
    let sent = tried.iter().rev().find(|tried| !matches!(tried.answer, Answer::NotSent { .. }));
    let Some(Tried { peer_url, answer }) = sent else {
        return match first_return {
            Some(until) => state.put_off(until.max(later(now.wall, LEAST)), now.wall),
            None => state.finish_solo(policy, "", now.wall),
        };
    };
    match answer {
        Answer::Synced { head } => state.finish_ok(policy, peer_url, head, now.wall),
        Answer::Forked { head, error } => {
            let wait = usable(policy.ladder, failures, None);
            state.finish_fork(policy, peer_url, head, error, wait, now.wall);
        }
        Answer::Refused { error, .. } | Answer::Failed { error } => {
            let wait = first_return.map(|time| now.until(time, ambient::FAR));
            let wait = usable(policy.ladder, failures, wait);
            state.finish_err(policy, peer_url, "", error, wait, now.wall);
        }
        // Not among those that were sent.
        Answer::NotSent { .. } => {}
    }
}
