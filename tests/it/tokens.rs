//! Tokens that have a name, scopes and an end, and that come and go while the server runs.

use super::demo::demo;
use super::neighbor::{beside_with, exposed, from_there};
use super::peer::{ALL, MODERN, PATIENCE, Peer, Received, serve, turnstile, until};
use super::raw::Head;
use super::web::Web;
use mcp_blocking::{Denied, Error, NoArgs, Principal, Running, Server, Settings, Token};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const TOKEN: &str = "correct-horse-battery-staple";
const OTHER: &str = "another-token-of-good-length";

/// `printf %s TOKEN | sha256sum`
const SHA256_OF_TOKEN: &str = "87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590";
const SHA256_OF_OTHER: &str = "90ce11f16c14c5ae6d2ff2d5315ed123332104b647017da52d02f605da072a31";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn peer(running: &Running, token: &str) -> Peer {
    Peer::connect_to(running.addr(), &[("Authorization", &bearer(token))])
}

/// Half a second from now: time for a test to begin what is to be ended.
fn soon() -> SystemTime {
    SystemTime::now() + Duration::from_millis(500)
}

/// A server whose `ada` has a token that ends at that time, and whose `bob` has one that stays.
fn ending(at: SystemTime) -> Server {
    demo().settings(
        Settings::new().token(Token::new("ada", TOKEN).named("laptop").expires(at)).token(Token::new("bob", OTHER)),
    )
}

/// Waits until there are no calls under way: those of who had to leave are given up.
fn until_idle(running: &Running) {
    until("nothing is under way", || running.handle().status().calls_in_flight == 0);
}

/// Opens a session with the token that ends.
fn begin(web: &mut Web) {
    let client = json!({ "name": "t", "version": "1" });
    let hello = json!({ "protocolVersion": web.revision, "capabilities": {}, "clientInfo": client });
    let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello });
    web.post(&message, &[("Authorization", &bearer(TOKEN))]);
    let head = web.head();
    web.session = head.header("mcp-session-id").map(str::to_owned);
    web.body(&head);
}

#[test]
fn a_token_has_a_principal_with_its_name_and_scopes() {
    let server = Server::new("demo", "1").tool("who", "Says who asks", |ctx, NoArgs| {
        let principal = ctx.principal().expect("somebody");
        let scopes = principal.scopes().map(|scopes| scopes.collect::<Vec<_>>().join(" "));
        Ok(format!("{} {:?} {:?}", principal.id(), principal.token_name(), scopes))
    });
    let running = serve(
        server
            .settings(Settings::new().token(Token::new("ada", TOKEN).named("laptop").scopes(["b", "a"])))
            .bearer_token("ada", OTHER),
    );
    for (token, expected) in [(TOKEN, "ada Some(\"laptop\") Some(\"a b\")"), (OTHER, "ada None None")] {
        let mut peer = peer(&running, token);
        peer.revision = MODERN;
        assert_eq!(peer.call("who", json!({}))["content"][0]["text"], expected);
    }
}

#[test]
fn a_configuration_need_not_hold_the_secret() {
    let running =
        serve(demo().settings(Settings::new().token(Token::from_sha256("ada", &SHA256_OF_TOKEN.to_uppercase()))));
    Head::new(running.addr()).add("Authorization", &bearer(TOKEN)).ask(running.addr()).expect(101);
    // The hash is not the secret.
    Head::new(running.addr()).add("Authorization", &bearer(SHA256_OF_TOKEN)).ask(running.addr()).expect(401);
    let settings = Settings::new().token(Token::from_sha256("ada", "12"));
    assert!(matches!(demo().settings(settings).bind("127.0.0.1:0"), Err(Error::Setup(_))));
}

