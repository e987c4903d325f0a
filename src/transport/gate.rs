//! Who is let in: the checks of a request head, in their order, the same for everything that comes over a socket.

use crate::engine::rates::Rates;
use crate::guard::address::ClientAddr;
use crate::guard::challenge::Challenge;
use crate::guard::forwarded::TrustedProxies;
use crate::guard::origin::{HostPolicy, Origin, OriginPolicy};
use crate::health::Health;
use crate::http::framing::BodyLength;
use crate::http::head::{Head, is_token};
use crate::http::refusal::Refusal;
use crate::http::response::Response;
use crate::http::upgrade;
use crate::principal::Principal;
use crate::service::AnyService;
use crate::transport::accept::FAILED_LOGINS;
use crate::transport::authenticator::Authenticator;
use crate::transport::discovery::{Metadata, TicketDesk};
use crate::transport::http::HttpService;
use std::fmt;
use std::sync::Arc;

/// A service and the path it is found at.
pub(crate) struct Route {
    pub(crate) path: Arc<str>,
    pub(crate) service: Arc<dyn AnyService>,
    /// The same over HTTP, if it is served that way, too.
    pub(crate) http: Option<Arc<dyn HttpService>>,
}

/// What decides about a request head.
pub(crate) struct Gate {
    pub(crate) hosts: HostPolicy,
    pub(crate) origins: OriginPolicy,
    /// Who is believed what it says of others.
    pub(crate) proxies: TrustedProxies,
    pub(crate) authenticator: Authenticator,
    /// Who has failed to log in too often.
    pub(crate) rates: Arc<Rates>,
    pub(crate) routes: Vec<Route>,
    /// Answers probes on the main port, if the author wants that.
    pub(crate) health: Option<Arc<Health>>,
    /// Where clients get their tokens, if the author says so.
    pub(crate) metadata: Option<Metadata>,
    /// Where pages get their tickets, if they get any here.
    pub(crate) tickets: Option<TicketDesk>,
}

/// What becomes of a request that was let in.
pub(crate) enum Admitted {
    WebSocket(Passed),
    Http(HttpPassed),
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

/// A request that may be served.
pub(crate) struct HttpPassed {
    pub(crate) service: Arc<dyn HttpService>,
    pub(crate) path: Arc<str>,
    pub(crate) principal: Option<Principal>,
    /// What the answer has to carry for the page that asks, if one does.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// How it is told of scopes that it lacks.
    pub(crate) challenge: Challenge,
}

/// The methods of Streamable HTTP.
const METHODS: &str = "GET, POST, DELETE";
/// The headers that pages of another origin may send.
const ALLOWED_HEADERS: &str =
    "Content-Type, Accept, Authorization, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name";

impl Gate {
    /// Host, Origin, authentication, then method and path: an unknown or foreign caller learns nothing of what is served.
    /// `certificate` is who the caller has proven to be by one, if TLS asks for those.
    pub(crate) fn check(
        &self,
        head: &Head,
        address: ClientAddr,
        certificate: Option<&Principal>,
    ) -> Result<Admitted, Refusal> {
        let host = self.hosts.check_host(head)?;
        let origin = self.origins.check_origin(head, &host)?;
        if let Some(answer) = self.preflight(head, origin.is_some()) {
            return Ok(Admitted::Answered(answer));
        }
        // A page that may use this server may read why it was turned away, and how to authenticate.
        let cors = cors(head, origin.is_some());
        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.is_at(head.path())) {
            return metadata.answer(head, &cors).map(Admitted::Answered).map_err(|refusal| refusal.with(cors));
        }
        let principal = self.identify(head, origin.as_ref(), address, certificate);
        principal
            .and_then(|principal| self.admit(head, (origin.as_ref(), certificate), principal, &cors))
            .map_err(|refusal| refusal.with(cors))
    }

    /// Who the caller is, unless too many have failed to say so from there: then nothing is looked at but what was accepted from there before, or cannot be
    /// guessed.
    fn identify(
        &self,
        head: &Head,
        origin: Option<&Origin>,
        address: ClientAddr,
        certificate: Option<&Principal>,
    ) -> Result<Option<Principal>, Refusal> {
        if let Err(retry) = self.rates.login_wait(address)
            && !self.passes_meanwhile(head, address, certificate)
        {
            let refusal = Refusal::new(429, "login-backoff", FAILED_LOGINS);
            return Err(refusal.header("Retry-After", retry.seconds().to_string()));
        }
        let who = self.authenticator.identify(head, origin, address, certificate);
        match &who {
            Ok(Some(principal)) if self.rates.counts(address) => {
                let credentials = self.authenticator.brought(head, certificate);
                self.rates.logged_in(address, principal, credentials.as_ref());
            }
            // Without any credentials it was a question, not an attempt.
            Err(refusal) if matches!(refusal.label, "auth" | "ticket") && says_invalid(refusal) => {
                self.rates.failed_to_log_in(address);
            }
            Ok(_) | Err(_) => {}
        }
        who
    }

