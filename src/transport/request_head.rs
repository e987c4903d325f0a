//! What an author's own authentication sees of a request.

use crate::guard::address::ClientAddr;
use crate::http::head::Head;
use crate::principal::Principal;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// The headers that callers say in who they are.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "x-api-key", "x-auth-token"];

/// Which of these an author's own authentication looks at: as far as anybody has seen, and for good. A cookie that it never reads is none of its business.
#[derive(Debug, Default)]
pub(crate) struct LookedAt(AtomicU8);

impl LookedAt {
    fn note(&self, name: &str) {
        if let Some(at) = CREDENTIALS.iter().position(|known| *known == name) {
            self.0.fetch_or(1 << at, Ordering::Relaxed);
        }
    }

    /// What it finds there in a request, each with the number of its header.
    pub(crate) fn found<'h>(&self, head: &'h Head) -> impl Iterator<Item = (usize, &'h [u8])> {
        let looked_at = self.0.load(Ordering::Relaxed);
        let names = CREDENTIALS.iter().enumerate().filter(move |(at, _)| looked_at >> at & 1 == 1);
        names.flat_map(|(at, name)| head.values(name).map(move |value| (at, value)))
    }
}

/// The head of a request that wants to come in: `Host` and `Origin` have been checked already.
pub struct RequestHead<'a> {
    head: &'a Head,
    token: Option<&'a str>,
    address: ClientAddr,
    certificate: Option<&'a Principal>,
    looked_at: &'a LookedAt,
}

impl<'a> RequestHead<'a> {
    /// `token` is what was found where tokens are looked for.
    pub(crate) fn new(
        head: &'a Head,
        token: Option<&'a str>,
        address: ClientAddr,
        certificate: Option<&'a Principal>,
        looked_at: &'a LookedAt,
    ) -> Self {
        Self { head, token, address, certificate, looked_at }
    }

    /// The bearer token, if there is exactly one, well-formed, in the `Authorization` header (or among the subprotocols of a WebSocket, with
    /// [`Settings::token_as_subprotocol`](crate::Settings::token_as_subprotocol)). A token in the query string is never looked at: URLs end up in logs.
    pub fn bearer(&self) -> Option<&'a str> {
        self.token
    }

    /// A header's value, if there is exactly one of that name (any case) and it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let name = name.to_ascii_lowercase();
        self.looked_at.note(&name);
        self.head.single(&name).ok().flatten()
    }

    /// The path, without the query.
    pub fn path(&self) -> &'a str {
        self.head.path()
    }

    /// Who the caller has proven to be by its certificate, if TLS asks for one (feature `tls`): with an id such as
    /// `cert:dns:agent.example.com`, and with what else the certificate says.
    pub fn client_certificate(&self) -> Option<&'a Principal> {
        self.certificate
    }

    /// Where the connection comes from.
    pub fn address(&self) -> ClientAddr {
        self.address
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No values: one of them may be a secret.
        f.debug_struct("RequestHead")
            .field("path", &self.path())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A caller may not come in: it is answered 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("denied")]
pub struct Denied;
