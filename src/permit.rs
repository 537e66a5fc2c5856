//! What an admitted call carries until its verdict.
//!
//! A permit knows to whom the call went, since when, and by what right. Settled
//! or dropped, it gives back what it holds; it never waits.

mod destination;
mod watched;

use std::fmt;
use std::sync::Arc;

pub(crate) use self::destination::Destination;
use self::destination::Scheme;
use crate::ambient;
use crate::classify::{self, Head, Verdict};
use crate::cooldown::{Ending, Refusal, Role, Rules};
#[cfg(feature = "reqwest-middleware")]
use crate::cooldowns::Entered;
use crate::cooldowns::{Admission, Cooldowns};
use crate::error::RateLimited;
use crate::hint::Dialect;
use crate::key::{self, Key};
use crate::message::{Incoming, Outgoing};
use crate::observe::{Shadow, ShadowOutcome};
use crate::upstream::{Draft, Upstream};

/// What a layer, its services and their calls share.
#[expect(clippy::struct_excessive_bools, reason = "one look each on the healthy path")]
pub(crate) struct Shared {
    pub(crate) cooldowns: Cooldowns,
    pub(crate) rules: Rules,
    /// None for the origin, which needs no dynamic call.
    pub(crate) key: Option<Arc<dyn Key>>,
    /// None for the standard classifier, which needs none either.
    pub(crate) classifier: Option<Arc<dyn classify::Classify>>,
    /// None where what remains of a quota says nothing as long as something does.
    pub(crate) quota: Option<Dialect>,
    /// The classifier is the standard one, and quotas are not heeded: nearly every
    /// success is one at first sight.
    pub(crate) is_standard: bool,
    /// The origin is the key, and nobody watches: a note of where a call goes is
    /// all that is needed while nobody is in trouble.
    pub(crate) is_plain: bool,
    /// Somebody wants to hear of every call.
    pub(crate) is_observed: bool,
    /// Nobody wants to, and what is rejected is not sent.
    pub(crate) is_silent: bool,
    /// None where what would be rejected is rejected.
    pub(crate) shadow: Option<Shadow>,
}

impl Shared {
    /// Names the upstream of a request.
    #[inline]
    pub(crate) fn upstream<R: Outgoing>(&self, request: &R) -> Upstream {
        match &self.key {
            None => key::origin(request.scheme(), request.authority(), request.headers()),
            Some(key) => {
                let uri = request.uri();
                key.upstream(&key::Head::new(&uri, request.headers(), request.extensions()))
            }
        }
    }

    /// Names the upstream of a request where that is quickly done, as it nearly
    /// always is.
    #[inline]
    fn quickly<R: Outgoing>(&self, request: &R) -> Option<Upstream> {
        let authority = request.authority().filter(|authority| !authority.is_empty())?;
        if self.key.is_some() {
            return None;
        }
        Upstream::plain(request.scheme(), authority)
    }

    /// Names the upstream of a request, unless it is Clear and a note will do:
    /// whose name is too long to be copied is looked up before it is kept.
    #[cold]
    fn with_care<R: Outgoing>(&self, request: &R) -> Result<Upstream, Destination> {
        match self.note(request) {
            Destination::Long { scheme, authority } => {
                let draft = Draft::origin(scheme.text(), authority.as_str());
                let found = self.cooldowns.find(&draft);
                found.ok_or(Destination::Long { scheme, authority })
            }
            note @ Destination::Short { .. } => Ok(note.upstream()),
            Destination::Named(upstream) => Ok(upstream),
        }
    }

    /// Names the upstream of a request while somebody is in trouble, unless it is
    /// Clear and a note will do.
    #[inline]
    pub(crate) fn name<R: Outgoing>(&self, request: &R) -> Result<Upstream, Destination> {
        match self.quickly(request) {
            Some(upstream) => Ok(upstream),
            None => self.with_care(request),
        }
    }

    /// Decides whether a call may leave that entered in that generation, while
    /// somebody was in trouble, and tells whoever watches if it may. If it may not,
    /// and for good, whoever rejects it tells so by [`turn_away`](Self::turn_away).
    ///
    /// # Errors
    ///
    /// Fails where the request's upstream is held back.
    pub(crate) fn admit<R: Outgoing>(
        self: &Arc<Self>,
        request: &R,
        generation: u64,
    ) -> Result<Permit, RateLimited> {
        match self.name(request) {
            Ok(upstream) => self.admit_to(upstream, generation),
            Err(destination) => {
                let permit = Permit::free(self, destination, generation);
                permit.tell_admitted();
                Ok(permit)
            }
        }
    }