#[test]
fn a_token_that_has_expired_is_told_so() {
    let running = exposed(ending(SystemTime::now()));
    let _honest = beside_with(&running, OTHER);
    let answer = Head::new(running.addr()).add("Authorization", &bearer(TOKEN)).ask(running.addr()).expect(401);
    assert!(answer.field("WWW-Authenticate").is_some_and(|challenge| challenge.contains("error=\"invalid_token\"")));
    assert!(answer.body.contains("expired") && !answer.body.contains("ada"), "{answer:?}");
    // An author's own authentication is not asked about it.
    let running = serve(ending(SystemTime::now()).authenticate(|_| Ok(Principal::new("anybody"))));
    Head::new(running.addr()).add("Authorization", &bearer(TOKEN)).ask(running.addr()).expect(401);
    Head::new(running.addr()).add("Authorization", &bearer("unknown-to-the-list")).ask(running.addr()).expect(101);
    // Its own principals end, too.
    let running = serve(demo().authenticate(|_| Ok(Principal::new("late").expiring(SystemTime::now()))));
    let answer = Head::new(running.addr()).ask(running.addr()).expect(401);
    assert!(answer.body.contains("expired"), "{answer:?}");
}

#[test]
fn who_brings_a_wrong_credential_is_told_that_it_is_invalid() {
    let running = serve(demo().authenticate(|_| Err(Denied)));
    let challenge = |head: Head| {
        let answer = head.ask(running.addr()).expect(401);
        answer.field("WWW-Authenticate").expect("a challenge").to_owned()
    };
    assert!(!challenge(Head::new(running.addr())).contains("error"));
    assert!(challenge(Head::new(running.addr()).add("Authorization", &bearer(TOKEN))).contains("invalid_token"));
}

#[test]
fn a_websocket_is_closed_when_its_token_expires_and_its_calls_are_cancelled() {
    for revision in ALL {
        let running = exposed(ending(soon()));
        let _honest = beside_with(&running, OTHER);
        let mut ada = peer(&running, TOKEN).speaking(revision);
        ada.start_call("sleep", json!({}));
        let (code, reason) = ada.closed().expect("a close frame");
        assert_eq!(code, 1008, "{revision}");
        assert!(reason.contains("expired"), "{reason}");
        assert!(ada.take_held().is_empty(), "a call that is given up is not answered");
        until_idle(&running);
        Head::new(running.addr()).add("Authorization", &bearer(TOKEN)).ask(running.addr()).expect(401);
    }
}

#[test]
fn a_websocket_that_does_not_read_is_ended_all_the_same() {
    let running = serve(ending(soon()).limits(|limits| limits.close_deadline = Duration::from_millis(50)));
    let mut ada = peer(&running, TOKEN).speaking(MODERN);
    ada.start_call("sleep", json!({}));
    let handle = running.handle();
    until("it is gone", || handle.status().connections == 0);
    until_idle(&running);
}

#[test]
fn the_end_of_a_principal_of_ones_own_ends_its_websocket() {
    let at = soon();
    let running = serve(demo().authenticate(move |_| Ok(Principal::new("ada").expiring(at))));
    let mut ada = Peer::connect(&running);
    assert_eq!(ada.closed().map(|(code, _)| code), Some(1008));
    assert!(SystemTime::now() >= at);
}

#[test]
fn a_call_over_http_ends_with_its_token_and_is_challenged() {
    for revision in ["2025-11-25", MODERN] {
        let at = soon();
        let running = serve(ending(at));
        let mut web = Web::connect(&running);
        web.revision = revision;
        if revision != MODERN {
            begin(&mut web);
        }
        let message = web.make("tools/call", json!({ "name": "sleep", "arguments": {} }));
        web.post(&message, &[("Authorization", &bearer(TOKEN))]);
        let head = web.head();
        assert_eq!(head.status, 401, "{revision}");
        assert!(head.header("www-authenticate").is_some_and(|challenge| challenge.contains("invalid_token")));
        assert_eq!(head.header("connection"), Some("close"));
        web.body(&head);
        web.assert_closed();
        assert!(SystemTime::now() >= at);
        if revision == MODERN {
            until_idle(&running);
        }
        // A new connection is challenged at once, and one with another token is not.
        let mut again = web.again();
        let message = again.make("ping", json!({}));
        again.post(&message, &[("Authorization", &bearer(TOKEN))]);
        assert_eq!(again.status(), 401);
        let mut honest = Web::connect(&running);
        honest.revision = MODERN;
        let message = honest.make("tools/list", json!({}));
        honest.post(&message, &[("Authorization", &bearer(OTHER))]);
        assert_eq!(honest.status(), 200);
    }
}

