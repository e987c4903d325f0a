//! Where an issuer's keys come from: what is fetched and what is not, and who waits for it.

use crate::audit::{Folder, end};
use crate::certs::{Authority, Files};
use crate::demo::demo;
use crate::issuer::{AUDIENCE, Answer, Key, KeyServer, NAME, claims, key_set};
use crate::jwt::{knock, server, whoami};
use crate::neighbor::{beside_with, exposed, from_there};
use crate::peer::{MODERN, Peer, serve, until};
use crate::raw::{Head, Raw};
use mcp_blocking::jwt::Jwt;
use mcp_blocking::{Json, NoArgs, Running, Server, Settings};
use rcgen::date_time_ymd;
use serde_json::json;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A token of somebody whom no issuer has to know.
const STATIC: &str = "a-token-of-good-length";

/// A client that was there before, and goes on; it is elsewhere.
fn honest(running: &Running, token: &str) -> Peer {
    from_there(running.addr(), &[("Authorization", &format!("Bearer {token}"))]).speaking(MODERN)
}

#[test]
fn keys_are_fetched_once_for_all_and_taken_up_when_they_change() {
    let (old, new) = (Key::p256("old"), Key::ed25519("new"));
    let issuer = KeyServer::new(&[&old]);
    let running = serve(server(issuer.jwt().refetch_after(Duration::ZERO)));
    for _ in 0..5 {
        whoami(&running, &old.token(&claims()));
    }
    assert_eq!(issuer.hits(), 1);
    // The issuer begins to use a key that nobody has seen yet.
    issuer.set(Answer::Keys(key_set(&[&old, &new])));
    whoami(&running, &new.token(&claims()));
    whoami(&running, &old.token(&claims()));
    assert_eq!(issuer.hits(), 2);
    // The old one is withdrawn, which is seen with the next fetch.
    issuer.set(Answer::Keys(key_set(&[&new])));
    knock(&running, &Key::p256("unknown").token(&claims())).expect(401);
    assert_eq!(issuer.hits(), 3);
    knock(&running, &old.token(&claims())).expect(401);
    whoami(&running, &new.token(&claims()));
}

#[test]
fn each_change_of_the_keys_is_recorded() {
    let (old, new, files, folder) = (Key::p256("old"), Key::ed25519("new"), Files::new(), Folder::new());
    let issuer = KeyServer::new(&[&old]);
    files.write("keys.json", &key_set(&[&old]));
    let in_file = Jwt::issuer("https://file.example").audience("notes").jwks_file(files.path("keys.json"));
    let settings = Settings::new().jwt(issuer.jwt().refetch_after(Duration::ZERO)).jwt(in_file).audit(folder.audit());
    let running = serve(demo().settings(settings));
    let recorded = |of: &str| {
        let lines = folder.events("reload");
        lines.iter().filter(|line| line["what"] == "jwt" && line["issuer"] == of).count()
    };
    knock(&running, &old.token(&claims())).expect(101);
    until("the first ones are recorded", || recorded(NAME) == 1);
    // The same again is no change.
    knock(&running, &Key::p256("unknown").token(&claims())).expect(401);
    issuer.set(Answer::Keys(key_set(&[&old, &new])));
    knock(&running, &new.token(&claims())).expect(101);
    until("so are others", || recorded(NAME) == 2);
    files.write("keys.json", &key_set(&[&old, &new]));
    let mut of_file = claims();
    (of_file["iss"], of_file["aud"]) = (json!("https://file.example"), json!("notes"));
    until("the file is looked at again", || knock(&running, &new.token(&of_file)).status == 101);
    until("that is recorded", || recorded("https://file.example") == 1);
    end(running);
    folder.assert_sound();
}

