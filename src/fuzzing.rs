//! What the fuzz targets in `fuzz/` call. Unstable and undocumented on purpose: the feature `_fuzz` is for them alone.
//!
//! Each function takes anything and panics if something that must hold does not. They may be called in any order, one at a
//! time for a process.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a finding is reported"
)]

mod arguments;
mod frames;
mod http;
mod link;
mod pieces;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

use crate::engine::Core;
use crate::guard::origin::{HostPolicy, OriginPolicy};
use crate::http::head::Head;
use crate::http::reader::{HeadLimits, HeadReader, Progress};
use crate::http::refusal::Refusal;
use crate::http::upgrade;
use crate::protocol::exercise;
use crate::protocol::revision::Revision;
use crate::settings::Settings;
use crate::transport::accept::Door;
use crate::transport::gate::{Gate, Route};
use std::sync::Arc;

/// Request heads, one after the other as a pipelining client sends them: however the bytes are cut, the result is the same;
/// and whatever is answered is a well-formed head itself.
pub fn request_head(bytes: &[u8]) {
    let limits = HeadLimits { bytes: 2 << 10, lines: 12 };
    let whole = read_heads(limits, [bytes]);
    assert_eq!(read_heads(limits, bytes.chunks(1)), whole, "cut into single bytes");
    // Pieces whose sizes depend on the input.
    let mut rest = bytes;
    let pieces = std::iter::from_fn(|| {
        let size = usize::from(rest.last()? % 61) + 1;
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        Some(piece)
    });
    assert_eq!(read_heads(limits, pieces), whole, "cut into pieces");
    for head in &whole.0 {
        check_head(head);
    }
    if let Some(error) = whole.1 {
        check_answer(&error.into());
    }
}

/// The arguments of a tool, against schemas: see `arguments.rs`.
pub fn arguments(bytes: &[u8]) {
    arguments::run(bytes);
}

/// What a proxy says of its client: whatever comes before what a trusted proxy adds, that is what counts.
pub fn forwarded(bytes: &[u8]) {
    use crate::guard::address::ClientAddr;
    use crate::guard::forwarded::TrustedProxies;
    let mut proxies = TrustedProxies::default();
    let _ = proxies.add(&String::from_utf8_lossy(bytes));
    for own in ["10.0.0.0/8", "fd00::/8"] {
        proxies.add(own).expect("a network");
    }
    let peer = ClientAddr::new(([10, 0, 0, 1], 1).into());
    let head = |name: &str, lines: &[&[u8]]| Head {
        method: "GET".to_owned(),
        target: "/".to_owned(),
        headers: lines.iter().map(|line| (name.to_owned(), line.to_vec())).collect(),
    };
    let client = |name, lines: &[&[u8]]| proxies.client(peer, &head(name, lines)).expect("one header").address;
    for (name, own) in [("forwarded", "for=\"[2001:db8::7]:80\";proto=https"), ("x-forwarded-for", "2001:db8::7")] {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let found = client(name, &lines);
        let joined = [bytes, b", ", own.as_bytes()].concat();
        let in_a_line_of_its_own = [lines.as_slice(), &[own.as_bytes()]].concat();
        for told in [client(name, &[&joined]), client(name, &in_a_line_of_its_own)] {
            assert!(proxies.trusts(told) || told.ip().to_string() == "2001:db8::7", "{told}");
        }
        // Nobody but a proxy of ours is believed.
        let stranger = ClientAddr::new(([203, 0, 113, 1], 1).into());
        let origin = proxies.client(stranger, &head(name, &lines)).expect("one header");
        assert!(origin.by_proxy || origin.address == stranger);
        assert!(!found.to_string().contains(|letter: char| letter.is_control()));
    }
}

/// Chunked bodies, addresses of templates, sealed states, headers that repeat arguments, ids of events.
pub fn pieces(bytes: &[u8]) {
    pieces::run(bytes);
}

/// The values of `Authorization` headers: which token they are, if they are one.
pub fn token(bytes: &[u8]) {
    tokens::bearers(bytes);
}

/// A JWT, and one that is signed here, with a key and a clock that do not change.
#[cfg(feature = "jwt")]
pub fn jwt(bytes: &[u8]) {
    tokens::jwt(bytes);
}

