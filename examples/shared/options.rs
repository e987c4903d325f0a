//! The options that the examples have in common: every setting of the library, to be tried without writing code.

use mcp_blocking::audit::{Audit, SyncPolicy, WhenFailing};
use mcp_blocking::{Limits, Settings};
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
    AllowOrigin(String),
    AllowHost(String),
    Anonymous,
    Plaintext,
    ConfirmDestructive,
    TrustedProxy(String),
    LimitLoopback,
    Limit(&'static str, String),
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

/// Counts and sizes: the option, what it means.
const NUMBERS: &[(&str, &str)] = &[
    ("--memory-bytes", "bytes of all queues together"),
    ("--message-bytes", "bytes of one message"),
    ("--frame-bytes", "bytes of one frame"),
    ("--fragments", "fragments of one message"),
    ("--control-frames-per-second", "pings and pongs of one client"),
    ("--head-bytes", "bytes of a request head"),
    ("--head-lines", "lines of a request head"),
    ("--max-connections", "connections in all"),
    ("--max-connections-per-address", "connections from one address beyond loopback"),
    ("--connect-rate", "new connections a second from one address beyond loopback; 0: no limit"),
    ("--connect-burst", "connections that may come at once before that"),
    ("--max-half-open", "connections that have not finished their handshake"),
    ("--missed-pings", "unanswered pings until a client counts as gone"),
    ("--outbox-bytes", "bytes queued for one client"),
    ("--outbox-frames", "frames queued for one client"),
    ("--calls-per-connection", "requests of one client under way at once"),
    ("--queued-calls", "requests that wait for a worker, in all"),
    ("--listens-per-connection", "open subscriptions of one client"),
    ("--json-depth", "nesting of one message"),
    ("--json-nodes", "values and names of members in one message"),
    ("--json-string-bytes", "bytes of one string in a message"),
    ("--rate", "messages a second of one client, 0 for no limit"),
    ("--burst", "messages at once before the rate applies"),
    ("--principal-rate", "messages a second of one principal, over all its connections; 0: no limit"),
    ("--principal-burst", "messages of one principal at once before that"),
    ("--address-rate", "messages a second from one address beyond loopback; 0: no limit"),
    ("--address-burst", "messages from one address at once before that"),
    ("--failed-logins", "attempts to log in that may fail from one address before it has to wait; 0: no limit"),
    ("--calls-per-day", "calls of tools of one client in a day (UTC); 0: no limit"),
    ("--log-rate", "log messages a second to one client, 0 for no limit"),
    ("--workers", "threads for handlers"),
    ("--max-sessions", "HTTP sessions"),
    ("--events-per-session", "events of an HTTP session kept for a lost connection"),
    ("--event-bytes-per-session", "bytes of these"),
    ("--parked-calls", "handlers that wait for clients, in all"),
    ("--questions-per-client", "unanswered questions to one client"),
    ("--max-tasks", "tasks that are under way or kept, in all"),
    ("--max-tasks-per-client", "tasks of one client"),
    ("--task-bytes", "bytes that tasks and their results hold"),
    ("--task-workers", "threads for tasks"),
    ("--page-size", "items on a page of a list"),
];

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

/// Times in seconds, fractions allowed.
const TIMES: &[(&str, &str)] = &[
    ("--head-deadline", "for the whole handshake"),
    ("--ping-interval", "of silence until a ping is sent"),
    ("--frame-deadline", "for a frame once begun"),
    ("--write-deadline", "a frame may wait in a full socket"),
    ("--close-deadline", "for the answer to a close frame"),
    ("--failed-login-wait", "that failed logins cost at once, at the most"),
    ("--handler-deadline", "for a handler"),
    ("--handler-deadline-extended", "for a handler that reports progress"),
    ("--body-deadline", "for the body of an HTTP request"),
    ("--connection-lifetime", "a connection lives at the most, 0 for no limit (default 7 days)"),
    ("--ticket-lifetime", "a page's ticket can be used"),
    ("--keep-alive", "an HTTP connection without a request stays open"),
    ("--session-idle", "an HTTP session that nobody uses is kept"),
    ("--event-lifetime", "an HTTP stream can be resumed after its end"),
    ("--reconnect-delay", "an HTTP client is told to wait before it comes back"),
    ("--question-deadline", "for a client's answer to a question"),
    ("--state-lifetime", "for a client to come back with an answer (2026-07-28)"),
    ("--task-deadline", "for a handler that runs as a task"),
    ("--task-ttl", "a task is kept"),
    ("--task-ttl-max", "a task is kept at the most, whoever asks"),
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
                "--page" if program == "browser" => options.pages.push(value()?),
                "--doctor" => options.doctor = true,
                "--listen" => options.listen.push(value()?),
                "--health" => options.health = Some(value()?),
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
                other => match NUMBERS.iter().chain(TIMES).find(|(known, _)| *known == other) {
                    Some((known, _)) => {
                        let value = value()?;
                        // Tried at once, for a complaint before anything is started.
                        set(&mut Limits::default(), known, &value)?;
                        options.settings.push(Setting::Limit(known, value));
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
                Setting::AllowOrigin(origin) => settings.allow_origin(origin),
                Setting::AllowHost(host) => settings.allow_host(host),
                Setting::Anonymous => settings.dangerous_allow_anonymous(),
                Setting::Plaintext => settings.plaintext_behind_proxy(),
                Setting::ConfirmDestructive => settings.confirm_destructive(),
                Setting::TrustedProxy(proxy) => settings.trusted_proxies([proxy]),
                Setting::LimitLoopback => settings.limits(|limits| limits.limit_loopback = true),
                Setting::Limit(name, value) => {
                    let mut problem = None;
                    let settings = settings.limits(|limits| problem = set(limits, name, value).err());
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

fn set(limits: &mut Limits, name: &str, value: &str) -> Result<(), (String, bool)> {
    match name {
        "--message-bytes" => limits.message_bytes = parsed(name, value)?,
        "--frame-bytes" => limits.frame_bytes = Some(parsed(name, value)?),
        "--fragments" => limits.fragments = parsed(name, value)?,
        "--control-frames-per-second" => limits.control_frames_per_second = parsed(name, value)?,
        "--head-bytes" => limits.head_bytes = parsed(name, value)?,
        "--head-lines" => limits.head_lines = parsed(name, value)?,
        "--max-connections" => limits.connections = parsed(name, value)?,
        "--max-connections-per-address" => limits.connections_per_address = parsed(name, value)?,
        "--connect-rate" => limits.connect_rate = parsed(name, value)?,
        "--connect-burst" => limits.connect_burst = parsed(name, value)?,
        "--principal-rate" => limits.principal_rate = parsed(name, value)?,
        "--principal-burst" => limits.principal_burst = parsed(name, value)?,
        "--address-rate" => limits.address_rate = parsed(name, value)?,
        "--address-burst" => limits.address_burst = parsed(name, value)?,
        "--failed-logins" => limits.failed_logins = parsed(name, value)?,
        "--calls-per-day" => limits.calls_per_day = parsed(name, value)?,
        "--failed-login-wait" => limits.failed_login_wait = seconds(name, value)?,
        "--max-half-open" => limits.half_open = parsed(name, value)?,
        "--missed-pings" => limits.missed_pings = parsed(name, value)?,
        "--outbox-bytes" => limits.outbox_bytes = parsed(name, value)?,
        "--outbox-frames" => limits.outbox_frames = parsed(name, value)?,
        "--calls-per-connection" => limits.calls_per_connection = parsed(name, value)?,
        "--queued-calls" => limits.queued_calls = parsed(name, value)?,
        "--listens-per-connection" => limits.listens_per_connection = parsed(name, value)?,
        "--json-depth" => limits.json_depth = parsed(name, value)?,
        "--json-nodes" => limits.json_nodes = parsed(name, value)?,
        "--json-string-bytes" => limits.json_string_bytes = Some(parsed(name, value)?),
        "--rate" => limits.rate = parsed(name, value)?,
        "--burst" => limits.burst = parsed(name, value)?,
        "--log-rate" => limits.log_rate = parsed(name, value)?,
        "--workers" => limits.workers = parsed(name, value)?,
        "--max-sessions" => limits.sessions = parsed(name, value)?,
        "--events-per-session" => limits.events_per_session = parsed(name, value)?,
        "--event-bytes-per-session" => limits.event_bytes_per_session = parsed(name, value)?,
        "--parked-calls" => limits.parked_calls = parsed(name, value)?,
        "--questions-per-client" => limits.questions_per_client = parsed(name, value)?,
        "--max-tasks" => limits.tasks = parsed(name, value)?,
        "--max-tasks-per-client" => limits.tasks_per_client = parsed(name, value)?,
        "--task-bytes" => limits.task_bytes = parsed(name, value)?,
        "--task-workers" => limits.task_workers = parsed(name, value)?,
        "--task-deadline" => limits.task_deadline = seconds(name, value)?,
        "--task-ttl" => limits.task_ttl = seconds(name, value)?,
        "--task-ttl-max" => limits.task_ttl_max = seconds(name, value)?,
        "--body-deadline" => limits.body_deadline = seconds(name, value)?,
        "--connection-lifetime" => limits.connection_lifetime = seconds(name, value)?,
        "--ticket-lifetime" => limits.ticket_lifetime = seconds(name, value)?,
        "--keep-alive" => limits.keep_alive = seconds(name, value)?,
        "--session-idle" => limits.session_idle = seconds(name, value)?,
        "--event-lifetime" => limits.event_lifetime = seconds(name, value)?,
        "--reconnect-delay" => limits.reconnect_delay = seconds(name, value)?,
        "--question-deadline" => limits.question_deadline = seconds(name, value)?,
        "--state-lifetime" => limits.state_lifetime = seconds(name, value)?,
        "--page-size" => limits.page_size = parsed(name, value)?,
        "--memory-bytes" => limits.memory_bytes = parsed(name, value)?,
        "--head-deadline" => limits.head_deadline = seconds(name, value)?,
        "--ping-interval" => limits.ping_interval = seconds(name, value)?,
        "--frame-deadline" => limits.frame_deadline = seconds(name, value)?,
        "--write-deadline" => limits.write_deadline = seconds(name, value)?,
        "--close-deadline" => limits.close_deadline = seconds(name, value)?,
        "--handler-deadline" => limits.handler_deadline = seconds(name, value)?,
        "--handler-deadline-extended" => limits.handler_deadline_extended = seconds(name, value)?,
        other => return Err((format!("unknown option {other} (see --help)"), true)),
    }
    Ok(())
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
             \x20 --confirm-destructive          ask the user before a tool runs that may destroy something\n"
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
         \x20 --token [NAME:]TOKEN           ask for a bearer token, and accept this one (several times)\n\
         \x20 --token-file FILE              the same for the tokens in a file, which is read again on SIGHUP; a line for each: principal,\n\
         \x20                                token or sha256:HEX, and if wanted name=, scopes=a,b and expires=2030-12-31T23:59:59Z\n\
         \x20 --token-as-subprotocol         let WebSockets bring their token as subprotocol mcp.auth.TOKEN, too\n\
         \x20 --ticket-endpoint              issue one-time tickets for WebSockets of web pages, at the path with /ticket\n\
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
    text.push_str("\nSizes and counts:\n");
    for (name, meaning) in NUMBERS {
        text.push_str(&format!("  {:<30} {meaning}\n", format!("{name} N")));
    }
    text.push_str("\nTimes in seconds:\n");
    for (name, meaning) in TIMES {
        text.push_str(&format!("  {:<30} {meaning}\n", format!("{name} S")));
    }
    text
}
