//! Who is in the audit log: the sender of the request, and nobody who looks like somebody else.

use super::audit::{Folder, end};
use super::demo::demo;
use super::peer::dial_from;
use super::peer::{MODERN, Peer, serve, until};
use super::web::Web;
use mcp_blocking::{NoArgs, Settings, Token, Tool};
use serde_json::{Value, json};

const LAPTOP: &str = "the-token-of-a-laptop";
const DESK: &str = "the-token-of-a-desk";

/// Asks in a session, from 127.0.0.`last`, with that token.
fn ask(session: &Web, running: &mcp_blocking::Running, (last, token): (u8, &str), method: &str, params: Value) -> u16 {
    let mut web = Web::over(Box::new(dial_from(last, running.addr())), running.addr());
    (web.revision, web.session) = (session.revision, session.session.clone());
    let message = web.make(method, params);
    web.post(&message, &[("Authorization", &format!("Bearer {token}"))]);
    let head = web.head();
    web.messages(&head);
    head.status
}

#[test]
fn a_call_in_a_session_is_recorded_and_rated_by_who_has_sent_it() {
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let folder = Folder::new();
        let tokens = Settings::new()
            .token(Token::new("alice", LAPTOP).named("laptop"))
            .token(Token::new("alice", DESK).named("desk").scopes(["notes"]));
        let server = demo()
            .settings(tokens.audit(folder.audit()))
            .tool_with(Tool::new("wipe", "Needs more").scope("wipe"), |_ctx, NoArgs| Ok("gone"))
            .tool_with(Tool::new("read", "Needs a scope").scope("notes"), |ctx, NoArgs| Ok(ctx.address().to_string()))
            .limits(|limits| {
                limits.limit_loopback = true;
                (limits.address_rate, limits.address_burst) = (1, 30);
            });
        let running = serve(server);
        let mut session = Web::over(Box::new(dial_from(2, running.addr())), running.addr());
        session.revision = revision;
        let hello = session.make(
            "initialize",
            json!({ "protocolVersion": revision, "capabilities": {},
            "clientInfo": { "name": "web", "version": "2" } }),
        );
        session.post(&hello, &[("Authorization", &format!("Bearer {LAPTOP}"))]);
        let head = session.head();
        session.messages(&head);
        session.session = head.header("mcp-session-id").map(str::to_owned);
        let call = |who: (u8, &str), tool: &str| {
            ask(&session, &running, who, "tools/call", json!({ "name": tool, "arguments": {} }))
        };
        assert_eq!(call((3, DESK), "read"), 200);
        assert_eq!(call((3, DESK), "wipe"), 200);
        assert_eq!(call((2, LAPTOP), "wipe"), 200);
        // Too much from one address is not too much from the one that the session was opened from.
        let refused = (0..40).any(|_| ask(&session, &running, (3, DESK), "ping", json!({})) == 429);
        assert!(refused, "{revision}");
        assert_eq!(ask(&session, &running, (2, LAPTOP), "ping", json!({})), 200);
        end(running);
        folder.assert_sound();
        let opened = folder.events("session");
        let number = opened[0]["connection"].clone();
        let has = |event: &str, wanted: Value| {
            let lines = folder.events(event);
            let members = wanted.as_object().expect("an object");
            let there = lines
                .iter()
                .any(|line| line["connection"] == number && members.iter().all(|(key, value)| line[key] == *value));
            assert!(there, "{revision}: no {event} with {wanted} in {lines:#?}");
        };
        let is_from = |line: &Value, last: u8| {
            let address = line["address"].as_str().expect("an address");
            assert!(address.starts_with(&format!("127.0.0.{last}")), "{line}");
        };
        let calls = folder.events("call");
        assert_eq!(calls.len(), 3, "{calls:#?}");
        for (call, (last, token, scope)) in
            calls.iter().zip([(3, "desk", "notes"), (3, "desk", ""), (2, "laptop", "wipe")])
        {
            is_from(call, last);
            assert_eq!((&call["token"], &call["principal"]), (&token.into(), &"alice".into()), "{call}");
            // What the caller had to be allowed, where it was let in.
            assert_eq!(call["scope"].as_str().unwrap_or_default(), scope, "{call}");
        }
        has("call", json!({ "tool": "read", "token": "desk", "outcome": "ok", "scope": "notes" }));
        has("authorization", json!({ "tool": "wipe", "token": "desk", "reason": "scope", "scope": "wipe" }));
        has("limit", json!({ "limit": "address-rate", "token": "desk" }));
        folder.events("authorization").iter().chain(&folder.events("limit")).for_each(|line| is_from(line, 3));
        is_from(&opened[0], 2);
    }
}

