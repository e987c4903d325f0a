//! What the gate answers by itself: where to get a token, and tickets for pages.

use crate::access::{Access, TicketError};
use crate::audit::Auditor;
use crate::guard::origin::Origin;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::http::response::Response;
use crate::principal::Principal;
use crate::protected_resource::ProtectedResource;
use std::sync::Arc;

/// How long a client may go on with the metadata that it has: they change with the configuration, and a client asks again when it is refused.
const METADATA_AGE: &str = "max-age=3600";
/// What stands behind the path of a service.
const TICKET: &str = "/ticket";

/// The metadata of a protected resource, ready to be sent.
pub(crate) struct Metadata {
    paths: [String; 2],
    json: Vec<u8>,
}

impl Metadata {
    pub(crate) fn new(resource: &ProtectedResource) -> Self {
        Self { paths: resource.paths(), json: resource.json() }
    }

    pub(crate) fn is_at(&self, path: &str) -> bool {
        self.paths.iter().any(|own| own == path)
    }

    /// Nobody is asked for a token here: that is what it is for.
    pub(crate) fn answer(&self, head: &Head, cors: &[(&'static str, String)]) -> Result<Vec<u8>, Refusal> {
        let response = Response::new(200).json(self.json.clone()).cache(METADATA_AGE);
        let response = cors.iter().fold(response, |response, (name, value)| response.header(name, value));
        match head.method.as_str() {
            "GET" => Ok(response.to_bytes()),
            "HEAD" => Ok(response.to_bytes_without_body()),
            _ => Err(Refusal::new(405, "method", "read the metadata with GET").header("Allow", "GET, HEAD")),
        }
    }
}

/// Where tickets are issued over HTTP.
pub(crate) struct TicketDesk {
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Arc<Auditor>,
}

impl TicketDesk {
    /// The path of the service whose tickets are issued at that path.
    pub(crate) fn service_of(path: &str) -> Option<&str> {
        path.strip_suffix(TICKET).map(|path| if path.is_empty() { "/" } else { path })
    }

    /// Issues one for the page that asks, with its certificate if it has shown one, and for who it has authenticated as.
    pub(crate) fn answer(
        &self,
        head: &Head,
        (origin, certificate): (Option<&Origin>, Option<&Principal>),
        principal: Option<&Principal>,
        cors: &[(&'static str, String)],
    ) -> Result<Vec<u8>, Refusal> {
        if head.method != "POST" {
            return Err(Refusal::new(405, "method", "ask for a ticket with POST").header("Allow", "POST"));
        }
        let origin = origin.ok_or_else(|| Refusal::new(400, "ticket", "a ticket is for a web page: send Origin"))?;
        let principal =
            principal.ok_or_else(|| Refusal::new(403, "ticket", "a ticket is for somebody: authenticate"))?;
        let issued = self.access.issue(principal, origin.clone(), certificate, &self.audit);
        let ticket = issued.map_err(|error| match error {
            TicketError::TooMany => Refusal::new(429, "ticket", error.to_string()).header("Retry-After", "5"),
            TicketError::Origin | TicketError::Disabled => Refusal::new(403, "ticket", error.to_string()),
            TicketError::Full | TicketError::Random => {
                Refusal::new(503, "ticket", error.to_string()).header("Retry-After", "5")
            }
        })?;
        // Never cached: an answer is not, unless it says otherwise.
        let response = Response::new(200).json(ticket.to_json());
        Ok(cors.iter().fold(response, |response, (name, value)| response.header(name, value)).to_bytes())
    }
}