#[test]
fn a_request_whose_body_comes_behind_the_end_is_refused() {
    let at = soon();
    let running = exposed(ending(at));
    let _honest = beside_with(&running, OTHER);
    let mut web = Web::connect(&running);
    web.send(format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{",
        running.addr(),
        bearer(TOKEN)
    ));
    until("the token has expired", || SystemTime::now() >= at);
    web.send("}");
    let head = web.head();
    assert_eq!(head.status, 401);
    assert!(String::from_utf8_lossy(&web.body(&head)).contains("expired"));
}

#[test]
fn a_session_is_kept_for_who_comes_back_with_a_new_token() {
    let running = exposed(
        demo().settings(
            Settings::new()
                .token(Token::new("ada", TOKEN).expires(soon()))
                .token(Token::new("ada", OTHER))
                .token(Token::new("eve", "yet-another-token-of-length")),
        ),
    );
    let _honest = beside_with(&running, OTHER);
    let mut web = Web::connect(&running);
    web.revision = "2025-11-25";
    begin(&mut web);
    // The session's stream ends with the token.
    let session = web.session.clone().expect("a session");
    web.ask(
        "GET",
        &[("Accept", "text/event-stream"), ("Mcp-Session-Id", &session), ("Authorization", &bearer(TOKEN))],
        "",
    );
    let head = web.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(web.event(), None);
    web.assert_closed();
    for (token, status) in [(TOKEN, 401), (OTHER, 200), ("yet-another-token-of-length", 404)] {
        let mut again = web.again();
        let message = again.make("tools/list", json!({}));
        again.post(&message, &[("Authorization", &bearer(token))]);
        assert_eq!(again.status(), status);
    }
}

