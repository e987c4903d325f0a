//! Whose certificates are shown, whose are accepted, and what happens when they change.

use crate::certs::{Authority, Client, Files, Identity, VERSIONS};
use crate::demo::demo;
use crate::neighbor::{HONEST, Neighbor, beside_over_tls, exposed};
use crate::peer::{LEGACY, MODERN, Peer, dial_from, serve, until};
use crate::raw::Head;
use mcp_blocking::{ClientCertificate, Denied, Error, Listener, Principal, Server, Settings, TlsConfig};
use rcgen::{CertificateParams, DnType, DnValue, SanType, date_time_ymd};
use rustls::{AlertDescription, CertificateError};
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

const TOKEN: &str = "a-token-of-good-length";

/// A server that says who its caller is.
fn server() -> Server {
    demo().tool("whoami", "Says who calls", |ctx, mcp_blocking::NoArgs| {
        Ok(ctx.client().principal().map_or("nobody", |principal| principal.id()).to_owned())
    })
}

#[track_caller]
fn whoami(mut peer: Peer) -> String {
    let result = peer.call("whoami", json!({}));
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}")).to_owned()
}

fn common_name(name: &str) -> impl FnOnce(&mut CertificateParams) {
    let name = name.to_owned();
    move |params| params.distinguished_name.push(DnType::CommonName, name)
}

/// The certificate that is shown to a client of that name.
#[track_caller]
fn shown(client: &Client, address: SocketAddr, identities: &[&Identity]) -> usize {
    let stream = client.try_connect(address).expect("a session");
    let leaf = stream.conn.peer_certificates().and_then(<[_]>::first).expect("a certificate");
    identities.iter().position(|identity| identity.der() == *leaf).expect("a known one")
}

#[test]
fn a_certificate_that_is_no_good_is_refused_by_the_client_and_does_no_harm() {
    let authority = Authority::new("good");
    let expired = authority.issue_with(&["localhost"], |params| params.not_after = date_time_ymd(2021, 1, 1));
    let early = authority.issue_with(&["localhost"], |params| params.not_before = date_time_ymd(4000, 1, 1));
    let other_name = authority.issue(&["other.example"]);
    let unknown = Authority::new("unknown").issue(&["localhost"]);
    type Wanted = fn(&CertificateError) -> bool;
    let cases: [(&Identity, Wanted); 4] = [
        (&expired, |why| matches!(why, CertificateError::ExpiredContext { .. })),
        (&early, |why| matches!(why, CertificateError::NotValidYetContext { .. })),
        (&other_name, |why| matches!(why, CertificateError::NotValidForNameContext { .. })),
        (&unknown, |why| matches!(why, CertificateError::UnknownIssuer)),
    ];
    for (identity, wanted) in cases {
        // The first is bad; one of another name beside it is good.
        let good = authority.issue(&["good.example"]);
        let running = exposed(server().tls(identity.config().and_pem(&good.chain, &good.key)));
        let _honest = beside_over_tls(&running, &Client::new(&authority).named("good.example"));
        for version in VERSIONS {
            let client = Client::with(&authority, &[version], None);
            let refused = client.try_connect(running.addr()).expect_err("it is no good");
            assert!(matches!(&refused, rustls::Error::InvalidCertificate(why) if wanted(why)), "{refused:?}");
        }
        until("the refusals are counted", || running.handle().status().connections_refused == 2);
    }
}

#[test]
fn each_name_gets_its_own_certificate() {
    let authority = Authority::new("names");
    let identities = [
        authority.issue(&["localhost", "127.0.0.1"]),
        authority.issue(&["one.example", "*.one.example"]),
        authority.issue(&["special.one.example"]),
    ];
    let [first, second, third] = &identities;
    let config = first.config().and_pem(&second.chain, &second.key).and_pem(&third.chain, &third.key);
    let running = exposed(server().tls(config));
    let _honest = beside_over_tls(&running, &Client::new(&authority));
    let all = [first, second, third];
    let client = Client::new(&authority);
    for (name, number) in [
        ("localhost", 0),
        ("127.0.0.1", 0),
        ("one.example", 1),
        ("any.one.example", 1),
        ("special.one.example", 2),
        ("SPECIAL.One.example", 2),
    ] {
        assert_eq!(shown(&client.named(name), running.addr(), &all), number, "{name}");
    }
    // A star is one label: this one gets the first, and says no.
    let refused = client.named("a.b.one.example").try_connect(running.addr()).expect_err("not its name");
    let rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) = &refused else {
        panic!("{refused:?}");
    };
    assert!(presented.iter().any(|name| name.contains("localhost")), "{presented:?}");
}