    /// Decides whether a call to that upstream may leave; tells as
    /// [`admit`](Self::admit) does.
    ///
    /// # Errors
    ///
    /// Fails where the upstream is held back.
    pub(crate) fn admit_to(
        self: &Arc<Self>,
        upstream: Upstream,
        generation: u64,
    ) -> Result<Permit, RateLimited> {
        match self.cooldowns.admit(&upstream, generation, &self.rules) {
            Admission::Admitted { generation, role } => {
                let permit = Permit::new(self, upstream, (generation, role));
                permit.tell_admitted();
                Ok(permit)
            }
            Admission::Rejected { notice, now } => {
                Err(self.cooldowns.rejection(upstream, &notice, now))
            }
        }
    }

    /// Decides whether a call may leave, whether somebody is in trouble or not;
    /// tells of a rejection as well.
    ///
    /// # Errors
    ///
    /// Fails where the request's upstream is held back, and the layer is not in
    /// shadow mode.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn enter<R: Outgoing>(self: &Arc<Self>, request: &R) -> Result<Permit, RateLimited> {
        let Entered { generation, is_quiet } = self.cooldowns.table().enter();
        if is_quiet {
            let permit = Permit::free(self, self.note(request), generation);
            permit.tell_admitted();
            return Ok(permit);
        }
        self.admit(request, generation).or_else(|limited| self.turn_away(&limited).ok_or(limited))
    }

    /// Notes the upstream of a request, to be named if it ever matters.
    #[inline]
    pub(crate) fn note<R: Outgoing>(&self, request: &R) -> Destination {
        self.note_plain(request).unwrap_or_else(|| self.note_rare(request))
    }

    /// Notes the upstream of a request where that is all there is to do and is
    /// quickly done.
    #[inline]
    pub(crate) fn note_plain<R: Outgoing>(&self, request: &R) -> Option<Destination> {
        if self.is_plain { Destination::copy(request) } else { None }
    }

    #[cold]
    fn note_rare<R: Outgoing>(&self, request: &R) -> Destination {
        if self.key.is_none()
            && let Some(note) = Destination::copy(request)
        {
            return note;
        }
        if self.key.is_none()
            && let std::borrow::Cow::Borrowed(uri) = request.uri()
            && let (Some(scheme), Some(authority)) = (Scheme::of(uri.scheme_str()), uri.authority())
        {
            return Destination::Long { scheme, authority: authority.clone() };
        }
        Destination::Named(self.upstream(request))
    }

    /// Returns what a response says.
    #[inline]
    pub(crate) fn classify<R: Incoming>(&self, response: &R) -> Verdict {
        let head = Head::just_now(response.status(), response.headers(), response.extensions())
            .quota_signals(self.quota);
        match &self.classifier {
            None => classify::standard(&head),
            Some(classifier) => classifier.classify(&head),
        }
    }

    /// Returns who answered, where that may be another than was asked. Keys of
    /// the user's own name requests; who answered has none.
    pub(crate) fn answered_by<R: Incoming>(&self, response: &R) -> Option<Upstream> {
        match self.key {
            None => response.answered_by(),
            Some(_) => None,
        }
    }
}

/// The generation of a call that is stale wherever anything is known: the first
/// entry raises it.
const STALE: u64 = 0;

/// What an admitted call carries until its verdict.
pub(crate) struct Permit {
    shared: Arc<Shared>,
    destination: Destination,
    generation: u64,
    right: Right,
}

/// By what right a call is out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Right {
    /// It was admitted in that role.
    Admitted(Role),
    /// It would have been rejected, and is let pass in shadow mode: it holds nothing.
    Shadowed,
}

impl Right {
    /// Nobody waits for the verdict.
    const FREE: Self = Self::Admitted(Role::Free);
}

impl Permit {
    /// The permit of a call to a Clear upstream: it holds nothing.
    #[inline]
    pub(crate) fn free(shared: &Arc<Shared>, destination: Destination, generation: u64) -> Self {
        Self { shared: Arc::clone(shared), destination, generation, right: Right::FREE }
    }

    /// The permit of a call in that role.
    #[inline]
    pub(crate) fn new(shared: &Arc<Shared>, upstream: Upstream, admitted: (u64, Role)) -> Self {
        let (generation, role) = admitted;
        Self {
            shared: Arc::clone(shared),
            destination: Destination::Named(upstream),
            generation,
            right: Right::Admitted(role),
        }
    }

    /// Returns whether the response changes nothing, seen without a closer look:
    /// the success of a free call.
    #[inline]
    pub(crate) fn is_settled_by<R: Incoming>(&self, response: &R) -> bool {
        self.right == Right::FREE
            && self.shared.is_standard
            && classify::is_plain_success(response.status(), response.headers())
            && !self.tells_of_another(response)
    }

    /// Returns whether another than was asked has answered, while somebody is in
    /// trouble. Most clients never know of such.
    #[inline]
    fn tells_of_another<R: Incoming>(&self, response: &R) -> bool {
        response.answered_by().is_some()
            && self.shared.cooldowns.table().tracked() > 0
            && self.sent_on_to(response).is_some()
    }