#[test]
fn a_subscription_over_http_ends_with_its_token() {
    let running = exposed(ending(soon()));
    let _honest = beside_with(&running, OTHER);
    let mut web = Web::connect(&running);
    web.revision = MODERN;
    let message = web.make("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    web.post(&message, &[("Authorization", &bearer(TOKEN))]);
    let head = web.head();
    assert_eq!(head.status, 200);
    assert!(web.event().is_some_and(|event| event["method"] == "notifications/subscriptions/acknowledged"));
    assert_eq!(web.event(), None);
    web.assert_closed();
}

#[test]
fn a_stream_ends_with_its_token_also_if_more_was_sent_ahead_than_is_read() {
    let running = serve(ending(soon()));
    let mut web = Web::connect(&running);
    web.revision = MODERN;
    let message = web.make("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    web.post(&message, &[("Authorization", &bearer(TOKEN))]);
    assert_eq!(web.head().status, 200);
    web.send(vec![b'x'; 96 << 10]);
    assert!(web.event().is_some_and(|event| event["method"] == "notifications/subscriptions/acknowledged"));
    assert_eq!(web.event(), None);
    until("the connection is gone", || running.handle().status().connections == 0);
}

#[test]
fn tokens_that_are_taken_away_take_their_connections_along() {
    let (turn, keeper) = turnstile();
    let server = Server::new("demo", "1").tool("wait", "Waits", move |_ctx, NoArgs| {
        turn.pass();
        Ok("done")
    });
    let running = serve(server.bearer_token("ada", TOKEN).bearer_token("bob", OTHER));
    let handle = running.handle();
    let mut ada = peer(&running, TOKEN).speaking(MODERN);
    let mut bob = from_there(running.addr(), &[("Authorization", &bearer(OTHER))]).speaking(MODERN);
    let mut web = Web::connect(&running);
    web.revision = MODERN;
    let message = web.make("tools/call", json!({ "name": "wait", "arguments": {} }));
    web.post(&message, &[("Authorization", &bearer(TOKEN))]);
    let call = bob.start_call("wait", json!({}));
    keeper.wait_entered();
    keeper.wait_entered();
    let new = || [Token::new("bob", OTHER), Token::new("eve", "yet-another-token-of-length")];
    assert_eq!(handle.set_tokens(new()).expect("good tokens"), (1, 1));
    let (code, reason) = ada.closed().expect("a close frame");
    assert!(code == 1008 && reason.contains("not accepted"), "{code} {reason}");
    assert_eq!(web.status(), 401);
    web.assert_closed();
    keeper.release();
    keeper.release();
    assert_eq!(bob.result(&call)["content"][0]["text"], "done");
    peer(&running, "yet-another-token-of-length");
    Head::new(running.addr()).add("Authorization", &bearer(TOKEN)).ask(running.addr()).expect(401);
    // A mistake changes nothing, and no tokens at all let nobody in.
    assert!(matches!(handle.set_tokens([Token::new("bob", "short")]), Err(Error::Tokens(_))));
    peer(&running, OTHER).barrier();
    assert_eq!(handle.set_tokens([]).expect("none"), (0, 2));
    assert_eq!(bob.closed().map(|(code, _)| code), Some(1008));
    Head::new(running.addr()).ask(running.addr()).expect(401);
}

/// A file of tokens; gone when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tokens-{}-{name}", std::process::id())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("it can be written");
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_of_tokens_can_be_changed_while_the_server_runs() {
    let file =
        File::new("reload", &format!("# ours\nada {TOKEN} name=laptop scopes=a,b\nbob sha256:{SHA256_OF_OTHER}\n"));
    let running =
        serve(demo().settings(Settings::new().token_file(&file.0)).bearer_token("code", "a-token-set-in-the-code"));
    let handle = running.handle();
    let mut ada = peer(&running, TOKEN);
    let mut bob = peer(&running, OTHER);
    let _honest = beside_with(&running, "a-token-set-in-the-code");
    assert_eq!(handle.reload_tokens().expect("as before"), (0, 0));
    file.write(&format!("bob sha256:{SHA256_OF_OTHER}\nada {TOKEN} name=desk\n"));
    assert_eq!(handle.reload_tokens().expect("good tokens"), (1, 1));
    assert_eq!(ada.closed().map(|(code, _)| code), Some(1008));
    peer(&running, TOKEN).barrier();
    let kept = "kept-secret-of-good-length";
    file.write(&format!("ada {kept} oops"));
    let error = handle.reload_tokens().expect_err("a bad line").to_string();
    assert!(error.contains("line 1") && error.contains("tokens-") && !error.contains(kept), "{error}");
    std::fs::remove_file(&file.0).expect("it is there");
    assert!(handle.reload_tokens().is_err());
    file.write("# nobody");
    assert_eq!(handle.reload_tokens().expect("no tokens"), (0, 2));
    assert_eq!(bob.closed().map(|(code, _)| code), Some(1008));
}

#[test]
fn a_file_that_cannot_be_used_stops_the_start() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokens-that-are-not-there");
    let file = File::new("bad", &format!("ada {TOKEN}\nbob {TOKEN}\n"));
    for (path, what) in [(&missing, "cannot be read"), (&file.0, "line 2")] {
        let error = demo().settings(Settings::new().token_file(path)).bind("127.0.0.1:0").expect_err("no start");
        assert!(error.to_string().contains(what) && !error.to_string().contains(TOKEN), "{error}");
    }
    // A file without tokens lets nobody in.
    let file = File::new("empty", "");
    let running = serve(demo().settings(Settings::new().token_file(&file.0)));
    Head::new(running.addr()).ask(running.addr()).expect(401);
}

#[test]
fn a_websocket_that_goes_on_sending_is_not_served_behind_its_end() {
    let running = exposed(ending(soon()));
    let _honest = beside_with(&running, OTHER);
    let mut ada = peer(&running, TOKEN).speaking(MODERN);
    let end = Instant::now() + PATIENCE;
    let mut answered = 0;
    loop {
        assert!(Instant::now() < end);
        let request = ada.make("tools/call", json!({ "name": "quick", "arguments": { "text": "x" } }));
        if !ada.try_send(&request) {
            break;
        }
        match ada.receive(end) {
            Received::Message(_) => answered += 1,
            Received::Closed(code, _) => {
                assert_eq!(code, 1008);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(answered > 0);
}