    /// Whether what the caller brings is looked at while its address waits.
    fn passes_meanwhile(&self, head: &Head, address: ClientAddr, certificate: Option<&Principal>) -> bool {
        let credentials = self.authenticator.brought(head, certificate);
        let known = |credentials| self.rates.knows(address, credentials);
        match (&credentials, self.authenticator.has_good_ticket(head)) {
            // A guess that comes with a ticket is none the less one.
            (None, has_ticket) => has_ticket,
            (Some(credentials), true) => known(credentials),
            (Some(credentials), false) => {
                known(credentials)
                    || self.authenticator.signed_for(credentials).is_some_and(|who| self.rates.may_renew(address, &who))
            }
        }
    }

    /// What becomes of the request of a caller who is known.
    fn admit(
        &self,
        head: &Head,
        page: (Option<&Origin>, Option<&Principal>),
        principal: Option<Principal>,
        cors: &[(&'static str, String)],
    ) -> Result<Admitted, Refusal> {
        if let Some(health) = self.health.as_ref().filter(|_| Health::is_at(head.path())) {
            return Ok(Admitted::Answered(health.answer(head).to_bytes()));
        }
        if let Some(desk) = self.ticket_desk(head.path()) {
            return desk.answer(head, page, principal.as_ref(), cors).map(Admitted::Answered);
        }
        let route = self.routes.iter().find(|route| *route.path == *head.path()).ok_or_else(|| self.not_found())?;
        if let Some(service) = route.http.as_ref().filter(|_| is_http(head)) {
            if !METHODS.split(", ").any(|method| method == head.method) {
                return Err(Refusal::new(405, "method", "use GET, POST or DELETE").header("Allow", METHODS));
            }
            let (service, path) = (Arc::clone(service), Arc::clone(&route.path));
            let challenge = self.authenticator.challenge.clone();
            return Ok(Admitted::Http(HttpPassed { service, path, principal, headers: cors.to_vec(), challenge }));
        }
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

    /// Who issues tickets at that path.
    fn ticket_desk(&self, path: &str) -> Option<&TicketDesk> {
        let desk = self.tickets.as_ref()?;
        let service = TicketDesk::service_of(path)?;
        self.routes.iter().any(|route| *route.path == *service).then_some(desk)
    }

    /// Host and Origin: what keeps foreign web pages out, on the health address, too.
    pub(crate) fn check_source(&self, head: &Head) -> Result<(), Refusal> {
        let host = self.hosts.check_host(head)?;
        self.origins.check_origin(head, &host).map(|_| ())
    }

    /// A browser asks whether a page may send what it wants to send; it sends no credentials with that.
    fn preflight(&self, head: &Head, foreign: bool) -> Option<Vec<u8>> {
        let served = self.routes.iter().any(|route| route.http.is_some() && *route.path == *head.path())
            || self.metadata.as_ref().is_some_and(|metadata| metadata.is_at(head.path()))
            || self.ticket_desk(head.path()).is_some();
        if !served || !foreign || head.method != "OPTIONS" || !head.body().is_ok_and(BodyLength::is_empty) {
            return None;
        }
        // Which of a tool's parameters are mirrored in headers is the tool's business, and more of the protocol's may come.
        let asked = head.list("access-control-request-headers").filter(|name| {
            name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("mcp-")) && is_token(name.as_bytes())
        });
        let mut allowed = ALLOWED_HEADERS.to_owned();
        for name in asked {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
        let response = Response::new(204)
            .header("Access-Control-Allow-Methods", METHODS)
            .header("Access-Control-Allow-Headers", allowed)
            .header("Access-Control-Max-Age", "600");
        let response =
            cors(head, foreign).into_iter().fold(response, |response, (name, value)| response.header(name, value));
        Some(response.to_bytes())
    }

    fn not_found(&self) -> Refusal {
        let paths: Vec<_> = self.routes.iter().map(|route| &*route.path).collect();
        Refusal::new(404, "path", format!("nothing is served here; try {}", paths.join(" or ")))
    }
}

/// Whether it says that there were credentials, wherever they stood.
fn says_invalid(refusal: &Refusal) -> bool {
    refusal.headers.iter().any(|(name, value)| *name == "WWW-Authenticate" && value.contains("error=\"invalid_"))
}

/// Whether this is for the HTTP side: everything but a WebSocket, and but a lonely GET, which is told of the WebSocket.
fn is_http(head: &Head) -> bool {
    let reads = head.header("mcp-session-id").is_some()
        || head.list("accept").any(|kind| kind.starts_with("text/event-stream"));
    !head.wants_upgrade() && (head.method != "GET" || reads)
}

/// What lets a page of an allowed origin read the answer (Fetch, "CORS protocol").
fn cors(head: &Head, foreign: bool) -> Vec<(&'static str, String)> {
    let origin = head.header("origin").and_then(|origin| std::str::from_utf8(origin).ok()).filter(|_| foreign);
    let Some(origin) = origin else { return Vec::new() };
    vec![
        ("Access-Control-Allow-Origin", origin.to_owned()),
        ("Vary", "Origin".to_owned()),
        ("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After".to_owned()),
    ]
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}
