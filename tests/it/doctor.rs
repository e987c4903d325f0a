//! What the doctor finds, and that he leaves a good setup alone.

use mcp_blocking::audit::{Audit, WhenFailing};
use mcp_blocking::doctor::{Diagnosis, Severity};
use mcp_blocking::{
    Binary, ClosedBy, Ended, Error, Listener, Message, NoArgs, Peer, Server, Service, Settings, TextAction, TextPolicy,
    Token, Tool,
};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const SECRET: &str = "a-token-of-good-length";

fn server() -> Server {
    Server::new("doctor", "1.0.0")
}

fn with(tool: Tool) -> Server {
    server().tool_with(tool, |_ctx, NoArgs| Ok("done"))
}

fn tool(name: &str) -> Tool {
    Tool::new(name, "A tool")
}

fn loopback() -> [SocketAddr; 1] {
    [([127, 0, 0, 1], 1).into()]
}

fn everywhere() -> [SocketAddr; 1] {
    [([0, 0, 0, 0], 1).into()]
}

/// There is one such finding, which names what to change.
#[track_caller]
fn assert_found(diagnosis: &Diagnosis, severity: Severity, subject: &str, what: &str) {
    let all = diagnosis.findings();
    let found: Vec<_> = all
        .iter()
        .filter(|found| {
            found.severity() == severity && found.subject().starts_with(subject) && found.what().contains(what)
        })
        .collect();
    assert_eq!(found.len(), 1, "{severity} {subject} {what}: {diagnosis}");
    assert!(!found[0].remedy().is_empty(), "{diagnosis}");
}

#[track_caller]
fn assert_nothing(diagnosis: &Diagnosis, what: &str) {
    assert!(!diagnosis.to_string().contains(what), "{what}: {diagnosis}");
}

#[test]
fn tools_that_any_local_program_can_call_are_told_by_what_they_may_destroy() {
    let all = with(tool("wipe").destructive())
        .tool_with(tool("guess"), |_ctx, NoArgs| Ok(""))
        .tool_with(tool("look").read_only().destructive(), |_ctx, NoArgs| Ok(""))
        .tool_with(tool("append").additive(), |_ctx, NoArgs| Ok(""))
        .method("acme/purge", |_ctx, NoArgs| Ok(1));
    let diagnosis = all.doctor();
    assert_found(&diagnosis, Severity::Open, "callers", "call `wipe` (");
    assert_found(&diagnosis, Severity::Weak, "callers", "call `guess`, `acme/purge` (");
    assert_found(&diagnosis, Severity::Note, "callers", "call `append`, `look` (");
    assert_eq!(diagnosis.worst(), Some(Severity::Open));
    assert!(!diagnosis.is_clean());
    assert_eq!((diagnosis.count(Severity::Open), diagnosis.count(Severity::Weak)), (1, 3));
    let severities: Vec<_> = diagnosis.findings().iter().map(|found| found.severity()).collect();
    assert!(severities.is_sorted_by(|one, next| one >= next), "{diagnosis}");
    assert!(diagnosis.to_string().starts_with("open     callers: nobody is asked"), "{diagnosis}");
    // Whoever is asked who he is, and whoever has started the program, is no stranger.
    assert_nothing(&all.doctor_at(&[], None), "nobody is asked");
    assert_nothing(&all.bearer_token("ada", SECRET).doctor(), "nobody is asked");
    let diagnosis = with(tool("look").read_only()).doctor();
    assert!(diagnosis.is_clean() && diagnosis.worst() == Some(Severity::Note), "{diagnosis}");
    assert_found(&server().doctor(), Severity::Note, "callers", "connect");
}

struct Silent;

impl Service for Silent {
    type Session = ();

    fn open(&self, _: &Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Peer, message: Message) {
        let (Message::Text(_) | Message::Binary(Binary { .. })) = message;
    }

    fn close(&self, (): (), _: &Peer, _: Ended) {}
}