/// What a client is told that has no certificate or a wrong one.
fn refusal(client: &Client, address: SocketAddr) -> AlertDescription {
    match client.try_connect(address) {
        Err(rustls::Error::AlertReceived(alert)) => alert,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_clients_with_a_good_certificate_come_in_and_are_who_it_says() {
    let (authority, clients, strangers) =
        (Authority::new("server"), Authority::new("clients"), Authority::new("strangers"));
    let identity = authority.issue(&["localhost"]);
    let running = exposed(server().tls(identity.config().client_ca_pem(clients.pem())));
    let _honest =
        beside_over_tls(&running, &Client::with(&authority, &VERSIONS, Some(&clients.issue(&["honest.example"]))));
    let address = running.addr();
    let alice = clients.issue_with(&[], common_name("alice"));
    let agent = clients.issue_with(&["Agent.example"], common_name("agent"));
    let spiffe = clients.issue_with(&["agent.example"], |params| {
        params.subject_alt_names.push(SanType::URI("spiffe://example/agent".try_into().expect("a URI")));
    });
    let expired = clients.issue_with(&[], |params| params.not_after = date_time_ymd(2021, 1, 1));
    let early = clients.issue_with(&[], |params| params.not_before = date_time_ymd(4000, 1, 1));
    let foreign = strangers.issue_with(&[], common_name("alice"));
    for version in VERSIONS {
        let with = |own: Option<&Identity>| Client::with(&authority, &[version], own);
        for (own, id) in [
            (&alice, "cert:cn:alice"),
            (&agent, "cert:dns:agent.example"),
            (&spiffe, "cert:uri:spiffe://example/agent"),
        ] {
            for revision in [LEGACY[0], MODERN] {
                assert_eq!(whoami(with(Some(own)).peer(&running, revision)), id);
            }
            let stream = Box::new(with(Some(own)).connect(address));
            let mut web = crate::web::Web::over(stream, address).speaking(MODERN);
            assert_eq!(web.call("whoami", json!({}))["content"][0]["text"], id);
            assert_eq!(web.call("whoami", json!({}))["content"][0]["text"], id);
        }
        assert_eq!(refusal(&with(None), address), AlertDescription::CertificateRequired);
        assert_eq!(refusal(&with(Some(&expired)), address), AlertDescription::CertificateExpired);
        assert_eq!(refusal(&with(Some(&early)), address), AlertDescription::CertificateExpired);
        assert_eq!(refusal(&with(Some(&foreign)), address), AlertDescription::UnknownCA);
    }
    assert_eq!(whoami(Client::with(&authority, &VERSIONS, Some(&alice)).peer(&running, MODERN)), "cert:cn:alice");
    until("the refusals are counted", || running.handle().status().connections_refused == 8);
}

#[test]
fn a_connection_ends_with_the_certificate_that_it_came_with() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let identity = authority.issue(&["localhost"]);
    let running = serve(server().tls(identity.config().client_ca_pem(clients.pem())));
    let guarded = serve(server().tls(identity.config().client_ca_pem(clients.pem())).bearer_token("ada", TOKEN));
    let lasting = clients.issue_with(&[], common_name("alice"));
    let _honest = beside_over_tls(&running, &Client::with(&authority, &VERSIONS, Some(&lasting)));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let soon = clients.issue_with(&[], |params| {
        common_name("bob")(params);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs() + 2);
    });
    let client = Client::with(&authority, &VERSIONS, Some(&soon));
    let mut peer = client.peer(&running, MODERN);
    // Beside a token it ends no less.
    let stream = Box::new(client.connect(guarded.addr()));
    let mut both = Peer::over(stream, "localhost", &[("Authorization", &format!("Bearer {TOKEN}"))]);
    for peer in [&mut peer, &mut both] {
        let closed = peer.closed();
        assert!(closed.as_ref().is_some_and(|(code, _)| *code == 1008), "{closed:?}");
    }
}

