//! Which upstream a request goes to: ready-made keys, and your own.
//!
//! The default is the origin. Choose a finer key where the upstream counts by
//! more than that (an API key, a route), a coarser one where it counts by less
//! (every scheme and port of a host). A key does not wait, count or look at
//! bodies; it only names.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use http::header::{HOST, HeaderName};
use http::uri::Authority;
use http::{Extensions, HeaderMap, Uri};
use sha2::{Digest, Sha256};

use crate::upstream::{Kind, Upstream};

/// The head of a request, as a key sees it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: Option<&'a Extensions>,
}

impl<'a> Head<'a> {
    /// Creates a head.
    pub const fn new(
        uri: &'a Uri,
        headers: &'a HeaderMap,
        extensions: Option<&'a Extensions>,
    ) -> Self {
        Self { uri, headers, extensions }
    }

    /// Returns the URI.
    pub const fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the extensions, where the request has them.
    pub const fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// Returns the request's origin, as the layer names it by default.
    ///
    /// Where the URI has no authority, the `Host` header tells; where there is
    /// none either, the request goes to the one upstream that has no name.
    pub fn origin(&self) -> Upstream {
        let authority = self.uri.authority().map(Authority::as_str);
        origin(self.uri.scheme_str(), authority, self.headers)
    }
}

impl fmt::Debug for Head<'_> {
    /// Shows nothing of the request: URI and headers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").finish_non_exhaustive()
    }
}

/// Names the origin, from the URI or else from the `Host` header.
#[inline]
pub(crate) fn origin(
    scheme: Option<&str>,
    authority: Option<&str>,
    headers: &HeaderMap,
) -> Upstream {
    match authority.filter(|authority| !authority.is_empty()).or_else(|| host(headers)) {
        Some(authority) => Upstream::origin(scheme, authority),
        None => Upstream::unnamed(),
    }
}

/// Returns what the `Host` header says, where it is readable.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    Some(host).filter(|host| !host.is_empty())
}

/// Names the upstream of a request.
///
/// Each layer that uses it calls it once for each call, outside of all locks.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use tower_retry_after::Upstream;
/// use tower_retry_after::key::{Head, Key};
///
/// /// All hosts of a provider count as one.
/// struct ByProvider;
///
/// impl Key for ByProvider {
///     fn upstream(&self, head: &Head<'_>) -> Upstream {
///         match head.uri().host().and_then(|host| host.split_once('.')) {
///             Some((_, "provider.example")) => Upstream::named("provider.example"),
///             _ => head.origin(),
///         }
///     }
/// }
///
/// let headers = HeaderMap::new();
/// let name = |uri| ByProvider.upstream(&Head::new(&Uri::from_static(uri), &headers, None));
/// assert_eq!(name("https://eu.provider.example/"), name("https://us.provider.example/"));
/// assert_ne!(name("https://eu.example/"), name("https://us.example/"));
/// ```
pub trait Key: Send + Sync + 'static {
    /// Returns who the request goes to, as far as limits go.
    fn upstream(&self, head: &Head<'_>) -> Upstream;
}

/// Makes a key of a function.
///
/// ```
/// use tower_retry_after::{RetryAfterBackoffLayer, Upstream, key};
///
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// let layer = RetryAfterBackoffLayer::builder()
///     .upstream_key(key::from_fn(|head| {
///         match head.extensions().and_then(|extensions| extensions.get::<Tenant>()) {
///             Some(Tenant(name)) => Upstream::named(name),
///             None => head.origin(),
///         }
///     }))
///     .build();
/// # let _ = layer;
/// ```
pub fn from_fn<F>(function: F) -> FromFn<F>
where
    F: Fn(&Head<'_>) -> Upstream + Send + Sync + 'static,
{
    FromFn { function }
}

/// A key made of a function, by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    function: F,
}