#[test]
fn other_protocols_are_looked_at_likewise() {
    let listener = || Listener::new().service("/chat", Silent);
    assert_found(&listener().doctor(), Severity::Weak, "callers", "`/chat`");
    let settings = Settings::new().bearer_token("ada", SECRET);
    assert!(listener().settings(settings).doctor().is_clean());
    assert_found(&listener().service("x", Silent).doctor(), Severity::Refused, "path `x`", "");
    let diagnosis = listener().bind("127.0.0.1:0").expect("bound").doctor();
    assert_found(&diagnosis, Severity::Weak, "callers", "`/chat`");
    assert_found(&listener().doctor_at(&everywhere(), None), Severity::Refused, "0.0.0.0:1", "");
}

#[test]
fn what_bind_would_refuse_is_listed_at_once() {
    let server = with(tool("a name"))
        .tool("twice", "A tool", |_ctx, NoArgs| Ok(""))
        .tool("twice", "A tool", |_ctx, NoArgs| Ok(""))
        .state_key(b"short")
        .settings(Settings::new().allow_origin("*").token_file("/no/such/file").limits(|limits| limits.workers = 0));
    let diagnosis = server.doctor_at(&everywhere(), None);
    for subject in ["tool `a name`", "tool `twice`", "state key", "allow_origin", "token file", "limits", "0.0.0.0:1"] {
        assert_found(&diagnosis, Severity::Refused, subject, "");
    }
    assert_eq!(diagnosis.worst(), Some(Severity::Refused));
    assert!(diagnosis.to_string().contains("doctor.rs:"), "where it was set: {diagnosis}");
    assert!(matches!(server.bind("127.0.0.1:0"), Err(Error::Setup(problems)) if problems.len() == 6));
}

#[test]
fn beyond_loopback_more_is_asked_for() {
    let open = with(tool("look").read_only()).dangerous_allow_anonymous().plaintext_behind_proxy();
    let diagnosis = open.doctor_at(&everywhere(), Some(([0, 0, 0, 0], 2).into()));
    assert_found(&diagnosis, Severity::Open, "callers", "0.0.0.0:1");
    assert_found(&diagnosis, Severity::Weak, "proxies", "share its address");
    assert_found(&diagnosis, Severity::Note, "TLS", "0.0.0.0:1");
    assert_found(&diagnosis, Severity::Weak, "audit log", "");
    assert_found(&diagnosis, Severity::Note, "health", "0.0.0.0:2");
    assert_found(&diagnosis, Severity::Note, "hosts", "nobody there");
    // The same on loopback is nobody's business.
    let diagnosis = open.doctor_at(&loopback(), Some(loopback()[0]));
    assert!(diagnosis.is_clean(), "{diagnosis}");
    for what in ["TLS", "proxies", "health", "hosts"] {
        assert_nothing(&diagnosis, &format!("{what}:"));
    }
    // Probes are refused for themselves.
    let diagnosis = with(tool("look").read_only()).doctor_at(&loopback(), Some(([0, 0, 0, 0], 2).into()));
    assert_found(&diagnosis, Severity::Refused, "0.0.0.0:2", "");
    let proxied = Settings::new().bearer_token("ada", SECRET).plaintext_behind_proxy().allow_host("mcp.example.com");
    let proxied =
        server().settings(proxied.trusted_proxies(["10.0.0.7"]).audit(Audit::to_file("audit.log").key([7; 32])));
    assert!(proxied.doctor_at(&everywhere(), None).is_clean());
}