#[test]
fn sessions_of_http_belong_to_the_certificate_that_opened_them() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let identity = authority.issue(&["localhost"]);
    let running = exposed(server().tls(identity.config().client_ca_pem(clients.pem())));
    let _honest =
        beside_over_tls(&running, &Client::with(&authority, &VERSIONS, Some(&clients.issue(&["honest.example"]))));
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let own = clients.issue_with(&[], common_name(name));
        Client::with(&authority, &VERSIONS, Some(&own))
    });
    let connect = |client: &Client| crate::web::Web::over(Box::new(client.connect(running.addr())), running.addr());
    let mut web = connect(&alice).speaking("2025-06-18");
    assert_eq!(web.call("whoami", json!({}))["content"][0]["text"], "cert:cn:alice");
    let mut thief = connect(&bob);
    (thief.session, thief.revision) = (web.session.clone(), web.revision);
    thief.start("tools/call", json!({ "name": "whoami", "arguments": {} }));
    assert_eq!(thief.status(), 404);
    assert_eq!(web.call("whoami", json!({}))["content"][0]["text"], "cert:cn:alice");
}

#[test]
fn a_certificate_may_be_optional_and_stand_for_a_token() {
    let (authority, clients, strangers) =
        (Authority::new("server"), Authority::new("clients"), Authority::new("strangers"));
    let identity = authority.issue(&["localhost"]);
    let config = || identity.config().client_ca_pem(clients.pem()).optional_client_certificate();
    let alice = Client::with(&authority, &VERSIONS, Some(&clients.issue_with(&[], common_name("alice"))));
    let nobody = Client::new(&authority);
    let stranger = Client::with(&authority, &VERSIONS, Some(&strangers.issue_with(&[], common_name("alice"))));

    let running = serve(server().tls(config()));
    assert_eq!(whoami(alice.peer(&running, MODERN)), "cert:cn:alice");
    assert_eq!(whoami(nobody.peer(&running, MODERN)), "nobody");
    assert_eq!(refusal(&stranger, running.addr()), AlertDescription::UnknownCA);

    let running = serve(server().tls(config()).bearer_token("carol", TOKEN));
    let status = |client: &Client, token: Option<&str>| status(client, running.addr(), token);
    assert_eq!(status(&nobody, None), 401);
    assert_eq!(status(&nobody, Some(TOKEN)), 426);
    assert_eq!(status(&alice, None), 426);
    // It does not make up for a token that is wrong.
    assert_eq!(status(&alice, Some("another-token-of-good-length")), 401);
    assert_eq!(status(&alice, Some("two tokens")), 400);
    assert_eq!(whoami(alice.peer(&running, MODERN)), "cert:cn:alice");
    let bearer = format!("Bearer {TOKEN}");
    let both = Peer::over(Box::new(alice.connect(running.addr())), "localhost", &[("Authorization", &bearer)]);
    assert_eq!(whoami(both.speaking(MODERN)), "carol");
}

/// The status of the answer to a plain GET of what is served.
fn status(client: &Client, address: SocketAddr, token: Option<&str>) -> u16 {
    let mut web = crate::web::Web::over(Box::new(client.connect(address)), address);
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    web.ask("GET", &headers, "");
    web.status()
}

#[test]
fn a_required_certificate_and_a_token_are_both_asked_for() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let identity = authority.issue(&["localhost"]);
    let alice = Client::with(&authority, &VERSIONS, Some(&clients.issue_with(&[], common_name("alice"))));
    let running = exposed(server().tls(identity.config().client_ca_pem(clients.pem())).bearer_token("carol", TOKEN));
    let (address, honest) = (running.addr(), alice.clone());
    let _honest = Neighbor::by(move || {
        let stream = Box::new(honest.over(dial_from(HONEST, address)));
        Peer::over(stream, "localhost", &[("Authorization", &format!("Bearer {TOKEN}"))])
    });
    assert_eq!(status(&alice, running.addr(), None), 401);
    assert_eq!(status(&alice, running.addr(), Some(TOKEN)), 426);
    refusal(&Client::new(&authority), running.addr());
}

