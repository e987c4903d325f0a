//! What access tokens say, and what an issuer answers to who asks it for keys.

use super::{server_with, settings};
use crate::certs::Files;
use crate::corpus::each;
use crate::issuer::{AUDIENCE, Answer, Key, KeyServer, NAME, claims, key_set};
use crate::peer::serve;
use crate::raw::Head;
use mcp_blocking::Running;
use mcp_blocking::jwt::Jwt;
use serde_json::json;
use std::time::Duration;

fn knock(running: &Running, token: &str) {
    let _ = Head::new(running.addr()).add("Authorization", &format!("Bearer {token}")).ask(running.addr());
}

#[test]
fn what_a_token_says_stays_on_its_line() {
    let (key, files) = (Key::p256("a"), Files::new());
    files.write("keys.json", &key_set(&[&key]));
    let jwt = Jwt::issuer(NAME).audience(AUDIENCE).jwks_file(files.path("keys.json"));
    each(
        || serve(server_with(settings().jwt(jwt.clone()))),
        |running, _, text| {
            // As much as a token may hold.
            let text: String = text.chars().take(1_000).collect();
            for name in ["kid", "alg", "typ", "crit", "jku"] {
                let mut header = key.header();
                header[name] = json!(text);
                knock(running, &key.sign(&header.to_string(), &claims().to_string()));
            }
            for name in ["iss", "sub", "aud", "scope", "client_id", "jti", "exp"] {
                for value in [json!(text), json!([text]), json!({ &*text: text })] {
                    // The first is no guess, so that what a good token says is heard, too.
                    if value.is_string() || name == "scope" {
                        let mut claims = claims();
                        claims[name] = value;
                        knock(running, &key.token(&claims));
                    }
                }
            }
            knock(running, &key.sign(&text, &text));
            let mut more = claims();
            more[&*text] = json!(text);
            knock(running, &key.token(&more));
        },
        &["opened by jwt:https://auth.example.com#\\u{202e}evil", "refused with 401"],
    );
}

#[test]
fn what_an_issuer_answers_stays_on_its_line() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    let jwt = issuer.jwt().refetch_after(Duration::ZERO).keys_lifetime_max(Duration::ZERO);
    each(
        || serve(server_with(settings().jwt(jwt.clone().keys_usable_for(Duration::ZERO)))),
        |running, _, text| {
            let ok = "HTTP/1.1 200 OK\r\n";
            let keys = key_set(&[&key]);
            for answer in [
                text.to_owned(),
                format!("HTTP/1.1 {text}\r\n\r\n"),
                format!("HTTP/1.1 500 {text}\r\n\r\n"),
                format!("HTTP/1.1 302 {text}\r\nLocation: {text}\r\n\r\n"),
                format!("{ok}Content-Encoding: {text}\r\n\r\n{keys}"),
                format!("{ok}Content-Length: {text}\r\n\r\n{keys}"),
                format!("{ok}Transfer-Encoding: {text}\r\n\r\n{keys}"),
                format!("{ok}Transfer-Encoding: chunked\r\n\r\n{text}\r\n{keys}"),
                format!("{ok}Cache-Control: {text}, max-age={text}\r\n\r\n"),
                format!("{ok}{text}: {text}\r\n\r\n"),
                format!("{ok}\r\n{text}"),
                format!("{ok}\r\n{}", json!(text)),
                format!("{ok}\r\n{}", json!({ "keys": text, text: text })),
                format!("{ok}\r\n{}", json!({ "keys": [{ "kty": text, "kid": text, "alg": text, text: text }] })),
                format!(
                    "{ok}\r\n{}",
                    json!({ "keys": [{ "kty": "EC", "crv": text, "x": text, "y": text, "use": text }] })
                ),
            ] {
                issuer.set(Answer::Raw(answer));
                knock(running, &key.token(&claims()));
            }
        },
        &["cannot be fetched", "its answer is encoded as AAAA", "it answers 500", "redirects are not followed"],
    );
}
