//! What does a server say to a caller that has to authenticate, or to bring more?
//!
//! RFC 6750, 3; where to find out how, RFC 9728, 5.1. One place, so that all refusals say the same.

use super::bearer::REALM;
use crate::http::refusal::Refusal;
use crate::principal::{Principal, RightEnded};
use std::time::SystemTime;

/// The challenge of a `WWW-Authenticate` header, for one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Where the server's metadata are, if it has some.
    pub(crate) metadata: Option<String>,
    /// The scopes that a caller needs for anything at all; may be empty.
    pub(crate) scopes: Vec<String>,
}

impl Challenge {
    /// 401 for who has brought no credentials: no `error` then (RFC 6750, 3.1).
    pub(crate) fn missing(&self, reason: impl Into<String>) -> Refusal {
        self.refusal(401, reason, None, &self.scopes)
    }

    /// 401 for who has brought some that do not count, or do not count any more.
    pub(crate) fn invalid(&self, reason: impl Into<String>) -> Refusal {
        self.refusal(401, reason, Some("invalid_token"), &self.scopes)
    }

    /// 401 for whose right to be here has ended.
    pub(crate) fn ended(&self, principal: &Principal, ended: RightEnded) -> Refusal {
        let mut refusal = self.invalid(ended.reason());
        refusal.label = ended.label();
        let (token, id) = (principal.token_name(), principal.id());
        refusal.about = Some(token.map_or_else(|| id.to_owned(), |token| format!("{id} (token {token})")));
        refusal
    }

    /// Whether that caller may be here at that time.
    pub(crate) fn still_valid(&self, principal: &Principal, now: SystemTime) -> Result<(), Refusal> {
        principal.ended(now).map_or(Ok(()), |ended| Err(self.ended(principal, ended)))
    }

    /// What to say with 403 to a caller whose scopes do not suffice: all that the operation needs, at once.
    pub(crate) fn insufficient<S: AsRef<str>>(&self, scopes: &[S]) -> String {
        self.header(Some("insufficient_scope"), scopes)
    }

    fn refusal(
        &self,
        status: u16,
        reason: impl Into<String>,
        error: Option<&str>,
        scopes: &[impl AsRef<str>],
    ) -> Refusal {
        Refusal::new(status, "auth", reason).header("WWW-Authenticate", self.header(error, scopes))
    }

    fn header(&self, error: Option<&str>, scopes: &[impl AsRef<str>]) -> String {
        let mut text = REALM.to_owned();
        let mut add = |name: &str, value: &str| text.push_str(&format!(", {name}=\"{value}\""));
        if let Some(error) = error {
            add("error", error);
        }
        if !scopes.is_empty() {
            add("scope", &scopes.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "));
        }
        if let Some(metadata) = &self.metadata {
            add("resource_metadata", metadata);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_helps() {
        let plain = Challenge::default();
        let header = |refusal: Refusal| refusal.headers.into_iter().next().unwrap().1;
        assert_eq!(header(plain.missing("")), "Bearer realm=\"mcp\"");
        assert_eq!(header(plain.invalid("")), "Bearer realm=\"mcp\", error=\"invalid_token\"");
        let full = Challenge { metadata: Some("https://a.example/m".to_owned()), scopes: vec!["read".to_owned()] };
        assert_eq!(
            header(full.missing("")),
            "Bearer realm=\"mcp\", scope=\"read\", resource_metadata=\"https://a.example/m\""
        );
        assert_eq!(
            full.insufficient(&["read", "write"]),
            "Bearer realm=\"mcp\", error=\"insufficient_scope\", scope=\"read write\", resource_metadata=\"https://a.example/m\""
        );
    }
}
