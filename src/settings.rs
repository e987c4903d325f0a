//! Who is let in, and how much of everything: what all servers of this crate have in common.

use crate::access::Access;
use crate::audit::Audit;
use crate::doctor::{self, Case, Diagnosis, Offered};
use crate::error::{Error, Problem};
use crate::guard::config::ConfigError;
use crate::guard::forwarded::TrustedProxies;
use crate::guard::origin::{HostPolicy, OriginPattern, OriginPolicy};
use crate::guard::policy::{TextPolicy, Texts};
use crate::guard::redact;
use crate::guard::scopes::Hierarchy;
use crate::guard::ticket::TicketLimits;
use crate::health::ready::Check;
use crate::jwt::{Issuers, Jwt};
use crate::limits::{Limits, clamp_time};
use crate::principal::Principal;
use crate::protected_resource::ProtectedResource;
use crate::tls::{Term, TlsConfig};
use crate::token::Token;
use crate::transport::authenticator::Authenticator;
use crate::transport::request_head::{Denied, RequestHead};
use std::fmt;
use std::net::SocketAddr;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

/// What is said of a setup that lets in every page there is.
const NOBODYS_PAGE: &str = "`null` lets in every web page that is open in a browser here, as each can make itself one without an origin, and nobody is \
    asked who he is: name the origins of your pages, or set a token";

