//! Which credential does a browser's WebSocket bring along?
//!
//! A page cannot set headers of a handshake, only offer subprotocols. So one of those carries a one-time ticket
//! (`mcp.ticket.<ticket>`) or, where that is allowed, a token: `mcp.auth.<token>` for one that can stand there as it is, or
//! `mcp.auth64.<token in base64url without padding>` for one with `/` or `=`. The answer never repeats it: it names the server's own subprotocol.

use super::bearer::is_b64token;
use data_encoding::BASE64URL_NOPAD;
use std::borrow::Cow;

/// How an entry begins that carries a ticket.
pub(crate) const TICKET: &str = "mcp.ticket.";
/// How one begins that carries a token as it is.
const TOKEN: &str = "mcp.auth.";
/// How one begins that carries it encoded.
const ENCODED_TOKEN: &str = "mcp.auth64.";

/// A credential among the offered subprotocols.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Offer<'a> {
    Nothing,
    Ticket(&'a str),
    Token(Cow<'a, str>),
    /// More than one, or one that cannot be read.
    Garbage,
}

/// Looks for a credential among offered subprotocols.
pub(crate) fn find<'a>(offered: impl Iterator<Item = &'a str>) -> Offer<'a> {
    let mut found = Offer::Nothing;
    for entry in offered {
        let one = match entry.strip_prefix(TICKET) {
            Some(ticket) if is_ticket(ticket) => Offer::Ticket(ticket),
            Some(_) => Offer::Garbage,
            None => match token(entry) {
                None => continue,
                Some(Some(token)) => Offer::Token(token),
                Some(None) => Offer::Garbage,
            },
        };
        if found != Offer::Nothing {
            return Offer::Garbage;
        }
        found = one;
    }
    found
}

/// `None` if the entry carries no token, `Some(None)` if it should and does not.
fn token(entry: &str) -> Option<Option<Cow<'_, str>>> {
    if let Some(plain) = entry.strip_prefix(TOKEN) {
        return Some(is_b64token(plain).then_some(Cow::Borrowed(plain)));
    }
    let encoded = entry.strip_prefix(ENCODED_TOKEN)?;
    let token = BASE64URL_NOPAD.decode(encoded.as_bytes()).ok().and_then(|token| String::from_utf8(token).ok());
    Some(token.filter(|token| is_b64token(token)).map(Cow::Owned))
}

/// What the tickets of this server look like, and some others.
fn is_ticket(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl std::fmt::Debug for Offer<'_> {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Ticket(_) => "Ticket",
            Self::Token(_) => "Token",
            Self::Garbage => "Garbage",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offered: &str) -> Offer<'_> {
        find(offered.split(", "))
    }

    #[test]
    fn one_credential_is_found_wherever_it_stands() {
        let token = |text: &'static str| Offer::Token(Cow::Borrowed(text));
        for (offered, expected) in [
            ("mcp", Offer::Nothing),
            ("mcp, mcp.version.2025-11-25", Offer::Nothing),
            ("mcp, mcp.ticket.0123456789abcdef-_", Offer::Ticket("0123456789abcdef-_")),
            ("mcp.auth.eyJ.a-b_c~d+e, mcp", token("eyJ.a-b_c~d+e")),
            ("mcp, mcp.auth64.YS9iPT0", token("a/b==")),
            ("MCP.TICKET.0123456789abcdef, mcp.authx.a", Offer::Nothing),
        ] {
            assert!(of(offered) == expected, "{offered}");
        }
    }

    #[test]
    fn anything_else_is_garbage() {
        for offered in [
            "mcp.ticket.",
            "mcp.ticket.short",
            "mcp.ticket.0123456789abcdef.0",
            "mcp.ticket.0123456789abcdef, mcp.ticket.0123456789abcdef",
            "mcp.ticket.0123456789abcdef, mcp.auth.x",
            "mcp.auth.x, mcp.auth64.YQ",
            "mcp.auth.",
            "mcp.auth.a!b",
            "mcp.auth.a=b",
            "mcp.auth64.",
            "mcp.auth64.Y",
            "mcp.auth64.YQ==",
            "mcp.auth64.gA",
            "mcp.auth64.YSBi",
        ] {
            assert!(of(offered) == Offer::Garbage, "{offered}");
        }
        assert!(!format!("{:?}", of("mcp.auth.secret")).contains("secret"));
    }
}
