//! Who a request goes to, as far as limits go.
//!
//! A name is normalised once, compared by its bytes, and short enough to be
//! copied: most stand in the value itself, so that telling a caller which
//! upstream is cooling costs no allocation and no shared count.

mod draft;

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::Uri;

pub(crate) use self::draft::Draft;

/// The longest name that stands in the value itself.
///
/// With it an `Upstream` is 48 bytes. Host and port of nearly every public API
/// fit; longer names are shared.
const INLINE: usize = 46;

/// Who a request goes to, as far as limits go: by default an origin.
///
/// An origin is scheme, host and port. It is normalised: case and default port
/// do not count, `user:password@` is cut and never kept, IPv6 addresses are
/// written the short way. Internationalised names are taken as they are given.
///
/// ```
/// use http::Uri;
/// use tower_retry_after::Upstream;
///
/// let uri = Uri::from_static("https://me:secret@API.example:443/v1/items");
/// let upstream = Upstream::from_uri(&uri);
///
/// assert_eq!(upstream.to_string(), "https://api.example");
/// assert_eq!(upstream, Upstream::from_uri(&Uri::from_static("https://api.example/v2")));
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Upstream {
    name: Name,
}

#[derive(Clone, Eq, PartialEq)]
enum Name {
    /// Padded with zeros, so that equality is that of the bytes.
    Inline {
        kind: Kind,
        length: u8,
        text: [u8; INLINE],
    },
    Shared {
        kind: Kind,
        text: Arc<str>,
    },
}

/// What a name means. Names of different kinds are never equal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Host and port behind `http://`.
    Http,
    /// Host and port behind `https://`.
    Https,
    /// Scheme, host and port, for every other scheme.
    Other,
    /// Host and port, for requests that tell no scheme.
    Schemeless,
    /// A request that tells no host either.
    Unnamed,
    /// A host by itself, whatever scheme and port.
    Host,
    /// A part of an origin that is limited by itself.
    Part,
    /// A part of an origin by a secret, hashed with the user's salt.
    Salted,
    /// The same with this process's own salt: means nothing to other processes.
    Ephemeral,
    /// A name of the user's own.
    Named,
}

impl Upstream {
    /// Returns the origin that a URI names.
    ///
    /// A URI without a scheme (as in `CONNECT`) names `//host:port`, an upstream
    /// of its own; one without an authority, a single upstream that has no name.
    pub fn from_uri(uri: &Uri) -> Self {
        match uri.authority() {
            Some(authority) => Self::origin(uri.scheme_str(), authority.as_str()),
            None => Self::unnamed(),
        }
    }

    /// Creates an upstream of your own naming: a tenant, a route, a pool.
    ///
    /// It is never equal to an origin, whatever the name.
    ///
    /// ```
    /// use http::Uri;
    /// use tower_retry_after::Upstream;
    ///
    /// let named = Upstream::named("https://api.example");
    /// assert_ne!(named, Upstream::from_uri(&Uri::from_static("https://api.example")));
    /// ```
    pub fn named(name: impl AsRef<str>) -> Self {
        Self::new(Kind::Named, name.as_ref())
    }

    /// The upstream of requests that do not tell where they go.
    pub(crate) fn unnamed() -> Self {
        Self::new(Kind::Unnamed, "")
    }

    /// Normalises an origin. `authority` may hold credentials; they are cut.
    #[inline]
    pub(crate) fn origin(scheme: Option<&str>, authority: &str) -> Self {
        match Self::plain(scheme, authority) {
            Some(plain) => plain,
            None => Draft::origin(scheme, authority).upstream(),
        }
    }

    /// Keeps an authority that is normal already: nearly every one is a host by
    /// itself, in small letters.
    #[inline]
    pub(crate) fn plain(scheme: Option<&str>, host: &str) -> Option<Self> {
        let kind = match scheme {
            Some("https") => Kind::Https,
            Some("http") => Kind::Http,
            None => Kind::Schemeless,
            Some(_) => return None,
        };
        let mut text = [0; INLINE];
        text.get_mut(..host.len())?.copy_from_slice(host.as_bytes());
        // Capitals, `:`, `@` and `[` stand in one range. All of the array is
        // looked at, without a branch: so the compiler takes many at once.
        let odd = text.iter().fold(0, |odd, byte| odd | u8::from(matches!(byte, b':'..=b'[')));
        if odd != 0 {
            return None;
        }
        let length = u8::try_from(host.len()).ok()?;
        Some(Self { name: Name::Inline { kind, length, text } })
    }

    /// Keeps a name as it is.
    pub(crate) fn new(kind: Kind, text: &str) -> Self {
        Self::inline(kind, text.as_bytes())
            .unwrap_or_else(|| Self { name: Name::Shared { kind, text: Arc::from(text) } })
    }

    fn inline(kind: Kind, text: &[u8]) -> Option<Self> {
        let mut inline = [0; INLINE];
        inline.get_mut(..text.len())?.copy_from_slice(text);
        let length = u8::try_from(text.len()).ok()?;
        Some(Self { name: Name::Inline { kind, length, text: inline } })
    }

    /// Returns the host by itself, for origins.
    pub(crate) fn host(&self) -> Option<&str> {
        let origin = match self.kind() {
            Kind::Http | Kind::Https | Kind::Schemeless => self.text(),
            Kind::Other => self.text().split_once("://")?.1,
            Kind::Unnamed
            | Kind::Host
            | Kind::Part
            | Kind::Salted
            | Kind::Ephemeral
            | Kind::Named => {
                return None;
            }
        };
        Some(draft::split_port(origin).0)
    }

    /// Returns whether this is the name that was drafted.
    pub(crate) fn is(&self, draft: &Draft) -> bool {
        self.kind() == draft.kind() && self.text() == draft.text()
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.name {
            Name::Inline { kind, .. } | Name::Shared { kind, .. } => kind,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.name {
            Name::Inline { length, text, .. } => text.get(..usize::from(*length)).unwrap_or(text),
            Name::Shared { text, .. } => text.as_bytes(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        // Only whole texts are ever stored.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

impl Hash for Upstream {
    /// The kind is left out: equal texts of two kinds are rare, and a collision
    /// is no error.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.bytes());
    }
}

impl fmt::Display for Upstream {
    /// Shows the origin as in a URI, every other name as it was given; what is not
    /// printable is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind() {
            Kind::Http => "http://",
            Kind::Https => "https://",
            Kind::Schemeless => "//",
            Kind::Unnamed => "(unnamed)",
            Kind::Other
            | Kind::Host
            | Kind::Part
            | Kind::Salted
            | Kind::Ephemeral
            | Kind::Named => "",
        })?;
        for symbol in self.text().chars() {
            match symbol {
                // Escaped in code, harmless in a log.
                '"' | '\'' | '\\' => f.write_char(symbol)?,
                _ => write!(f, "{}", symbol.escape_debug())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({self})")
    }
}

#[cfg(test)]
mod tests;
