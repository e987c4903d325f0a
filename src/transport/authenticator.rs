//! Who is a caller? Its token, its certificate, or what the author's own authentication makes of its request.

use crate::guard::address::ClientAddr;
use crate::guard::bearer::Tokens;
use crate::guard::challenge::Challenge;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::principal::Principal;
use crate::settings::Authenticate;
use crate::transport::request_head::{Denied, RequestHead};

/// All ways to authenticate that a server has; without any, nobody is asked.
#[derive(Clone, Default)]
pub(crate) struct Authenticator {
    /// Static bearer tokens.
    pub(crate) tokens: Tokens,
    /// The author's own way.
    pub(crate) authenticate: Option<Authenticate>,
    /// What callers are told that have to authenticate.
    pub(crate) challenge: Challenge,
    /// A client's certificate stands for a token that it does not send.
    pub(crate) certificate_suffices: bool,
}

impl Authenticator {
    /// Whether callers are asked who they are, other than by TLS.
    pub(crate) fn asks(&self) -> bool {
        !self.tokens.is_empty() || self.authenticate.is_some()
    }

    /// `certificate` is who the caller has proven to be by one, if TLS asks for those. `None` is somebody who was not asked.
    pub(crate) fn identify(
        &self,
        head: &Head,
        address: ClientAddr,
        certificate: Option<&Principal>,
    ) -> Result<Option<Principal>, Refusal> {
        let by_token = self.tokens.check(head, &self.challenge);
        match (&self.authenticate, by_token) {
            (_, Ok(Some(name))) => Ok(Some(Principal::new(name.to_owned()))),
            (None, Ok(None)) => Ok(certificate.cloned()),
            (None, Err(refusal)) => {
                let suffices = self.certificate_suffices && head.values("authorization").next().is_none();
                certificate.filter(|_| suffices).cloned().map(Some).ok_or(refusal)
            }
            (Some(authenticate), _) => {
                let denied = |Denied| self.challenge.missing("the credentials are missing or not accepted");
                authenticate(&RequestHead::new(head, address, certificate)).map(Some).map_err(denied)
            }
        }
    }
}
