//! Is this `Host` ours, and may this `Origin` drive it?
//!
//! Two checks against web pages. **`Host`**: with DNS rebinding a page's own name comes to
//! point at 127.0.0.1, and the browser then sends requests that look local, but with that
//! name in `Host` (RFC 9110, 7.2). **`Origin`**: browsers send WebSocket handshakes and plain
//! POSTs across origins without asking; only this header tells (RFC 6454, RFC 6455, 10.2).
//! MCP 2025-11-25 and later: foreign `Origin` → 403. Neither check replaces the other
//! (RUSTSEC-2026-0140), so both are always on.

use std::fmt;

use super::authority::{Authority, AuthorityError, Host};
use super::config::ConfigError;
use super::text::Escaped;
use crate::http::head::Head;
use crate::http::refusal::Refusal;

/// Names under which nobody can register a domain of his own, so that a wildcard directly
/// below them makes sense (RFC 6761, RFC 6762, ICANN 2024 for `internal`).
const PRIVATE_SUFFIXES: [&str; 4] = ["localhost", "local", "internal", "test"];

/// Which values of `Host` are ours.
///
/// Loopback names and addresses always are; everything else is named by the author with
/// [`allow`](Self::allow). An empty list means "loopback only", not "any".
#[derive(Debug, Clone, Default)]
pub(crate) struct HostPolicy {
    /// The hosts named by the author.
    pub allowed: Vec<HostPattern>,
}

impl HostPolicy {
    /// Adds a pattern; see [`HostPattern::parse`].
    ///
    /// # Errors
    ///
    /// The pattern cannot be read; the error says what to write instead.
    pub(crate) fn allow(&mut self, pattern: &str) -> Result<(), ConfigError> {
        self.allowed.push(HostPattern::parse(pattern)?);
        Ok(())
    }

    /// Whether `authority` is ours.
    #[must_use]
    pub(crate) fn allows(&self, authority: &Authority) -> bool {
        authority.is_loopback() || self.allowed.iter().any(|pattern| pattern.matches(authority))
    }

    /// Checks the `Host` header.
    ///
    /// # Errors
    ///
    /// 400 if it is missing, doubled or malformed (RFC 9112, 3.2), 403 if it is not ours.
    pub(crate) fn check_host(&self, head: &Head) -> Result<Authority, Refusal> {
        let bad = |reason: String| Refusal::new(400, "host", reason);
        let mut values = head.values("host");
        let value = values.next().ok_or_else(|| bad("send a Host header".to_owned()))?;
        if values.next().is_some() {
            return Err(bad("send one Host header only".to_owned()));
        }
        let authority = parse_bytes(value)
            .map_err(|error| bad(format!("the Host header {} is malformed: {error}", Quoted(value))))?;
        if self.allows(&authority) {
            return Ok(authority);
        }
        Err(Refusal::new(
            403,
            "host",
            format!(
                "this server does not answer to the host {shown}; if it should: allow_host(\"{shown}\")",
                shown = Escaped::short(&authority.to_string()),
            ),
        ))
    }
}

/// One host named by the author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPattern {
    authority: Authority,
    subdomains: bool,
}

impl HostPattern {
    const SETTING: &'static str = "allow_host";

    /// Reads `example.com`, `example.com:8443`, `192.168.1.5`, `[fd00::1]:80`, `*.example.com`.
    ///
    /// Without a port every port matches. With port 80 or 443 a `Host` without a port
    /// matches too, since clients leave out the default port. `*.` stands for one or more whole
    /// labels; the bare name is not part of it.
    ///
    /// # Errors
    ///
    /// The pattern cannot be read, or its wildcard covers a public suffix of one label.
    pub(crate) fn parse(pattern: &str) -> Result<Self, ConfigError> {
        let wrong =
            |problem: &str| ConfigError::new(Self::SETTING, format!("{} {problem}", Quoted(pattern.as_bytes())));
        if pattern.contains("://") {
            return Err(wrong("has a scheme: write the host only, such as `example.com` or `example.com:8443`"));
        }
        if pattern.contains('/') {
            return Err(wrong("has a path: write the host only, such as `example.com`"));
        }
        let (authority, subdomains) = parse_pattern(pattern).map_err(|problem| wrong(&problem))?;
        Ok(Self { authority, subdomains })
    }

    /// Whether it has a wildcard.
    pub(crate) const fn covers_subdomains(&self) -> bool {
        self.subdomains
    }

