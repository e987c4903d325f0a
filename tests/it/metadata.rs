//! Where clients find out who issues tokens for a server (RFC 9728).

use super::demo::demo;
use super::neighbor::HONEST;
use super::peer::{USUAL, dial_from, serve};
use super::raw::Head;
use super::web::Web;
use mcp_blocking::{Denied, Error, ProtectedResource, Running, Server, Settings};
use serde_json::{Value, json};

const PAGE: &str = "https://app.example";
const AT: &str = "/.well-known/oauth-protected-resource";

fn server() -> Server {
    let resource = ProtectedResource::new("https://mcp.example.com/mcp")
        .authorization_server("https://auth.example.com")
        .scope("files:read")
        .scope("files:write")
        .name("Files")
        .documentation("https://docs.example.com");
    let settings = Settings::new().protected_resource(resource).authenticate(|_| Err(Denied)).allow_origin(PAGE);
    demo().settings(settings.allow_host("mcp.example.com"))
}

fn ask(running: &Running, method: &str, path: &str, headers: &[(&str, &str)]) -> (super::web::Head, Vec<u8>) {
    ask_from(USUAL, running, method, path, headers)
}

/// The same from 127.0.0.`last`.
fn ask_from(
    last: u8,
    running: &Running,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (super::web::Head, Vec<u8>) {
    let mut web = Web::over(Box::new(dial_from(last, running.addr())), running.addr());
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text.push_str("Host: mcp.example.com\r\n");
    }
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    web.send(format!("{text}\r\n"));
    let head = web.head();
    let body = if method == "HEAD" { Vec::new() } else { web.body(&head) };
    (head, body)
}

#[test]
fn the_metadata_are_there_for_who_has_no_token_yet() {
    let running = serve(server());
    for path in [format!("{AT}/mcp"), AT.to_owned()] {
        let (head, body) = ask(&running, "GET", &path, &[]);
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
        assert_eq!(head.header("cache-control"), Some("max-age=3600"));
        let expected = json!({
            "resource": "https://mcp.example.com/mcp", "authorization_servers": ["https://auth.example.com"],
            "scopes_supported": ["files:read", "files:write"], "bearer_methods_supported": ["header"],
            "resource_name": "Files", "resource_documentation": "https://docs.example.com",
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON"), expected);
        let (short, _) = ask(&running, "HEAD", &path, &[]);
        assert_eq!((short.status, short.header("content-length")), (200, head.header("content-length")));
        let (head, _) = ask(&running, "GET", &path, &[("Origin", PAGE)]);
        assert_eq!((head.status, head.header("access-control-allow-origin")), (200, Some(PAGE)));
        let preflight = [
            ("Origin", PAGE),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "mcp-protocol-version"),
        ];
        assert_eq!(ask(&running, "OPTIONS", &path, &preflight).0.status, 204);
        let (head, _) = ask(&running, "POST", &path, &[]);
        assert_eq!((head.status, head.header("allow")), (405, Some("GET, HEAD")));
        for wrong in [("Origin", "https://evil.example"), ("Host", "evil.example")] {
            assert_eq!(ask(&running, "GET", &path, &[wrong]).0.status, 403);
            assert_eq!(ask_from(HONEST, &running, "GET", &path, &[]).0.status, 200);
        }
    }
    assert_eq!(ask(&running, "GET", &format!("{AT}/other"), &[]).0.status, 401);
}

#[test]
fn each_challenge_says_where_they_are() {
    let running = serve(server());
    let expected = "Bearer realm=\"mcp\", scope=\"files:read files:write\", \
                    resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
    let answer = Head::new(running.addr()).ask(running.addr()).expect(401);
    assert_eq!(answer.field("WWW-Authenticate"), Some(expected));
    let (head, _) = ask(&running, "POST", "/mcp", &[]);
    assert_eq!((head.status, head.header("www-authenticate")), (401, Some(expected)));
    let (head, _) = ask(&running, "POST", "/mcp", &[("Authorization", "Bearer some-token-that-is-not-known")]);
    let challenge = head.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\"") && challenge.contains("resource_metadata="), "{challenge}");
}

#[test]
fn metadata_that_no_client_could_use_stop_the_start() {
    for (resource, what) in [
        (ProtectedResource::new("https://mcp.example.com/mcp"), "authorization_server"),
        (ProtectedResource::new("http://mcp.example.com/mcp").authorization_server("https://a.example"), "https"),
        (ProtectedResource::new("https://mcp.example.com/mcp/").authorization_server("https://a.example"), "slash"),
    ] {
        match demo().settings(Settings::new().protected_resource(resource)).bind("127.0.0.1:0") {
            Err(error @ Error::Setup(_)) => assert!(error.to_string().contains(what), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}
