//! An origin in the making: written the normal way, and not yet kept.
//!
//! It lies on the stack, so that a name which turns out to be nobody's costs
//! nothing.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;

use super::{Kind, Upstream};

/// Room for the longest host name that DNS allows, a port and a scheme.
const ROOM: usize = 272;

/// An origin that has been normalised.
pub(crate) struct Draft {
    kind: Kind,
    bytes: [u8; ROOM],
    length: usize,
    /// All of the name, where even the room is too small.
    spilled: String,
}

impl Draft {
    /// Normalises an origin: small letters, the shortest IPv6 form, no leading
    /// zeros in the port, no port where it is the scheme's, no credentials.
    #[cold]
    pub(crate) fn origin(scheme: Option<&str>, authority: &str) -> Self {
        let is = |name: &str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(name));
        let (kind, default_port) = match scheme {
            None => (Kind::Schemeless, None),
            Some(_) if is("https") => (Kind::Https, Some("443")),
            Some(_) if is("http") => (Kind::Http, Some("80")),
            Some(_) if is("wss") => (Kind::Other, Some("443")),
            Some(_) if is("ws") => (Kind::Other, Some("80")),
            Some(_) => (Kind::Other, None),
        };
        let mut draft = Self { kind, bytes: [0; ROOM], length: 0, spilled: String::new() };
        if let (Kind::Other, Some(scheme)) = (kind, scheme) {
            draft.push(scheme);
            draft.push("://");
        }
        draft.push_authority(authority, default_port);
        draft.bytes.make_ascii_lowercase();
        draft.spilled.make_ascii_lowercase();
        draft
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn text(&self) -> &str {
        if self.spilled.is_empty() {
            let bytes = self.bytes.get(..self.length).unwrap_or_default();
            // Only whole texts are ever pushed.
            return std::str::from_utf8(bytes).unwrap_or_default();
        }
        &self.spilled
    }

    /// Keeps the name.
    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::new(self.kind, self.text())
    }

    fn push_authority(&mut self, authority: &str, default_port: Option<&str>) {
        let (host, port) = without_idle_ports(without_credentials(authority), default_port);
        match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => self.push_address(address),
            None => self.push(host),
        }
        if !port.is_empty() {
            self.push(":");
            self.push(port);
        }
    }

    fn push_address(&mut self, address: &str) {
        self.push("[");
        match address.parse::<Ipv6Addr>() {
            // Writing to a draft cannot fail.
            Ok(address) => drop(write!(self, "{address}")),
            Err(_) => self.push(address),
        }
        self.push("]");
    }

    fn push(&mut self, text: &str) {
        let end = self.length.saturating_add(text.len());
        match self.bytes.get_mut(self.length..end) {
            Some(room) if self.spilled.is_empty() => {
                room.copy_from_slice(text.as_bytes());
                self.length = end;
            }
            Some(_) | None => {
                self.spilled = [self.text(), text].concat();
            }
        }
    }
}

impl Hash for Draft {
    /// As an [`Upstream`] of the same name does.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.text().as_bytes());
    }
}

impl fmt::Write for Draft {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// Cuts `user:password@`.
fn without_credentials(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Splits the port off; without one it is empty.
pub(super) fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        Some(_) | None => (host, ""),
    }
}

/// Splits the port off, where it is there and not the scheme's own; those that mean
/// nothing are cut, all of them, so that a normal name stays as it is.
fn without_idle_ports<'a>(mut host: &'a str, default: Option<&str>) -> (&'a str, &'a str) {
    loop {
        let (rest, port) = split_port(host);
        let port = without_leading_zeros(port);
        if rest.len() == host.len() {
            return (host, "");
        }
        if !port.is_empty() && Some(port) != default {
            return (rest, port);
        }
        host = rest;
    }
}

/// Cuts leading zeros, but leaves a zero that stands by itself.
fn without_leading_zeros(port: &str) -> &str {
    match port.trim_start_matches('0') {
        "" if !port.is_empty() => "0",
        port => port,
    }
}