#[test]
fn tickets_keep_nobody_out_who_has_a_certificate() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let tls = || authority.issue(&["localhost"]).config().client_ca_pem(clients.pem());
    let alice = Client::with(&authority, &VERSIONS, Some(&clients.issue_with(&[], common_name("alice"))));
    let required = serve(server().settings(Settings::new().tls(tls()).tickets()));
    assert_eq!(whoami(alice.peer(&required, MODERN)), "cert:cn:alice");
    // It is no ticket's business that a token is asked for.
    let settings = Settings::new().tls(tls()).tickets().bearer_token("carol", TOKEN);
    assert_eq!(status(&alice, serve(server().settings(settings)).addr(), None), 401);
    let settings = Settings::new().tls(tls().optional_client_certificate()).tickets();
    let optional = serve(server().settings(settings));
    assert_eq!(whoami(alice.peer(&optional, MODERN)), "cert:cn:alice");
    assert_eq!(status(&Client::new(&authority), optional.addr(), None), 401);
}

#[test]
fn a_ticket_that_was_asked_for_with_a_certificate_comes_with_the_same() {
    const PAGE: &str = "https://app.example";
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let tls = authority.issue(&["localhost"]).config().client_ca_pem(clients.pem());
    let of = |name| Client::with(&authority, &VERSIONS, Some(&clients.issue_with(&[], common_name(name))));
    let (alice, bob) = (of("alice"), of("bob"));
    let running = serve(server().settings(Settings::new().tls(tls).ticket_endpoint().allow_origin(PAGE)));
    let issue = || {
        let mut web = crate::web::Web::over(Box::new(alice.connect(running.addr())), running.addr());
        web.send(format!(
            "POST /mcp/ticket HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\nContent-Length: 0\r\n\r\n"
        ));
        let head = web.head();
        let body: serde_json::Value = serde_json::from_slice(&web.body(&head)).expect("JSON");
        body["ticket"].as_str().expect("a ticket").to_owned()
    };
    let open = |client: &Client, ticket: &str| {
        let offered = format!("mcp, mcp.ticket.{ticket}");
        let head = Head::new(running.addr()).add("Origin", PAGE).add("Sec-WebSocket-Protocol", &offered);
        let mut web = crate::web::Web::over(Box::new(client.connect(running.addr())), running.addr());
        web.send(head.bytes());
        web.head().status
    };
    let ticket = issue();
    assert_eq!(open(&bob, &ticket), 401);
    assert_eq!(open(&alice, &ticket), 401, "it was seen in wrong hands");
    let enter = |client: &Client, ticket: &str| {
        let offered = format!("mcp, mcp.ticket.{ticket}");
        let headers = [("Origin", PAGE), ("Sec-WebSocket-Protocol", offered.as_str())];
        whoami(Peer::over(Box::new(client.connect(running.addr())), "localhost", &headers).speaking(MODERN))
    };
    assert_eq!(enter(&alice, &issue()), "cert:cn:alice");
    // What a program gives to somebody it knows is for whatever certificate that one has.
    let given = running.handle().issue_ticket(&Principal::new("ada"), PAGE).expect("a ticket");
    assert_eq!(enter(&bob, given.as_str()), "ada");
}

#[test]
fn an_authors_own_authentication_sees_the_certificate_and_decides() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let identity = authority.issue(&["localhost"]);
    let config = identity.config().client_ca_pem(clients.pem()).optional_client_certificate();
    let running = serve(server().tls(config).authenticate(|head| {
        let principal = head.client_certificate().ok_or(Denied)?;
        let certificate = principal.user::<ClientCertificate>().ok_or(Denied)?;
        match (principal.id(), certificate.common_name(), certificate.dns_names()) {
            ("cert:dns:a.agents.example", Some("agent"), [name]) => Ok(Principal::new(format!("agent {name}"))),
            _ => Err(Denied),
        }
    }));
    let with = |own: &Identity| Client::with(&authority, &VERSIONS, Some(own));
    let agent = clients.issue_with(&["a.agents.example"], common_name("agent"));
    let other = clients.issue_with(&["b.agents.example"], common_name("agent"));
    assert_eq!(whoami(with(&agent).peer(&running, MODERN)), "agent a.agents.example");
    assert_eq!(status(&with(&other), running.addr(), None), 401);
    assert_eq!(status(&Client::new(&authority), running.addr(), None), 401);
}

