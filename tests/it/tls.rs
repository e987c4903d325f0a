//! The same server behind TLS: what changes, and what must not.

use crate::certs::{Authority, Client, Identity, Secure, VERSIONS};
use crate::demo::demo;
use crate::neighbor::{HONEST, beside_over_tls, exposed};
use crate::peer::{ALL, LEGACY, MODERN, PATIENCE, Peer, dial, dial_from, serve, until};
use crate::raw::Raw;
use crate::web::Web;
use mcp_blocking::crossbeam_channel::{Receiver, Sender, unbounded};
use mcp_blocking::{Bound, ClosedBy, Ended, Limits, Listener, Message, Peers, Running, Server, Service, Settings};
use rustls::{AlertDescription, ProtocolVersion, SupportedProtocolVersion};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use tungstenite::{Message as Sent, WebSocket};

fn identity() -> (Authority, Identity) {
    let authority = Authority::new("test authority");
    let identity = authority.issue(&["localhost"]);
    (authority, identity)
}

/// A server behind TLS, and a client that trusts it.
fn secure(change: impl FnOnce(Server) -> Server) -> (Running, Client) {
    let (authority, identity) = identity();
    (exposed(change(demo()).tls(identity.config())), Client::new(&authority))
}

#[test]
fn both_transports_serve_every_revision_over_both_versions() {
    let (authority, identity) = identity();
    let running = serve(demo().tls(identity.config()));
    for version in VERSIONS {
        let client = Client::with(&authority, &[version], None);
        for revision in ALL {
            let mut peer = client.peer(&running, revision);
            assert_eq!(peer.call("echo", json!({ "text": "hi" }))["content"][0]["text"], "hi");
            let id = peer.start_call_with_progress("count", json!({ "to": 3 }), json!("token"));
            for done in 1..=3 {
                assert_eq!(peer.notice("notifications/progress")["params"]["progress"], done);
            }
            assert_eq!(peer.result(&id)["content"][0]["text"], "counted to 3");
            peer.close(1000, "bye");
            assert_eq!(peer.closed().map(|(code, _)| code), Some(1000));

            let mut web = Web::over(Box::new(client.connect(running.addr())), running.addr()).speaking(revision);
            for text in ["one", "two"] {
                assert_eq!(web.call("echo", json!({ "text": text }))["content"][0]["text"], text);
            }
            assert_eq!(web.call("count", json!({ "to": 2 }))["content"][0]["text"], "counted to 2");
        }
    }
}

/// Echoes text, and lends its peers to the test.
struct Echo {
    peers: Sender<mcp_blocking::Peer>,
    ended: Sender<Ended>,
}

impl Service for Echo {
    type Session = ();

    fn open(&self, peer: &mcp_blocking::Peer) -> Result<(), ClosedBy> {
        let _ = self.peers.send(peer.clone());
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &mcp_blocking::Peer, message: Message) {
        if let Message::Text(text) = message {
            let _ = peer.send(&*text);
        }
    }

    fn close(&self, (): (), _peer: &mcp_blocking::Peer, ended: Ended) {
        let _ = self.ended.send(ended);
    }
}

type WebClient = WebSocket<Secure>;

/// One client of a service of one's own, and what is known of it on the other side.
struct Bench {
    running: Running<Peers>,
    client: WebClient,
    peer: mcp_blocking::Peer,
    opened: Receiver<mcp_blocking::Peer>,
    ended: Receiver<Ended>,
    tls: Client,
}

impl Bench {
    fn new(version: &'static SupportedProtocolVersion, change: impl FnOnce(&mut Limits)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::on(listener, version, change)
    }

    fn on(socket: TcpListener, version: &'static SupportedProtocolVersion, change: impl FnOnce(&mut Limits)) -> Self {
        let (authority, identity) = identity();
        let (peers, opened) = unbounded();
        let (tell_ended, ended) = unbounded();
        let settings = Settings::new()
            .tls(identity.config())
            .limits(|limits| (limits.message_bytes, limits.outbox_bytes) = (8 << 20, 64 << 20))
            .limits(change);
        let listener = Listener::new().service("/echo", Echo { peers, ended: tell_ended }).settings(settings);
        let running = listener.bind_listener(socket).and_then(Bound::start).expect("it starts");
        let tls = Client::with(&authority, &[version], None);
        let (client, _) = tungstenite::client("wss://localhost/echo", tls.connect(running.addr())).expect("let in");
        let peer = opened.recv_timeout(PATIENCE).expect("opened");
        Self { running, client, peer, opened, ended, tls }
    }