#[test]
fn principals_with_long_names_can_be_told_apart() {
    let folder = Folder::new();
    let [one, other] = ["a", "b"].map(|end| format!("{}{end}", "x".repeat(130)));
    let running = serve(demo().bearer_token(one, LAPTOP).bearer_token(other, DESK).audit(folder.audit()));
    for token in [LAPTOP, DESK] {
        let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &format!("Bearer {token}"))]);
        peer.revision = MODERN;
        peer.call("echo", json!({ "text": "x" }));
    }
    end(running);
    let calls = folder.events("call");
    let shown: Vec<_> = calls.iter().map(|line| line["principal"].as_str().expect("a principal")).collect();
    let start = format!("{}…(+11 bytes, sha256 ", "x".repeat(120));
    // As `sha256sum` says it.
    let digests = ["0391e617c95520b2512ecefe0dfa0d7c", "13a4221c01871a3be8b87b7dff97dc2a"];
    assert_eq!(shown, digests.map(|digest| format!("{start}{digest})")));
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_that_is_not_accepted_is_a_failed_authentication() {
    use super::certs::{Authority, Client};
    let [authority, clients, strangers] = ["server", "clients", "strangers"].map(Authority::new);
    let folder = Folder::new();
    let tls = authority.issue(&["localhost"]).config().client_ca_pem(clients.pem());
    let running = serve(demo().tls(tls).audit(folder.audit()));
    let client =
        |of: &Authority| Client::with(&authority, &super::certs::VERSIONS, Some(&of.issue(&["agent.example"])));
    let mut refused = client(&strangers).over(dial_from(2, running.addr()));
    let written = std::io::Write::write_all(&mut refused, b"GET / HTTP/1.1\r\n\r\n");
    assert!(written.is_err() || std::io::Read::read(&mut refused, &mut [0; 100]).is_err());
    until("it is recorded", || folder.events("authentication").iter().any(|line| line["outcome"] == "refused"));
    Peer::over(Box::new(client(&clients).connect(running.addr())), "localhost", &[]).speaking(MODERN).barrier();
    end(running);
    let lines = folder.events("authentication");
    let said: Vec<_> = lines.iter().map(|line| (line["outcome"].as_str(), line["reason"].as_str())).collect();
    assert_eq!(said, [(Some("refused"), Some("certificate")), (Some("ok"), None)], "{lines:#?}");
    assert_eq!(folder.events("refusal").len(), 0);
}

#[test]
fn everything_is_read_again_in_one_step_and_all_that_fails_is_told() {
    let folder = Folder::new();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reload-{}", std::process::id()));
    std::fs::write(&path, format!("ada {LAPTOP}\n")).expect("written");
    let settings = Settings::new().token_file(&path).audit(folder.audit());
    #[cfg(feature = "tls")]
    let (authority, files) = (super::certs::Authority::new("server"), super::certs::Files::new());
    #[cfg(feature = "tls")]
    let settings = settings.tls(files.put(&authority.issue(&["localhost"])));
    let running = serve(demo().settings(settings));
    let handle = running.handle();
    let nothing = handle.reload().expect("as before");
    assert_eq!((nothing.certificates.len(), nothing.tokens_come, nothing.tokens_gone), (0, 0, 0));
    std::fs::write(&path, format!("bob {DESK}\n")).expect("written");
    #[cfg(feature = "tls")]
    let _ = files.put(&authority.issue(&["localhost"]));
    let all = handle.reload().expect("good files");
    assert_eq!((all.tokens_come, all.tokens_gone), (1, 1));
    assert_eq!(all.certificates.len(), if cfg!(feature = "tls") { 2 } else { 0 });
    // One that fails keeps nobody else from being read.
    std::fs::write(&path, "oops").expect("written");
    #[cfg(feature = "tls")]
    let _ = files.put(&authority.issue(&["localhost"]));
    let error = handle.reload().expect_err("a bad line");
    assert!(error.to_string().contains("the old tokens stay"), "{error}");
    assert!(matches!(&error, mcp_blocking::Error::Reload(all) if all.len() == 1), "{error:?}");
    #[cfg(feature = "tls")]
    {
        assert!(handle.reload_tls().expect("taken already").is_empty());
        files.write("key.pem", "junk");
        let error = handle.reload().expect_err("both");
        let text = error.to_string();
        assert!(text.contains("the old tokens stay") && text.contains("the old certificates stay"), "{text}");
        assert!(matches!(&error, mcp_blocking::Error::Reload(all) if all.len() == 2), "{error:?}");
    }
    end(running);
    let told = |what: &str| folder.events("reload").iter().filter(|line| line["what"] == what).count();
    let (tls, audit) = if cfg!(feature = "tls") { (2, 4) } else { (0, 3) };
    assert_eq!((told("tokens"), told("tls"), told("audit")), (1, tls, audit));
    std::fs::remove_file(&path).expect("deleted");
}