#[test]
fn proxies_hosts_and_pages_that_are_let_in_too_freely_are_told() {
    let settings = Settings::new()
        .bearer_token("ada", SECRET)
        .trusted_proxies(["0.0.0.0/1", "10.0.0.0/8", "fd00::/8", "fc00::/6", "::1"])
        .allow_host("*.example.com")
        .allow_origin("null")
        .allow_origin("https://*.example.com")
        .allow_origin("http://app.example.com")
        .allow_origin("http://localhost:3000");
    let diagnosis = server().settings(settings.clone()).doctor();
    assert_found(&diagnosis, Severity::Weak, "proxies", "`0.0.0.0/1`, `fc00::/6`");
    assert_found(&diagnosis, Severity::Note, "proxies", "of this machine");
    assert_found(&diagnosis, Severity::Note, "hosts", "`*.example.com`");
    assert_found(&diagnosis, Severity::Weak, "origins", "null");
    assert_found(&diagnosis, Severity::Note, "origins", "`https://*.example.com`");
    assert_found(&diagnosis, Severity::Weak, "origins", "`http://app.example.com` come");
    let unasked = server().allow_origin("null").allow_origin("https://*.example.com").doctor();
    assert_found(&unasked, Severity::Refused, "allow_origin", "null");
    assert_found(&unasked, Severity::Weak, "origins", "`https://*.example.com`");
    let good =
        Settings::new().bearer_token("ada", SECRET).trusted_proxies(["10.0.0.0/8"]).allow_host("mcp.example.com");
    let diagnosis = server().settings(good.allow_origin("https://app.example.com")).doctor();
    for what in ["proxies", "hosts", "origins"] {
        assert_nothing(&diagnosis, &format!("{what}:"));
    }
}

#[test]
fn tokens_are_told_that_have_no_end_or_are_past_it() {
    let now = SystemTime::now();
    let diagnose = |token: Token| server().settings(Settings::new().token(token)).doctor();
    let token = || Token::new("ada", SECRET).named("laptop");
    assert_found(&diagnose(token()), Severity::Note, "tokens", "none of the tokens has an end");
    assert_found(&diagnose(token().expires(now - DAY)), Severity::Weak, "tokens", "ada (laptop)");
    assert_found(&diagnose(token().expires(now + DAY)), Severity::Note, "tokens", "within 14 days");
    let good = diagnose(token().expires(now + 30 * DAY));
    assert_nothing(&good, "tokens:");
    assert_nothing(&diagnose(token()), SECRET);
    let subprotocol = Settings::new().token(token()).token_as_subprotocol();
    assert_found(&server().settings(subprotocol).doctor(), Severity::Weak, "tokens", "Sec-WebSocket-Protocol");
    let tickets = server().settings(Settings::new().ticket_endpoint()).doctor();
    assert_found(&tickets, Severity::Weak, "tickets", "nobody can have one");
    assert_nothing(&server().settings(Settings::new().ticket_endpoint().token(token())).doctor(), "tickets:");
    assert_nothing(&server().settings(Settings::new().tickets()).doctor(), "tickets:");
}

#[test]
fn scopes_and_questions_that_are_missing_are_told() {
    let guarded = || with(tool("wipe").destructive().scope("notes:write"));
    let diagnosis = guarded().doctor();
    assert_found(&diagnosis, Severity::Weak, "scopes", "`wipe`");
    assert_found(&diagnosis, Severity::Weak, "tools", "`wipe`");
    let whole = guarded().bearer_token("ada", SECRET).confirm_destructive().doctor();
    assert_found(&whole, Severity::Note, "tokens", "ada");
    assert_nothing(&whole, "scopes:");
    assert_nothing(&whole, "tools: a model");
    let token = Token::new("ada", SECRET).scopes(["notes:write"]);
    let limited = guarded().settings(Settings::new().token(token).confirm_destructive()).doctor();
    assert_nothing(&limited, "whatever scopes");
    for asks in [tool("wipe").destructive().confirm(), tool("wipe").destructive().without_confirmation()] {
        assert_nothing(&with(asks).doctor(), "without its user");
    }
    let rare = |calls| with(tool("wipe").confirm().rate(calls, DAY)).doctor();
    assert_found(&rare(1), Severity::Weak, "tools", "cannot confirm");
    assert_nothing(&rare(2), "cannot confirm");
    assert_nothing(&with(tool("look").rate(1, DAY)).doctor(), "cannot confirm");
    assert_found(&with(tool("dear").cost(1_000_000)).doctor(), Severity::Refused, "tool `dear`", "`burst`");
}

