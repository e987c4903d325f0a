//! Is this a correct WebSocket opening handshake?
//!
//! RFC 6455, 4.2.1 lists what the server must find; tungstenite drops the connection without
//! an answer when something is missing. Here each failure has a status and says what to
//! change, as 4.2.1 ("return an HTTP response with an appropriate error code") asks.

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use super::head::{Head, is_token};
use super::refusal::Refusal;

/// RFC 6455, 1.3: the string that a server appends to the key.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How many subprotocols a client may offer. Browsers and SDKs offer one to three.
const PROTOCOLS: usize = 16;
/// How long one offered subprotocol may be: room for one that carries a token.
const PROTOCOL_BYTES: usize = 4096;

/// A handshake that passed every check.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Upgrade {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The subprotocols that the client offered, in its order. An entry may carry a
    /// credential: never log or echo one, use [`Upgrade::choose`].
    pub protocols: Vec<String>,
}

impl Upgrade {
    /// The first offered subprotocol that is exactly one of `supported`.
    ///
    /// Compared byte by byte. The answer is the server's own string, never the client's, so
    /// an entry that carries a token cannot be echoed.
    #[must_use]
    pub(crate) fn choose<'a>(&self, supported: &[&'a str]) -> Option<&'a str> {
        self.protocols.iter().find_map(|offered| supported.iter().find(|name| *name == offered).copied())
    }
}

impl std::fmt::Debug for Upgrade {
    /// Without the subprotocols, which may carry a credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgrade").field("accept", &self.accept).field("protocols", &self.protocols.len()).finish()
    }
}

/// Checks an opening handshake (RFC 6455, 4.2.1).
///
/// Only the form: whether `Host` and `Origin` are welcome and who is asking was decided before.
///
/// # Errors
///
/// 405 if the method is not `GET`, 426 if no WebSocket of version 13 is asked for, 400 for
/// everything else that is missing, doubled or malformed.
pub(crate) fn check(head: &Head) -> Result<Upgrade, Refusal> {
    if head.method != "GET" {
        return Err(Refusal::new(405, "method", "open a WebSocket with GET").header("Allow", "GET"));
    }
    if !head.body()?.is_empty() {
        return Err(bad("open a WebSocket without a request body"));
    }
    if head.single("host")?.is_none_or(str::is_empty) {
        return Err(bad("send a Host header"));
    }
    if !head.wants_upgrade() {
        return Err(upgrade_required("ask for a WebSocket with `Upgrade: websocket`"));
    }
    if !head.has_token("connection", "upgrade") {
        return Err(bad("send `Connection: Upgrade`; a proxy in between must pass it on"));
    }
    if head.single("sec-websocket-version")? != Some("13") {
        return Err(upgrade_required("speak WebSocket version 13").header("Sec-WebSocket-Version", "13"));
    }
    let key = head.single("sec-websocket-key")?;
    let accept = key.and_then(accept).ok_or_else(|| bad("send one Sec-WebSocket-Key of 16 bytes in base64"))?;
    Ok(Upgrade { accept, protocols: protocols(head)? })
}