    fn send(&mut self, text: &str) {
        self.client.send(Sent::text(text)).expect("sent");
    }

    fn read(&mut self) -> String {
        self.client.read().expect("a message").into_text().expect("a text").to_string()
    }

    /// Closes from the client's side: WebSocket and TLS end in order, and nothing is left.
    fn finish(mut self) {
        self.client.close(None).expect("closes");
        loop {
            match self.client.read() {
                Ok(_) => {}
                // A stream without the end that TLS asks for would be an error of the stream.
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(self.client.get_mut().read(&mut [0]).expect("the end of the session"), 0);
        assert_eq!(self.ended.recv_timeout(PATIENCE), Ok(Ended::ByPeer(None)));
        self.left_nothing();
    }

    /// Somebody else is served, from another address.
    fn serves_others(&self) {
        let stream = self.tls.over(dial_from(HONEST, self.running.addr()));
        let (mut other, _) = tungstenite::client("wss://localhost/echo", stream).expect("let in");
        self.opened.recv_timeout(PATIENCE).expect("opened");
        other.send(Sent::text("honest")).expect("sent");
        assert_eq!(other.read().expect("a message").into_text().expect("a text"), "honest");
        other.close(None).expect("closes");
        while other.read().is_ok() {}
        assert_eq!(self.ended.recv_timeout(PATIENCE), Ok(Ended::ByPeer(None)));
    }

    fn left_nothing(&self) {
        self.serves_others();
        until("the connection is gone", || self.running.handle().status().connections == 0);
        until("its memory is given back", || self.running.handle().status().memory_used == 0);
    }
}

#[test]
fn large_messages_pass_whole_in_both_directions_at_once() {
    for version in VERSIONS {
        let mut bench = Bench::new(version, |_| {});
        let lengths = [16 << 10, (1 << 20) + 7, 1, 3 << 20, 100, (16 << 10) + 1];
        let text = |length: u32| (0..length).map(|at| char::from(b'a' + (at * 7 % 26) as u8)).collect::<String>();
        for length in lengths {
            bench.send(&text(length));
            assert!(bench.read() == text(length), "{length} bytes");
        }
        // All of them are sent before one is read, and the server sends more of its own.
        let peer = bench.peer.clone();
        let pushing = std::thread::spawn(move || peer.send("z".repeat(2 << 20)).expect("queued"));
        for length in lengths {
            bench.send(&text(length));
        }
        let (mut echoes, mut pushes) = (lengths.into_iter(), 0);
        for _ in 0..=lengths.len() {
            let read = bench.read();
            if read.starts_with('z') {
                pushes += read.len();
            } else {
                assert!(read == text(echoes.next().expect("no more than were sent")));
            }
        }
        pushing.join().expect("no panic");
        assert_eq!(pushes, 2 << 20);
        bench.finish();
    }
}

#[test]
fn pushes_of_another_thread_pass_while_the_client_sends_and_renews_its_keys() {
    for version in VERSIONS {
        let mut bench = Bench::new(version, |limits| limits.outbox_frames = 4_096);
        let peer = bench.peer.clone();
        let filler = "y".repeat(3_000);
        let pushing = std::thread::spawn(move || {
            for number in 0..500 {
                peer.send(format!("push {number} {filler}")).expect("queued");
            }
        });
        let (mut echoes, mut pushes) = (0, 0);
        for number in 0..500 {
            if number % 100 == 7 && version.version == ProtocolVersion::TLSv1_3 {
                // Asks the server to renew its keys, too, in the midst of its pushes.
                bench.client.get_mut().conn.refresh_traffic_keys().expect("renewed");
            }
            bench.send(&format!("echo {number}"));
            while echoes <= number {
                let text = bench.read();
                if let Some(rest) = text.strip_prefix("push ") {
                    assert!(rest.starts_with(&format!("{pushes} y")) && rest.len() > 3_000);
                    pushes += 1;
                } else {
                    assert_eq!(text, format!("echo {echoes}"));
                    echoes += 1;
                }
            }
        }
        while pushes < 500 {
            assert!(bench.read().starts_with(&format!("push {pushes} y")));
            pushes += 1;
        }
        pushing.join().expect("no panic");
        bench.finish();
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_at_the_write_deadline() {
    for version in VERSIONS {
        let deadline = Duration::from_millis(300);
        let bench = Bench::new(version, |limits| limits.write_deadline = deadline);
        let begun = Instant::now();
        bench.peer.send("x".repeat(24 << 20)).expect("queued");
        bench.ended.recv_timeout(PATIENCE).expect("it ends");
        assert!((deadline..deadline * 10).contains(&begun.elapsed()), "cut after {:?}", begun.elapsed());
        bench.left_nothing();
    }
}

#[test]
fn a_client_that_reads_slowly_is_not_cut() {
    let deadline = Duration::from_secs(1);
    for version in VERSIONS {
        // Connections have this from their listener: so little is sent ahead of the reader.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_send_buffer_size(32 << 10).expect("a small buffer");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        socket.listen(1).expect("listens");
        let mut bench = Bench::on(socket.into(), version, |limits| limits.write_deadline = deadline);
        let begun = Instant::now();
        for number in 0..500 {
            bench.peer.send(format!("{number} {}", "x".repeat(16 << 10))).expect("queued");
        }
        for number in 0..500 {
            assert!(bench.read().starts_with(&format!("{number} x")));
            // As slow as it takes for the server to be stuck for longer than the deadline in all.
            std::thread::sleep(Duration::from_millis(3));
        }
        assert!(begun.elapsed() > deadline, "it was not slow: {:?}", begun.elapsed());
        bench.finish();
    }
}

#[test]
fn a_broadcast_reaches_all_clients_beside_one_that_does_not_read() {
    let (authority, identity) = identity();
    let running = serve(demo().tls(identity.config()).limits(|limits| limits.outbox_bytes = 64 << 20));
    let clients = VERSIONS.map(|version| Client::with(&authority, &[version], None));
    let connect = |number: usize| clients[number % 2].peer(&running, LEGACY[number % LEGACY.len()]);
    let mut peers: Vec<_> = (0..40).map(connect).collect();
    let _deaf = connect(0);
    let filler = "b".repeat(64 << 10);
    for number in 0..30 {
        let params = json!({ "number": number, "filler": filler });
        assert_eq!(running.handle().broadcast("acme/all", &params).expect("an object"), 41);
    }
    for peer in &mut peers {
        for number in 0..30 {
            assert_eq!(peer.notice("acme/all")["params"]["number"], number);
        }
    }
}

#[test]
fn half_open_handshakes_keep_nobody_out_and_end_at_the_head_deadline() {
    let deadline = Duration::from_millis(700);
    let (running, client) = secure(|server| {
        server
            .limits(|limits| (limits.half_open, limits.head_deadline, limits.close_deadline) = (3, deadline, deadline))
    });
    let address = running.addr();
    let mut talking = beside_over_tls(&running, &client);
    let begun = Instant::now();
    let mut silent: Vec<_> = (0..3).map(|_| Raw::connect(address)).collect();
    // One has said a little, as somebody who speaks TLS does.
    silent[0].send(&[22, 3, 1, 2, 0, 1]);
    until("the silent ones have their seats", || running.handle().status().connections_accepted == 4);
    // Whoever comes then is let in: the oldest makes room, and the others have their time.
    client.try_over(dial_from(HONEST, address)).expect("a seat");
    silent.remove(0).wait_end();
    assert!(begun.elapsed() < deadline, "after {:?}", begun.elapsed());
    talking.assert_served();
    for raw in &mut silent {
        raw.wait_end();
    }
    assert!((deadline..deadline * 8).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
}

#[test]
fn a_handshake_may_drip_within_its_deadline_and_no_longer() {
    let deadline = Duration::from_millis(800);
    let (running, client) = secure(|server| server.limits(|limits| limits.head_deadline = deadline));
    let _honest = beside_over_tls(&running, &client);
    // Each byte by itself.
    let mut client_side = rustls::ClientConnection::new(client.config.clone(), client.name.clone()).expect("a session");
    let mut stream = dial(running.addr());
    while client_side.is_handshaking() {
        let mut bytes = Vec::new();
        while client_side.wants_write() {
            client_side.write_tls(&mut bytes).expect("into memory");
        }
        for byte in bytes {
            stream.write_all(&[byte]).expect("sent");
        }
        if client_side.wants_read() && client_side.is_handshaking() {
            assert!(client_side.read_tls(&mut stream).expect("an answer in time") > 0, "cut");
            client_side.process_new_packets().expect("a good handshake");
        }
    }
    let mut peer = Peer::over(Box::new(rustls::StreamOwned::new(client_side, stream)), "localhost", &[]);
    peer.barrier();

    // The same without an end: bytes keep coming, and the deadline comes, too.
    let mut dripping = dial(running.addr());
    dripping.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
    let begun = Instant::now();
    dripping.write_all(&[22, 3, 1, 0x3f, 0xff]).expect("sent");
    loop {
        let _ = dripping.write_all(&[1]);
        match dripping.read(&mut [0; 16]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // The word that this is the end, or the end.
            _ => break,
        }
        assert!(begun.elapsed() < PATIENCE, "it drips for ever");
    }
    assert!((deadline..deadline * 8).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
    peer.barrier();
}

/// All that comes until the end of the stream.
fn rest(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn plain_text_is_told_in_plain_text_that_this_port_speaks_tls() {
    let (running, client) = secure(|server| server);
    let _honest = beside_over_tls(&running, &client);
    let head = "GET /mcp HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for text in
        [head, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", "x", "PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut raw = Raw::connect(running.addr());
        raw.send(text.as_bytes());
        let answer = raw.answer().expect(400);
        assert!(answer.body.contains("wss://") && answer.body.contains("https://"), "{answer:?}");
        // Nothing is served behind it.
        raw.try_send(head.as_bytes());
        assert_eq!(rest(&raw.stream), b"");
    }
    until("all are counted", || running.handle().status().connections_refused == 4);
}

#[test]
fn garbage_and_records_that_are_broken_are_answered_with_an_alert() {
    let (running, client) = secure(|server| server);
    let _honest = beside_over_tls(&running, &client);
    for bytes in [
        &b"\x16\x03\x01\x00\x05hello"[..],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0xff, 0xff],
        &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        &[23, 3, 3, 0, 3, 1, 2, 3],
        &[0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16],
        &[0; 300],
    ] {
        let mut raw = Raw::connect(running.addr());
        raw.send(bytes);
        let told = rest(&raw.stream);
        assert!(told.starts_with(&[21, 3]) && told.len() == 7, "{bytes:?}: {told:?}");
    }
    // An alert is not answered by one, and a beginning without an end by nothing.
    for bytes in [&[21, 3, 3, 0, 2, 2, 40][..], &[22, 3, 1, 0, 100, 1, 0]] {
        let raw = Raw::connect(running.addr());
        (&raw.stream).write_all(bytes).expect("sent");
        raw.end_sending();
        assert!(rest(&raw.stream).len() <= 7);
    }
}

#[test]
fn a_broken_record_within_a_session_is_told_by_an_alert_and_ends_it() {
    for version in VERSIONS {
        let mut bench = Bench::new(version, |_| {});
        let stream = bench.client.get_mut();
        stream.sock.write_all(&[&[23, 3, 3, 0, 40][..], &[7; 40]].concat()).expect("sent");
        // The server has nothing to send: the alert leaves by itself.
        let told = stream.read(&mut [0; 16]).expect_err("an alert").downcast::<rustls::Error>();
        assert!(matches!(told, Ok(rustls::Error::AlertReceived(AlertDescription::BadRecordMac))), "{told:?}");
        assert_eq!(bench.ended.recv_timeout(PATIENCE), Ok(Ended::Lost));
        bench.left_nothing();
    }
}

#[test]
fn a_stream_that_is_cut_off_is_not_taken_for_an_end() {
    for version in VERSIONS {
        // A part of a record, and then the end of the TCP stream: without the end that TLS asks for.
        let mut bench = Bench::new(version, |_| {});
        bench.send("whole");
        assert_eq!(bench.read(), "whole");
        let stream = bench.client.get_mut();
        stream.sock.write_all(&[23, 3, 3, 0, 40, 1, 2, 3]).expect("sent");
        stream.sock.shutdown(Shutdown::Write).expect("shut down");
        assert_eq!(bench.ended.recv_timeout(PATIENCE), Ok(Ended::Lost));
        bench.left_nothing();
    }
}

#[test]
fn an_http_connection_ends_in_order_whoever_ends_it() {
    let (authority, identity) = identity();
    let running = serve(demo().tls(identity.config()).limits(|limits| limits.keep_alive = Duration::from_millis(200)));
    for version in VERSIONS {
        let client = Client::with(&authority, &[version], None);
        // The server, when it has waited long enough.
        let mut stream = client.try_connect(running.addr()).expect("a session");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an end in order, not a cut");
        // The client says that it will send no more, and still gets its answer.
        let mut stream = client.connect(running.addr());
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
        let body = body.to_string();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        stream.conn.send_close_notify();
        stream.flush().expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an end in order, not a cut");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
}

#[test]
fn a_record_without_an_end_does_not_keep_an_idle_connection() {
    let idle = Duration::from_millis(300);
    let (running, client) = secure(|server| server.limits(|limits| limits.keep_alive = idle));
    let mut web = Web::over(Box::new(client.connect(running.addr())), running.addr()).speaking("2025-06-18");
    web.call("echo", json!({ "text": "x" }));
    let begun = Instant::now();
    let mut socket = web.socket();
    socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
    socket.write_all(&[23, 3, 3, 0x3f, 0xff]).expect("sent");
    loop {
        let _ = socket.write_all(&[1]);
        match socket.read(&mut [0; 64]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
        assert!(begun.elapsed() < PATIENCE, "it drips for ever");
    }
    assert!(begun.elapsed() < idle * 10, "after {:?}", begun.elapsed());
}

#[test]
fn a_stopping_server_says_goodbye_over_tls() {
    let (authority, identity) = identity();
    for version in VERSIONS {
        let running = serve(demo().tls(identity.config()));
        let client = Client::with(&authority, &[version], None);
        let mut peers = [client.peer(&running, MODERN), client.peer(&running, "2025-03-26")];
        let half_open = Raw::connect(running.addr());
        let id = peers[0].start_call("sleep", json!({}));
        peers[0].barrier();
        let stopping = std::thread::spawn(move || running.shutdown(Duration::ZERO));
        assert_eq!(peers[0].error(&id)["code"], -31001);
        for peer in &mut peers {
            assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
        }
        assert_eq!(stopping.join().expect("no panic").map_err(|error| error.to_string()), Ok(()));
        drop(half_open);
    }
}

#[test]
fn a_protocol_that_is_not_served_is_refused_and_http_1_1_is_chosen() {
    let (running, client) = secure(|server| server);
    let offering = |protocols: &[&str]| {
        let mut config = (*client.config).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut client = client.clone();
        client.config = config.into();
        client
    };
    let refused = offering(&["h2", "http/1.0"]).try_connect(running.addr()).expect_err("no protocol in common");
    assert_eq!(refused, rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    let stream = offering(&["h2", "http/1.1"]).try_connect(running.addr()).expect("a session");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let stream = client.try_connect(running.addr()).expect("a session");
    assert_eq!(stream.conn.alpn_protocol(), None);
}

#[test]
fn no_session_is_resumed() {
    let (authority, identity) = identity();
    let running = serve(demo().tls(identity.config()));
    for version in VERSIONS {
        // The same configuration remembers what it may.
        let client = Client::with(&authority, &[version], None);
        for _ in 0..3 {
            let stream = client.try_connect(running.addr()).expect("a session");
            assert_eq!(stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
            assert_eq!(stream.conn.tls13_tickets_received(), 0);
        }
    }
}

#[test]
fn answers_that_come_before_the_head_is_read_are_those_of_the_gate() -> io::Result<()> {
    let (running, client) = secure(|server| server.bearer_token("alice", "a-token-of-good-length"));
    for (head, status) in [
        ("GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", "401"),
        ("GET /mcp HTTP/1.0\r\n\r\n", "505"),
        ("GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n", "403"),
        // A page of the same host and port, by its own scheme.
        ("GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n\r\n", "401"),
        // The same name without encryption, which anybody on the way can have said.
        ("GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n", "403"),
        ("GET /mcp HTTP/1.1\r\nHost: localhost:443\r\nOrigin: http://localhost:443\r\n\r\n", "403"),
    ] {
        let mut stream = client.connect(running.addr());
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert_eq!(answer.get(9..12), Some(status), "{head:?}: {answer}");
    }
    let mut peer = Peer::over(
        Box::new(client.connect(running.addr())),
        "localhost",
        &[("Authorization", "Bearer a-token-of-good-length")],
    );
    peer.barrier();
    assert_eq!(
        running.handle().clients()[0].principal().map(|principal| principal.id().to_owned()).as_deref(),
        Some("alice")
    );
    Ok(())
}
