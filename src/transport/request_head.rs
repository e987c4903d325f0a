//! What an author's own authentication sees of a request.

use crate::guard::address::ClientAddr;
use crate::http::head::Head;
use crate::principal::Principal;
use std::fmt;

/// The head of a request that wants to come in: `Host` and `Origin` have been checked already.
pub struct RequestHead<'a> {
    head: &'a Head,
    token: Option<&'a str>,
    address: ClientAddr,
    certificate: Option<&'a Principal>,
}

impl<'a> RequestHead<'a> {
    /// `token` is what was found where tokens are looked for.
    pub(crate) fn new(
        head: &'a Head,
        token: Option<&'a str>,
        address: ClientAddr,
        certificate: Option<&'a Principal>,
    ) -> Self {
        Self { head, token, address, certificate }
    }

    /// The bearer token, if there is exactly one, well-formed, in the `Authorization` header (or among the subprotocols of a WebSocket, with
    /// [`Settings::token_as_subprotocol`](crate::Settings::token_as_subprotocol)). A token in the query string is never looked at: URLs end up in logs.
    pub fn bearer(&self) -> Option<&'a str> {
        self.token
    }

    /// A header's value, if there is exactly one of that name (any case) and it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.head.single(&name.to_ascii_lowercase()).ok().flatten()
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
