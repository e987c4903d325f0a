//! What a server says of itself to clients that have to find out where to get a token (RFC 9728).

use crate::guard::authority::Authority;
use crate::token::is_scope;
use serde_json::{Map, Value};

/// Where the document is, before the resource's own path (RFC 9728, 3).
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of a protected resource (RFC 9728), which MCP asks for since 2025-06-18: who issues tokens for this server, and for which scopes.
/// See [`Settings::protected_resource`](crate::Settings::protected_resource).
///
/// ```
/// use mcp_blocking::{ProtectedResource, Settings};
///
/// let resource = ProtectedResource::new("https://mcp.example.com/mcp")
///     .authorization_server("https://auth.example.com")
///     .scope("notes:read")
///     .name("Notes");
/// let settings = Settings::new().protected_resource(resource);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "metadata do nothing until settings take them"]
pub struct ProtectedResource {
    resource: String,
    servers: Vec<String>,
    scopes: Vec<String>,
    more: Vec<(&'static str, String)>,
}

impl ProtectedResource {
    /// The server as clients know it: the absolute URL of its endpoint, `https` or on loopback `http`, in lower case, without query, fragment or a slash
    /// at its end. Tokens are issued for this (RFC 8707), so that it has to be what clients connect to.
    pub fn new(resource: impl Into<String>) -> Self {
        Self { resource: resource.into(), servers: Vec::new(), scopes: Vec::new(), more: Vec::new() }
    }

    /// An authorization server that issues tokens for this one: its issuer, as an absolute URL. At least one is needed.
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.servers.push(issuer.into());
        self
    }

    /// A scope that basic use takes; it also stands in the challenge of each 401. Name the least that is of use: clients ask for all of them.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// What people call it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.more.push(("resource_name", name.into()));
        self
    }

    /// Where developers read about it.
    pub fn documentation(mut self, url: impl Into<String>) -> Self {
        self.more.push(("resource_documentation", url.into()));
        self
    }

    /// What may be done with what it gives.
    pub fn policy(mut self, url: impl Into<String>) -> Self {
        self.more.push(("resource_policy_uri", url.into()));
        self
    }

    /// On what terms it is used.
    pub fn terms(mut self, url: impl Into<String>) -> Self {
        self.more.push(("resource_tos_uri", url.into()));
        self
    }

    /// What is wrong with it, a sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |what: &str, text: &str, problem: &str| {
            problems.push(format!("{what} `{}` {problem}", text.escape_debug()));
        };
        if let Err(problem) = check_url(&self.resource) {
            wrong("the resource", &self.resource, problem);
        }
        if self.servers.is_empty() {
            wrong("the resource", &self.resource, "has no authorization server: name one with `authorization_server`");
        }
        for server in &self.servers {
            // An issuer may end with a slash: it is compared as it is (RFC 8414, 3.3).
            if let Err(problem) = check_url(server.strip_suffix('/').unwrap_or(server)) {
                wrong("the authorization server", server, problem);
            }
        }
        for scope in &self.scopes {
            if !is_scope(scope) {
                wrong("the scope", scope, "is none (RFC 6749, 3.3: no blanks, no `\"` or `\\`)");
            } else if scope == "offline_access" {
                wrong("the scope", scope, "is the authorization server's business, not the resource's: leave it away");
            }
        }
        for (name, url) in self.more.iter().filter(|(name, _)| *name != "resource_name") {
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                wrong(name, url, "is no URL of a page");
            }
        }
        problems
    }

    /// The document.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut document = Map::new();
        let mut set = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        set("resource", self.resource.as_str().into());
        set("authorization_servers", self.servers.clone().into());
        if !self.scopes.is_empty() {
            set("scopes_supported", self.scopes.clone().into());
        }
        set("bearer_methods_supported", vec!["header"].into());
        for (name, value) in &self.more {
            set(name, value.as_str().into());
        }
        Value::Object(document).to_string().into_bytes()
    }

    /// Where the document is, as clients are told.
    pub(crate) fn url(&self) -> String {
        let (origin, path) = self.split();
        format!("{origin}{WELL_KNOWN}{path}")
    }

    /// The same, as a path: below that of the resource, and at the root.
    pub(crate) fn paths(&self) -> [String; 2] {
        [format!("{WELL_KNOWN}{}", self.split().1), WELL_KNOWN.to_owned()]
    }

    /// The scopes for the challenge.
    pub(crate) fn challenge_scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Scheme and authority, and the path: empty for the root.
    fn split(&self) -> (&str, &str) {
        let start = self.resource.find("://").map_or(0, |at| at + 3);
        let slash = self.resource.get(start..).and_then(|rest| rest.find('/')).map(|at| start + at);
        self.resource.split_at(slash.unwrap_or(self.resource.len()))
    }
}

