//! The options that the examples have in common: every setting of the library, to be tried without writing code.

#[path = "limits.rs"]
mod limits;

use limits::Limit;
use mcp_blocking::audit::{Audit, SyncPolicy, WhenFailing};
use mcp_blocking::{Limits, ProtectedResource, Settings};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// What was asked for on the command line.
#[derive(Debug, Clone)]
pub struct Options {
    listen: Vec<String>,
    health: Option<String>,
    stdio: bool,
    doctor: bool,
    pages: Vec<String>,
    certificates: Certificates,
    /// What was said of each issuer of tokens: option and value, the issuer first.
    issuers: Vec<Vec<(String, String)>>,
    resource: Option<ProtectedResource>,
    state_keys: Vec<String>,
    pub log: log::LevelFilter,
    settings: Vec<Setting>,
    audit: Option<String>,
    audit_settings: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum Setting {
    Token(String),
    TokenFile(String),
    TokenAsSubprotocol,
    TicketEndpoint,
    HealthOnMain,
    StepUp,
    AllowOrigin(String),
    AllowHost(String),
    Anonymous,
    Plaintext,
    ConfirmDestructive,
    TrustedProxy(String),
    LimitLoopback,
    Limit(&'static Limit, String),
}

/// What was said of TLS: names of files.
#[derive(Debug, Clone, Default)]
struct Certificates {
    chains: Vec<String>,
    keys: Vec<String>,
    client_authorities: Vec<String>,
    revoked: Vec<String>,
    optional: bool,
}

/// What is said of the audit log.
const AUDIT: &[(&str, &str)] = &[
    ("--audit-key FILE", "its key, in hexadecimal (default: made at FILE.key)"),
    ("--audit-sync WHEN", "when it is on the disk: never, always, or after so many seconds (default 1)"),
    ("--audit-file-bytes N", "at that size a new file is begun"),
    ("--audit-keep N", "so many old files are kept"),
    ("--audit-when-failing WHAT", "count: go on, count what is lost (default); refuse: begin nothing"),
];

/// What is said of issuers of tokens.
const JWT: &[(&str, &str)] = &[
    ("--jwt-issuer URL", "accept access tokens (OAuth, JWT) of this issuer; what follows is about it"),
    ("--jwt-audience NAME", "what this server is called in them (several times)"),
    ("--jwt-jwks URL|FILE", "the issuer's keys"),
    ("--jwt-algorithm NAME", "accept this one, say ES256 (several times; default RS256, ES256, ES384, EdDSA)"),
    ("--jwt-ca FILE", "who vouches for the URL, instead of public authorities (several times)"),
    ("--jwt-untyped", "accept tokens that are not marked as access tokens"),
    ("--dangerous-jwt-private", "fetch the keys from private addresses, too"),
];

impl Options {
    /// Reads the command line; `Err` holds what to print, and whether it is a complaint.
    pub fn parse(program: &str, arguments: impl IntoIterator<Item = String>) -> Result<Self, (String, bool)> {
        let mut options = Self {
            listen: Vec::new(),
            health: None,
            stdio: false,
            doctor: false,
            pages: Vec::new(),
            certificates: Certificates::default(),
            issuers: Vec::new(),
            resource: None,
            state_keys: Vec::new(),
            log: log::LevelFilter::Info,
            settings: Vec::new(),
            audit: None,
            audit_settings: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (argument, None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| arguments.next())
                    .ok_or_else(|| (format!("{name} needs a value (see --help)"), true))
            };
            match name.as_str() {
                "--help" | "-h" => return Err((help(program), false)),
                "--stdio" if program == "everything" => options.stdio = true,
                "--state-key-file" if program == "everything" => options.state_keys.push(value()?),
                "--confirm-destructive" if program == "everything" => {
                    options.settings.push(Setting::ConfirmDestructive)
                }
                "--step-up" if program == "everything" => options.settings.push(Setting::StepUp),
                "--page" if program == "browser" => options.pages.push(value()?),
                "--doctor" => options.doctor = true,
                "--listen" => options.listen.push(value()?),
                "--health" => options.health = Some(value()?),
                "--health-on-main" => options.settings.push(Setting::HealthOnMain),
                "--log" => options.log = parsed(&name, &value()?)?,
                "--token" => options.settings.push(Setting::Token(value()?)),
                "--token-file" => options.settings.push(Setting::TokenFile(value()?)),
                "--token-as-subprotocol" => options.settings.push(Setting::TokenAsSubprotocol),
                "--ticket-endpoint" => options.settings.push(Setting::TicketEndpoint),
                "--allow-origin" => options.settings.push(Setting::AllowOrigin(value()?)),
                "--allow-host" => options.settings.push(Setting::AllowHost(value()?)),
                "--dangerous-allow-anonymous" => options.settings.push(Setting::Anonymous),
                "--tls-cert" => options.certificates.chains.push(value()?),
                "--tls-key" => options.certificates.keys.push(value()?),
                "--client-ca" => options.certificates.client_authorities.push(value()?),
                "--client-crl" => options.certificates.revoked.push(value()?),
                "--optional-client-certificate" => options.certificates.optional = true,
                "--protected-resource" => options.resource = Some(ProtectedResource::new(value()?)),
                "--authorization-server" | "--resource-scope" => {
                    let value = value()?;
                    let resource = options.resource.take().ok_or_else(|| {
                        (format!("{name}: name the resource first, with --protected-resource URL"), true)
                    })?;
                    options.resource = Some(match name.as_str() {
                        "--resource-scope" => resource.scope(value),
                        _ => resource.authorization_server(value),
                    });
                }
                "--jwt-issuer" => options.issuers.push(vec![(name.clone(), value()?)]),
                other if options_of(JWT).any(|known| known == other) => {
                    let value = if other.ends_with("-untyped") || other.ends_with("-private") {
                        String::new()
                    } else {
                        value()?
                    };
                    let issuer = options.issuers.last_mut();
                    let issuer = issuer
                        .ok_or_else(|| (format!("{other}: name the issuer first, with --jwt-issuer URL"), true))?;
                    issuer.push((other.to_owned(), value));
                }
                "--plaintext-behind-proxy" => options.settings.push(Setting::Plaintext),
                "--trusted-proxy" => options.settings.push(Setting::TrustedProxy(value()?)),
                "--limit-loopback" => options.settings.push(Setting::LimitLoopback),
                "--audit" => options.audit = Some(value()?),
                other if options_of(AUDIT).any(|known| known == other) => {
                    let value = value()?;
                    // Tried at once, too.
                    let _ = set_audit(Audit::to_file(""), other, &value)?;
                    options.audit_settings.push((other.to_owned(), value));
                }
                other => match limits::find(other) {
                    Some(limit) => {
                        let value = value()?;
                        // Tried at once, for a complaint before anything is started.
                        (limit.set)(&mut Limits::default(), limit.option, &value)?;
                        options.settings.push(Setting::Limit(limit, value));
                    }
                    None => return Err((format!("unknown option {other} (see --help)"), true)),
                },
            }
        }
        if options.certificates.chains.len() != options.certificates.keys.len() {
            return Err(("give one --tls-key for each --tls-cert, in the same order".to_owned(), true));
        }
        Ok(options)
    }

    /// Whether connections are encrypted.
    pub fn tls(&self) -> bool {
        !self.certificates.chains.is_empty()
    }

    /// How the addresses of WebSockets begin.
    pub fn websocket(&self) -> &'static str {
        if self.tls() { "wss" } else { "ws" }
    }