    /// Whether `authority`, as a client sent it in `Host`, is meant by this pattern.
    #[must_use]
    pub(crate) fn matches(&self, authority: &Authority) -> bool {
        let port = match (self.authority.port, authority.port) {
            (None, _) | (Some(80 | 443), None) => true,
            (Some(own), Some(port)) => own == port,
            (Some(_), None) => false,
        };
        port && host_matches(&self.authority.host, self.subdomains, &authority.host)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.subdomains { "*." } else { "" }, self.authority)
    }
}

/// The origin of a web page (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `null`: a sandboxed frame, a `file:` or `data:` page, a redirect. Anyone can make one.
    Null,
    /// A scheme with a host and a port.
    Site {
        /// The scheme in lower case; not only `http` and `https`, since browser extensions and
        /// desktop shells have their own.
        scheme: String,
        /// Host and port as written.
        authority: Authority,
    },
}

impl Origin {
    /// Reads the value of an `Origin` header: exactly `null`, or `scheme://host[:port]`
    /// without path, query or a second origin.
    ///
    /// # Errors
    ///
    /// What is odd about the text.
    pub(crate) fn parse(text: &str) -> Result<Self, AuthorityError> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let (scheme, authority) = split_scheme(text).ok_or(AuthorityError::Empty)?;
        Ok(Self::Site { scheme, authority: Authority::parse(authority)? })
    }

    /// Whether both are the same: the scheme's own port may be named or not.
    pub(crate) fn is(&self, other: &Self) -> bool {
        OriginPattern { origin: self.clone(), subdomains: false }.matches(other)
    }

    /// Whether this page came from the very host and port that it now talks to.
    ///
    /// `Host` without a port means the default port of the page's scheme. With
    /// `over_tls` only `https` pages can be the same origin.
    fn is_same_as(&self, host: &Authority, over_tls: bool) -> bool {
        let Self::Site { scheme, authority } = self else { return false };
        let default = match scheme.as_str() {
            "https" => 443,
            "http" if !over_tls => 80,
            _ => return false,
        };
        authority.host == host.host && authority.port.unwrap_or(default) == host.port.unwrap_or(default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Site { scheme, authority } => write!(f, "{scheme}://{authority}"),
        }
    }
}

/// Which pages may drive the server.
///
/// A request without `Origin` passes: it does not come from a web page's script. One with
/// `Origin` passes if the page came from this server itself (same host and port as in `Host`)
/// or is named by the author. A page of another local port is foreign.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginPolicy {
    /// The origins named by the author.
    pub allowed: Vec<OriginPattern>,
    /// Whether the listener speaks TLS, or a proxy in front of it. Then an `http` page of the same name is foreign:
    /// whoever sits on the network can forge one.
    pub over_tls: bool,
}

impl OriginPolicy {
    /// Adds a pattern; see [`OriginPattern::parse`].
    ///
    /// # Errors
    ///
    /// The pattern cannot be read; the error says what to write instead.
    pub(crate) fn allow(&mut self, pattern: &str) -> Result<(), ConfigError> {
        self.allowed.push(OriginPattern::parse(pattern)?);
        Ok(())
    }

    /// Whether a page of `origin` may talk to `host`.
    #[must_use]
    pub(crate) fn allows(&self, origin: &Origin, host: &Authority) -> bool {
        origin.is_same_as(host, self.over_tls) || self.allowed.iter().any(|pattern| pattern.matches(origin))
    }

    /// Checks the `Origin` header; `host` is what [`HostPolicy::check_host`] returned.
    ///
    /// # Errors
    ///
    /// 400 for several `Origin` headers, 403 for a malformed or foreign one.
    pub(crate) fn check_origin(&self, head: &Head, host: &Authority) -> Result<Option<Origin>, Refusal> {
        let mut values = head.values("origin");
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Refusal::new(400, "origin", "send one Origin header only"));
        }
        let origin = std::str::from_utf8(value)
            .ok()
            .and_then(|text| Origin::parse(text).ok())
            .ok_or_else(|| Refusal::new(403, "origin", format!("the Origin header {} is malformed", Quoted(value))))?;
        if self.allows(&origin, host) {
            return Ok(Some(origin));
        }
        Err(Refusal::new(
            403,
            "origin",
            format!(
                "pages of {shown} may not use this server; if they should: allow_origin(\"{shown}\")",
                shown = Escaped::short(&origin.to_string()),
            ),
        ))
    }
}

