//! Whom to sync with: the peers, and who of them is next.
//!
//! Pure: no clock, no I/O; `now` is an argument. It does not talk to anybody.

mod deadlines;
#[cfg(feature = "serde")]
mod serial;

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::Uri;

use super::wall::later;
use crate::ladder::Ladder;
use crate::upstream::Upstream;

/// What a peer is there for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Bucket {
    /// To find other peers.
    Bootstrap,
    /// To sync with.
    #[default]
    Sync,
    /// To push to.
    Push,
}

/// Where a peer was learned of.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Source {
    /// An operator named it.
    #[default]
    Operator,
    /// It came with the software.
    Bundle,
    /// It was found by bootstrapping, and has proved itself.
    BootstrapPromoted,
    /// It was met while running.
    Runtime,
}

/// What a peer does.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Role {
    /// It takes part like everybody.
    #[default]
    Participant,
    /// It passes on what others have.
    Relay,
    /// It is there for newcomers.
    Seed,
}

/// Somebody to sync with, and what is known of them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Peer {
    /// What the peer is there for.
    #[cfg_attr(feature = "serde", serde(default))]
    pub bucket: Bucket,
    /// Where it was learned of.
    #[cfg_attr(feature = "serde", serde(default))]
    pub source: Source,
    /// What it does.
    #[cfg_attr(feature = "serde", serde(default))]
    pub role: Role,
    /// Whether it may be called at all.
    #[cfg_attr(feature = "serde", serde(default = "serial::enabled"))]
    pub enabled: bool,
    /// Where it is reached; no two peers of a book have the same.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "serial::peer_url"))]
    pub peer_url: String,
    /// When it was added.
    #[cfg_attr(feature = "serde", serde(with = "super::snapshot::text"))]
    pub added_at: SystemTime,
    /// When it was last seen, by whatever sign.
    #[cfg_attr(feature = "serde", serde(default, with = "super::snapshot::text::option"))]
    pub last_seen_at: Option<SystemTime>,
    /// When a sync with it last ended well.
    #[cfg_attr(feature = "serde", serde(default, with = "super::snapshot::text::option"))]
    pub last_sync_ok_at: Option<SystemTime>,
    /// What went wrong last; empty if nothing did.
    #[cfg_attr(feature = "serde", serde(default))]
    pub last_error: String,
    /// How many syncs with it in a row have failed.
    #[cfg_attr(feature = "serde", serde(default))]
    pub failure_count: u32,
    /// Until when it is left alone.
    #[cfg_attr(feature = "serde", serde(default, with = "super::snapshot::text::option"))]
    pub cooldown_until: Option<SystemTime>,
    /// What people call it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub label: String,
    /// When failures and cooldown were last observed; the later of two records
    /// tells them.
    #[cfg_attr(feature = "serde", serde(default, with = "super::snapshot::text::option"))]
    pub observed_at: Option<SystemTime>,
}

impl Peer {
    /// Creates a peer to sync with, enabled and named by an operator.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Malformed`] where the URL has no scheme or no host, and
    /// [`PeerError::Credentials`] where it holds credentials.
    pub fn new(peer_url: impl Into<String>, added_at: SystemTime) -> Result<Self, PeerError> {
        let peer_url = peer_url.into();
        check(&peer_url)?;
        Ok(Self {
            bucket: Bucket::default(),
            source: Source::default(),
            role: Role::default(),
            enabled: true,
            peer_url,
            added_at,
            last_seen_at: None,
            last_sync_ok_at: None,
            last_error: String::new(),
            failure_count: 0,
            cooldown_until: None,
            label: String::new(),
            observed_at: None,
        })
    }

    /// Returns whether the peer is left alone at `now`.
    pub fn is_cooling(&self, now: SystemTime) -> bool {
        self.cooldown_until.is_some_and(|until| until > now)
    }

    /// Returns whether a sync with the peer may be tried at `now`.
    pub fn is_eligible(&self, now: SystemTime) -> bool {
        self.may_sync() && !self.is_cooling(now)
    }

    pub(super) fn may_sync(&self) -> bool {
        self.enabled && self.bucket == Bucket::Sync
    }