#[test]
fn limits_that_bound_nothing_are_told() {
    let settings = || {
        Settings::new().bearer_token("ada", SECRET).plaintext_behind_proxy().limits(|limits| {
            limits.rate = 0;
            limits.principal_rate = 0;
            limits.address_rate = 0;
            limits.connect_rate = 0;
            limits.failed_logins = 0;
            limits.connection_lifetime = Duration::ZERO;
            limits.log_rate = 0;
            limits.message_bytes = 65 << 20;
            limits.memory_bytes = usize::MAX;
            limits.head_deadline = Duration::MAX;
        })
    };
    let (far, near) =
        (server().settings(settings()).doctor_at(&everywhere(), None), server().settings(settings()).doctor());
    for name in
        ["rate", "principal_rate", "address_rate", "connect_rate", "failed_logins", "connection_lifetime", "log_rate"]
    {
        assert_found(&far, Severity::Weak, &format!("limit {name}"), "switched off");
        assert_found(&near, Severity::Note, &format!("limit {name}"), "switched off");
    }
    for name in ["message_bytes", "head_deadline"] {
        assert_found(&far, Severity::Weak, &format!("limit {name}"), "far beyond");
    }
    if cfg!(target_os = "linux") {
        assert_found(&far, Severity::Weak, "limit memory_bytes", "half");
    }
    assert_nothing(&server().limits(|limits| limits.message_bytes = 64 << 20).doctor(), "limit ");
}

#[test]
fn text_and_arguments_that_nobody_looks_at_are_told() {
    let nothing = TextPolicy::all(TextAction::Allow);
    let settings = Settings::new().text_in(nothing).text_out(nothing);
    let open = with(tool("raw").text_out(nothing).unchecked().read_only()).settings(settings).doctor();
    assert_found(&open, Severity::Weak, "texts", "reach handlers");
    assert_found(&open, Severity::Weak, "texts", "reach models");
    assert_found(&open, Severity::Note, "tools", "pass in the arguments or results of `raw`");
    assert_found(&open, Severity::Note, "tools", "not checked against their schemas: `raw`");
    let marked = Settings::new().text_in(TextPolicy::all(TextAction::Mark));
    assert_nothing(&with(tool("raw").read_only()).settings(marked).doctor(), "hidden text");
}

/// A folder of one test, which nobody else can read, removed behind it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        folder.set_mode("", 0o700);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        fs::write(self.path(name), text).expect("written");
        self.set_mode(name, mode);
        self.path(name)
    }

    fn set_mode(&self, name: &str, mode: u32) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("set");
        }
        #[cfg(not(unix))]
        let _ = (name, mode);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
#[test]
fn files_that_others_can_read_or_write_are_told() {
    let folder = Folder::new();
    let file = folder.write("tokens", &format!("ada {SECRET} expires=2100-01-01T00:00:00Z\n"), 0o600);
    let diagnose = |of: u32, mode: u32| {
        folder.set_mode("", of);
        folder.set_mode("tokens", mode);
        server().settings(Settings::new().token_file(&file)).doctor()
    };
    assert_nothing(&diagnose(0o755, 0o600), "token file");
    assert_found(&diagnose(0o755, 0o644), Severity::Weak, "token file", "every user of this machine can read it");
    assert_found(&diagnose(0o755, 0o640), Severity::Note, "token file", "its group can read it");
    assert_found(&diagnose(0o755, 0o620), Severity::Note, "token file", "its group can change it");
    assert_found(
        &diagnose(0o777, 0o600),
        Severity::Open,
        "token file",
        "everybody on this machine can put another one in its place",
    );
    assert_found(&diagnose(0o775, 0o600), Severity::Note, "token file", "in its place");
    // What nobody gets to, nobody reads; where nobody can touch what is another's, nobody does.
    assert_nothing(&diagnose(0o700, 0o666), "token file");
    assert_nothing(&diagnose(0o1777, 0o600), "token file");
    let refused = diagnose(0o755, 0o606);
    assert_found(&refused, Severity::Refused, "token file", "everybody on this machine may write");
    assert!(!refused.to_string().contains("can change it"), "told once: {refused}");
}