/// One origin named by the author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginPattern {
    origin: Origin,
    subdomains: bool,
}

impl OriginPattern {
    const SETTING: &'static str = "allow_origin";

    /// Reads `https://app.example.com`, `http://localhost:3000`, `https://*.example.com`,
    /// `null`, and other schemes such as `chrome-extension://…`.
    ///
    /// Scheme, host and port must match exactly; without a port the default one of the
    /// scheme is meant, as in a browser. `*.` stands for one or more whole labels.
    ///
    /// # Errors
    ///
    /// The pattern cannot be read, or its wildcard covers a public suffix of one label.
    pub(crate) fn parse(pattern: &str) -> Result<Self, ConfigError> {
        let wrong =
            |problem: &str| ConfigError::new(Self::SETTING, format!("{} {problem}", Quoted(pattern.as_bytes())));
        if pattern == "null" {
            return Ok(Self { origin: Origin::Null, subdomains: false });
        }
        if pattern == "*" {
            return Err(wrong("would let every web page drive this server: name the origins"));
        }
        let (scheme, rest) = split_scheme(pattern)
            .ok_or_else(|| wrong("has no scheme: write the whole origin, such as `https://app.example.com`"))?;
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("has a path: an origin ends after host and port, without a slash"));
        }
        let (authority, subdomains) = parse_pattern(rest).map_err(|problem| wrong(&problem))?;
        Ok(Self { origin: Origin::Site { scheme, authority }, subdomains })
    }

    /// Whether it has a wildcard.
    pub(crate) const fn covers_subdomains(&self) -> bool {
        self.subdomains
    }

    /// Whether it is `null`, which any page can be.
    pub(crate) fn is_null(&self) -> bool {
        self.origin == Origin::Null
    }

    /// Whether its pages come over a network without TLS.
    pub(crate) fn is_plain_beyond_loopback(&self) -> bool {
        matches!(&self.origin, Origin::Site { scheme, authority } if scheme == "http" && !authority.is_loopback())
    }

    /// Whether `origin` is meant by this pattern.
    #[must_use]
    pub(crate) fn matches(&self, origin: &Origin) -> bool {
        match (&self.origin, origin) {
            (Origin::Null, Origin::Null) => true,
            (Origin::Site { scheme: own_scheme, authority: own }, Origin::Site { scheme, authority }) => {
                own_scheme == scheme
                    && own.port.or(default_port(own_scheme)) == authority.port.or(default_port(scheme))
                    && host_matches(&own.host, self.subdomains, &authority.host)
            }
            _ => false,
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Site { scheme, authority } if self.subdomains => write!(f, "{scheme}://*.{authority}"),
            origin => origin.fmt(f),
        }
    }
}

/// A peer's or an author's text, escaped, cut, between backticks.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Escaped::short(self.0))
    }
}

fn parse_bytes(value: &[u8]) -> Result<Authority, AuthorityError> {
    std::str::from_utf8(value).map_err(|_| AuthorityError::NotAscii).and_then(Authority::parse)
}

/// Splits `scheme://rest`; the scheme in lower case (RFC 3986, 3.1).
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    (plain && scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()))
        .then(|| (scheme.to_ascii_lowercase(), rest))
}

/// Reads `[*.]authority`.
fn parse_pattern(pattern: &str) -> Result<(Authority, bool), String> {
    let subdomains = pattern.starts_with("*.");
    let rest = pattern.strip_prefix("*.").unwrap_or(pattern);
    if rest.contains('*') {
        return Err("has a `*` that is not a whole first label: write `*.example.com`, or name each host".to_owned());
    }
    let authority = Authority::parse(rest).map_err(|error| format!("is not a host: {error}"))?;
    if subdomains {
        match &authority.host {
            Host::Name(name) if name.contains('.') || PRIVATE_SUFFIXES.contains(&name.as_str()) => {}
            Host::Name(_) => return Err("covers a whole top-level domain: name a domain of yours below it".to_owned()),
            Host::V4(_) | Host::V6(_) => {
                return Err("has a wildcard before an address: addresses have no subdomains".to_owned());
            }
        }
    }
    Ok((authority, subdomains))
}

fn host_matches(own: &Host, subdomains: bool, host: &Host) -> bool {
    match own {
        Host::Name(name) if subdomains => host.is_below(name),
        _ => own == host,
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