#[test]
fn a_storm_of_made_up_keys_fetches_hardly_anything_and_holds_up_nobody() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    let running = serve(server(issuer.jwt().refetch_after(Duration::from_secs(60))));
    let good = key.token(&claims());
    let mut peer = honest(&running, &good);
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (running, start) = (&running, &start);
            scope.spawn(move || {
                let forger = Key::p256("forged");
                start.wait();
                for number in 0..25 {
                    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("{thread}-{number}") });
                    let token = forger.sign(&header.to_string(), &claims().to_string());
                    knock(running, &token).expect(401);
                }
            });
        }
        for _ in 0..50 {
            peer.call("whoami", json!({}));
        }
    });
    assert!(issuer.hits() <= 1, "{} fetches", issuer.hits());
    whoami(&running, &good);
    // What can never be good is no reason to fetch keys.
    let running = serve(server(issuer.jwt().refetch_after(Duration::ZERO)));
    whoami(&running, &good);
    let before = issuer.hits();
    for token in [
        key.sign(r#"{"alg":"none","typ":"at+jwt","kid":"x"}"#, &claims().to_string()),
        key.sign(r#"{"alg":"ES512","typ":"at+jwt","kid":"x"}"#, &claims().to_string()),
        key.sign(r#"{"alg":"ES256","typ":"JWT","kid":"x"}"#, &claims().to_string()),
        key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"x"}"#, r#"{"iss":"https://evil.example"}"#),
        "a.b.c".to_owned(),
    ] {
        knock(&running, &token).expect(401);
    }
    assert_eq!(issuer.hits(), before);
}

#[test]
fn a_dead_endpoint_hurts_nobody_whose_key_is_there() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    // Their age is over at once: each caller could be a reason to fetch them anew.
    let jwt = issuer.jwt().refetch_after(Duration::ZERO).keys_lifetime_max(Duration::ZERO);
    let running = serve(server(jwt));
    let good = key.token(&claims());
    let mut peer = honest(&running, &good);
    issuer.set(Answer::Silence);
    let fetched = issuer.hits();
    let begun = Instant::now();
    until("a fetch is stuck", || {
        whoami(&running, &good);
        issuer.hits() > fetched
    });
    for _ in 0..20 {
        whoami(&running, &good);
        peer.call("whoami", json!({}));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "they have waited: {:?}", begun.elapsed());
    assert!(issuer.hits() <= fetched + 2, "one at a time: {}", issuer.hits() - fetched);
    // Who has no key waits for it, within its time; meanwhile the others go on.
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| knock(&running, &Key::p256("b").token(&claims())).status);
        for _ in 0..20 {
            whoami(&running, &good);
        }
        // It may be a new one of the issuer's.
        assert_eq!(stuck.join().expect("no panic"), 503);
    });
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // Whatever comes instead of keys, the old ones stay.
    for answer in
        ["HTTP/1.1 500 Oops\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}", "garbage\r\n\r\n"]
    {
        issuer.set(Answer::Raw(answer.to_owned()));
        knock(&running, &Key::p256("b").token(&claims())).expect(503);
        whoami(&running, &good);
    }
}

#[test]
fn a_key_that_is_new_while_the_endpoint_is_dead_is_no_failed_login() {
    let (old, new) = (Key::p256("old"), Key::p256("new"));
    let issuer = KeyServer::new(&[&old]);
    let server = server(issuer.jwt().refetch_after(Duration::ZERO)).bearer_token("static", STATIC);
    let running = serve(server.limits(|limits| (limits.limit_loopback, limits.failed_logins) = (true, 10)));
    let ask = |token: &str| {
        let mut raw = Raw::connect_from(2, running.addr());
        raw.send(&Head::new(running.addr()).add("Authorization", &format!("Bearer {token}")).bytes());
        raw.answer()
    };
    ask(&old.token(&claims())).expect(101);
    drop(issuer);
    for _ in 0..12 {
        let answer = ask(&new.token(&claims())).expect(503);
        assert!(answer.field("Retry-After").is_some() && answer.field("WWW-Authenticate").is_none(), "{answer:?}");
    }
    ask(&old.token(&claims())).expect(101);
    ask(STATIC).expect(101);
}