#[test]
fn files_that_change_are_taken_by_connections_to_come() {
    let authority = Authority::new("server");
    let [old, new, third] = ["localhost"; 3].map(|name| authority.issue(&[name]));
    let identities = [&old, &new, &third];
    let files = Files::new();
    let config = files.put(&old).look_every(Duration::ZERO);
    let running = exposed(server().tls(config));
    let _honest = beside_over_tls(&running, &Client::new(&authority));
    let (address, handle) = (running.addr(), running.handle());
    let client = Client::new(&authority);
    assert_eq!(shown(&client, address, &identities), 0);
    let mut begun_before = client.peer(&running, MODERN);

    // One file of the two: they do not belong together, and the old ones stay.
    files.write("chain.pem", &new.chain);
    assert_eq!(shown(&client, address, &identities), 0);
    let error = handle.reload_tls().expect_err("they do not fit");
    let text = error.to_string();
    assert!(
        text.contains("the old certificates stay") && text.contains("key.pem") && text.contains("belong"),
        "{text}"
    );
    // And now the other.
    files.write("key.pem", &new.key);
    assert_eq!(shown(&client, address, &identities), 1);
    assert_eq!(begun_before.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");

    for bad in ["", "junk", &old.key] {
        files.write("chain.pem", bad);
        assert_eq!(shown(&client, address, &identities), 1, "{bad:?}");
        assert!(handle.reload_tls().is_err());
    }
    fs::remove_file(files.path("chain.pem")).expect("removed");
    assert_eq!(shown(&client, address, &identities), 1);
    assert!(handle.reload_tls().expect_err("it is gone").to_string().contains("no such file"));

    // Moved into place, as tools that renew certificates do.
    files.write("new-chain.pem", &third.chain);
    files.write("key.pem", &third.key);
    fs::rename(files.path("new-chain.pem"), files.path("chain.pem")).expect("moved");
    assert_eq!(shown(&client, address, &identities), 2);
    assert_eq!(handle.reload_tls().expect("good files"), Vec::<std::path::PathBuf>::new());
    begun_before.barrier();
}

#[test]
fn files_are_looked_at_when_told_to_and_not_more_often_than_they_may() {
    let authority = Authority::new("server");
    let [old, new] = ["localhost"; 2].map(|name| authority.issue(&[name]));
    let files = Files::new();
    let running = serve(server().tls(files.put(&old)));
    let custom = Listener::new().settings(Settings::new().tls(files.put(&old).look_every(Duration::MAX)));
    let custom = custom.bind("127.0.0.1:0").and_then(mcp_blocking::Bound::start).expect("it starts");
    let client = Client::new(&authority);
    let _ = files.put(&new);
    for address in [running.addr(), custom.addr()] {
        // Long before the 10 s are over.
        assert_eq!(shown(&client, address, &[&old, &new]), 0);
    }
    let changed = [files.path("chain.pem"), files.path("key.pem")];
    assert_eq!(running.handle().reload_tls().expect("good files"), changed);
    assert_eq!(custom.handle().reload_tls().expect("good files"), changed);
    for address in [running.addr(), custom.addr()] {
        assert_eq!(shown(&client, address, &[&old, &new]), 1);
    }
    // Without files there is nothing that could change.
    let running = serve(server().tls(old.config()));
    assert!(running.handle().reload_tls().expect("nothing to do").is_empty());
    assert!(serve(server()).handle().reload_tls().expect("nothing to do").is_empty());
}

#[test]
fn a_client_whose_authority_is_taken_away_is_refused_and_no_old_session_helps_it() {
    let (authority, first, second) = (Authority::new("server"), Authority::new("first"), Authority::new("second"));
    let identity = authority.issue(&["localhost"]);
    let files = Files::new();
    files.write("clients.pem", &[first.pem(), second.pem()].concat());
    let config = identity.config().client_ca_file(files.path("clients.pem")).look_every(Duration::ZERO);
    let running = exposed(server().tls(config));
    let _honest =
        beside_over_tls(&running, &Client::with(&authority, &VERSIONS, Some(&second.issue(&["honest.example"]))));
    let clients = VERSIONS.map(|version| {
        let [alice, bob] = [(&first, "alice"), (&second, "bob")].map(|(issuer, name)| {
            Client::with(&authority, &[version], Some(&issuer.issue_with(&[], common_name(name))))
        });
        (alice, bob)
    });
    for (alice, bob) in &clients {
        assert_eq!(whoami(alice.peer(&running, MODERN)), "cert:cn:alice");
        assert_eq!(whoami(bob.peer(&running, MODERN)), "cert:cn:bob");
    }
    let mut begun_before = clients[1].0.peer(&running, MODERN);
    files.write("clients.pem", &second.pem());
    for (alice, bob) in &clients {
        assert_eq!(refusal(alice, running.addr()), AlertDescription::UnknownCA);
        assert_eq!(whoami(bob.peer(&running, MODERN)), "cert:cn:bob");
    }
    begun_before.barrier();
}

#[test]
fn a_client_on_a_revocation_list_is_refused() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let identity = authority.issue(&["localhost"]);
    let serial = |number: u8| {
        move |params: &mut CertificateParams| {
            params.serial_number = Some(vec![number].into());
            params.distinguished_name.push(DnType::CommonName, format!("client {number}"));
        }
    };
    let own = [1, 2].map(|number| Client::with(&authority, &VERSIONS, Some(&clients.issue_with(&[], serial(number)))));
    let files = Files::new();
    files.write("revoked.pem", &clients.revoke(&[]));
    let config = identity.config().client_ca_pem(clients.pem()).client_crl_file(files.path("revoked.pem"));
    let running = exposed(server().tls(config.look_every(Duration::ZERO)));
    let _honest = beside_over_tls(&running, &own[0]);
    for (number, client) in own.iter().enumerate() {
        assert_eq!(whoami(client.peer(&running, MODERN)), format!("cert:cn:client {}", number + 1));
    }
    files.write("revoked.pem", &clients.revoke(&[2]));
    assert_eq!(whoami(own[0].peer(&running, MODERN)), "cert:cn:client 1");
    assert_eq!(refusal(&own[1], running.addr()), AlertDescription::CertificateRevoked);
}

