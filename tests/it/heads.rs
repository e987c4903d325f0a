//! Request heads: too large, too slow, ambiguous, or none at all.

use super::demo::demo;
use super::neighbor::{beside, exposed};
use super::peer::{PATIENCE, Peer, serve};
use super::raw::{FIN, Head, Raw, TEXT, masked};
use std::time::{Duration, Instant};

#[test]
fn heads_have_limits() {
    let running = exposed(demo().limits(|limits| (limits.head_bytes, limits.head_lines) = (1_000, 20)));
    let _honest = beside(&running);
    let address = running.addr();
    let many = |count: usize| (0..count).fold(Head::new(address), |head, at| head.add(&format!("X-{at}"), "x"));
    many(15).ask(address).expect(101);
    many(16).ask(address).expect(431);
    Head::new(address).add("X-Long", &"x".repeat(700)).ask(address).expect(101);
    Head::new(address).add("X-Long", &"x".repeat(1_000)).ask(address).expect(431);
    Head::new(address).add(&"X".repeat(1_000), "x").ask(address).expect(431);
    Head::new(address).line(&format!("GET /{} HTTP/1.1", "a".repeat(5_000))).ask(address).expect(414);
    // Endless ones, too: the answer comes while they are still being sent.
    let mut raw = Raw::connect(address);
    raw.send(b"GET /mcp HTTP/1.1\r\nX-Endless: ");
    raw.stream.set_nonblocking(true).expect("a setting");
    while raw.stream.peek(&mut [0]).is_err() && raw.try_send(&[b'x'; 500]) {}
    raw.stream.set_nonblocking(false).expect("a setting");
    raw.answer().expect(431);
}

#[test]
fn heads_that_two_readers_could_read_differently_are_refused() {
    let running = exposed(demo());
    let _honest = beside(&running);
    let address = running.addr();
    let good = String::from_utf8(Head::new(address).bytes()).expect("ASCII");
    let ask = |text: &str| {
        let mut raw = Raw::connect(address);
        raw.send(text.as_bytes());
        raw.answer().status
    };
    assert_eq!(ask(&good), 101);
    for text in [
        good.replace("\r\n", "\n"),
        good.replacen("\r\n", "\n", 1),
        good.replace("Upgrade: websocket", "Upgrade : websocket"),
        good.replace("Upgrade: websocket", "Upgrade: \r\n websocket"),
        good.replace("Upgrade: websocket", "Upgrade: web\0socket"),
        good.replace("Upgrade: websocket", "Upgrade: websocket\r\nX: a\rb"),
        good.replace("GET /mcp", "GET  /mcp"),
        good.replace("GET /mcp", &format!("GET http://{address}/mcp")),
        good.replace("GET /mcp", "GET /mcp#x"),
        good.replace("GET /mcp", "GET mcp"),
        good.replace("\r\n\r\n", "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        good.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n"),
        good.replace("\r\n\r\n", "\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        good.replace("\r\n\r\n", "\r\nno colon\r\n\r\n"),
        "\0\0\0\0\r\n\r\n".into(),
        "hello\r\n\r\n".into(),
    ] {
        let status = ask(&text);
        assert!([400, 501].contains(&status), "{status} for {text:?}");
    }
    for text in
        [good.replace("HTTP/1.1", "HTTP/1.0"), good.replace("HTTP/1.1", "HTTP/2.0"), "PRI * HTTP/2.0\r\n\r\n".into()]
    {
        assert_eq!(ask(&text), 505, "{text:?}");
    }
}

#[test]
fn a_slow_head_has_one_deadline_however_it_drips() {
    let running = exposed(demo().limits(|limits| limits.head_deadline = Duration::from_millis(400)));
    let _honest = beside(&running);
    let address = running.addr();
    let begun = Instant::now();
    let mut silent = Raw::connect(address);
    let mut dripping = Raw::connect(address);
    dripping.stream.set_nonblocking(true).expect("a setting");
    let bytes = Head::new(address).bytes();
    // Far slower than the deadline allows, far faster than any pause would be noticed.
    for byte in bytes.iter().cycle().take(1_000) {
        if !dripping.try_send(&[*byte]) || dripping.stream.peek(&mut [0]).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        assert!(begun.elapsed() < PATIENCE);
    }
    dripping.stream.set_nonblocking(false).expect("a setting");
    dripping.answer().expect(408);
    silent.answer().expect(408);
    assert!(
        begun.elapsed() >= Duration::from_millis(400) && begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    Peer::of(&running, "2025-06-18").barrier();
}

#[test]
fn bytes_behind_the_head_are_too_early() {
    let running = serve(demo());
    let address = running.addr();
    let mut raw = Raw::connect(address);
    raw.send(&[Head::new(address).bytes(), masked(FIN | TEXT, b"{}")].concat());
    raw.answer().expect(400);
    raw.wait_end();
}

#[test]
fn a_client_that_speaks_tls_is_refused_and_the_server_lives() {
    let running = serve(demo());
    let mut raw = Raw::connect(running.addr());
    // The beginning of a client hello.
    raw.send(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0xff, 0xff]);
    raw.answer().expect(400);
    raw.wait_end();
    Peer::of(&running, "2025-06-18").barrier();
}