#[test]
fn made_up_keys_are_told_so_while_the_keys_are_fresh_and_make_an_outage_no_worse() {
    const PAUSE: Duration = Duration::from_millis(300);
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    let running = serve(server(issuer.jwt().refetch_after(PAUSE)));
    let good = key.token(&claims());
    whoami(&running, &good);
    let forged = Key::p256("forged").token(&claims());
    // Looked for a moment ago, or now: there is none.
    for _ in 0..5 {
        knock(&running, &forged).expect(401);
    }
    issuer.set(Answer::Raw("HTTP/1.1 500 Oops\r\n\r\n".to_owned()));
    until("the keys are not fresh any more", || knock(&running, &forged).status == 503);
    let (begun, fetched) = (Instant::now(), issuer.hits());
    for _ in 0..50 {
        knock(&running, &forged).expect(503);
    }
    let most = begun.elapsed().as_millis() / PAUSE.as_millis() + 2;
    assert!((issuer.hits() - fetched) as u128 <= most, "{} fetches", issuer.hits() - fetched);
    whoami(&running, &good);
    issuer.set(Answer::Keys(key_set(&[&key])));
    until("they have been fetched again", || knock(&running, &forged).status == 401);
}

#[test]
fn without_any_keys_a_token_is_neither_good_nor_bad() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    issuer.set(Answer::Raw("HTTP/1.1 503 Not now\r\n\r\n".to_owned()));
    let running = serve(server(issuer.jwt().refetch_after(Duration::ZERO).keys_usable_for(Duration::ZERO)));
    let good = key.token(&claims());
    let answer = knock(&running, &good).expect(503);
    assert_eq!(answer.field("Retry-After"), Some("5"));
    assert!(!answer.body.contains("localhost"), "{answer:?}");
    // A token that is no good is so without keys, too.
    knock(&running, "a.b.c").expect(401);
    issuer.set(Answer::Keys(key_set(&[&key])));
    whoami(&running, &good);
}

#[test]
fn keys_that_are_too_old_are_not_used() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    let jwt = issuer.jwt().refetch_after(Duration::ZERO).keys_lifetime_max(Duration::ZERO);
    let running = exposed(server(jwt.keys_usable_for(Duration::from_millis(300))).bearer_token("bob", STATIC));
    let _honest = beside_with(&running, STATIC);
    let good = key.token(&claims());
    whoami(&running, &good);
    issuer.set(Answer::Raw("HTTP/1.1 500 Oops\r\n\r\n".to_owned()));
    until("the keys are too old", || knock(&running, &good).status == 503);
}

/// The keys of this issuer are not taken; who needs none is served.
#[track_caller]
fn refused(jwt: Jwt, key: &Key) {
    let running = exposed(server(jwt.refetch_after(Duration::ZERO)).bearer_token("bob", STATIC));
    let _honest = beside_with(&running, STATIC);
    knock(&running, &key.token(&claims())).expect(503);
}

#[test]
fn a_name_that_leads_into_a_private_network_is_not_followed() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    // `localhost` stands for a name of somebody's that resolves to this machine.
    refused(issuer.far(), &key);
    assert_eq!(issuer.hits(), 0, "nobody was connected to");
    whoami(&serve(server(issuer.jwt())), &key.token(&claims()));
}

#[test]
fn redirects_and_answers_that_are_too_much_are_not_taken() {
    let key = Key::p256("a");
    let (issuer, other) = (KeyServer::new(&[&key]), KeyServer::new(&[&key]));
    let keys = key_set(&[&key]);
    let large = format!("{}{}", " ".repeat(300 << 10), keys);
    for answer in [
        format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url()),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()),
        format!("HTTP/1.1 200 OK\r\n\r\n{large}"),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n{keys}", "x".repeat(20 << 10)),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keys}", keys.len() + 1),
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{keys}"),
        "HTTP/1.1 200 OK\r\n\r\n<html>".to_owned(),
    ] {
        issuer.set(Answer::Raw(answer));
        refused(issuer.jwt(), &key);
    }
    assert_eq!(other.hits(), 0, "a redirect was followed");
    // All ways to send it that are as they should be.
    let (first, second) = keys.split_at(20);
    for answer in [
        format!("HTTP/1.1 200 OK\r\n\r\n{keys}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            second.len()
        ),
    ] {
        issuer.set(Answer::Raw(answer));
        whoami(&serve(server(issuer.jwt())), &key.token(&claims()));
    }
}