/// A certificate of a client's: its names, as another reader sees them, and an id that can be logged and compared.
#[cfg(feature = "tls")]
pub fn certificate(bytes: &[u8]) {
    use crate::tls::{ClientCertificate, Content};
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{CertificateError, Error, client::verify_server_name, server::ParsedCertificate};
    let id = ClientCertificate::new(bytes).into_principal().id().to_owned();
    assert!(id.starts_with("cert:") && id.len() <= 600 && !id.contains(char::is_control), "{id:?}");
    let Some(content) = Content::read(bytes) else { return };
    assert_eq!(content.not_before.unix() < content.not_after.unix(), content.not_before < content.not_after);
    let der = CertificateDer::from(bytes);
    let Ok(parsed) = ParsedCertificate::try_from(&der) else { return };
    for name in &content.dns_names {
        // A name with a star is none that a client asks for; one with a dot at its end is the same to those who ask, and to the other
        // reader none that can be in a certificate.
        let Ok(asked) = ServerName::try_from(*name) else { continue };
        if name.ends_with('.') {
            continue;
        }
        let unknown = match verify_server_name(&parsed, &asked) {
            Err(Error::InvalidCertificate(why)) => {
                matches!(why, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
            }
            _ => false,
        };
        assert!(!unknown, "{name} is not among the names");
    }
}

type Heads = (Vec<Head>, Option<crate::http::head::HeadError>, bool);

/// All heads, the error that ended them, and whether the reader is between two.
fn read_heads<'a>(limits: HeadLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heads {
    let mut reader = HeadReader::new(limits);
    let mut heads = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match reader.push(piece) {
                Ok(Progress::More) => break,
                Ok(Progress::Done { head, used }) => {
                    assert!((1..=piece.len()).contains(&used) && reader.is_idle());
                    heads.push(head);
                    piece = &piece[used..];
                }
                Err(error) => {
                    assert!(matches!(reader.push(piece), Err(again) if again == error), "an error is for good");
                    return (heads, Some(error), false);
                }
            }
        }
    }
    let idle = reader.is_idle();
    (heads, None, idle)
}

/// What is asked of every head, and what is answered to it.
fn check_head(head: &Head) {
    assert!(head.headers.len() <= 12 && head.target.len() <= 4096);
    assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()), "a target is without blanks and controls");
    for (name, value) in &head.headers {
        assert!(!name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_control()));
        assert!(!value.iter().any(|&byte| byte != b'\t' && byte.is_ascii_control()));
    }
    assert!(head.path().starts_with(['/', '*']) && !head.path().contains('?'));
    assert!(head.body().is_ok(), "a head with contradicting framing does not exist");
    let _ = (head.query(), head.wants_close(), head.expects_continue());
    let host = HostPolicy::default().check_host(head);
    let origin = host.and_then(|host| OriginPolicy::default().check_origin(head, &host).map(|_| ()));
    if let Err(refusal) = origin {
        check_answer(&refusal);
    }
    match upgrade::check(head) {
        Ok(upgrade) => {
            let protocol = upgrade.choose(&["mcp", "other"]);
            let answer = upgrade::switching_protocols(&upgrade.accept, protocol);
            assert_eq!(response(&answer), (101, answer.len(), 3 + usize::from(protocol.is_some())));
        }
        Err(refusal) => check_answer(&refusal),
    }
}

/// A refusal is one well-formed response, into which the peer has smuggled nothing.
fn check_answer(refusal: &Refusal) {
    let answer = refusal.to_response().to_bytes();
    let (status, used, _) = response(&answer);
    assert_eq!(status, refusal.status);
    assert_eq!(answer.len() - used, refusal.reason.len() + 1);
    assert!(!refusal.reason.chars().any(char::is_control) && refusal.reason.chars().count() < 1_000);
}

/// Status, length of the head and number of header lines.
fn response(bytes: &[u8]) -> (u16, usize, usize) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(used) = response.parse(bytes).expect("a well-formed answer") else {
        panic!("an answer without an end");
    };
    (response.code.unwrap_or(0), used, response.headers.len())
}

/// Bytes behind an upgrade, as a WebSocket connection reads them: see `frames.rs`.
pub fn frames(bytes: &[u8]) {
    frames::run(bytes);
}

/// An HTTP connection: see `http.rs`.
pub fn http(bytes: &[u8]) {
    http::run(bytes);
}

/// A text message, without a session and in sessions of two revisions; and as a cursor.
pub fn classify(text: &str) {
    for session in [None, Some(Revision::R2024_11_05), Some(Revision::R2025_03_26), Some(Revision::R2025_11_25)] {
        exercise::exercise(text, session);
    }
    exercise::cursor(text);
}

/// A whole MCP session: see `session.rs`.
pub fn session(bytes: &[u8]) {
    session::run(bytes);
}

/// Text that a policy is held against, and what a log makes of it: see `text.rs`.
pub fn sanitizer(bytes: &[u8]) {
    text::sanitizer(bytes);
}

/// What JSON text costs, counted before it is read.
pub fn budget(text: &str) {
    text::budget(text);
}

/// Paths and addresses of files.
pub fn path(text: &str) {
    text::path(text);
}

/// Reads a script out of arbitrary bytes; behind its end there are zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The way in to one service, with the settings that there are without any.
fn door(core: &Arc<Core>, route: Route) -> Arc<Door> {
    let Settings { hosts, origins, proxies, authenticator, .. } = Settings::default();
    let (rates, routes) = (Arc::clone(&core.rates), vec![route]);
    let gate =
        Gate { hosts, origins, proxies, authenticator, rates, routes, health: None, metadata: None, tickets: None };
    Door::new(Arc::clone(core), gate)
}