    /// Takes in the response, and returns whether it is a success of who was asked.
    /// One of a free call changes nothing, and looks at nothing.
    #[inline]
    pub(crate) fn answered<R: Incoming>(&mut self, response: &R) -> bool {
        let verdict = self.shared.classify(response);
        if verdict != Verdict::Success
            || self.right != Right::FREE
            || self.tells_of_another(response)
        {
            return self.settle_response(verdict, response);
        }
        true
    }

    /// Takes in that the call failed without a response.
    #[inline]
    pub(crate) fn failed(&mut self) {
        if self.is_passing() {
            return self.passed(ShadowOutcome::Failed);
        }
        self.give_back(Ending::Neutral);
    }

    #[cold]
    fn settle_response<R: Incoming>(&mut self, verdict: Verdict, response: &R) -> bool {
        if self.is_passing() {
            self.passed_with(verdict, response);
            return false;
        }
        // One of our own layers answered in the upstream's place.
        if answered_by_us(response).is_some() {
            self.give_back(Ending::Neutral);
            return false;
        }
        let sent_on = self.sent_on_to(response);
        let ending = match verdict {
            Verdict::Success => Ending::Succeeded,
            Verdict::Neutral => Ending::Neutral,
            Verdict::RateLimited { hint } => Ending::Refused {
                refusal: Refusal { status: response.status(), hint },
                sample: self.sample(),
            },
            Verdict::Exhausted { reset } => Ending::Exhausted { reset, sample: self.sample() },
        };
        let asked_did_well = verdict == Verdict::Success || sent_on.is_some();
        match ending {
            Ending::Refused { .. } | Ending::Exhausted { .. } => {
                let (answered, generation) = match sent_on {
                    None => (self.destination.upstream(), self.generation),
                    // Nobody asked whether the call may go on to the other. While that one
                    // cools, refusals of such calls are what was to be expected: no rung.
                    Some(other) if self.shared.cooldowns.is_cooling(&other) => (other, STALE),
                    Some(other) => (other, self.generation),
                };
                self.tell_refused(&answered, &ending);
                if asked_did_well {
                    self.give_back(Ending::Succeeded);
                }
                self.generation = generation;
                self.settle(&answered, ending);
            }
            // Who sent us on to another has answered, whatever the other said.
            Ending::Succeeded | Ending::Neutral | Ending::Dropped if asked_did_well => {
                self.give_back(Ending::Succeeded);
                // And a success of the other is as good as that of a call to it.
                if let (Ending::Succeeded, Some(other)) = (ending, sent_on) {
                    self.settle(&other, ending);
                }
            }
            Ending::Succeeded | Ending::Neutral | Ending::Dropped => self.give_back(ending),
        }
        asked_did_well
    }

    /// Returns who answered, if the one that was asked has sent us on to another.
    fn sent_on_to<R: Incoming>(&self, response: &R) -> Option<Upstream> {
        let answered = self.shared.answered_by(response)?;
        (answered != self.destination.upstream()).then_some(answered)
    }

    /// Returns by what right the call left; one that is let pass, by none.
    pub(crate) fn role(&self) -> (u64, Role) {
        match self.right {
            Right::Admitted(role) => (self.generation, role),
            Right::Shadowed => (self.generation, Role::Free),
        }
    }

    /// Takes in that the call's place in a Reopening upstream was given to others.
    pub(crate) fn lapsed(&mut self) {
        if self.right == Right::Admitted(Role::Place) {
            self.right = Right::Admitted(Role::Late);
        }
    }

    /// Draws the jitter's sample, where there is jitter.
    fn sample(&self) -> f64 {
        if self.shared.rules.jitter > 0.0 { ambient::sample() } else { 0.0 }
    }

    /// Settles what the call holds, if it holds anything.
    #[inline]
    fn give_back(&mut self, ending: Ending) {
        match self.right {
            Right::FREE => {}
            Right::Admitted(_) => self.settle(&self.destination.upstream(), ending),
            // Whatever else ends such a call is noted before.
            Right::Shadowed => self.passed(ShadowOutcome::Dropped),
        }
    }

    #[cold]
    fn settle(&mut self, upstream: &Upstream, ending: Ending) {
        let Right::Admitted(role) = std::mem::replace(&mut self.right, Right::FREE) else {
            return;
        };
        let Shared { cooldowns, rules, .. } = &*self.shared;
        cooldowns.settle(upstream, (self.generation, role), ending, rules);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.give_back(Ending::Dropped);
    }
}

impl fmt::Debug for Permit {
    /// Leaves the destination out: as copied, it may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("generation", &self.generation)
            .field("right", &self.right)
            .finish_non_exhaustive()
    }
}

/// Returns the rate limit for which one of our own layers made this response up.
pub(crate) fn answered_by_us<R: Incoming>(response: &R) -> Option<&RateLimited> {
    response.extensions()?.get::<RateLimited>()
}