#[test]
fn the_keys_of_a_host_that_is_not_what_it_says_are_not_taken() {
    let (key, good, evil) = (Key::p256("a"), Authority::new("good"), Authority::new("evil"));
    let expired = good.issue_with(&["localhost"], |params| params.not_after = date_time_ymd(2021, 1, 1));
    for (authority, identity) in
        [(&good, evil.issue(&["localhost"])), (&good, good.issue(&["other.example"])), (&good, expired)]
    {
        let issuer = KeyServer::showing(authority, &identity, &[&key]);
        refused(issuer.jwt(), &key);
    }
    // A private authority is none of the public ones.
    let issuer = KeyServer::new(&[&key]);
    let public = Jwt::issuer(NAME).audience(AUDIENCE).jwks_url(issuer.url()).dangerous_allow_private_address();
    refused(public, &key);
}

#[test]
fn a_file_of_keys_is_taken_up_when_it_changes_and_kept_when_it_breaks() {
    let (old, new, files) = (Key::p256("old"), Key::p256("new"), Files::new());
    let put = |text: &str| {
        files.write("next.json", text);
        std::fs::rename(files.path("next.json"), files.path("keys.json")).expect("renamed");
    };
    put(&key_set(&[&old]));
    let running = serve(server(Jwt::issuer(NAME).audience(AUDIENCE).jwks_file(files.path("keys.json"))));
    whoami(&running, &old.token(&claims()));
    put(&key_set(&[&old, &new]));
    until("the new key is there", || knock(&running, &new.token(&claims())).status == 101);
    put("{");
    // What it names may stand in what cannot be read.
    until("somebody looks", || knock(&running, &Key::p256("unknown").token(&claims())).status == 503);
    whoami(&running, &new.token(&claims()));
    whoami(&running, &old.token(&claims()));
    put(&key_set(&[&new]));
    until("it is whole again", || knock(&running, &Key::p256("unknown").token(&claims())).status == 401);
    knock(&running, &old.token(&claims())).expect(401);
}

#[cfg(unix)]
#[test]
fn a_file_of_keys_that_could_not_be_used_is_taken_up_when_it_can_though_it_has_not_changed() {
    use std::os::unix::fs::PermissionsExt;
    let (old, new, files) = (Key::p256("old"), Key::p256("new"), Files::new());
    std::fs::create_dir(files.path("inner")).expect("a folder");
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(files.path(name), std::fs::Permissions::from_mode(mode)).expect("set");
    };
    mode("inner", 0o700);
    let put = |text: &str| {
        files.write("inner/next.json", text);
        mode("inner/next.json", 0o666);
        std::fs::rename(files.path("inner/next.json"), files.path("inner/keys.json")).expect("renamed");
    };
    put(&key_set(&[&old]));
    let running = serve(server(Jwt::issuer(NAME).audience(AUDIENCE).jwks_file(files.path("inner/keys.json"))));
    whoami(&running, &old.token(&claims()));
    // Everybody gets to a file that everybody can write; its folder is not part of what it looks like.
    mode("inner", 0o755);
    put(&key_set(&[&new]));
    until("somebody looks", || knock(&running, &new.token(&claims())).status == 503);
    whoami(&running, &old.token(&claims()));
    mode("inner", 0o700);
    until("the new key is there", || knock(&running, &new.token(&claims())).status == 101);
    knock(&running, &old.token(&claims())).expect(401);
}

#[test]
fn a_token_reaches_no_handler_and_no_answer() {
    let key = Key::p256("a");
    let issuer = KeyServer::new(&[&key]);
    let server: Server = server(issuer.jwt()).tool("principal", "Shows all that is known", |ctx, NoArgs| {
        Ok(Json(json!({ "all": format!("{:?} {:?}", ctx.client(), ctx.client().principal()) })))
    });
    let running = serve(server);
    let token = key.token(&claims());
    let mut peer = honest(&running, &token);
    let shown = peer.call("principal", json!({})).to_string();
    let signature = token.rsplit('.').next().expect("a signature");
    assert!(!shown.contains(signature) && !shown.contains("alice@example.com"), "{shown}");
}