    /// How those of HTTP begin.
    #[allow(dead_code, reason = "not every example serves it")]
    pub fn http(&self) -> &'static str {
        if self.tls() { "https" } else { "http" }
    }

    /// Whether to say what is open or weak, instead of serving.
    pub fn doctor(&self) -> bool {
        self.doctor
    }

    /// Where to serve web pages.
    #[allow(dead_code, reason = "not every example has some")]
    pub fn pages(&self) -> &[String] {
        &self.pages
    }

    /// Whether to serve standard input and output.
    #[allow(dead_code, reason = "not every example does")]
    pub fn stdio(&self) -> bool {
        self.stdio
    }

    /// Where to listen; nowhere if standard input and output are all that is served.
    pub fn addresses(&self) -> Vec<&str> {
        match self.listen.is_empty() && !self.stdio {
            true => vec!["127.0.0.1:8080"],
            false => self.listen.iter().map(String::as_str).collect(),
        }
    }

    /// The secrets for states that clients carry from one process to another: what is in the files that were named. They are not
    /// given on the command line, which other users of the machine can read.
    #[allow(dead_code, reason = "not every example has such states")]
    pub fn state_keys(&self) -> Result<Vec<Vec<u8>>, String> {
        let read = |path: &String| std::fs::read(path).map_err(|error| format!("--state-key-file {path}: {error}"));
        self.state_keys.iter().map(read).collect()
    }

    /// Where to answer probes, if anywhere.
    pub fn health(&self) -> Option<&str> {
        self.health.as_deref()
    }

    /// Whether there are tokens to be read again.
    #[cfg_attr(not(unix), allow(dead_code, reason = "only there is a signal to read them again"))]
    pub fn has_token_files(&self) -> bool {
        self.settings.iter().any(|setting| matches!(setting, Setting::TokenFile(_)))
    }

    /// Whether an audit log is kept.
    #[cfg_attr(not(unix), allow(dead_code, reason = "only there is a signal to open it anew"))]
    pub fn audits(&self) -> bool {
        self.audit.is_some()
    }

    /// The guards and limits that were asked for.
    pub fn settings(&self) -> Result<Settings, String> {
        let settings = self.certificates.settings(Settings::new())?;
        let mut settings = self.issuers.iter().try_fold(settings, set_issuer)?;
        if let Some(resource) = &self.resource {
            settings = settings.protected_resource(resource.clone());
        }
        let mut token_number = 0;
        for setting in &self.settings {
            settings = match setting {
                Setting::Token(token) => {
                    token_number += 1;
                    match token.split_once(':') {
                        Some((name, token)) => settings.bearer_token(name, token),
                        None => settings.bearer_token(format!("token-{token_number}"), token),
                    }
                }
                Setting::TokenFile(path) => settings.token_file(path),
                Setting::TokenAsSubprotocol => settings.token_as_subprotocol(),
                Setting::TicketEndpoint => settings.ticket_endpoint(),
                Setting::HealthOnMain => settings.health_on_main(),
                Setting::StepUp => settings.step_up(),
                Setting::AllowOrigin(origin) => settings.allow_origin(origin),
                Setting::AllowHost(host) => settings.allow_host(host),
                Setting::Anonymous => settings.dangerous_allow_anonymous(),
                Setting::Plaintext => settings.plaintext_behind_proxy(),
                Setting::ConfirmDestructive => settings.confirm_destructive(),
                Setting::TrustedProxy(proxy) => settings.trusted_proxies([proxy]),
                Setting::LimitLoopback => settings.limits(|limits| limits.limit_loopback = true),
                Setting::Limit(limit, value) => {
                    let mut problem = None;
                    let settings = settings.limits(|limits| problem = (limit.set)(limits, limit.option, value).err());
                    match problem {
                        Some((problem, _)) => return Err(problem),
                        None => settings,
                    }
                }
            };
        }
        let Some(file) = &self.audit else {
            return match self.audit_settings.first() {
                Some((name, _)) => Err(format!("{name}: name the log, too, with --audit FILE")),
                None => Ok(settings),
            };
        };
        let audit = self
            .audit_settings
            .iter()
            .try_fold(Audit::to_file(file), |audit, (name, value)| set_audit(audit, name, value));
        Ok(settings.audit(audit.map_err(|(problem, _)| problem)?))
    }
}