    /// A seed that came with the software or has proved itself.
    fn is_trusted_seed(&self) -> bool {
        self.role == Role::Seed && matches!(self.source, Source::Bundle | Source::BootstrapPromoted)
    }

    /// Takes in what another record of the same peer knows.
    fn learn(&mut self, other: Self) {
        match other.observed_at.cmp(&self.observed_at) {
            Ordering::Less => {}
            Ordering::Equal => self.cooldown_until = self.cooldown_until.max(other.cooldown_until),
            Ordering::Greater => {
                self.failure_count = other.failure_count;
                self.cooldown_until = other.cooldown_until;
                self.last_error = other.last_error;
                self.observed_at = other.observed_at;
            }
        }
        self.added_at = self.added_at.min(other.added_at);
        self.last_seen_at = self.last_seen_at.max(other.last_seen_at);
        self.last_sync_ok_at = self.last_sync_ok_at.max(other.last_sync_ok_at);
        if self.label.is_empty() {
            self.label = other.label;
        }
    }
}

/// The peers of one loop, by their URLs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerBook {
    peers: BTreeMap<String, Peer>,
    ladder: Ladder,
}

impl PeerBook {
    /// Creates an empty book with the default ladder, which each peer climbs by
    /// itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty book with a ladder of your own.
    pub fn with_ladder(ladder: Ladder) -> Self {
        Self { peers: BTreeMap::new(), ladder }
    }

    /// Adds a peer.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Duplicate`] where the book has one under that URL;
    /// otherwise as [`Peer::new`], for the URL may have been changed.
    pub fn add(&mut self, peer: Peer) -> Result<(), PeerError> {
        check(&peer.peer_url)?;
        match self.peers.entry(peer.peer_url.clone()) {
            Entry::Occupied(_) => Err(PeerError::Duplicate { peer: shown(&peer.peer_url) }),
            Entry::Vacant(place) => {
                place.insert(peer);
                Ok(())
            }
        }
    }

    /// Adds a peer, or takes in what this record of it knows.
    ///
    /// Facts that only grow take the larger: when it was seen, and synced with.
    /// Failures and cooldown come from whichever record was made later, so that a
    /// peer that has recovered is not poisoned again. What an operator sets
    /// (bucket, source, role, whether it is enabled) stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Peer::new`], for the URL may have been changed.
    pub fn merge(&mut self, peer: Peer) -> Result<(), PeerError> {
        check(&peer.peer_url)?;
        match self.peers.entry(peer.peer_url.clone()) {
            Entry::Occupied(mut known) => known.get_mut().learn(peer),
            Entry::Vacant(place) => {
                place.insert(peer);
            }
        }
        Ok(())
    }

    /// Takes a peer out, and returns what was known of it.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Unknown`] where the book has no such peer.
    pub fn remove(&mut self, peer_url: &str) -> Result<Peer, PeerError> {
        self.peers.remove(peer_url).ok_or_else(|| PeerError::Unknown { peer: shown(peer_url) })
    }

    /// Says whether a peer may be called at all.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Unknown`] where the book has no such peer.
    pub fn set_enabled(&mut self, peer_url: &str, enabled: bool) -> Result<(), PeerError> {
        self.known(peer_url)?.enabled = enabled;
        Ok(())
    }

    /// Notes that a peer was seen.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Unknown`] where the book has no such peer.
    pub fn mark_seen(&mut self, peer_url: &str, now: SystemTime) -> Result<(), PeerError> {
        let peer = self.known(peer_url)?;
        peer.last_seen_at = peer.last_seen_at.max(Some(now));
        Ok(())
    }

    /// Notes that a sync with a peer ended well: its failures are forgotten.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Unknown`] where the book has no such peer.
    pub fn mark_ok(&mut self, peer_url: &str, now: SystemTime) -> Result<(), PeerError> {
        let peer = self.known(peer_url)?;
        peer.last_seen_at = peer.last_seen_at.max(Some(now));
        peer.last_sync_ok_at = peer.last_sync_ok_at.max(Some(now));
        peer.last_error.clear();
        peer.failure_count = 0;
        peer.cooldown_until = None;
        peer.observed_at = Some(now);
        Ok(())
    }

