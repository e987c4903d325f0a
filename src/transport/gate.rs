//! Who is let in: the checks of a request head, in their order, the same for everything that comes over a socket.

use crate::guard::address::ClientAddr;
use crate::guard::bearer::Tokens;
use crate::guard::origin::{HostPolicy, OriginPolicy};
use crate::health::Health;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::http::upgrade;
use crate::principal::Principal;
use crate::service::AnyService;
use crate::settings::Authenticate;
use crate::transport::request_head::{Denied, RequestHead};
use std::fmt;
use std::sync::Arc;

/// A service and the path it is found at.
pub(crate) struct Route {
    pub(crate) path: Arc<str>,
    pub(crate) service: Arc<dyn AnyService>,
}

/// What decides about a request head.
pub(crate) struct Gate {
    pub(crate) hosts: HostPolicy,
    pub(crate) origins: OriginPolicy,
    /// Static bearer tokens; without any, nobody is asked.
    pub(crate) tokens: Tokens,
    /// The author's own way to find out who a caller is.
    pub(crate) authenticate: Option<Authenticate>,
    pub(crate) routes: Vec<Route>,
    /// Answers probes on the main port, if the author wants that.
    pub(crate) health: Option<Arc<Health>>,
}

/// What becomes of a request that was let in.
pub(crate) enum Admitted {
    WebSocket(Passed),
    /// It is answered already: these bytes are all.
    Answered(Vec<u8>),
}

/// A handshake that may be answered with 101.
pub(crate) struct Passed {
    pub(crate) service: Arc<dyn AnyService>,
    pub(crate) path: Arc<str>,
    pub(crate) accept: String,
    pub(crate) protocol: Option<String>,
    pub(crate) principal: Option<Principal>,
}

impl Gate {
    /// Host, Origin, authentication, then method and path: an unknown or foreign caller learns nothing of what is served.
    pub(crate) fn check(&self, head: &Head, address: ClientAddr) -> Result<Admitted, Refusal> {
        self.check_source(head)?;
        let principal = self.authenticate(head, address)?;
        if let Some(health) = self.health.as_ref().filter(|_| Health::is_at(head.path())) {
            return Ok(Admitted::Answered(health.answer(head).to_bytes()));
        }
        let route = self.routes.iter().find(|route| *route.path == *head.path()).ok_or_else(|| self.not_found())?;
        let upgrade = upgrade::check(head)?;
        let protocol = upgrade.choose(route.service.subprotocols()).map(str::to_owned);
        Ok(Admitted::WebSocket(Passed {
            service: Arc::clone(&route.service),
            path: Arc::clone(&route.path),
            accept: upgrade.accept,
            protocol,
            principal,
        }))
    }

    /// Host and Origin: what keeps foreign web pages out, on the health address, too.
    pub(crate) fn check_source(&self, head: &Head) -> Result<(), Refusal> {
        let host = self.hosts.check_host(head)?;
        self.origins.check_origin(head, &host).map(|_| ())
    }

    fn authenticate(&self, head: &Head, address: ClientAddr) -> Result<Option<Principal>, Refusal> {
        let by_token = self.tokens.check(head);
        match (&self.authenticate, by_token) {
            (_, Ok(Some(name))) => Ok(Some(Principal::new(name.to_owned()))),
            (None, by_token) => by_token.map(|_| None),
            (Some(authenticate), _) => {
                let denied = |Denied| {
                    Refusal::new(401, "auth", "the credentials are missing or not accepted")
                        .header("WWW-Authenticate", "Bearer realm=\"mcp\"")
                };
                authenticate(&RequestHead::new(head, address)).map(Some).map_err(denied)
            }
        }
    }

    fn not_found(&self) -> Refusal {
        let paths: Vec<_> = self.routes.iter().map(|route| &*route.path).collect();
        Refusal::new(404, "path", format!("nothing is served here; try {}", paths.join(" or ")))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}