impl<F> Key for FromFn<F>
where
    F: Fn(&Head<'_>) -> Upstream + Send + Sync + 'static,
{
    fn upstream(&self, head: &Head<'_>) -> Upstream {
        (self.function)(head)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// Keeps origins apart: for keys that build on it.
///
/// A layer does so by default. Passed as a key, it differs in one thing: a client
/// that follows redirects by itself is then charged where it asked, and not where
/// it was refused.
pub fn by_origin() -> ByOrigin {
    ByOrigin(())
}

/// The key made by [`by_origin`].
#[derive(Clone, Copy, Debug)]
pub struct ByOrigin(());

impl Key for ByOrigin {
    fn upstream(&self, head: &Head<'_>) -> Upstream {
        head.origin()
    }
}

/// Keeps hosts apart: every scheme and port of a host is one upstream.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use tower_retry_after::key::{self, Head, Key};
///
/// let headers = HeaderMap::new();
/// let [plain, secure] = [
///     Uri::from_static("http://api.example:8080/"),
///     Uri::from_static("https://api.example/"),
/// ];
/// let key = key::by_host();
///
/// assert_eq!(
///     key.upstream(&Head::new(&plain, &headers, None)),
///     key.upstream(&Head::new(&secure, &headers, None)),
/// );
/// ```
pub fn by_host() -> ByHost {
    ByHost(())
}

/// The key made by [`by_host`].
#[derive(Clone, Copy, Debug)]
pub struct ByHost(());

impl Key for ByHost {
    fn upstream(&self, head: &Head<'_>) -> Upstream {
        let origin = head.origin();
        match origin.host() {
            Some(host) => Upstream::new(Kind::Host, host),
            None => origin,
        }
    }
}

/// Keeps the parts of an origin apart that are limited by themselves.
///
/// A request belongs to the longest of the `prefixes` that its path starts with,
/// in whole segments; every other request belongs to the origin.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use tower_retry_after::key::{self, Head, Key};
///
/// let key = key::by_path_prefix(["/search"]);
/// let name = |uri: &'static str| {
///     key.upstream(&Head::new(&Uri::from_static(uri), &HeaderMap::new(), None)).to_string()
/// };
///
/// assert_eq!(name("https://api.example/search/code?q=rust"), "https://api.example/search");
/// assert_eq!(name("https://api.example/searches"), "https://api.example");
/// ```
pub fn by_path_prefix<P>(prefixes: impl IntoIterator<Item = P>) -> ByPathPrefix
where
    P: AsRef<str>,
{
    let mut prefixes: Vec<Box<str>> =
        prefixes.into_iter().map(|prefix| Box::from(prefix.as_ref().trim_matches('/'))).collect();
    prefixes.retain(|prefix| !prefix.is_empty());
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    ByPathPrefix { prefixes: prefixes.into() }
}

/// The key made by [`by_path_prefix`].
#[derive(Clone, Debug)]
pub struct ByPathPrefix {
    /// Without slashes at the ends, the longest first.
    prefixes: Arc<[Box<str>]>,
}

impl Key for ByPathPrefix {
    fn upstream(&self, head: &Head<'_>) -> Upstream {
        let origin = head.origin();
        let path = head.uri.path().trim_start_matches('/');
        let prefix = self.prefixes.iter().find(|prefix| {
            path.strip_prefix(&***prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        match prefix {
            Some(prefix) => Upstream::new(Kind::Part, &format!("{origin}/{prefix}")),
            None => origin,
        }
    }
}

/// Keeps the values of a header apart, within each origin: API keys, tenants.
///
/// The value is never kept or shown; what is kept is 128 bits of its SHA-256,
/// salted. Without a salt of yours the salt is random and this process's own:
/// then such upstreams are neither stored nor shared, for nobody else could
/// find them. Requests without the header belong to the origin. Of several
/// lines of the header, all count.
///
/// ```
/// use http::header::AUTHORIZATION;
/// use tower_retry_after::{RetryAfterBackoffLayer, key};
///
/// let layer = RetryAfterBackoffLayer::builder()
///     .upstream_key(key::by_header(AUTHORIZATION).salt("one salt for the whole fleet"))
///     .build();
/// # let _ = layer;
/// ```
pub fn by_header(name: HeaderName) -> ByHeader {
    let salt = crate::ambient::salt().into();
    ByHeader { name, salt, kind: Kind::Ephemeral }
}

/// The key made by [`by_header`].
#[derive(Clone)]
pub struct ByHeader {
    name: HeaderName,
    salt: Arc<[u8]>,
    kind: Kind,
}

/// How much of the hash is kept: 128 bits, so that no two of all the keys that
/// ever were will meet by chance, and a name still fits into a log line.
const DIGEST_BYTES: usize = 16;

impl ByHeader {
    /// Sets the salt, so that other processes with the same one mean the same
    /// upstreams. Keep it as secret as the values.
    #[must_use]
    pub fn salt(self, salt: impl AsRef<[u8]>) -> Self {
        Self { salt: salt.as_ref().into(), kind: Kind::Salted, ..self }
    }
}

impl Key for ByHeader {
    fn upstream(&self, head: &Head<'_>) -> Upstream {
        let origin = head.origin();
        let mut hash = Sha256::new();
        // Every part is preceded by its length, so that no two sequences of
        // parts read alike.
        let mut add = |part: &[u8]| {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        };
        add(&self.salt);
        let mut values = head.headers.get_all(&self.name).iter().peekable();
        if values.peek().is_none() {
            return origin;
        }
        values.for_each(|value| add(value.as_bytes()));
        let digest = hash.finalize();
        let mut text = format!("{origin}#{}:", self.name);
        for byte in digest.iter().take(DIGEST_BYTES) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Upstream::new(self.kind, &text)
    }
}

impl fmt::Debug for ByHeader {
    /// Leaves the salt out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
