//! Who is let in, and how much of everything: what all servers of this crate have in common.

use crate::audit::Audit;
use crate::error::Problem;
use crate::guard::config::ConfigError;
use crate::guard::forwarded::TrustedProxies;
use crate::guard::origin::{HostPolicy, OriginPolicy};
use crate::health::ready::Check;
use crate::limits::Limits;
use crate::principal::Principal;
use crate::tls::TlsConfig;
use crate::transport::authenticator::Authenticator;
use crate::transport::request_head::{Denied, RequestHead};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// An author's own authentication.
pub(crate) type Authenticate = Arc<dyn Fn(&RequestHead<'_>) -> Result<Principal, Denied> + Send + Sync>;

/// Guards and limits of a server. The defaults are safe: loopback names only, no foreign web page, everything bounded.
///
/// A [`Server`](crate::Server) has the same methods of its own; this type is for settings that are made in one place
/// and used in another, and for a [`Listener`](crate::Listener).
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
    pub(crate) checks: Vec<Check>,
    pub(crate) health_on_main: bool,
    pub(crate) audit: Option<Audit>,
    anonymous: bool,
    plaintext: bool,
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
    /// pages of the server's own host and port pass, and programs, which send no `Origin`.
    #[track_caller]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        let allowed = self.origins.allow(origin);
        self.check(allowed, Location::caller())
    }

    /// Asks every caller for a bearer token (`Authorization: Bearer …`), and accepts this one for the principal of that
    /// name. May be called several times. Tokens are kept as hashes only and compared in constant time.
    #[track_caller]
    pub fn bearer_token(mut self, principal: impl Into<String>, token: &str) -> Self {
        let added = self.authenticator.tokens.add(principal, token);
        self.check(added, Location::caller())
    }

    /// Asks this closure about every caller: it sees the request's head, and says who it is or that it may not come
    /// in. Runs on the connection's own thread, once for each WebSocket, behind the checks of `Host` and `Origin`. Callers with one of
    /// the [`bearer_token`](Self::bearer_token)s are not asked about.
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

    /// Serves addresses beyond loopback without TLS of its own: for a server behind a proxy that ends TLS.
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

    /// All that stands against starting.
    pub(crate) fn take_problems(&mut self) -> Vec<Problem> {
        let limits = self.limits.problems().into_iter().map(|what| Problem::new("limits", what));
        let audit = self.audit.as_mut().and_then(Audit::take_problem);
        std::mem::take(&mut self.problems).into_iter().chain(limits).chain(audit).collect()
    }

    /// What is missing for an address beyond loopback; `plain` is one that is never encrypted.
    pub(crate) fn missing(&self, plain: bool) -> Option<&'static str> {
        let certificates = self.tls.as_ref().is_some_and(|(tls, _)| tls.authenticates());
        if self.authenticator.tokens.is_empty()
            && self.authenticator.authenticate.is_none()
            && !certificates
            && !self.anonymous
        {
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
            .field("tokens", &self.authenticator.tokens)
            .finish_non_exhaustive()
    }
}
