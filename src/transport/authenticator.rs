//! Who is a caller? Its token, its certificate, or what the author's own authentication makes of its request.

use crate::guard::address::ClientAddr;
use crate::guard::bearer::{Tokens, bearer};
use crate::guard::challenge::Challenge;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::jwt::Issuers;
use crate::principal::Principal;
use crate::settings::Authenticate;
use crate::transport::request_head::{Denied, RequestHead};

/// All ways to authenticate that a server has; without any, nobody is asked.
#[derive(Clone, Default)]
pub(crate) struct Authenticator {
    /// Static bearer tokens.
    pub(crate) tokens: Tokens,
    /// Issuers of tokens; filled when the server is bound.
    pub(crate) issuers: Issuers,
    /// The author's own way.
    pub(crate) authenticate: Option<Authenticate>,
    /// What callers are told that have to authenticate.
    pub(crate) challenge: Challenge,
    /// A client's certificate stands for a token that it does not send.
    pub(crate) certificate_suffices: bool,
}

impl Authenticator {
    /// `certificate` is who the caller has proven to be by one, if TLS asks for those. `None` is somebody who was not asked.
    pub(crate) fn identify(
        &self,
        head: &Head,
        address: ClientAddr,
        certificate: Option<&Principal>,
    ) -> Result<Option<Principal>, Refusal> {
        match (&self.authenticate, self.by_token(head)) {
            (_, Ok(Some(principal))) => Ok(Some(principal)),
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

    /// Who the caller is by its token. `Ok(None)` only if nobody is asked for one.
    fn by_token(&self, head: &Head) -> Result<Option<Principal>, Refusal> {
        let known =
            self.tokens.check(head, &self.challenge).map(|name| name.map(|name| Principal::new(name.to_owned())));
        if self.issuers.is_empty() || matches!(known, Ok(Some(_))) {
            return known;
        }
        match bearer(head)? {
            Some(token) => self.issuers.check(token, &self.challenge).map(Some),
            None => Err(self.challenge.missing("send `Authorization: Bearer <token>`")),
        }
    }
}