#[cfg(unix)]
#[test]
fn tokens_that_everybody_can_write_are_refused_and_the_old_ones_stay() {
    let folder = Folder::new();
    folder.set_mode("", 0o755);
    let file = folder.write("tokens", &format!("ada {SECRET}\n"), 0o602);
    let settings = || Settings::new().token_file(&file);
    let refused = server().settings(settings()).bind("127.0.0.1:0").expect_err("refused").to_string();
    assert!(refused.contains("everybody on this machine may write") && !refused.contains(SECRET), "{refused}");
    folder.set_mode("tokens", 0o600);
    let running = server().settings(settings()).bind("127.0.0.1:0").expect("bound").start().expect("started");
    let handle = running.handle();
    assert_eq!(handle.reload_tokens().expect("read"), (0, 0));
    folder.write("tokens", "eve another-token-of-good-length\n", 0o602);
    assert!(matches!(handle.reload_tokens(), Err(Error::Tokens(_))));
    folder.set_mode("tokens", 0o600);
    assert_eq!(handle.reload_tokens().expect("read"), (1, 1));
}

#[test]
fn an_audit_log_is_asked_for_and_looked_at() {
    let diagnose = |audit: Audit| server().bearer_token("ada", SECRET).audit(audit).doctor();
    assert_found(&server().doctor(), Severity::Note, "audit log", "nothing is recorded");
    assert_nothing(&server().doctor_at(&[], None), "audit");
    let folder = Folder::new();
    let key = folder.write("key", &"ab".repeat(32), 0o600);
    let log = || Audit::to_file(folder.path("audit.log"));
    let beside = diagnose(log());
    assert_found(&beside, Severity::Note, "audit key", "beside the log");
    assert_found(&beside, Severity::Note, "audit log", "counts what is lost");
    assert!(!folder.path("audit.log").exists(), "it was looked at, not begun");
    let good = || log().key_file(&key).when_failing(WhenFailing::Refuse);
    assert_nothing(&diagnose(good()), "audit");
    assert_found(&diagnose(log().key([7; 8])), Severity::Refused, "audit key", "8 bytes");
    if cfg!(unix) {
        folder.set_mode("", 0o755);
        folder.set_mode("key", 0o644);
        folder.write("audit.log", "", 0o646);
        let diagnosis = diagnose(good());
        assert_found(&diagnosis, Severity::Weak, "audit key", "can read it");
        assert_found(&diagnosis, Severity::Refused, "audit log", "may write to it");
        assert_found(&diagnosis, Severity::Weak, "audit log", "can read it");
        folder.set_mode("key", 0o602);
        assert_found(&diagnose(good()), Severity::Refused, "audit key", "may write to it");
    }
}