/// The answer that turns the connection into a WebSocket.
///
/// `protocol` must be one of ours, as [`Upgrade::choose`] gives it; one that is no token is
/// left away, so nothing can be smuggled into the head.
#[must_use]
pub(crate) fn switching_protocols(accept: &str, protocol: Option<&str>) -> Vec<u8> {
    let mut head = String::from("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    // Base64 of a hash; anything else means that the caller made it up.
    head.push_str("Sec-WebSocket-Accept: ");
    head.extend(accept.chars().filter(|letter| letter.is_ascii_graphic()));
    head.push_str("\r\n");
    if let Some(protocol) = protocol.filter(|protocol| is_token(protocol.as_bytes())) {
        head.push_str("Sec-WebSocket-Protocol: ");
        head.push_str(protocol);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// `Sec-WebSocket-Accept` for a key, or nothing if the key is not 16 bytes of canonical base64.
fn accept(key: &str) -> Option<String> {
    let decoded = BASE64.decode(key.as_bytes()).ok()?;
    if decoded.len() != 16 {
        return None;
    }
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    Some(BASE64.encode(&hash.finalize()))
}

/// The offered subprotocols. RFC 6455, 4.1, item 10: tokens, "and MUST all be unique strings".
fn protocols(head: &Head) -> Result<Vec<String>, Refusal> {
    let mut protocols: Vec<String> = Vec::new();
    for offered in head.list("sec-websocket-protocol") {
        if protocols.len() >= PROTOCOLS || offered.len() > PROTOCOL_BYTES {
            return Err(bad("offer at most 16 subprotocols of at most 4096 bytes"));
        }
        if !is_token(offered.as_bytes()) {
            return Err(bad("offer subprotocols as plain tokens, separated by commas"));
        }
        // At most 16 entries, so looking through all of them stays cheap.
        if protocols.iter().any(|known| known == offered) {
            return Err(bad("offer each subprotocol once"));
        }
        protocols.push(offered.to_owned());
    }
    if protocols.is_empty() && head.header("sec-websocket-protocol").is_some() {
        return Err(bad("leave Sec-WebSocket-Protocol away or name a subprotocol"));
    }
    Ok(protocols)
}

fn bad(reason: &str) -> Refusal {
    Refusal::new(400, "upgrade", reason)
}

/// RFC 9110, 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
fn upgrade_required(reason: &str) -> Refusal {
    Refusal::new(426, "upgrade", reason).header("Upgrade", "websocket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::tests::head;

    const GOOD: [&str; 6] = [
        "GET /mcp HTTP/1.1",
        "Host: localhost:8080",
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];

    fn with(replace: &str, by: &[&str]) -> Result<Upgrade, Refusal> {
        let mut lines: Vec<&str> =
            GOOD.into_iter().filter(|line| replace.is_empty() || !line.starts_with(replace)).collect();
        if by.first().is_some_and(|line| line.contains("HTTP/1.1")) {
            lines.insert(0, by[0]);
            lines.extend(&by[1..]);
        } else {
            lines.extend(by);
        }
        check(&head(&lines))
    }

    fn status(replace: &str, by: &[&str]) -> u16 {
        with(replace, by).map_or_else(|refusal| refusal.status, |_| 101)
    }

    #[test]
    fn the_example_of_the_rfc_passes() {
        let upgrade = with("", &[]).unwrap();
        assert_eq!(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(upgrade.protocols.is_empty());
        assert_eq!(
            switching_protocols(&upgrade.accept, Some("mcp")),
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
        );
    }

    #[test]
    fn nothing_can_be_smuggled_into_the_101() {
        let bytes = switching_protocols("a\r\nX: y", Some("mcp\r\nX: y"));
        assert!(!String::from_utf8(bytes).unwrap().contains("\nX:"));
    }

    #[test]
    fn each_missing_part_has_its_status() {
        assert_eq!(status("Connection", &[]), 400);
        assert_eq!(status("Upgrade", &[]), 426);
        assert_eq!(status("Sec-WebSocket-Version", &[]), 426);
        assert_eq!(status("Sec-WebSocket-Key", &[]), 400);
        assert_eq!(status("Host", &[]), 400);
        assert_eq!(status("Host", &["Host:"]), 400);
        let refusal = check(&head(&["GET /mcp HTTP/1.1", "Host: localhost"])).unwrap_err();
        assert_eq!(refusal.headers, [("Upgrade", "websocket".to_owned())]);
    }

    #[test]
    fn other_methods_and_bodies_are_refused() {
        for method in ["POST", "HEAD", "get", "PUT", "DELETE", "OPTIONS"] {
            let refusal = with("GET", &[&format!("{method} /mcp HTTP/1.1")]).unwrap_err();
            assert_eq!((refusal.status, refusal.headers), (405, vec![("Allow", "GET".to_owned())]));
        }
        assert_eq!(status("", &["Content-Length: 1"]), 400);
        assert_eq!(status("", &["Content-Length: 0"]), 101);
        assert_eq!(status("", &["Transfer-Encoding: chunked"]), 400);
    }

    #[test]
    fn versions_other_than_13_name_13() {
        for version in ["8", "0", "14", "013", "13, 8", "130", "", "x"] {
            let refusal = with("Sec-WebSocket-Version", &[&format!("Sec-WebSocket-Version: {version}")]).unwrap_err();
            assert_eq!(refusal.status, 426, "{version}");
            assert!(refusal.headers.contains(&("Sec-WebSocket-Version", "13".to_owned())));
        }
        assert_eq!(status("", &["Sec-WebSocket-Version: 13"]), 400);
    }

    #[test]
    fn odd_keys_are_refused() {
        for key in [
            "",
            "x",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZWE=",
            "dGhlIHNhbXBsZSBub25jZSEh",
            "dGhl IHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZ_==",
            "====",
            "dGhlIHNhbXBsZSBub25jZQ==, x",
            "dGhlIHNhbXBsZSBub25jZQ\u{ff1d}=",
        ] {
            assert_eq!(status("Sec-WebSocket-Key", &[&format!("Sec-WebSocket-Key: {key}")]), 400, "{key:?}");
        }
        assert_eq!(status("", &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]), 400);
    }

    #[test]
    fn tokens_are_found_in_lists_and_not_in_words() {
        assert_eq!(status("Upgrade", &["Upgrade: h2c", "Upgrade: x, websocket"]), 101);
        assert_eq!(status("Connection", &["Connection: close", "Connection: ,UPGRADE"]), 101);
        for upgrade in ["websockets", "websocket2", "web socket", "websocket/13", "web\u{17f}ocket"] {
            assert_eq!(status("Upgrade", &[&format!("Upgrade: {upgrade}")]), 426, "{upgrade}");
        }
        assert_eq!(status("Connection", &["Connection: upgraded"]), 400);
        assert_eq!(status("Connection", &["Connection: \"upgrade\""]), 400);
    }

    #[test]
    fn only_an_exact_supported_protocol_is_chosen() {
        let offered = |value: &str| with("", &[&format!("Sec-WebSocket-Protocol: {value}")]).unwrap();
        assert_eq!(offered("mcp").choose(&["mcp"]), Some("mcp"));
        assert_eq!(offered("mcp.auth.c2VjcmV0, mcp").choose(&["mcp"]), Some("mcp"));
        for value in ["mcp.auth.c2VjcmV0", "MCP", "mcp2", "xmcp", "graphql-ws"] {
            assert_eq!(offered(value).choose(&["mcp"]), None, "{value}");
        }
        assert_eq!(offered("b, a").choose(&["a", "b"]), Some("b"));
        assert_eq!(with("", &[]).unwrap().choose(&["mcp"]), None);
        assert!(!format!("{:?}", offered("mcp.auth.c2VjcmV0")).contains("c2VjcmV0"));
    }

    #[test]
    fn subprotocol_lists_are_bounded_and_strict() {
        let many: Vec<String> = (0..17).map(|n| format!("p{n}")).collect();
        assert_eq!(status("", &[&format!("Sec-WebSocket-Protocol: {}", many.join(","))]), 400);
        assert_eq!(status("", &[&format!("Sec-WebSocket-Protocol: {}", many[..16].join(","))]), 101);
        assert_eq!(status("", &[&format!("Sec-WebSocket-Protocol: {}", "x".repeat(4097))]), 400);
        // npm ws CVE-2021-32640: a long list of blanks took quadratic time.
        assert_eq!(status("", &[&format!("Sec-WebSocket-Protocol: {}", " ,".repeat(2000))]), 400);
        assert_eq!(status("", &["Sec-WebSocket-Protocol: mcp", "Sec-WebSocket-Protocol: mcp"]), 400);
        for value in ["", ",", "m cp", "mcp;x", "\"mcp\"", "mcp/1", "m\u{e9}", "a, b c", "mcp,mcp"] {
            assert_eq!(status("", &[&format!("Sec-WebSocket-Protocol: {value}")]), 400, "{value:?}");
        }
    }
}