/// The names of options that are listed with their values.
fn options_of(list: &'static [(&str, &str)]) -> impl Iterator<Item = &'static str> {
    list.iter().filter_map(|(known, _)| known.split(' ').next())
}

fn set_audit(audit: Audit, name: &str, value: &str) -> Result<Audit, (String, bool)> {
    Ok(match (name, value) {
        ("--audit-key", file) => audit.key_file(file),
        ("--audit-sync", "never") => audit.sync(SyncPolicy::Never),
        ("--audit-sync", "always") => audit.sync(SyncPolicy::Always),
        ("--audit-sync", time) => audit.sync(SyncPolicy::Every(seconds(name, time)?)),
        ("--audit-file-bytes", bytes) => audit.file_bytes(parsed(name, bytes)?),
        ("--audit-keep", files) => audit.keep(parsed(name, files)?),
        ("--audit-when-failing", "count") => audit.when_failing(WhenFailing::Count),
        ("--audit-when-failing", "refuse") => audit.when_failing(WhenFailing::Refuse),
        (name, value) => return Err((format!("{name} {value}: no such value (see --help)"), true)),
    })
}

#[cfg(feature = "jwt")]
fn set_issuer(settings: Settings, options: &Vec<(String, String)>) -> Result<Settings, String> {
    use mcp_blocking::jwt::{Algorithm, Jwt};
    let (mut jwt, mut algorithms) = (Jwt::issuer(""), Vec::new());
    for (name, value) in options {
        jwt = match name.as_str() {
            "--jwt-issuer" => Jwt::issuer(value),
            "--jwt-audience" => jwt.audience(value),
            "--jwt-jwks" if value.contains("://") => jwt.jwks_url(value),
            "--jwt-jwks" => jwt.jwks_file(value),
            "--jwt-ca" => jwt.jwks_ca_file(value),
            "--jwt-untyped" => jwt.untyped(),
            "--dangerous-jwt-private" => jwt.dangerous_allow_private_address(),
            _ => {
                let algorithm = Algorithm::from_name(value);
                algorithms.push(algorithm.ok_or_else(|| {
                    format!("{name} {value}: there is no such algorithm, or it is none that is safe")
                })?);
                jwt
            }
        };
    }
    Ok(settings.jwt(if algorithms.is_empty() { jwt } else { jwt.algorithms(algorithms) }))
}

#[cfg(not(feature = "jwt"))]
fn set_issuer(_: Settings, _: &Vec<(String, String)>) -> Result<Settings, String> {
    Err("this was built without JWT: build it with `--features jwt`".to_owned())
}

impl Certificates {
    #[cfg(feature = "tls")]
    fn settings(&self, settings: Settings) -> Result<Settings, String> {
        use mcp_blocking::TlsConfig;
        let mut pairs = self.chains.iter().zip(&self.keys);
        let Some((chain, key)) = pairs.next() else {
            return match self.client_authorities.is_empty() && self.revoked.is_empty() && !self.optional {
                true => Ok(settings),
                false => {
                    Err("client certificates need a certificate of the server's own: --tls-cert and --tls-key"
                        .to_owned())
                }
            };
        };
        let tls = pairs.fold(TlsConfig::files(chain, key), |tls, (chain, key)| tls.and_files(chain, key));
        let tls = self.client_authorities.iter().fold(tls, TlsConfig::client_ca_file);
        let tls = self.revoked.iter().fold(tls, TlsConfig::client_crl_file);
        Ok(settings.tls(if self.optional { tls.optional_client_certificate() } else { tls }))
    }

    #[cfg(not(feature = "tls"))]
    fn settings(&self, settings: Settings) -> Result<Settings, String> {
        let Self { chains, client_authorities, revoked, optional, .. } = self;
        match chains.is_empty() && client_authorities.is_empty() && revoked.is_empty() && !optional {
            true => Ok(settings),
            false => Err("this was built without TLS: build it with `--features tls`".to_owned()),
        }
    }
}

fn parsed<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, (String, bool)> {
    value.parse().map_err(|error| (format!("{name} {value}: {error}"), true))
}

fn seconds(name: &str, value: &str) -> Result<Duration, (String, bool)> {
    let seconds: f64 = parsed(name, value)?;
    Duration::try_from_secs_f64(seconds).map_err(|error| (format!("{name} {value}: {error}"), true))
}

fn help(program: &str) -> String {
    let own = match program {
        "everything" => {
            "  --stdio                        serve standard input and output; with --listen, sockets, too\n\
             \x20 --state-key-file FILE          a secret of 32 random bytes or more, shared by the processes that answer the\n\
             \x20                                rounds of one request (several times: the first seals, all open)\n\
             \x20 --confirm-destructive          ask the user before a tool runs that may destroy something\n\
             \x20 --step-up                      show what needs a scope to everybody, and tell who lacks it which\n"
        }
        "browser" => {
            "  --page ADDRESS                 where to serve the page (several times: pages of the others are not let in)\n"
        }
        _ => "",
    };
    let mut text = format!(
        "usage: {program} [OPTION]...\n\n{own}\
         \x20 --listen ADDRESS               where to listen (default 127.0.0.1:8080; port 0 takes any free one;\n\
         \x20                                may be given several times)\n\
         \x20 --health ADDRESS               where to answer /health, /ready and /metrics (default: nowhere)\n\
         \x20 --health-on-main               answer them where clients connect, too, behind the authentication\n\
         \x20 --token [NAME:]TOKEN           ask for a bearer token, and accept this one (several times)\n\
         \x20 --token-file FILE              the same for the tokens in a file, which is read again on SIGHUP; a line for each: principal,\n\
         \x20                                token or sha256:HEX, and if wanted name=, scopes=a,b and expires=2030-12-31T23:59:59Z\n\
         \x20 --token-as-subprotocol         let WebSockets bring their token as subprotocol mcp.auth.TOKEN, too\n\
         \x20 --ticket-endpoint              issue one-time tickets for WebSockets of web pages, at the path with /ticket\n\
         \x20 --protected-resource URL       tell clients where to get a token (RFC 9728): this is what they call the server, say\n\
         \x20                                https://mcp.example.com/mcp; what follows is about it\n\
         \x20 --authorization-server URL     who issues tokens for it (several times, once at least)\n\
         \x20 --resource-scope SCOPE         what basic use of it takes (several times)\n\
         \x20 --allow-origin ORIGIN          let pages of this origin in, say https://app.example.com\n\
         \x20 --allow-host HOST              let requests for this host name in\n\
         \x20 --dangerous-allow-anonymous    beyond loopback: ask nobody for a token\n\
         \x20 --tls-cert FILE                encrypt with this chain of certificates (PEM; wss:// and https://); one more for\n\
         \x20                                each further name; read again when it changes, and on SIGHUP\n\
         \x20 --tls-key FILE                 its key (PEM), one for each --tls-cert\n\
         \x20 --client-ca FILE               ask clients for a certificate of an authority in this file (several times)\n\
         \x20 --client-crl FILE              refuse those on this revocation list (several times)\n\
         \x20 --optional-client-certificate  let clients without one in, too\n\
         \x20 --plaintext-behind-proxy       beyond loopback: a proxy in front ends TLS\n\
         \x20 --trusted-proxy ADDRESS        believe what this proxy or network (10.0.0.0/8) says of its clients' addresses\n\
         \x20 --limit-loopback               limit local clients for each address, too\n\
         \x20 --doctor                       serve nobody: list what is open, weak or missing with the options given; status 1 if\n\
         \x20                                there is more than notes\n\
         \x20 --audit FILE                   keep an audit log; SIGHUP has it opened anew\n\
         \x20 --log LEVEL                    off, error, warn, info (default), debug, trace; to standard error\n\
         \nIssuers of tokens:\n"
    );
    for (name, meaning) in JWT {
        text.push_str(&format!("  {name:<30} {meaning}\n"));
    }
    text.push_str("\nThe audit log:\n");
    for (name, meaning) in AUDIT {
        text.push_str(&format!("  {name:<30} {meaning}\n"));
    }
    text + &limits::help()
}