#[test]
fn what_is_wrong_with_files_is_said_at_once_with_what_to_do() {
    let authority = Authority::new("server");
    let [good, other] = ["localhost"; 2].map(|name| authority.issue(&[name]));
    let files = Files::new();
    let say = |config: TlsConfig| match server().tls(config).bind("127.0.0.1:0") {
        Err(error @ Error::Setup(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let contains = |text: String, words: &[&str]| {
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert!(!text.contains("MIG") && !text.contains("MC4CAQ"), "a key in {text}");
    };
    let in_memory = |chain: &str, key: &str| TlsConfig::pem(chain, key);
    contains(
        say(in_memory(&good.chain, &other.key)),
        &["does not belong to the first certificate", "(at tests/it/cert"],
    );
    contains(
        say(in_memory(&[authority.pem(), good.chain.clone()].concat(), &good.key)),
        &["server's own certificate before"],
    );
    contains(say(in_memory("", "")), &["PEM in memory: it is empty"]);
    contains(say(in_memory(&good.key, &good.chain)), &["there is no certificate in it", "no private key", "exchanged"]);
    contains(say(in_memory("hello", "hello")), &["BEGIN CERTIFICATE", "BEGIN PRIVATE KEY"]);
    contains(
        say(in_memory("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &good.key)),
        &["it is not PEM as"],
    );
    contains(
        say(in_memory("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", &good.key)),
        &["cannot be used"],
    );
    contains(say(TlsConfig::pem(good.der(), &good.key)), &["not PEM", "-inform der"]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    contains(say(in_memory(&good.chain, encrypted)), &["encrypted", "openssl pkey"]);
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    contains(say(in_memory(&good.chain, old)), &["encrypted", "openssl pkey"]);
    let odd = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    contains(say(in_memory(&good.chain, odd)), &["no kind that is supported", "ECDSA"]);
    // All that is wrong, with the names of the files.
    let config = TlsConfig::files(files.path("missing.pem"), files.path("")).client_ca_file(files.path("absent.pem"));
    contains(say(config), &["missing.pem`: there is no such file", "cannot be read", "absent.pem"]);
    files.write("large.pem", &"#".repeat((1 << 20) + 1));
    contains(say(TlsConfig::files(files.path("large.pem"), files.path("large.pem"))), &["larger than 1 MiB"]);
    contains(say(good.config().client_ca_pem(&good.key)), &["there is no certificate in it", "but a key"]);
    contains(say(good.config().optional_client_certificate()), &["client_ca_file", "--client-ca"]);
    contains(say(good.config().client_ca_pem(authority.pem()).client_crl_pem("x")), &["no revocation list"]);
    // Together with what else is wrong.
    let both = server().allow_host("not a host").tls(in_memory("", &good.key)).bind("127.0.0.1:0");
    let text = both.expect_err("two things are wrong").to_string();
    assert!(text.contains("allow_host") && text.contains("it is empty"), "{text}");
    // One file for both is fine, as is a key of the old kind among other things.
    files.write("all.pem", &["# notes\n", &good.key, &good.chain].concat());
    drop(serve(server().tls(TlsConfig::files(files.path("all.pem"), files.path("all.pem")))));
    let shown = format!("{:?}", good.config());
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[test]
fn beyond_loopback_tls_and_certificates_are_enough() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let identity = authority.issue(&["localhost"]);
    let missing = |server: Server| match server.bind("0.0.0.0:0") {
        Err(Error::Exposed { missing, .. }) => missing,
        other => panic!("it should be refused: {other:?}"),
    };
    let text = missing(server().bearer_token("alice", TOKEN));
    assert!(text.contains("`tls`") && text.contains("--tls-cert"), "{text}");
    let text = missing(server().tls(identity.config()));
    assert!(text.contains("client_ca_file") && text.contains("bearer_token"), "{text}");
    missing(server().tls(identity.config().client_ca_pem(clients.pem()).optional_client_certificate()));

    let with_token = || server().tls(identity.config()).bearer_token("alice", TOKEN);
    drop(with_token().bind("0.0.0.0:0").expect("a token and TLS"));
    let bound = server().tls(identity.config().client_ca_pem(clients.pem())).bind("0.0.0.0:0").expect("certificates");
    let alice = Client::with(&authority, &VERSIONS, Some(&clients.issue_with(&[], common_name("alice"))));
    let port = bound.addr().port();
    let running = bound.start().expect("it starts");
    let peer = Peer::over(Box::new(alice.connect(([127, 0, 0, 1], port).into())), "localhost", &[]);
    assert_eq!(whoami(peer.speaking(MODERN)), "cert:cn:alice");
    drop(running);

    // Probes are answered without TLS: that has to be said.
    let exposed = with_token().bind("127.0.0.1:0").and_then(|bound| bound.health("0.0.0.0:0"));
    assert!(
        matches!(&exposed, Err(Error::Exposed { missing, .. }) if missing.contains("health_on_main")),
        "{exposed:?}"
    );
    let said = with_token().plaintext_behind_proxy().bind("127.0.0.1:0").and_then(|bound| bound.health("0.0.0.0:0"));
    drop(said.expect("it was said"));
}

#[test]
fn keys_of_all_supported_kinds_serve() {
    let authority = Authority::new("server");
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let identity = authority.issue_for(&["localhost"], algorithm);
        let running = serve(server().tls(identity.config()));
        for version in VERSIONS {
            assert_eq!(whoami(Client::with(&authority, &[version], None).peer(&running, MODERN)), "nobody");
        }
    }
    // Of one name, the first that the client can verify.
    let [first, second] = [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256]
        .map(|algorithm| authority.issue_for(&["localhost"], algorithm));
    let running = serve(server().tls(first.config().and_pem(&second.chain, &second.key)));
    let shown = |client: &Client| shown(client, running.addr(), &[&first, &second]);
    assert_eq!(shown(&Client::new(&authority)), 0);
    assert_eq!(shown(&Client::new(&authority).without(rustls::SignatureScheme::ED25519)), 1);
}

#[test]
fn names_that_are_odd_do_not_hurt() {
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let running = exposed(server().tls(authority.issue(&["localhost"]).config().client_ca_pem(clients.pem())));
    let _honest =
        beside_over_tls(&running, &Client::with(&authority, &VERSIONS, Some(&clients.issue(&["honest.example"]))));
    for name in ["new\r\nline", "\u{1b}[31m", "a\0b", ""] {
        let own = clients.issue_with(&[], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name.into()));
        });
        let id = whoami(Client::with(&authority, &VERSIONS, Some(&own)).peer(&running, MODERN));
        assert!(id.starts_with("cert:sha256:"), "{name:?}: {id:?}");
    }
}