#[cfg(unix)]
#[test]
fn a_setup_with_files_that_everybody_can_write_does_not_start_and_folders_that_all_can_write_are_told() {
    let folder = Folder::new();
    fs::create_dir(folder.path("inner")).expect("a folder");
    let tokens = folder.write("inner/tokens", &format!("ada {SECRET}\n"), 0o600);
    let key = folder.write("inner/key", &"ab".repeat(32), 0o600);
    let log = folder.path("inner/audit.log");
    let bind = |settings: Settings| server().settings(settings).bind("127.0.0.1:0").map(|bound| bound.doctor());
    let token_file = || Settings::new().token_file(&tokens);
    let audit = || Settings::new().audit(Audit::to_file(&log).key_file(&key));
    let beside = || Settings::new().audit(Audit::to_file(&log));
    let modes = |outer: u32, inner: u32, file: u32| {
        [("", outer), ("inner", inner), ("inner/tokens", file), ("inner/key", file)]
            .into_iter()
            .for_each(|(name, mode)| folder.set_mode(name, mode));
    };
    let replaced = "everybody on this machine can put another one in its place";
    modes(0o755, 0o755, 0o602);
    for (settings, subject) in [(token_file(), "token file"), (audit(), "audit key")] {
        let error = bind(settings).expect_err("refused").to_string();
        assert!(error.contains(subject) && error.contains("may write to it") && error.contains("chmod"), "{error}");
    }
    // The folder, or one that it is in; what is not there yet is looked for in its place. Volumes of containers are like that.
    for (outer, inner) in [(0o755, 0o777), (0o757, 0o755)] {
        modes(outer, inner, 0o600);
        let subjects =
            [(token_file(), "token file"), (audit(), "audit key"), (audit(), "audit log"), (beside(), "audit key")];
        for (settings, subject) in subjects {
            assert_found(&bind(settings).expect("good enough"), Severity::Open, subject, replaced);
        }
    }
    assert!(!log.exists());
    // Nobody gets there, or nobody can touch what is another's.
    for (outer, inner) in [(0o700, 0o777), (0o755, 0o1777), (0o1777, 0o755), (0o755, 0o775)] {
        modes(outer, inner, 0o600);
        for settings in [token_file(), audit(), beside()] {
            assert_nothing(&bind(settings).expect("good enough"), replaced);
        }
    }
    // A link can be replaced as well as what it leads to.
    modes(0o755, 0o755, 0o600);
    fs::create_dir(folder.path("links")).expect("a folder");
    std::os::unix::fs::symlink(&tokens, folder.path("links/tokens")).expect("a link");
    std::os::unix::fs::symlink(folder.path("inner"), folder.path("links/folder")).expect("a link");
    for link in ["links/tokens", "links/folder/tokens"] {
        let look = || bind(Settings::new().token_file(folder.path(link))).expect("good enough");
        for (links, inner) in [(0o755, 0o755), (0o777, 0o755), (0o755, 0o777)] {
            folder.set_mode("links", links);
            folder.set_mode("inner", inner);
            match links | inner {
                0o777 => assert_found(&look(), Severity::Open, "token file", replaced),
                _ => assert_nothing(&look(), replaced),
            }
        }
    }
    folder.write("inner/audit.log", "", 0o602);
    modes(0o755, 0o755, 0o600);
    let error = bind(audit()).expect_err("refused").to_string();
    assert!(error.contains("audit log") && error.contains("may write to it"), "{error}");
    // What is no file has nothing that could be changed.
    bind(Settings::new().audit(Audit::to_file("/dev/null").key_file(&key))).expect("a device");
}

#[test]
fn a_bound_server_is_looked_at_with_its_addresses_and_opens_nothing_more() {
    let settings = || Settings::new().bearer_token("ada", SECRET).plaintext_behind_proxy();
    let bound = server().settings(settings()).bind("127.0.0.1:0").expect("bound").health("0.0.0.0:0").expect("bound");
    let diagnosis = bound.doctor();
    assert_found(&diagnosis, Severity::Note, "health", &bound.health_addr().expect("an address").to_string());
    assert!(diagnosis.is_clean(), "{diagnosis}");
    // The same of one whose address is taken, without opening it.
    let taken = [bound.addr()];
    assert!(server().settings(settings()).doctor_at(&taken, None).is_clean());
    let streams = with(tool("wipe").destructive().confirm()).unbound().expect("a server").stdio();
    assert!(streams.doctor().is_clean());
}