    /// Notes that a sync with a peer failed, and how long it asked us to stay
    /// away; zero if it did not. It is left alone for the longer of that and the
    /// ladder.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Unknown`] where the book has no such peer.
    pub fn mark_failed(
        &mut self,
        peer_url: &str,
        error: &str,
        retry_after: Duration,
        now: SystemTime,
    ) -> Result<(), PeerError> {
        let ladder = self.ladder;
        let peer = self.known(peer_url)?;
        peer.failure_count = peer.failure_count.saturating_add(1);
        let wait = ladder.delay_with_hint(peer.failure_count, retry_after);
        peer.cooldown_until = peer.cooldown_until.max(Some(later(now, wait)));
        error.trim().clone_into(&mut peer.last_error);
        peer.observed_at = Some(now);
        Ok(())
    }

    /// Leaves a peer alone until then: nothing was sent, and nothing failed. A
    /// longer cooldown is kept.
    ///
    /// # Errors
    ///
    /// Returns [`PeerError::Unknown`] where the book has no such peer.
    pub fn mark_cooling(&mut self, peer_url: &str, until: SystemTime) -> Result<(), PeerError> {
        let peer = self.known(peer_url)?;
        peer.cooldown_until = peer.cooldown_until.max(Some(until));
        Ok(())
    }

    /// Returns the peers that may be synced with at `now`, the best first.
    ///
    /// The latest success comes first; then seeds that came with the software or
    /// have proved themselves; then fewer failures; then whom we know longer; then
    /// the URL.
    pub fn eligible(&self, now: SystemTime) -> Vec<&Peer> {
        let mut eligible: Vec<&Peer> =
            self.peers.values().filter(|peer| peer.is_eligible(now)).collect();
        // The book is in the order of the URLs, and the sort keeps it.
        eligible.sort_by_key(|peer| {
            (
                Reverse(peer.last_sync_ok_at),
                Reverse(peer.is_trusted_seed()),
                peer.failure_count,
                peer.added_at,
            )
        });
        eligible
    }

    /// Returns when the first peer comes free that is cooling at `now`.
    pub fn next_free(&self, now: SystemTime) -> Option<SystemTime> {
        self.peers
            .values()
            .filter(|peer| peer.may_sync() && peer.is_cooling(now))
            .filter_map(|peer| peer.cooldown_until)
            .min()
    }

    /// Returns the peer under a URL.
    pub fn peer(&self, peer_url: &str) -> Option<&Peer> {
        self.peers.get(peer_url)
    }

    /// Returns all peers in the order of their URLs.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    fn known(&mut self, peer_url: &str) -> Result<&mut Peer, PeerError> {
        self.peers.get_mut(peer_url).ok_or_else(|| PeerError::Unknown { peer: shown(peer_url) })
    }
}

/// Why a book of peers was not changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PeerError {
    /// The book has this peer already; merge the records instead.
    Duplicate {
        /// The peer, without credentials.
        peer: Upstream,
    },
    /// The book has no such peer; add it first.
    Unknown {
        /// The peer, without credentials.
        peer: Upstream,
    },
    /// The URL is none, or has no scheme or no host.
    Malformed,
    /// The URL holds `user:password@`, which would be stored and shown.
    Credentials,
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { peer } => {
                write!(f, "a peer at {peer} is in the book already, merge it instead")
            }
            Self::Unknown { peer } => write!(f, "no peer at {peer} is in the book, add it first"),
            Self::Malformed => {
                f.write_str("the peer's url needs a scheme and a host, as in https://peer.example")
            }
            Self::Credentials => {
                f.write_str("the peer's url holds credentials, send them in a header instead")
            }
        }
    }
}

impl StdError for PeerError {}

/// Returns what may be shown of a URL: who it names.
fn shown(peer_url: &str) -> Upstream {
    peer_url.parse().map_or_else(|_| Upstream::named("?"), |uri| Upstream::from_uri(&uri))
}

/// Checks that something can be called under a URL, and that it may be shown.
fn check(peer_url: &str) -> Result<(), PeerError> {
    match peer_url.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            Err(PeerError::Credentials)
        }
        Ok(uri) if uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty()) => {
            Ok(())
        }
        Ok(_) | Err(_) => Err(PeerError::Malformed),
    }
}
