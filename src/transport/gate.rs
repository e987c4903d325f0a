//! Who is let in: the checks of a request head, in their order, the same for everything that comes over a socket.

use crate::guard::address::ClientAddr;
use crate::guard::bearer::Tokens;
use crate::guard::origin::{HostPolicy, OriginPolicy};
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::http::upgrade;
use crate::principal::Principal;
use crate::service::AnyService;
use std::fmt;
use std::sync::Arc;

/// A service and the path it is found at.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) service: Arc<dyn AnyService>,
}

/// What decides about a request head.
pub(crate) struct Gate {
    pub(crate) hosts: HostPolicy,
    pub(crate) origins: OriginPolicy,
    /// Static bearer tokens; without any, nobody is asked.
    pub(crate) tokens: Tokens,
    pub(crate) routes: Vec<Route>,
}

/// A handshake that may be answered with 101.
pub(crate) struct Passed {
    pub(crate) service: Arc<dyn AnyService>,
    pub(crate) accept: String,
    pub(crate) protocol: Option<String>,
    pub(crate) principal: Option<Principal>,
}

impl Gate {
    /// Host, Origin, authentication, then method and path: an unknown or foreign caller learns nothing of what is served.
    pub(crate) fn check(&self, head: &Head, _address: ClientAddr) -> Result<Passed, Refusal> {
        let host = self.hosts.check_host(head)?;
        self.origins.check_origin(head, &host)?;
        let principal = if self.tokens.is_empty() {
            None
        } else {
            self.tokens.check(head)?.map(|name| Principal::new(name.to_owned()))
        };
        let route = self.routes.iter().find(|route| route.path == head.path()).ok_or_else(|| self.not_found())?;
        let upgrade = upgrade::check(head)?;
        let protocol = upgrade.choose(route.service.subprotocols()).map(str::to_owned);
        Ok(Passed { service: Arc::clone(&route.service), accept: upgrade.accept, protocol, principal })
    }

    fn not_found(&self) -> Refusal {
        let paths: Vec<_> = self.routes.iter().map(|route| route.path.as_str()).collect();
        Refusal::new(404, "path", format!("nothing is served here; try {}", paths.join(" or ")))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}
