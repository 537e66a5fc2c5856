//! What an admitted call carries until its verdict.
//!
//! A permit knows to whom the call went, since when, and by what right. Settled
//! or dropped, it gives back what it holds; it never waits.

use std::fmt;
use std::sync::Arc;

use http::uri::Authority;

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
use crate::observe::{Admitted, Event, Passing, Refused, Shadow, To};
use crate::upstream::{Draft, Upstream};

/// What a layer, its services and their calls share.
pub(crate) struct Shared {
    pub(crate) cooldowns: Cooldowns,
    pub(crate) rules: Rules,
    /// None for the origin, which needs no dynamic call.
    pub(crate) key: Option<Arc<dyn Key>>,
    /// None for the standard classifier, which needs none either.
    pub(crate) classifier: Option<Arc<dyn classify::Classify>>,
    /// None where what remains of a quota says nothing as long as something does.
    pub(crate) quota: Option<Dialect>,
    /// The origin is the key, and nobody watches: a note of where a call goes is
    /// all that is needed while nobody is in trouble.
    pub(crate) is_plain: bool,
    /// Somebody wants to hear of every call.
    pub(crate) is_observed: bool,
    /// Neither an observer nor shadow mode has to do with rejections.
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

    /// Decides whether a call may leave.
    ///
    /// # Errors
    ///
    /// Fails where the request's upstream is held back.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn enter<R: Outgoing>(self: &Arc<Self>, request: &R) -> Result<Permit, RateLimited> {
        let Entered { generation, is_quiet } = self.cooldowns.table().enter();
        if is_quiet {
            let destination = self.note(request);
            self.tell_admitted(To::Noted(&destination), Role::Free);
            return Ok(Permit::free(self, destination, generation));
        }
        match self.name(request) {
            Ok(upstream) => self.admit_to(upstream, generation),
            Err(destination) => {
                self.tell_admitted(To::Noted(&destination), Role::Free);
                Ok(Permit::free(self, destination, generation))
            }
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

    /// Decides whether a call to that upstream may leave.
    ///
    /// For callers that have time: the service builds its answers where they go.
    ///
    /// # Errors
    ///
    /// Fails where the upstream is held back.
    #[allow(dead_code, reason = "of use to waiters and adapters")]
    pub(crate) fn admit_to(
        self: &Arc<Self>,
        upstream: Upstream,
        generation: u64,
    ) -> Result<Permit, RateLimited> {
        match self.cooldowns.admit(&upstream, generation, &self.rules) {
            Admission::Admitted { generation, role } => {
                self.tell_admitted(To::Named(&upstream), role);
                Ok(Permit::new(self, upstream, (generation, role)))
            }
            Admission::Rejected { notice, now } => {
                Err(self.cooldowns.rejection(upstream, &notice, now))
            }
        }
    }

    /// Returns whether a rejection is of interest to anybody but the caller.
    #[inline]
    pub(crate) fn tells_of_rejections(&self) -> bool {
        !self.is_silent || self.cooldowns.watch().is_traced_finely()
    }

    /// Tells whoever watches that a call is rejected for good; or, in shadow mode,
    /// lets it pass.
    #[cold]
    pub(crate) fn turn_away(self: &Arc<Self>, limited: &RateLimited) -> Option<Passing> {
        let passing = Passing::instead_of(limited, self);
        if passing.is_none() && self.cooldowns.watch().hears_rejections() {
            self.cooldowns.watch().tell(&Event::Rejected(limited));
        }
        passing
    }

    /// Tells whoever watches that a call is about to be sent.
    #[inline]
    pub(crate) fn tell_admitted(&self, to: To<'_>, role: Role) {
        if self.is_observed {
            self.cooldowns.watch().tell(&Event::Admitted(&Admitted::new(to, role)));
        }
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

/// What an admitted call carries until its verdict.
pub(crate) struct Permit {
    shared: Arc<Shared>,
    destination: Destination,
    generation: u64,
    role: Role,
}

impl Permit {
    /// The permit of a call to a Clear upstream: it holds nothing.
    #[inline]
    pub(crate) fn free(shared: &Arc<Shared>, destination: Destination, generation: u64) -> Self {
        Self { shared: Arc::clone(shared), destination, generation, role: Role::Free }
    }

    /// The permit of a call in that role.
    #[inline]
    pub(crate) fn new(shared: &Arc<Shared>, upstream: Upstream, admitted: (u64, Role)) -> Self {
        let (generation, role) = admitted;
        Self {
            shared: Arc::clone(shared),
            destination: Destination::Named(upstream),
            generation,
            role,
        }
    }

    /// Returns whether the response changes nothing, seen without a closer look:
    /// the success of a free call, where no header can say otherwise.
    ///
    /// One can only where gRPC is spoken. But who looks for that here makes the
    /// compiler keep the response in memory, and calls without headers pay for it;
    /// out of line it costs those with headers little more.
    #[inline]
    pub(crate) fn is_settled_by<R: Incoming>(&self, response: &R) -> bool {
        self.role == Role::Free
            && self.shared.classifier.is_none()
            && self.shared.quota.is_none()
            && response.status().is_success()
            && response.headers().is_empty()
    }

    /// Takes in the response. A success of a free call changes nothing, and
    /// looks at nothing.
    #[inline]
    pub(crate) fn answered<R: Incoming>(&mut self, response: &R) {
        let verdict = self.shared.classify(response);
        if verdict != Verdict::Success || self.role != Role::Free {
            self.settle_response(verdict, response);
        }
    }

    /// Takes in that the call failed without a response.
    #[inline]
    pub(crate) fn failed(&mut self) {
        self.give_back(Ending::Neutral);
    }

    #[cold]
    fn settle_response<R: Incoming>(&mut self, verdict: Verdict, response: &R) {
        // One of our own layers answered in the upstream's place.
        if answered_by_us(response).is_some() {
            return self.give_back(Ending::Neutral);
        }
        let ending = match verdict {
            Verdict::Success => return self.give_back(Ending::Succeeded),
            Verdict::Neutral => {
                // Who sent us on to another has answered.
                let sent_on = self.sent_on_to(response).is_some();
                let ending = if sent_on { Ending::Succeeded } else { Ending::Neutral };
                return self.give_back(ending);
            }
            Verdict::RateLimited { hint } => Ending::Refused {
                refusal: Refusal { status: response.status(), hint },
                sample: self.sample(),
            },
            Verdict::Exhausted { reset } => Ending::Exhausted { reset, sample: self.sample() },
        };
        let sent_on = self.sent_on_to(response);
        let answered = sent_on.clone().unwrap_or_else(|| self.destination.upstream());
        if let Ending::Refused { refusal, .. } = &ending
            && self.shared.is_observed
        {
            let Refusal { status, hint } = *refusal;
            let refused = Refused { upstream: answered.clone(), status, hint };
            self.shared.cooldowns.watch().tell(&Event::Refused(&refused));
        }
        if sent_on.is_some() {
            self.give_back(Ending::Succeeded);
        }
        self.settle(&answered, ending);
    }

    /// Returns who answered, if the one that was asked has sent us on to another.
    fn sent_on_to<R: Incoming>(&self, response: &R) -> Option<Upstream> {
        let answered = self.shared.answered_by(response)?;
        (answered != self.destination.upstream()).then_some(answered)
    }

    /// Draws the jitter's sample, where there is jitter.
    fn sample(&self) -> f64 {
        if self.shared.rules.jitter > 0.0 { ambient::sample() } else { 0.0 }
    }

    /// Settles what the call holds, if it holds anything.
    #[inline]
    fn give_back(&mut self, ending: Ending) {
        if self.role != Role::Free {
            let upstream = self.destination.upstream();
            self.settle(&upstream, ending);
        }
    }

    #[cold]
    fn settle(&mut self, upstream: &Upstream, ending: Ending) {
        let role = std::mem::replace(&mut self.role, Role::Free);
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
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Returns the rate limit for which one of our own layers made this response up.
pub(crate) fn answered_by_us<R: Incoming>(response: &R) -> Option<&RateLimited> {
    response.extensions()?.get::<RateLimited>()
}

/// The longest authority that a permit copies: its name then needs no more room
/// than an upstream has.
const COPIED: usize = 46;

/// Where a call went, as cheaply as it can be kept: nearly every call succeeds,
/// and then nobody asks.
pub(crate) enum Destination {
    /// A short authority as the request has it. Copying beats sharing: no count
    /// is touched, and nothing of the request is pinned.
    Short { scheme: Scheme, length: u8, authority: [u8; COPIED] },
    /// A long one, shared with the request.
    Long { scheme: Scheme, authority: Authority },
    /// A name that was needed anyway.
    Named(Upstream),
}

/// The schemes worth a byte.
#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    None,
    Http,
    Https,
}

impl Scheme {
    #[inline]
    fn of(scheme: Option<&str>) -> Option<Self> {
        match scheme {
            Some("https") => Some(Self::Https),
            Some("http") => Some(Self::Http),
            Some(_) => None,
            None => Some(Self::None),
        }
    }

    fn text(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Http => Some("http"),
            Self::Https => Some("https"),
        }
    }
}

impl Destination {
    #[inline]
    fn copy<R: Outgoing>(request: &R) -> Option<Self> {
        let scheme = Scheme::of(request.scheme())?;
        let text = match request.authority() {
            Some(authority) if !authority.is_empty() => authority,
            Some(_) | None => key::host(request.headers()).unwrap_or_default(),
        };
        let mut authority = [0; COPIED];
        authority.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).ok()?;
        Some(Self::Short { scheme, length, authority })
    }

    pub(crate) fn upstream(&self) -> Upstream {
        match self {
            Self::Named(upstream) => upstream.clone(),
            Self::Long { scheme, authority } => Upstream::origin(scheme.text(), authority.as_str()),
            Self::Short { length: 0, .. } => Upstream::unnamed(),
            Self::Short { scheme, length, authority } => {
                let text = authority.get(..usize::from(*length)).unwrap_or_default();
                Upstream::origin(scheme.text(), std::str::from_utf8(text).unwrap_or_default())
            }
        }
    }
}
