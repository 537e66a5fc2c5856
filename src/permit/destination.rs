//! Where a call went, kept until somebody asks.
//!
//! Nothing here is looked up, and nothing is named before it has to be.

use http::uri::Authority;

use crate::key;
use crate::message::Outgoing;
use crate::upstream::Upstream;

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
    pub(super) fn of(scheme: Option<&str>) -> Option<Self> {
        match scheme {
            Some("https") => Some(Self::Https),
            Some("http") => Some(Self::Http),
            Some(_) => None,
            None => Some(Self::None),
        }
    }

    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Http => Some("http"),
            Self::Https => Some("https"),
        }
    }
}

impl Destination {
    #[inline]
    pub(super) fn copy<R: Outgoing>(request: &R) -> Option<Self> {
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