/// An author's own authentication.
pub(crate) type Authenticate = Arc<dyn Fn(&RequestHead<'_>) -> Result<Principal, Denied> + Send + Sync>;

/// Guards and limits of a server. The defaults are safe: loopback names only, no foreign web page, everything bounded.
///
/// A [`Server`](crate::Server) has those that are used most as methods of its own; this type has them all. It is for settings that are made in one place
/// and used in another, and for a [`Listener`](crate::Listener). [`Server::settings`](crate::Server::settings) comes before such methods.
///
/// ```
/// # use mcp_blocking::{Server, Settings};
/// let settings = Settings::new().allow_origin("https://app.example.com").limits(|limits| limits.connections = 100);
/// let server = Server::new("notes", "1.0.0").settings(settings);
/// ```
#[derive(Clone, Default)]
#[must_use = "settings do nothing until a server takes them"]
pub struct Settings {
    pub(crate) limits: Limits,
    pub(crate) hosts: HostPolicy,
    pub(crate) origins: OriginPolicy,
    pub(crate) authenticator: Authenticator,
    pub(crate) proxies: TrustedProxies,
    /// And where it was set.
    pub(crate) tls: Option<(TlsConfig, &'static Location<'static>)>,
    /// And where they were set.
    pub(crate) jwt: Vec<(Jwt, &'static Location<'static>)>,
    pub(crate) checks: Vec<Check>,
    pub(crate) health_on_main: bool,
    pub(crate) audit: Option<Audit>,
    /// And where it was set.
    pub(crate) resource: Option<(ProtectedResource, &'static Location<'static>)>,
    pub(crate) ticket_endpoint: bool,
    pub(crate) scopes: Hierarchy,
    pub(crate) step_up: bool,
    pub(crate) confirm_destructive: bool,
    pub(crate) texts: Texts,
    pub(crate) anonymous: bool,
    pub(crate) plaintext: bool,
    problems: Vec<Problem>,
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes limits: sizes, counts, rates, deadlines.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Lets requests in whose `Host` is that name, besides those of loopback: `example.com`, `example.com:8443`,
    /// `*.example.com`.
    ///
    /// The check keeps web pages out that have had their own name resolve to this machine (DNS rebinding).
    #[track_caller]
    pub fn allow_host(mut self, host: &str) -> Self {
        let allowed = self.hosts.allow(host);
        self.check(allowed, Location::caller())
    }

    /// Lets browsers' pages of that origin in: `https://app.example.com`, `https://*.example.com`. Without it, only
    /// pages of the server's own host and port pass (of `https` only, where there is TLS, of its own or [a proxy's](Self::plaintext_behind_proxy)), and programs,
    /// which send no `Origin`. `null` is refused where nobody is asked who he is: every page can make itself one of those.
    #[track_caller]
    #[doc(alias = "cors")]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        let allowed = self.origins.allow(origin);
        self.check(allowed, Location::caller())
    }

    /// Asks every caller for a bearer token (`Authorization: Bearer …`), and accepts this one for the principal of that
    /// name. May be called several times. Tokens are kept as hashes only and compared in constant time. Short for [`token`](Self::token).
    #[track_caller]
    pub fn bearer_token(self, principal: impl Into<String>, token: &str) -> Self {
        self.token(Token::new(principal, token))
    }

    /// Likewise a token that has more to it: a name, scopes, an end.
    #[track_caller]
    pub fn token(mut self, token: Token) -> Self {
        let added = Arc::make_mut(&mut self.authenticator.access).add(token);
        self.check(added, Location::caller())
    }

    /// Likewise all tokens of a file, which `bind` reads, and [`Handle::reload_tokens`](crate::Handle::reload_tokens) reads again. A token a line:
    ///
    /// ```text
    /// # principal, token or its hash, and what else there is to it
    /// ada  m7jGqcV3dZ0yBqzN4K0bI1pZ  name=laptop  scopes=notes:read,notes:write  expires=2030-12-31T23:59:59Z
    /// bob  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    /// ```
    ///
    /// At most 10,000 lines. A file that everybody on this machine may write to is refused (Unix); of one that everybody may put another one in the place of, the [doctor](crate::doctor) tells. Callers are asked for a token also if there is none in the file.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.authenticator.access).add_file(path.into());
        self
    }

    /// Lets web pages open WebSockets with one-time tickets, as they cannot send an `Authorization` header with one: asks every caller for a
    /// ticket, or for another credential where there are some (a client's certificate that TLS asks for is one). A program that knows its users by a login of its own issues them with
    /// [`Handle::issue_ticket`](crate::Handle::issue_ticket); the page then calls `new WebSocket(url, ["mcp", "mcp.ticket.<ticket>"])`.
    ///
    /// A ticket has 256 random bits, works once, for [`Limits::ticket_lifetime`] (30 s), from a page of one origin, for one principal. It is
    /// taken from the subprotocols alone (never out of a URL), never sent back, never logged; only its hash is kept. Whoever shows one that is not
    /// good is answered 401; one that is shown in a wrong place is used up.
    pub fn tickets(mut self) -> Self {
        Arc::make_mut(&mut self.authenticator.access).take_tickets();
        self
    }

    /// The same, and issues tickets over HTTP: a page that has a token posts to the path of MCP with `/ticket` behind it, with `Authorization`, from
    /// an allowed origin, to which the ticket is then bound, and to the client's certificate if one was shown with that. It is answered `{"ticket": …, "expires_in": 30, "subprotocols": ["mcp", …]}`.
    pub fn ticket_endpoint(mut self) -> Self {
        self.ticket_endpoint = true;
        self.tickets()
    }

    /// Lets a WebSocket bring its token as a subprotocol: `mcp.auth.<token>`, or `mcp.auth64.<token in base64url without padding>` for one with `/` or `=`, beside `mcp`.
    ///
    /// Off without this: proxies and servers write this header to their logs as they never would `Authorization`, and a page would have to hold a token
    /// that lives long. [`tickets`](Self::tickets) are the better way; this is for pages that have nothing else, and clients that know nothing else.
    pub fn token_as_subprotocol(mut self) -> Self {
        self.authenticator.token_as_subprotocol = true;
        self
    }

    /// Tells clients where to get a token (RFC 9728; MCP since 2025-06-18): the document is at `/.well-known/oauth-protected-resource`, with the
    /// path of the resource behind it and without, to be read without a token; each 401 names it, and the scopes. `Host` and `Origin` are
    /// checked there as everywhere. Whether a token is good is said by [`authenticate`](Self::authenticate).
    #[track_caller]
    pub fn protected_resource(mut self, resource: ProtectedResource) -> Self {
        self.authenticator.challenge.metadata = Some(resource.url());
        self.authenticator.challenge.scopes = resource.challenge_scopes().to_vec();
        self.resource = Some((resource, Location::caller()));
        self
    }

    /// Asks every caller for a bearer token, and accepts the access tokens of that issuer (OAuth, JWT). May be called several times, for several
    /// issuers; [`bearer_token`](Self::bearer_token)s count beside them.
    ///
    /// ```
    /// # use mcp_blocking::{Settings, jwt::{Algorithm, Jwt}};
    /// let jwt = Jwt::issuer("https://auth.example.com")
    ///     .audience("https://mcp.example.com/mcp")
    ///     .algorithms([Algorithm::Es256])
    ///     .jwks_url("https://auth.example.com/.well-known/jwks.json");
    /// let settings = Settings::new().jwt(jwt);
    /// ```
    #[cfg(feature = "jwt")]
    #[track_caller]
    pub fn jwt(mut self, jwt: Jwt) -> Self {
        self.jwt.push((jwt, Location::caller()));
        self
    }

    /// Asks this closure about every caller: it sees the request's head, and says who it is or that it may not come
    /// in. Runs on the connection's own thread, once for each WebSocket, behind the checks of `Host` and `Origin`. Callers with one of
    /// the [`bearer_token`](Self::bearer_token)s, or with a token of an issuer that is accepted (feature `jwt`), are not asked about.
    ///
    /// Who is not let in has failed to log in ([`Limits::failed_logins`]) if there was something to look at: a token, or one of the headers `Authorization`, `Cookie`, `X-Api-Key` and `X-Auth-Token`, if
    /// the closure looks at that one.
    ///
    /// ```
    /// # use mcp_blocking::{Denied, Principal, Settings};
    /// # fn look_up(token: &str) -> Option<Principal> { None }
    /// let settings = Settings::new().authenticate(|head| head.bearer().and_then(look_up).ok_or(Denied));
    /// ```
    pub fn authenticate(
        mut self,
        who: impl Fn(&RequestHead<'_>) -> Result<Principal, Denied> + Send + Sync + 'static,
    ) -> Self {
        self.authenticator.authenticate = Some(Arc::new(who));
        self
    }

    /// Lets anybody who can reach the server in, on addresses beyond loopback, too.
    pub fn dangerous_allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Encrypts all connections of all addresses (`wss://`, `https://`), except that of
    /// [`Bound::health`](crate::Bound::health). A second call replaces the first.
    ///
    /// Beyond loopback clients name the server by the certificate's name: let that in with [`allow_host`](Self::allow_host).
    ///
    /// ```
    /// # use mcp_blocking::{Settings, TlsConfig};
    /// let tls = TlsConfig::files("chain.pem", "key.pem").client_ca_file("clients.pem");
    /// let settings = Settings::new().tls(tls).allow_host("mcp.example.com");
    /// ```
    #[cfg(feature = "tls")]
    #[track_caller]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some((tls, Location::caller()));
        self
    }

    /// Serves addresses beyond loopback without TLS of its own: for a server behind a proxy that ends TLS. As with `tls`, a page of the
    /// server's own host then is one that came over `https`; where the front is plain after all, let its pages in with `allow_origin("http://…")`.
    pub fn plaintext_behind_proxy(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Believes these proxies what they say of their clients' addresses: addresses (`10.0.0.7`, `::1`) and networks (`10.0.0.0/8`, `fd00::/8`). May be
    /// called several times; `bind` reports what is neither.
    ///
    /// A client's address then is the rightmost one in `Forwarded` (RFC 7239) or `X-Forwarded-For` that is none of these proxies, for each HTTP request
    /// anew: for limits, logs, the audit log, [`RequestHead::address`](crate::RequestHead::address) and [`Ctx::address`](crate::Ctx::address). Without this, and from everybody else, both headers
    /// are ignored: anybody can send them.
    ///
    /// - Each proxy has to **add** the address that it sees, or to set the header to it, and must not hand on what its client has sent alone.
    /// - If both headers are there, they have to agree; else the request is answered 400. So have the proxy set one and remove the other.
    /// - What cannot be read (`unknown`, made-up names, garbage) ends the search: the client then is the proxy that said so. At most 16 hops are looked at.
    /// - Connections of these proxies have no limit for each address; what they carry counts for the clients that they name. An address of
    ///   loopback that a proxy names, and a proxy of loopback that names nobody, are not limited for each address, as ever
    ///   ([`Limits::limit_loopback`](crate::Limits::limit_loopback)).
    /// - Whoever can connect from such an address can claim any other: trusting `127.0.0.1` is trusting all users of this machine.
    ///
    /// A WebSocket needs a connection of its own to the server, not one that has carried HTTP requests. The proxy has to hand on `Host` as the client sent it, with its port, since pages are compared with it (`Origin`); or let the name in that it
    /// sends with [`allow_host`](Self::allow_host), and the pages with [`allow_origin`](Self::allow_origin). `X-Forwarded-Host` and `X-Forwarded-Proto` are not looked at.
    ///
    /// ```
    /// # use mcp_blocking::Settings;
    /// let settings = Settings::new().trusted_proxies(["10.0.0.0/8", "::1"]).allow_host("mcp.example.com");
    /// ```
    #[track_caller]
    #[doc(alias = "x-forwarded-for")]
    #[doc(alias = "forwarded")]
    pub fn trusted_proxies<S: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = S>) -> Self {
        let location = Location::caller();
        for proxy in proxies {
            let added = self.proxies.add(proxy.as_ref());
            self = self.check(added, location);
        }
        self
    }

    /// Asks this closure whether the server is ready: whether what it depends on is there. An error turns `/ready` red,
    /// with the name and the text (callers of [`Bound::health`](crate::Bound::health) read it without a token: no secrets). May be
    /// called several times; all have to agree.
    ///
    /// It runs on the thread of a probe, one probe at a time, and what it said holds for a second, however many ask. Keep it
    /// short, with a deadline of its own: a probe that finds it running waits 500 ms for it, then says that it has not
    /// returned. A panic counts as an error.
    ///
    /// ```
    /// # use mcp_blocking::Settings;
    /// # fn ping_database() -> Result<(), String> { Ok(()) }
    /// let settings = Settings::new().ready_check("database", ping_database);
    /// ```
    pub fn ready_check(
        mut self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check::new(name.into(), check));
        self
    }

    /// Answers `/health`, `/ready` and `/metrics` on the main port, too: for platforms that give one port only. There they
    /// are behind the same checks as everything else (`Host`, `Origin`, authentication), take one of the
    /// connections' seats, and come before services at the same paths.
    ///
    /// See [`Bound::health`](crate::Bound::health) for what they say.
    pub fn health_on_main(mut self) -> Self {
        self.health_on_main = true;
        self
    }

    /// Keeps an audit log: see [`audit`](crate::audit). Without this there is none.
    ///
    /// ```
    /// # use mcp_blocking::{Settings, audit::Audit};
    /// let settings = Settings::new().audit(Audit::to_file("audit.log").key_file("/etc/notes/audit.key"));
    /// ```
    pub fn audit(mut self, audit: Audit) -> Self {
        self.audit = Some(audit);
        self
    }

    /// Whoever has the broader scope has the narrower ones, too, and all that those imply. May be called several times.
    ///
    /// ```
    /// # use mcp_blocking::Settings;
    /// let settings = Settings::new().scope_implies("files", ["files:read", "files:write"]).scope_implies("admin", ["files"]);
    /// ```
    ///
    /// Scopes are declared where something is registered ([`Tool::scope`](crate::Tool::scope)) and granted by
    /// [`Principal::with_scopes`]. `bind` reports what is no scope, and scopes that would imply themselves.
    #[track_caller]
    pub fn scope_implies(mut self, broader: &str, narrower: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let location = Location::caller();
        for narrower in narrower {
            let implied = self.scopes.imply(broader, narrower.as_ref());
            self = self.check(implied.map_err(|what| ConfigError::new("scope_implies", what)), location);
        }
        self
    }

    /// Shows everything to everybody, as if all that asks for a scope had been marked so ([`Tool::step_up`](crate::Tool::step_up)): lists are whole, and
    /// who lacks a scope is told which. Without it, what a caller may not use does not exist, as far as that caller is concerned.
    pub fn step_up(mut self) -> Self {
        self.step_up = true;
        self
    }

    /// Asks the user before a tool runs that is marked [`destructive`](crate::Tool::destructive), and not `read_only`: by a question that names the
    /// tool and shows its arguments. Tools can be taken out ([`Tool::without_confirmation`](crate::Tool::without_confirmation)), and others added
    /// ([`Tool::confirm`](crate::Tool::confirm), which says more about it).
    pub fn confirm_destructive(mut self) -> Self {
        self.confirm_destructive = true;
        self
    }

    /// What is done with control characters, changes of direction and hidden text in what clients send: arguments of tools, prompts, completions and
    /// methods, answers to questions, addresses of resources. Default [`TextPolicy::incoming`]: such text is refused, and the model is told which
    /// character stands where. A tool may have a policy [of its own](crate::Tool::text_in).
    ///
    /// In an address of a resource, and the name of a method, nothing is left out or marked: there [`Strip`](crate::TextAction::Strip) and
    /// [`Mark`](crate::TextAction::Mark) refuse, too.
    pub fn text_in(mut self, policy: TextPolicy) -> Self {
        self.texts.incoming = policy;
        self
    }

    /// The same for what clients are sent: results, contents of resources, messages of prompts, descriptions, questions, progress and log messages, errors.
    /// Default [`TextPolicy::outgoing`]: it is left out. A tool may have a policy [of its own](crate::Tool::text_out) for its results.
    ///
    /// With [`Reject`](crate::TextAction::Reject) a result does not leave: its client is answered -32603 with an incident number, and the log says what it
    /// held. Where there is nothing to refuse (lists, errors, progress and log messages) it is left out instead. Images, sounds and what is sent as
    /// base64 are no text.
    pub fn text_out(mut self, policy: TextPolicy) -> Self {
        self.texts.outgoing = policy;
        self
    }

    /// Keeps the values of that name out of the log and the audit log, as `password=…`, `"api_key":…` and some others are kept out without it. Names are compared
    /// without case, `-` and `_`; what stands before the name does not matter: `pin` is for `card_pin`, too.
    ///
    /// Rules hold for the whole process, as its logger does, and there may be 64 of them. They are for what this library logs of texts that it was given: what your own code logs
    /// it does not see.
    #[track_caller]
    pub fn redact_key(self, key: &str) -> Self {
        let added = redact::add_key(key).map_err(|problem| ConfigError::new("redact_key", problem));
        self.check(added, Location::caller())
    }

    /// The same for what begins in a way of its own: `acme_*`, where `*` stands for as many letters, digits and `-_.~+/=` as there are. The first 3 characters have to be
    /// no `*`. Bearer credentials, JSON Web Tokens, private keys in PEM and the tokens of some well-known services are kept out without it.
    ///
    /// ```
    /// # use mcp_blocking::Settings;
    /// let settings = Settings::new().redact_key("pin").redact_pattern("acme_live_*");
    /// ```
    #[track_caller]
    pub fn redact_pattern(self, pattern: &str) -> Self {
        let added = redact::add_pattern(pattern).map_err(|problem| ConfigError::new("redact_pattern", problem));
        self.check(added, Location::caller())
    }

    /// What is open, weak or missing with them.
    pub(crate) fn diagnose(
        mut self,
        offered: &Offered,
        addresses: &[SocketAddr],
        health: Option<SocketAddr>,
        problems: Vec<Problem>,
    ) -> Diagnosis {
        let problems = self.prepare(offered, problems);
        doctor::examine(Case { settings: &self, offered, addresses, health, problems })
    }

    /// Reads what is named in them, apart from certificates. Returns these problems and all others that stand against starting.
    pub(crate) fn prepare(&mut self, offered: &Offered, mut problems: Vec<Problem>) -> Vec<Problem> {
        problems.extend(self.take_problems());
        problems.extend(offered.problems(&self.limits));
        match Issuers::new(&self.jwt) {
            Ok(issuers) => self.authenticator.issuers = issuers,
            Err(wrong) => problems.extend(wrong),
        }
        problems
    }

    /// All that stands against starting with them.
    fn take_problems(&mut self) -> Vec<Problem> {
        let limits = self.limits.problems().into_iter().map(|what| Problem::new("limits", what));
        let audit = self.audit.as_mut().map(Audit::take_problems).unwrap_or_default();
        let nobodys_page = self.origins.allowed.iter().any(OriginPattern::is_null) && self.lets_anybody_in();
        let origin = nobodys_page.then(|| Problem::new("allow_origin", NOBODYS_PAGE));
        // From here on these are one server's own.
        let mut access = Access::clone(&self.authenticator.access);
        access.limit(TicketLimits {
            total: self.limits.tickets,
            per_principal: self.limits.tickets_per_principal,
            lifetime: clamp_time(self.limits.ticket_lifetime),
        });
        let tokens = access.read_files().err();
        self.authenticator.access = Arc::new(access);
        let resource = self.resource.iter().flat_map(|(resource, location)| {
            resource.problems().into_iter().map(|what| Problem::new("protected_resource", what).at(location))
        });
        std::mem::take(&mut self.problems)
            .into_iter()
            .chain(limits)
            .chain(audit)
            .chain(origin)
            .chain(tokens)
            .chain(resource)
            .collect()
    }

    /// Whether somebody comes in who does not say who he is.
    pub(crate) fn lets_anybody_in(&self) -> bool {
        let certificates = self.tls.as_ref().is_some_and(|(tls, _)| tls.authenticates());
        !self.authenticator.asks() && self.jwt.is_empty() && !certificates
    }

    /// Whether callers are asked who they are, also if they need not say it.
    pub(crate) fn asks(&self) -> bool {
        !self.lets_anybody_in() || self.certificate_suffices()
    }

    /// Whether a certificate may stand for a token.
    pub(crate) fn certificate_suffices(&self) -> bool {
        self.tls.as_ref().is_some_and(|(tls, _)| tls.certificate_suffices())
    }

    /// From when to when the server's certificates are good. Reads their files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn certificate_ends(&self) -> Result<Vec<Term>, Vec<Problem>> {
        let Some((tls, location)) = &self.tls else { return Ok(Vec::new()) };
        tls.terms().map_err(|wrong| wrong.into_iter().map(|problem| problem.at(location)).collect())
    }

    /// Whether that address may be served; `plain` is one that is never encrypted.
    ///
    /// # Errors
    /// [`Error::Exposed`].
    pub(crate) fn check_exposed(&self, address: SocketAddr, plain: bool) -> Result<(), Error> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        match self.missing(plain) {
            Some(missing) => Err(Error::Exposed { address, missing }),
            None => Ok(()),
        }
    }

    /// What is missing for an address beyond loopback; `plain` is one that is never encrypted.
    fn missing(&self, plain: bool) -> Option<&'static str> {
        if self.lets_anybody_in() && !self.anonymous {
            return Some(
                "ask for a token with `bearer_token` or for a certificate with `TlsConfig::client_ca_file`, or let everybody in with \
                 `dangerous_allow_anonymous` (option --token, --client-ca or --dangerous-allow-anonymous)",
            );
        }
        match (&self.tls, plain) {
            _ if self.plaintext => None,
            (None, _) => Some(
                "encrypt with `tls` (option --tls-cert), or put it behind a proxy that ends TLS and say so with \
                 `plaintext_behind_proxy` (option --plaintext-behind-proxy)",
            ),
            (Some(_), true) => Some(
                "probes are answered without TLS: use an address of loopback, or `health_on_main`, or say with \
                 `plaintext_behind_proxy` that the way there is safe (option --plaintext-behind-proxy)",
            ),
            (Some(_), false) => None,
        }
    }

    fn check(mut self, result: Result<(), ConfigError>, location: &'static Location<'static>) -> Self {
        if let Err(error) = result {
            self.problems.push(Problem::new(error.setting, error.problem).at(location));
        }
        self
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("hosts", &self.hosts)
            .field("origins", &self.origins)
            .field("tokens", &self.authenticator.access.tokens())
            .finish_non_exhaustive()
    }
}
