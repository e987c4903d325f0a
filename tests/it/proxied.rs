//! Behind a proxy: whose request is it? The proxy of these tests connects from 127.0.0.2.

use crate::audit::{Folder, end};
use crate::demo::demo;
use crate::peer::{ALL, MODERN, Peer, dial_from, serve, turnstile, until};
use crate::raw::{Answer, Head};
use crate::web::Web;
use mcp_blocking::{NoArgs, Server, Settings};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOKEN: &str = "a-token-of-good-length";
const PROXY: u8 = 2;
const STRANGER: u8 = 3;
const ATTACKER: &str = "192.0.2.66";
const HONEST: &str = "192.0.2.7";

fn server() -> Server {
    let settings = Settings::new().trusted_proxies(["127.0.0.2", "10.0.0.0/8"]);
    demo().settings(settings).tool("where", "Where the caller is", |ctx, NoArgs| Ok(ctx.address().ip().to_string()))
}

fn ask(last: u8, address: SocketAddr, fields: &[(&str, &str)]) -> Answer {
    fields.iter().fold(Head::new(address), |head, (name, value)| head.set(name, value)).ask_from(last, address)
}

fn peer(last: u8, address: SocketAddr, headers: &[(&'static str, &str)]) -> Peer {
    Peer::over(Box::new(dial_from(last, address)), &address.to_string(), headers)
}

fn place(mut peer: Peer, revision: &'static str) -> String {
    peer = peer.speaking(revision);
    peer.call("where", json!({}))["content"][0]["text"].as_str().expect("a text").to_owned()
}

#[test]
fn the_client_is_who_the_trusted_proxy_says_and_nobody_else_is_believed() {
    let running = serve(server());
    let address = running.addr();
    let spoofed = [("X-Forwarded-For", "198.51.100.1, 192.0.2.7, 10.1.1.1")];
    for revision in ALL {
        assert_eq!(place(peer(PROXY, address, &spoofed), revision), HONEST);
        assert_eq!(place(peer(STRANGER, address, &spoofed), revision), "127.0.0.3");
        assert_eq!(place(peer(PROXY, address, &[]), revision), "127.0.0.2");
    }
    let forwarded = [("Forwarded", "for=\"[2001:db8::1]:443\";proto=https, for=10.0.0.1")];
    assert_eq!(place(peer(PROXY, address, &forwarded), MODERN), "2001:db8::1");
    // Garbage is the proxy's own.
    assert_eq!(place(peer(PROXY, address, &[("X-Forwarded-For", "192.0.2.7, unknown")]), MODERN), "127.0.0.2");
}

#[test]
fn each_request_of_a_proxys_connection_may_be_somebody_elses() {
    let running = serve(server());
    let mut web = Web::over(Box::new(dial_from(PROXY, running.addr())), running.addr());
    web.revision = MODERN;
    for client in [HONEST, ATTACKER, "2001:db8::9", HONEST] {
        let call = web.make("tools/call", json!({ "name": "where", "arguments": {} }));
        web.post(&call, &[("X-Forwarded-For", client)]);
        let (status, answer) = web.json();
        assert_eq!((status, answer["result"]["content"][0]["text"].as_str()), (200, Some(client)));
    }
}

#[test]
fn the_audit_log_names_the_address_of_each_request_of_a_proxys_connection() {
    const OTHER: &str = "another-token-of-good-length";
    let folder = Folder::new();
    let (turn, keeper) = turnstile();
    let settings = Settings::new().trusted_proxies(["127.0.0.2"]).bearer_token("alice", TOKEN);
    let settings = settings.bearer_token("bob", OTHER).audit(folder.audit());
    let running = serve(demo().settings(settings).tool("wait", "Waits", move |_ctx, NoArgs| {
        turn.pass();
        Ok("done")
    }));
    let mut web = Web::over(Box::new(dial_from(PROXY, running.addr())), running.addr());
    web.revision = MODERN;
    let ask = |web: &mut Web, tool: &str, arguments: Value, client: &str, token: &str| {
        let call = web.make("tools/call", json!({ "name": tool, "arguments": arguments }));
        web.post(&call, &[("X-Forwarded-For", client), ("Authorization", &format!("Bearer {token}"))]);
    };
    let requests = [(HONEST, TOKEN), (HONEST, TOKEN), (ATTACKER, OTHER), (ATTACKER, TOKEN), (ATTACKER, TOKEN)];
    for (client, token) in requests {
        ask(&mut web, "echo", json!({ "text": "x" }), client, token);
        assert_eq!(web.json().0, 200);
    }
    ask(&mut web, "wait", json!({}), "192.0.2.9", OTHER);
    keeper.wait_entered();
    running.handle().set_tokens([]).expect("none");
    assert_eq!(web.status(), 401);
    web.assert_closed();
    keeper.release();
    end(running);
    folder.assert_sound();
    let told = |event: &str| {
        let lines = folder.events(event);
        let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        lines
            .iter()
            .map(|line| ["outcome", "principal", "address"].map(|name| text(line, name)).join(" ").trim().to_owned())
            .collect::<Vec<_>>()
    };
    let wanted =
        ["ok alice 192.0.2.7", "ok bob 192.0.2.66", "ok alice 192.0.2.66", "ok bob 192.0.2.9", "ended bob 192.0.2.9"];
    assert_eq!(told("authentication"), wanted);
    assert_eq!(told("connection"), ["alice 192.0.2.7"]);
    assert_eq!(told("disconnection"), ["bob 192.0.2.9"]);
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let running = serve(server());
    let both = [("Forwarded", "for=198.51.100.1"), ("X-Forwarded-For", HONEST)];
    let answer = ask(PROXY, running.addr(), &both).expect(400);
    assert!(answer.body.contains("X-Forwarded-For"), "{answer:?}");
    ask(STRANGER, running.addr(), &both).expect(101);
    ask(PROXY, running.addr(), &[("Forwarded", "for=192.0.2.7"), ("X-Forwarded-For", HONEST)]).expect(101);
}

#[test]
fn connections_count_for_the_client_and_not_for_the_proxy() {
    let running = serve(server().limits(|limits| (limits.connections_per_address, limits.connect_burst) = (2, 4)));
    let address = running.addr();
    let open = |client: &str| peer(PROXY, address, &[("X-Forwarded-For", client)]).speaking("2025-11-25");
    let held = [open(ATTACKER), open(ATTACKER)];
    let answer = ask(PROXY, address, &[("X-Forwarded-For", ATTACKER)]).expect(503);
    assert!(answer.body.contains("limits.connections_per_address"), "{answer:?}");
    let statuses = [(); 10].map(|()| ask(PROXY, address, &[("X-Forwarded-For", ATTACKER)]).status);
    assert!(statuses.contains(&429), "{statuses:?}");
    let others: Vec<_> = (1..10).map(|last| open(&format!("198.51.100.{last}"))).collect();
    drop((held, others));
    // Connections that the proxy keeps open between requests are nobody's.
    let mut kept: Vec<_> = (0..5)
        .map(|_| {
            let mut web = Web::over(Box::new(dial_from(PROXY, address)), address);
            web.revision = MODERN;
            web
        })
        .collect();
    for _ in 0..3 {
        for web in &mut kept {
            let message = web.make("tools/list", json!({}));
            web.post(&message, &[("X-Forwarded-For", HONEST)]);
            assert_eq!(web.json().0, 200);
        }
    }
}

#[test]
fn rates_and_failed_logins_are_those_of_the_client_behind_the_proxy() {
    let server = server().bearer_token("alice", TOKEN).limits(|limits| {
        (limits.address_rate, limits.address_burst, limits.failed_logins) = (1, 30, 2);
    });
    let running = serve(server);
    let address = running.addr();
    let bearer = format!("Bearer {TOKEN}");
    let mut flood = peer(PROXY, address, &[("X-Forwarded-For", ATTACKER), ("Authorization", &bearer)]);
    assert!((0..60).any(|_| !flood.request("ping", json!({}))["error"].is_null()));
    let wrong = [("X-Forwarded-For", ATTACKER), ("Authorization", "Bearer a-token-that-is-wrong")];
    let statuses = [(); 4].map(|()| ask(PROXY, address, &wrong).status);
    assert_eq!(statuses, [401, 401, 401, 429]);
    // A name of its own making to the left does not help.
    let spoofed = format!("203.0.113.9, {ATTACKER}");
    ask(PROXY, address, &[("X-Forwarded-For", &spoofed), wrong[1]]).expect(429);
    let honest = [("X-Forwarded-For", HONEST), ("Authorization", bearer.as_str())];
    for revision in ALL {
        assert_eq!(place(peer(PROXY, address, &honest), revision), HONEST);
    }
}

#[test]
fn all_of_an_ipv6_network_of_64_bits_is_one_client() {
    let server = server().bearer_token("alice", TOKEN).limits(|limits| {
        (limits.address_rate, limits.address_burst) = (1, 30);
        (limits.connections_per_address, limits.failed_logins) = (3, 2);
    });
    let running = serve(server);
    let address = running.addr();
    let bearer = format!("Bearer {TOKEN}");
    let open = |client: &str| peer(PROXY, address, &[("X-Forwarded-For", client), ("Authorization", &bearer)]);
    let mut flood: Vec<_> = (1..=3).map(|last| open(&format!("2001:db8:0:1::{last}"))).collect();
    // Another address of the same network has no seat of its own, and no other rate.
    ask(PROXY, address, &[("X-Forwarded-For", "2001:db8:0:1:ffff::9"), ("Authorization", &bearer)]).expect(503);
    assert!((0..60).any(|at| !flood[at % 3].request("ping", json!({}))["error"].is_null()));
    assert!(flood.iter_mut().all(|peer| !peer.request("ping", json!({}))["error"].is_null()));
    let wrong = |last: u8| {
        let client = format!("2001:db8:0:1::{last}:0");
        ask(PROXY, address, &[("X-Forwarded-For", &client), ("Authorization", "Bearer a-token-that-is-wrong")]).status
    };
    drop(flood);
    until("the seats are free", || running.handle().status().connections == 0);
    assert_eq!([1, 2, 3, 4].map(wrong), [401, 401, 401, 429]);
    // The network beside it has all of that.
    for revision in ALL {
        assert_eq!(place(open("2001:db8:0:2::1"), revision), "2001:db8:0:2::1");
    }
}

#[test]
fn pages_of_the_same_host_work_behind_a_proxy_that_ends_tls() {
    let running = serve(server().allow_host("mcp.example.com"));
    let page = |host, origin| {
        ask(PROXY, running.addr(), &[("Host", host), ("Origin", origin), ("X-Forwarded-For", HONEST)]).status
    };
    assert_eq!(page("mcp.example.com", "https://mcp.example.com"), 101);
    assert_eq!(page("mcp.example.com:8443", "https://mcp.example.com:8443"), 101);
    assert_eq!(page("mcp.example.com", "https://evil.example"), 403);
    // A proxy that cuts the port off: the page has to be allowed by name.
    assert_eq!(page("mcp.example.com", "https://mcp.example.com:8443"), 403);
}

#[test]
fn proxies_that_cannot_be_meant_are_reported_by_bind() {
    let settings = Settings::new().trusted_proxies(["10.0.0.1/8", "everybody", "0.0.0.0/0"]);
    let error = demo().settings(settings).bind("127.0.0.1:0").unwrap_err().to_string();
    assert!(
        error.contains("`10.0.0.1/8`") && error.contains("`everybody`") && error.contains("`0.0.0.0/0`"),
        "{error}"
    );
}