/// Whether that is an absolute URL without more than it needs; what is wrong with it.
fn check_url(url: &str) -> Result<(), &'static str> {
    const ABSOLUTE: &str = "is no absolute URL: write it as `https://mcp.example.com/mcp`";
    let (scheme, rest) = url.split_once("://").ok_or(ABSOLUTE)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if url.contains('#') {
        return Err("has a fragment: leave it away");
    }
    if url.contains('?') {
        return Err("has a query: leave it away");
    }
    if authority.contains('@') {
        return Err("has a user name in it: leave it away");
    }
    if url.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\\' | b'<' | b'>')) {
        return Err("has characters that a URL has not: percent-encode them, and write the host's name as `xn--…`");
    }
    if scheme.bytes().chain(authority.bytes()).any(|byte| byte.is_ascii_uppercase()) {
        return Err("has capital letters in its scheme or host: clients compare it character by character");
    }
    let host = Authority::parse(authority).map_err(|_| ABSOLUTE)?;
    if path.ends_with('/') {
        return Err("has a slash at its end: leave it away");
    }
    match scheme {
        "https" => Ok(()),
        "http" if host.is_loopback() => Ok(()),
        "http" => Err("is `http` beyond loopback: tokens need `https`"),
        _ => Err("is neither `https` nor `http`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(resource: &str) -> ProtectedResource {
        ProtectedResource::new(resource).authorization_server("https://auth.example.com/").scope("a:b")
    }

    #[test]
    fn the_document_is_below_the_resource() {
        for (resource, url) in [
            ("https://a.example/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp"),
            ("https://a.example:8443", "https://a.example:8443/.well-known/oauth-protected-resource"),
            ("http://127.0.0.1:80/x/y", "http://127.0.0.1:80/.well-known/oauth-protected-resource/x/y"),
            ("http://[::1]/mcp", "http://[::1]/.well-known/oauth-protected-resource/mcp"),
        ] {
            let resource = sound(resource);
            assert_eq!(resource.problems(), [""; 0]);
            assert_eq!(resource.url(), url);
            assert!(url.ends_with(&resource.paths()[0]));
        }
    }

    #[test]
    fn what_clients_could_not_use_is_told() {
        for resource in [
            "",
            "mcp.example.com",
            "/mcp",
            "https://",
            "https:///mcp",
            "http://mcp.example.com/mcp",
            "ftp://mcp.example.com/mcp",
            "https://mcp.example.com/",
            "https://mcp.example.com/mcp/",
            "https://mcp.example.com/mcp#x",
            "https://mcp.example.com/mcp?x",
            "https://a@mcp.example.com/mcp",
            "HTTPS://mcp.example.com/mcp",
            "https://MCP.example.com/mcp",
            "https://mcp.example.com/m cp",
            "https://mcp.example.com/\"",
            "https://m\u{e9}.example/mcp",
        ] {
            assert_eq!(sound(resource).problems().len(), 1, "{resource}");
        }
        let wrong = [
            ProtectedResource::new("https://a.example"),
            sound("https://a.example").authorization_server("auth.example.com"),
            sound("https://a.example").authorization_server("http://auth.example.com"),
            sound("https://a.example").scope("a b"),
            sound("https://a.example").scope("offline_access"),
            sound("https://a.example").documentation("readme"),
        ];
        for resource in wrong {
            assert_eq!(resource.problems().len(), 1, "{resource:?}");
        }
    }
}