#[cfg(feature = "jwt")]
#[test]
fn issuers_whose_keys_are_not_safe_are_told() {
    use mcp_blocking::jwt::Jwt;
    let jwt = || Jwt::issuer("https://auth.example.com").audience("mcp");
    let diagnose = |jwt: Jwt| server().settings(Settings::new().jwt(jwt)).doctor();
    let bad = diagnose(jwt().jwks_url("http://127.0.0.1:1/keys").dangerous_allow_private_address().untyped());
    let subject = "jwt for `https://auth.example.com`";
    assert_found(&bad, Severity::Weak, subject, "without TLS");
    assert_found(&bad, Severity::Weak, subject, "private addresses");
    assert_found(&bad, Severity::Note, subject, "not marked");
    assert_nothing(&diagnose(jwt().jwks_url("https://auth.example.com/keys")), "jwt for");
    assert_found(&diagnose(jwt().jwks_url("http://127.0.0.1:1/keys")), Severity::Refused, subject, "https://");
    assert_found(&diagnose(jwt()), Severity::Refused, subject, "keys");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::certs::{Authority, Identity};
    use mcp_blocking::TlsConfig;
    use rcgen::date_time_ymd;

    fn diagnose(tls: TlsConfig) -> Diagnosis {
        server().bearer_token("ada", SECRET).tls(tls).doctor()
    }

    fn identity(from: Option<(i32, u8, u8)>, to: (i32, u8, u8)) -> Identity {
        Authority::new("test").issue_with(&["localhost"], |params| {
            if let Some((year, month, day)) = from {
                params.not_before = date_time_ymd(year, month, day);
            }
            params.not_after = date_time_ymd(to.0, to.1, to.2);
        })
    }

    #[test]
    fn certificates_are_told_that_are_out_of_their_term_or_soon_will_be() {
        let subject = "certificate in PEM in memory for localhost";
        let expired = identity(Some((2020, 1, 1)), (2021, 1, 1));
        assert_found(&diagnose(expired.config()), Severity::Weak, subject, "has expired, on 2021-01-01");
        let early = identity(Some((2090, 1, 1)), (2091, 1, 1));
        assert_found(&diagnose(early.config()), Severity::Weak, subject, "not valid before 2090-01-01");
        let soon = Authority::new("test").issue_with(&["localhost"], |params| {
            params.not_after = (SystemTime::now() + 5 * DAY).into();
        });
        assert_found(&diagnose(soon.config()), Severity::Note, subject, "within 14 days");
        assert_nothing(&diagnose(identity(None, (2090, 1, 1)).config()), "certificate");
        assert_found(&diagnose(TlsConfig::pem(soon.chain, "")), Severity::Refused, "PEM in memory", "empty");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_told_and_one_that_all_can_write_is_refused() {
        let folder = Folder::new();
        let identity = identity(None, (2090, 1, 1));
        let chain = folder.write("chain.pem", &identity.chain, 0o644);
        let key = folder.write("key.pem", &identity.key, 0o600);
        let config = || TlsConfig::files(&chain, &key);
        folder.set_mode("", 0o755);
        assert_nothing(&diagnose(config()), ".pem");
        folder.set_mode("key.pem", 0o604);
        assert_found(&diagnose(config()), Severity::Weak, "key `", "can read it");
        folder.set_mode("chain.pem", 0o646);
        assert_found(&diagnose(config()), Severity::Refused, "`", "everybody on this machine may write");
        folder.set_mode("chain.pem", 0o644);
        folder.set_mode("key.pem", 0o602);
        assert_found(&diagnose(config()), Severity::Refused, "`", "everybody on this machine may write");
        let refused = server().tls(config()).bind("127.0.0.1:0").expect_err("refused").to_string();
        assert!(refused.contains("everybody on this machine may write"), "{refused}");
        folder.set_mode("key.pem", 0o600);
        let running = server().tls(config()).bind("127.0.0.1:0").expect("bound").start().expect("started");
        folder.set_mode("key.pem", 0o602);
        assert!(matches!(running.handle().reload_tls(), Err(Error::Certificates(_))));
    }

    #[test]
    fn a_server_with_all_its_guards_has_notes_at_the_most() {
        let folder = Folder::new();
        let identity = identity(None, (2090, 1, 1));
        let chain = folder.write("chain.pem", &identity.chain, 0o600);
        let key = folder.write("key.pem", &identity.key, 0o600);
        let tokens = format!("ada {SECRET} scopes=notes expires=2100-01-01T00:00:00Z\n");
        let tokens = folder.write("tokens", &tokens, 0o600);
        let audit_key = folder.write("audit.key", &"ab".repeat(32), 0o600);
        let audit = Audit::to_file(folder.path("audit.log")).key_file(audit_key).when_failing(WhenFailing::Refuse);
        let settings = Settings::new().tls(TlsConfig::files(chain, key)).token_file(tokens).confirm_destructive();
        let settings = settings.audit(audit).allow_host("mcp.example.com");
        let server = with(tool("wipe").destructive().scope("notes")).settings(settings);
        let diagnosis = server.doctor_at(&everywhere(), None);
        if cfg!(feature = "validation") {
            assert_eq!((diagnosis.worst(), diagnosis.to_string().as_str()), (None, "nothing was found\n"));
            assert!(diagnosis.is_clean());
        } else {
            assert_eq!(diagnosis.to_string().lines().count(), 2, "{diagnosis}");
            assert_found(&diagnosis, Severity::Note, "tools", "by their types alone");
        }
    }
}
