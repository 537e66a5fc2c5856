//! The deadlines in a book, when the wall clock is stepped or cannot be believed.
//!
//! Histories are left alone where they can be true; nobody has been seen in the
//! future.

use std::time::{Duration, SystemTime};

use super::{Peer, PeerBook};
use crate::schedule::wall::{Step, later};

impl PeerBook {
    /// Moves the deadlines along with a wall clock that was stepped, and shows `now`.
    pub(in crate::schedule) fn shift(&mut self, step: Step, now: SystemTime) {
        for peer in self.peers.values_mut() {
            peer.cooldown_until = peer.cooldown_until.map(|until| step.shift(until));
            // Else a success before a step back would outrank all that follow.
            peer.see_no_future(now);
            peer.observed_at = peer.observed_at.map(|time| time.min(now));
        }
    }

    /// Bounds the deadlines that an earlier process left: nobody is left alone for
    /// longer than the longest wait there is.
    pub(in crate::schedule) fn restore(&mut self, max_retry_after: Duration, now: SystemTime) {
        let longest = self.longest(max_retry_after);
        for peer in self.peers.values_mut() {
            peer.bound(longest, now);
        }
    }

    /// Returns the longest that a peer is left alone for.
    pub(in crate::schedule) fn longest(&self, max_retry_after: Duration) -> Duration {
        self.ladder.cap().max(max_retry_after)
    }
}

impl Peer {
    /// Bounds a deadline that somebody else has set.
    pub(in crate::schedule) fn bound(&mut self, longest: Duration, now: SystemTime) {
        let latest = later(now, longest);
        self.cooldown_until = self.cooldown_until.map(|until| until.min(latest));
        self.see_no_future(now);
        // It would win against every later record, until its time comes.
        self.observed_at = self.observed_at.filter(|time| *time <= latest);
    }

    fn see_no_future(&mut self, now: SystemTime) {
        self.last_seen_at = self.last_seen_at.map(|time| time.min(now));
        self.last_sync_ok_at = self.last_sync_ok_at.map(|time| time.min(now));
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "for tests")]
mod tests {
    use super::*;
    use crate::ladder::Ladder;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + secs(seconds)
    }

    /// A book in which one peer is left alone from 10,000 to 10,600.
    fn book() -> PeerBook {
        let mut book = PeerBook::with_ladder(Ladder::new(secs(60), secs(1800)));
        book.add(Peer::new("https://a.example", at(1)).unwrap()).unwrap();
        book.add(Peer::new("https://b.example", at(1)).unwrap()).unwrap();
        book.mark_failed("https://a.example", "down", secs(600), at(10_000)).unwrap();
        book
    }

    #[test]
    fn a_step_moves_the_deadlines_and_no_history() {
        let mut book = book();

        book.shift(Step::Back(secs(3600)), at(20_000));

        let peer = book.peer("https://a.example").unwrap();
        assert_eq!(peer.cooldown_until, Some(at(7_000)));
        assert_eq!(peer.observed_at, Some(at(10_000)));
        assert_eq!(book.peer("https://b.example").unwrap().cooldown_until, None);
    }

    #[test]
    fn nobody_has_been_seen_in_the_future() {
        let mut known = book();
        known.mark_ok("https://b.example", at(10_000)).unwrap();
        let (mut stepped, mut restored) = (known.clone(), known);

        stepped.shift(Step::Back(secs(3600)), at(6_400));
        restored.restore(secs(3600), at(6_400));

        for book in [stepped, restored] {
            let peer = book.peer("https://b.example").unwrap();
            assert_eq!(
                (peer.last_seen_at, peer.last_sync_ok_at),
                (Some(at(6_400)), Some(at(6_400)))
            );
        }
    }

    #[test]
    fn a_deadline_from_a_wrong_clock_is_bounded_by_the_longest_wait() {
        let mut kept = book();
        kept.restore(secs(3600), at(10_000));
        assert_eq!(kept, book());

        let mut wrong = book();
        wrong.restore(secs(3600), at(1_000));
        let until = wrong.peer("https://a.example").unwrap().cooldown_until;
        assert_eq!(until, Some(at(1_000 + 3600)));

        // No hint is believed: the ladder's cap is the longest.
        let mut wrong = book();
        wrong.restore(Duration::ZERO, at(1_000));
        let until = wrong.peer("https://a.example").unwrap().cooldown_until;
        assert_eq!(until, Some(at(1_000 + 1800)));
    }
}
